"""ED-Pose: a transformer that detects people as boxes, then their keypoints as small boxes.

Yang 2023, "Explicit Box Detection Unifies End-to-End Multi-Person Pose Estimation",
arXiv 2302.01593.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "decoder": "EDPoseDecoder",
        "encoder": "DeformableEncoder PositionEmbeddingSineHW",
        "head": "EDPoseHead TransformerHead",
        "out_head": "EDPoseOutHead",
    },
)
