"""Models of MMPose that Poise does not have or does not train, and what to use in their place."""

from __future__ import annotations

__all__ = ["ABSENT", "INFERENCE_ONLY", "PROJECTS", "no_training", "refusal"]

#: `model.type`s of detectors that predict, and are not trained here; `SingleStageDetector` is that
#: of SSDLite
INFERENCE_ONLY = frozenset(
    ("CascadeRCNN", "FasterRCNN", "MaskRCNN", "SingleStageDetector", "YOLOV3")
)


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


def no_training(kind: str) -> str:
    """Error text for a detector that predicts only.

    Example:
        >>> no_training("FasterRCNN").partition(";")[0]
        'FasterRCNN is a detector for prediction and is not trained here'
    """
    return (
        f"{kind} is a detector for prediction and is not trained here; RTMDet and YOLOX are, and "
        "find more: `poise train rtmdet-m --data-root FOLDER`, or yolox-s"
    )


def refusal(name: str) -> str | None:
    """Error text for the name of a model, or the path of its config, that is refused, else None."""
    path = name.replace("\\", "/").removeprefix("mmpose::")
    for folder, reason in PROJECTS.items():
        if path.startswith(folder):
            return f"'{name}' is not part of Poise: {reason}"
    stem = path.rpartition("/")[2].removesuffix(".py")
    if stem in ABSENT:
        return f"'{stem}' is not in the zoo: {ABSENT[stem]}"
    return None
