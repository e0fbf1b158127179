"""What the recipes of detectors share: runtime, COCO boxes, test pipelines, averaging."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree, words
from poise.zoo.parts.runtime import HABITS

__all__ = [
    "FACTORS",
    "GREY",
    "META_KEYS",
    "coco",
    "evaluator",
    "finish",
    "fitted",
    "load",
    "loader",
    "many_sizes",
    "runtime",
    "widths",
]

#: size -> factors of blocks and channels (deepen, widen) of CSPNeXt and CSPDarknet
FACTORS = {
    "nano": (0.33, 0.25),
    "tiny": (0.33, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}

ROOT = "data/coco/"
VAL_FILE = "annotations/instances_val2017.json"
EPOCHS = 300
#: grey of the padding
GREY = 114
#: epochs between checkpoints and between validations
INTERVAL = 10
META_KEYS = words("img_id img_path ori_shape img_shape scale_factor")


def widths(factor: float) -> list[int]:
    """Channels at strides 8, 16 and 32."""
    return [int(width * factor) for width in (256, 512, 1024)]


def runtime(scale: int, **changes: Any) -> Tree:
    """Top-level settings that do not depend on model or data.

    Args:
        scale: batch over all devices that the learning rate is meant for.
        changes: further top-level keys.
    """
    backends = [dict(type="LocalVisBackend")]
    kinds = dict(
        timer="IterTimerHook",
        logger="LoggerHook",
        param_scheduler="ParamSchedulerHook",
        checkpoint="CheckpointHook",
        sampler_seed="DistSamplerSeedHook",
        visualization="DetVisualizationHook",
    )
    hooks: Tree = {name: dict(type=kind) for name, kind in kinds.items()}
    hooks["logger"]["interval"] = 50
    hooks["checkpoint"] |= dict(interval=INTERVAL, max_keep_ckpts=3)
    return HABITS | dict(
        default_scope="mmdet",
        default_hooks=hooks,
        vis_backends=backends,
        visualizer=dict(type="DetLocalVisualizer", vis_backends=backends, name="visualizer"),
        log_processor=dict(type="LogProcessor", window_size=50, by_epoch=True),
        train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=EPOCHS, val_interval=INTERVAL),
        val_cfg=dict(type="ValLoop"),
        test_cfg=dict(type="TestLoop"),
        auto_scale_lr=dict(enable=False, base_batch_size=scale),
        dataset_type="CocoDataset",
        data_root=ROOT,
        backend_args=None,
        max_epochs=EPOCHS,
        interval=INTERVAL,
        **changes,
    )


def load(options: Tree) -> list[Tree]:
    """Picture and boxes from disk."""
    return [dict(type="LoadImageFromFile") | options, dict(type="LoadAnnotations", with_bbox=True)]


def finish(*pad: Tree) -> list[Tree]:
    """Colours, mirror image, and what a recipe adds; not the packing."""
    return [dict(type="YOLOXHSVRandomAug"), dict(type="RandomFlip", prob=0.5), *pad]


def fitted(side: int, pad: Tree, options: Tree, *, boxes: bool = True) -> list[Tree]:
    """From a picture to the input.

    Args:
        side: of the square input, pixels.
        pad: the padding.
        options: settings of the reading.
        boxes: read the boxes of annotations, too.
    """
    image, annotations = load(options)
    return [
        image,
        dict(type="Resize", scale=(side, side), keep_ratio=True),
        pad,
        *([annotations] if boxes else ()),
        dict(type="PackDetInputs", meta_keys=META_KEYS),
    ]


def coco(part: str, pipeline: list[Tree], *, empty: bool = True, **options: Any) -> Tree:
    """Dataset config of COCO's boxes.

    Args:
        part: "train" or "val".
        pipeline: of the pictures.
        empty: leave out training pictures without boxes.
        options: further arguments.
    """
    own = (
        dict(filter_cfg=dict(filter_empty_gt=empty, min_size=32))
        if part == "train"
        else dict(test_mode=True)
    )
    return dict(
        type="CocoDataset",
        data_root=ROOT,
        ann_file=f"annotations/instances_{part}2017.json",
        data_prefix=dict(img=f"{part}2017/"),
        pipeline=pipeline,
        **own,
        **options,
    )


def loader(part: str, dataset: Tree, batch: int, workers: int, **options: Any) -> Tree:
    """Loader of "train", shuffled, or of "val", in order."""
    training = part == "train"
    return dict(
        batch_size=batch,
        num_workers=workers,
        persistent_workers=True,
        **(dict() if training else dict(drop_last=False)),
        sampler=dict(type="DefaultSampler", shuffle=training),
        dataset=dataset,
        **options,
    )


def evaluator(file: str = VAL_FILE, **options: Any) -> Tree:
    """AP of boxes."""
    return dict(type="CocoMetric", ann_file=f"{ROOT}{file}", metric="bbox", **options)


def many_sizes(threshold: float, pad: Tree) -> Tree:
    """Top-level keys of a test with several sizes and mirror images.

    Args:
        threshold: overlap of boxes above which the better one stays.
        pad: the padding.
    """
    scales = [(side, side) for side in (640, 320, 960)]
    keys = [*META_KEYS, "flip", "flip_direction"]
    steps = [
        [dict(type="Resize", scale=scale, keep_ratio=True) for scale in scales],
        [dict(type="RandomFlip", prob=chance) for chance in (1.0, 0.0)],
        [pad],
        [dict(type="LoadAnnotations", with_bbox=True)],
        [dict(type="PackDetInputs", meta_keys=keys)],
    ]
    rule = dict(nms=dict(type="nms", iou_threshold=threshold), max_per_img=100)
    return dict(
        tta_model=dict(type="DetTTAModel", tta_cfg=rule),
        img_scales=scales,
        tta_pipeline=[
            dict(type="LoadImageFromFile", backend_args=None),
            dict(type="TestTimeAug", transforms=steps),
        ],
    )
