"""Heads: features -> outputs, losses, predicted instances."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "associative_embedding": "AssociativeEmbeddingHead",
        "base": "BaseHead",
        "cid": "CIDHead",
        "cpm": "CPMHead",
        "dekr": "DEKRHead",
        "edpose.head": "EDPoseHead TransformerHead",
        "few_shot.head": "PoseHead",
        "heatmap": "HeatmapHead",
        "integral": "DSNTHead IntegralRegressionHead",
        "internet": "InternetHead",
        "lifting": "MotionRegressionHead TemporalRegressionHead TrajectoryRegressionHead",
        "mspn": "MSPNHead",
        "regression": "RLEHead RegressionHead",
        "rf_detr.head": "RFDETRHead",
        "rtmcc": "RTMCCHead RTMWHead",
        "rtmo": "RTMOHead",
        "rtmw3d": "RTMW3DHead",
        "sapiens2": "Sapiens2Head",
        "simcc": "SimCCHead",
        "vipnas": "ViPNASHead",
        "vis": "VisPredictHead",
        "yolox_pose": "YOLOXPoseHead",
    },
)
