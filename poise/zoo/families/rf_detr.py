"""RF-DETR with keypoints (Robinson 2025; the preview of 2026): people and keypoints as queries."""

from __future__ import annotations

from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import Binding, binding
from poise.zoo.parts.pipelines import META_KEYS, eval_loader, validated
from poise.zoo.parts.topdown import PREPROCESSOR

__all__ = ["recipe", "tree"]

#: people of lower scores are not shown, as RF-DETR's own `predict` has it
SHOWN_FROM = 0.5


def recipe(stem: str) -> Tree:
    """Config tree of the released model; `stem` is its name."""
    return tree(binding("coco"), dict(), dict(in_channels=[384] * 4), dict(), side=576)


def tree(
    data: Binding,
    backbone: Tree,
    neck: Tree,
    head: Tree,
    *,
    side: int,
    limits: Tree | None = None,
) -> Tree:
    """Config tree of a network, to predict and to measure.

    Args:
        data: the dataset whose keypoints it finds.
        backbone: arguments of `WindowedVisionTransformer`.
        neck: of `RFDETRNeck`.
        head: of `RFDETRHead`.
        side: of the square that pictures are stretched to, in pixels.
        limits: settings of predictions, see `RFDETRHead.predict`.
    """
    # without rounding between
    pipeline: list[Tree] = [
        dict(type="LoadImage", to_float32=True),
        dict(
            type="BottomupRandomChoiceResize",
            scales=[(side, side)],
            keep_ratio=False,
            mmpose_faults=False,
        ),
        dict(type="PackPoseInputs", meta_keys=META_KEYS),
    ]
    loader = eval_loader(data.changed(boxes={}).dataset("val", pipeline, "bottomup"))
    coco = isinstance(data.metric, dict) and data.metric["type"] == "CocoMetric"
    metric = data.evaluator(**(dict(score_mode="bbox", nms_mode="none") if coco else {}))
    return dict(
        default_scope="mmpose",
        model=dict(
            type="BottomupPoseEstimator",
            data_preprocessor=PREPROCESSOR,
            backbone=dict(type="poise.WindowedVisionTransformer") | backbone,
            neck=dict(type="poise.RFDETRNeck") | neck,
            head=dict(type="poise.RFDETRHead") | head,
            test_cfg=dict(limits or {}) | dict(shown=dict(score_thr=SHOWN_FROM)),
        ),
        **validated(loader, metric),
        val_cfg=dict(),
        test_cfg=dict(),
    )
