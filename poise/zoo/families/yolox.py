"""YOLOX (Ge 2021): detectors of COCO's classes and of faces."""

from __future__ import annotations

from poise.zoo.name import matched
from poise.zoo.parts import detection, yolox
from poise.zoo.parts.assembly import Tree, replaced
from poise.zoo.parts.detection import GREY
from poise.zoo.parts.pipelines import validated
from poise.zoo.parts.runtime import averaging

__all__ = ["recipe"]

_EPOCHS, _LAST, _RATE = detection.EPOCHS, 15, 0.01
_SIDE = 640
_PAD: Tree = dict(type="Pad", pad_to_square=True, pad_val=dict(img=(float(GREY),) * 3))
#: as the released file has it
_FACES: Tree = dict(metainfo=dict(CLASSES=("person",), PALETTE=(220, 20, 60)))


def recipe(stem: str) -> Tree:
    """Config tree of a released YOLOX."""
    size, data = matched(r"yolox[-_](\w+)_8xb8-300e_(coco|coco-face)", stem).groups()
    return _faces(size) if data == "coco-face" else _tree(size)


def _tree(size: str, options: Tree | None = None) -> Tree:
    """Config tree of COCO's classes; `options` are settings of what reads files."""
    where = dict(backend_args=None) if options is None else options
    datasets = where if options is None else {}
    small = size in ("nano", "tiny")
    usual, pipeline = _train_pipeline(), _train_pipeline(small=small)
    side = 416 if small else _SIDE
    test = detection.fitted(side, _PAD, where)
    # the top-level key keeps the pipeline of the larger ones
    mixed = [_mixed(steps, where, datasets) for steps in (usual, pipeline)]
    val = detection.loader("val", detection.coco("val", test, **datasets), 8, 4)
    metric = detection.evaluator(**datasets)
    return detection.runtime(64, **detection.many_sizes(0.65, _PAD)) | dict(
        img_scale=(_SIDE, _SIDE),
        model=_model(size, small=small),
        train_pipeline=pipeline,
        train_dataset=mixed[0],
        test_pipeline=test,
        train_dataloader=detection.loader("train", mixed[1], 8, 4),
        **validated(val, metric),
        num_last_epochs=_LAST,
        base_lr=_RATE,
        optim_wrapper=dict(
            type="OptimWrapper",
            optimizer=dict(type="SGD", lr=_RATE, momentum=0.9, weight_decay=5e-4, nesterov=True),
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
        ),
        param_scheduler=_curve(),
        custom_hooks=[
            dict(type="YOLOXModeSwitchHook", num_last_epochs=_LAST, priority=48),
            dict(type="SyncNormHook", priority=48),
            averaging(0.0001),
        ],
    )


def _curve() -> list[Tree]:
    """Quadratic warm-up, a cosine, and a rate that stays."""
    end = _EPOCHS - _LAST
    warmup, fall = yolox.warmup_cosine(end)
    return [
        warmup | dict(type="mmdet.QuadraticWarmupLR"),
        fall | dict(eta_min=_RATE * 0.05),
        yolox.constant_part(end, _EPOCHS),
    ]


def _train_pipeline(*, small: bool = False) -> list[Tree]:
    """Four pictures in one, bent and, but for the small networks, blended."""
    square, grey = (_SIDE, _SIDE), float(GREY)
    bend = dict(
        type="RandomAffine",
        scaling_ratio_range=(0.5, 1.5) if small else (0.1, 2),
        border=(-_SIDE // 2, -_SIDE // 2),
    )
    blend = dict(type="MixUp", img_scale=square, ratio_range=(0.8, 1.6), pad_val=grey)
    return [
        dict(type="Mosaic", img_scale=square, pad_val=grey),
        bend,
        *([] if small else [blend]),
        *detection.finish(dict(type="Resize", scale=square, keep_ratio=True), _PAD),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
        dict(type="PackDetInputs"),
    ]


def _mixed(pipeline: list[Tree], where: Tree, options: Tree) -> Tree:
    source = detection.coco("train", detection.load(where), empty=False, **options)
    return dict(type="MultiImageMixDataset", dataset=source, pipeline=pipeline)


def _model(size: str, *, small: bool, classes: int = 80) -> Tree:
    neck = yolox.pyramid(size)
    common = {key: neck[key] for key in ("use_depthwise", "norm_cfg", "act_cfg")}
    resize = yolox.many_sizes(10, small=small)
    return dict(
        type="YOLOX",
        data_preprocessor=dict(
            type="DetDataPreprocessor", pad_size_divisor=32, batch_augments=[resize]
        ),
        backbone=yolox.darknet(size) | common,
        neck=neck,
        bbox_head=dict(
            type="YOLOXHead",
            num_classes=classes,
            in_channels=neck["out_channels"],
            feat_channels=neck["out_channels"],
            stacked_convs=2,
            strides=(8, 16, 32),
            loss_cls=yolox.PRESENCE_LOSS,
            loss_bbox=yolox.BOX_LOSS,
            loss_obj=yolox.PRESENCE_LOSS,
            loss_l1=yolox.BOX_LOSS_LATE,
            **common,
        ),
        train_cfg=dict(assigner=dict(type="SimOTAAssigner", center_radius=2.5)),
        test_cfg=dict(score_thr=0.01, nms=dict(type="nms", iou_threshold=0.65)),
    )


def _faces(size: str) -> Tree:
    """The face detector: COCO's pictures with boxes of faces."""
    local = dict(backend="local")
    tree = _tree(size, dict(backend_args=local))
    val = replaced(
        tree["val_dataloader"],
        {
            "dataset.ann_file": "annotations/coco_face_val.json",
            "dataset.metainfo": _FACES["metainfo"],
        },
    )
    hooks = [*tree["custom_hooks"][:-1], averaging(0.0001, strict_load=False)]
    changes = {
        "model": _model(size, small=False, classes=1),
        "train_dataloader.dataset.dataset.ann_file": "annotations/coco_face_train.json",
        "train_dataloader.dataset.dataset.metainfo": _FACES["metainfo"],
        "val_dataloader": val,
        "test_dataloader": val,
        "val_evaluator": detection.evaluator("annotations/coco_face_val.json"),
        "custom_hooks": hooks,
        "backend_args": local,
        "load_from": yolox.STARTS["s"],
        "launcher": "pytorch",
    }
    kept = {key: value for key, value in tree.items() if key not in detection.many_sizes(0, _PAD)}
    return replaced(kept, changes) | _FACES
