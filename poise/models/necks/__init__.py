"""Necks: modules between a backbone and a head."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "channel_mapper": "ChannelMapper",
        "feature_map_processor": "FeatureMapProcessor",
        "fpn": "FPN",
        "gap": "GlobalAveragePooling",
        "hybrid_encoder": "HybridEncoder",
        "movenet": "MoveNetFPN",
        "pafpn": "CSPNeXtPAFPN YOLOXPAFPN",
        "posewarper": "PoseWarperNeck",
        "rf_detr": "RFDETRNeck",
        "yolo_pafpn": "YOLOPAFPN",
    },
)
