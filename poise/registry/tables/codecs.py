"""Where each registered name of the kind `codecs` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.codecs.annotation_processors": "YOLOXPoseAnnotationProcessor",
        "poise.codecs.associative_embedding": "AssociativeEmbedding",
        "poise.codecs.decoupled_heatmap": "DecoupledHeatmap",
        "poise.codecs.edpose_label": "EDPoseLabel",
        "poise.codecs.hand_3d_heatmap": "Hand3DHeatmap",
        "poise.codecs.image_pose_lifting": "ImagePoseLifting",
        "poise.codecs.integral_regression_label": "IntegralRegressionLabel",
        "poise.codecs.megvii_heatmap": "MegviiHeatmap",
        "poise.codecs.motionbert_label": "MotionBERTLabel",
        "poise.codecs.msra_heatmap": "MSRAHeatmap",
        "poise.codecs.regression_label": "RegressionLabel",
        "poise.codecs.simcc_3d_label": "SimCC3DLabel",
        "poise.codecs.simcc_label": "SimCCLabel",
        "poise.codecs.spr": "SPR",
        "poise.codecs.udp_heatmap": "UDPHeatmap",
        "poise.codecs.video_pose_lifting": "VideoPoseLifting",
    },
    "poise": {
        "poise.codecs.movenet": "MoveNetLabel",
    },
}
