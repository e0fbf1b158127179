"""MoveNet SinglePose (Google, 2021): the models that come inside the package."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.datasets import binding
from poise.zoo.parts.pipelines import eval_loader, topdown_test

__all__ = ["recipe"]

#: name -> (channel factor, side of the square input, channels at strides 4 to 32)
_ROWS: dict[str, tuple[float, int, list[int]]] = {
    "movenet-thunder": (1.75, 256, [40, 56, 112, 1280]),
    "movenet-lightning": (1.0, 192, [24, 32, 64, 1280]),
}


def recipe(name: str) -> dict[str, Any]:
    """Config tree of a MoveNet; 17 COCO keypoints of the one person in a square crop."""
    width, side, channels = _ROWS[name]
    codec = dict(type="MoveNetLabel", input_size=(side, side))
    data = binding("coco").changed(boxes={})
    dataloader = eval_loader(data.dataset("val", topdown_test((side, side))))
    evaluator = data.evaluator()
    return dict(
        default_scope="mmpose",
        codec=codec,
        model=dict(
            type="TopdownPoseEstimator",
            # the released graph takes RGB in -1..1
            data_preprocessor=dict(
                type="PoseDataPreprocessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
            ),
            backbone=dict(type="MoveNetBackbone", width=width),
            neck=dict(type="MoveNetFPN", in_channels=channels),
            head=dict(type="MoveNetHead", in_channels=24, out_channels=17, decoder=codec),
            test_cfg=dict(flip_test=False),
        ),
        val_dataloader=dataloader,
        test_dataloader=dataloader,
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )
