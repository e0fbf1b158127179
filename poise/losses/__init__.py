"""Losses: tensors in, scalars out. None of them knows a model or a data sample."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "classification": "BCELoss InfoNCELoss JSDiscretLoss VariFocalLoss",
        "combined": "CombinedLoss MultipleLossWrapper",
        "coordinate": "L1Loss MSELoss SmoothL1Loss SoftWeightSmoothL1Loss SoftWingLoss WingLoss",
        "detection": "CIoULoss DIoULoss DetectionCrossEntropyLoss DetectionIoULoss DetectionL1Loss "
        "DistributionFocalLoss GIoULoss QualityFocalLoss",
        "distillation": "FeaLoss KDLoss",
        "embedding": "AssociativeEmbeddingLoss",
        "heatmap": "AdaptiveWingLoss CombinedTargetMSELoss FocalHeatmapLoss KeypointMSELoss "
        "KeypointOHKMMSELoss",
        "pose3d": "BoneLoss MPJPELoss MPJPEVelocityJointLoss SemiSupervisionLoss",
        "rle": "RLELoss RealNVP",
        "similarity": "BoxOKSLoss IoULoss OKSLoss",
        "simcc": "KLDiscretLoss KLDiscretLossWithWeight MLECCLoss",
        "weighting": "WeightedLoss",
    },
)
