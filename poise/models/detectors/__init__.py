"""Networks that find people, hands and faces, so that a pose model knows where to look."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "nanodet": "NanoDet",
        "nanodet_model": "NanoDetHead NanoDetModel embedded_nanodet",
        "rtmdet_head": "RTMDetSepBNHead",
        "single_stage": "RTMDet SingleStageDetector SyncedDetector YOLOX",
        "yolox_head": "YOLOXHead",
        "yolox_pose": "YOLODetector YOLOPoseHead YOLOPoseLayers",
    },
)
