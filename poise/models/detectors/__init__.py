"""Networks that find people, hands and faces, so that a pose model knows where to look."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "anchors": "AnchorGenerator DeltaXYWHBBoxCoder SSDAnchorGenerator YOLOAnchorGenerator "
        "YOLOBBoxCoder",
        "base": "Detector",
        "box_head": "RoIAlign Shared2FCBBoxHead SingleRoIExtractor",
        "nanodet": "NanoDet",
        "nanodet_model": "NanoDetHead NanoDetModel embedded_nanodet",
        "region_proposals": "RPNHead",
        "roi_heads": "CascadeRoIHead StandardRoIHead",
        "rtmdet_head": "RTMDetSepBNHead",
        "single_stage": "RTMDet SingleStageDetector SyncedDetector YOLOV3 YOLOX",
        "ssd": "SSDHead SSDNeck",
        "two_stage": "CascadeRCNN FasterRCNN MaskRCNN TwoStageDetector",
        "yolox_head": "YOLOXHead",
        "yolox_pose": "YOLODetector YOLOPoseHead YOLOPoseLayers",
        "yolov3": "Darknet YOLOV3Head YOLOV3Neck",
    },
)
