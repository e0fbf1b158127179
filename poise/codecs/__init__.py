"""Codecs: keypoints <-> what networks learn, for one sample and for a whole batch."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "annotation_processors": "BaseAnnotationProcessor YOLOXPoseAnnotationProcessor",
        "associative_embedding": "AssociativeEmbedding",
        "base": "BaseKeypointCodec",
        "decoupled_heatmap": "DecoupledHeatmap",
        "edpose_label": "EDPoseLabel",
        "hand_3d_heatmap": "Hand3DHeatmap",
        "image_pose_lifting": "ImagePoseLifting",
        "integral_regression_label": "IntegralRegressionLabel",
        "megvii_heatmap": "MegviiHeatmap",
        "motionbert_label": "MotionBERTLabel",
        "movenet": "MoveNetLabel",
        "msra_heatmap": "MSRAHeatmap",
        "regression_label": "RegressionLabel",
        "simcc_3d_label": "SimCC3DLabel",
        "simcc_label": "SimCCLabel",
        "spr": "SPR",
        "udp_heatmap": "UDPHeatmap",
        "video_pose_lifting": "VideoPoseLifting",
    },
)
