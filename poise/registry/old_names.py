"""Names of MMPose 0.x, whose configs Poise does not read, and what they are called since."""

from __future__ import annotations

__all__ = ["OLD_NAMES"]

#: name in MMPose 0.x -> name in 1.x, where that is another one
OLD_NAMES = {
    "TopDown": "TopdownPoseEstimator",
    "BottomUp": "BottomupPoseEstimator",
    "TopdownHeatmapSimpleHead": "HeatmapHead",
    "TopdownHeatmapMultiStageHead": "CPMHead",
    "TopdownHeatmapMSMUHead": "MSPNHead",
    "ViPNASHeatmapSimpleHead": "ViPNASHead",
    "DeepposeRegressionHead": "RegressionHead",
    "AESimpleHead": "AssociativeEmbeddingHead",
    "JointsMSELoss": "KeypointMSELoss",
    "JointsOHKMMSELoss": "KeypointOHKMMSELoss",
    "AELoss": "AssociativeEmbeddingLoss",
    "TopDownCocoDataset": "CocoDataset",
    "TopDownGetBboxCenterScale": "GetBBoxCenterScale",
    "TopDownRandomFlip": "RandomFlip",
    "TopDownHalfBodyTransform": "RandomHalfBody",
    "TopDownGetRandomScaleRotation": "RandomBBoxTransform",
    "TopDownAffine": "TopdownAffine",
    "TopDownGenerateTarget": "GenerateTarget",
}
