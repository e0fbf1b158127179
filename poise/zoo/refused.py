"""Models of MMPose and its demos that Poise does not have, and what to use in their place."""

from __future__ import annotations

__all__ = ["ABSENT", "KINDS", "PROJECTS", "REFUSED", "refusal", "substitute_for"]

#: config of `demo/mmdetection_cfg` -> the detector that looks for the same, and better
REFUSED = {
    "cascade_rcnn_x101_64x4d_fpn_1class": "rtmdet-hand",
    "cascade_rcnn_x101_64x4d_fpn_coco": "rtmdet-x",
    "faster_rcnn_r50_fpn_1class": "rtmdet-m",
    "faster_rcnn_r50_fpn_coco": "rtmdet-person",
    "mask_rcnn_r50_fpn_2x_coco": "rtmdet-person",
    "ssdlite_mobilenetv2-scratch_8xb24-600e_coco": "rtmdet-tiny",
    "ssdlite_mobilenetv2_scratch_600e_onehand": "rtmdet-hand",
    "yolov3_d53_320_273e_coco": "rtmdet-s",
}

#: `model.type` of these configs
KINDS = frozenset(("CascadeRCNN", "FasterRCNN", "MaskRCNN", "SingleStageDetector", "YOLOV3"))


#: names of pose models -> why they are left out, and what is there
ABSENT = {
    "topdown_heatmap_swin_b_p4_w7_fpn_coco_256x192": "its config was not brought to MMPose 1.x; "
    "td-hm_swin-b-p4-w7_8xb32-210e_coco-256x192 is the nearest",
}


#: folders of MMPose's projects -> why their configs are left out
PROJECTS = {
    "projects/rtmpose/rtmpose/pruning/": "it needs MMRazor; "
    "rtmpose-s_8xb256-420e_coco-256x192 is the nearest",
    "projects/pose_anything/": "a method of its own",
    "projects/skps/": "a method of its own",
    "projects/just_dance/": "a demonstration; `poise predict --model human` finds its dancers",
    "projects/mmpose4aigc/": "a demonstration; `poise predict --style openpose` draws its pictures",
    "projects/example_project/": "a pattern for code of one's own",
}


def substitute_for(name: str) -> str:
    """Sentence that says what to use instead of a detector.

    Example:
        >>> substitute_for("yolov3_d53_320_273e_coco")
        'Poise has RTMDet and YOLOX, which are better and faster; use rtmdet-s'
    """
    instead = REFUSED.get(name, "rtmdet-person, rtmdet-hand, yolox-face or rtmdet-m")
    return f"Poise has RTMDet and YOLOX, which are better and faster; use {instead}"


def refusal(name: str) -> str | None:
    """Error text for the name of a model, or the path of its config, that is refused, else None."""
    path = name.replace("\\", "/").removeprefix("mmpose::")
    for folder, reason in PROJECTS.items():
        if path.startswith(folder):
            return f"'{name}' is not part of Poise: {reason}"
    stem = path.rpartition("/")[2].removesuffix(".py")
    if stem in ABSENT:
        return f"'{stem}' is not in the zoo: {ABSENT[stem]}"
    if stem not in REFUSED:
        return None
    return f"'{stem}' is a detector that Poise does not have. {substitute_for(stem)}"
