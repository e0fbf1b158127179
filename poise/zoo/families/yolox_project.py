"""YOLOX-Pose as MMPose's `projects/yolox_pose` has it, on classes of MMYOLO (Maji 2022)."""

from __future__ import annotations

from typing import Any

from poise.zoo.name import matched
from poise.zoo.parts import detection, yolox
from poise.zoo.parts.assembly import Tree, words
from poise.zoo.parts.datasets import binding, count, metainfo_of
from poise.zoo.parts.detection import FACTORS
from poise.zoo.parts.imports import imported
from poise.zoo.parts.pipelines import validated
from poise.zoo.parts.runtime import runtime
from poise.zoo.parts.schedules import flat_cosine_adamw

__all__ = ["recipe"]

_EPOCHS, _LAST = 300, 20
_SIDE, _SMALL_SIDE = 640, 416
_NORM = yolox.NORM
_SILU: Tree = dict(type="SiLU", inplace=True)
_MMYOLO = "https://download.openmmlab.com/mmyolo/v0/yolox/"
_FAST = "fast_8xb32-300e-rtmdet-hyp_coco"
#: size -> the detector that training starts from: its name after the size, and its release
_START = {
    "tiny": (_FAST, "20230210_143637-4c338102"),
    "s": (_FAST, "20230210_134645-3a8dfbd7"),
    "m": (_FAST, "20230210_144328-e657e182"),
    "l": ("fast_8xb8-300e_coco", "20230213_160715-c731eb1c"),
}
#: settings of the classification and of the objectness
_PRESENCE: Tree = yolox.PRESENCE_LOSS | dict(type="mmdet.CrossEntropyLoss")
_READ: list[Tree] = [
    dict(type="mmpose.LoadImage", backend_args=dict(backend="local")),
    dict(type="PoseToDetConverter"),
]
_GREY = float(detection.GREY)
_PAD: Tree = dict(type="mmdet.Pad", pad_to_square=True, pad_val=dict(img=(_GREY,) * 3))
_CHANGES: list[Tree] = [
    dict(type="mmdet.YOLOXHSVRandomAug"),
    dict(type="mmdet.RandomFlip", prob=0.5),
]
_KEPT = tuple(words("img_id img_path ori_shape img_shape"))
#: the one config in the newer style, and where it imports its classes from
_NEWER = "py_yolox_pose_s_8xb32_300e_coco"
_IMPORTS = {
    "datasets": "CocoDataset FilterDetPoseAnnotations PackDetPoseInputs PoseToDetConverter",
    "mmcv.ops": "nms",
    "mmdet.datasets.transforms": "Pad RandomAffine RandomFlip Resize YOLOXHSVRandomAug",
    "mmdet.engine.hooks": "SyncNormHook",
    "mmdet.engine.schedulers": "QuadraticWarmupLR",
    "mmdet.models": "CrossEntropyLoss DetDataPreprocessor IoULoss L1Loss",
    "mmdet.models.task_modules": "BboxOverlaps2D",
    "mmengine.dataset": "DefaultSampler",
    "mmengine.hooks": "CheckpointHook DistSamplerSeedHook EMAHook IterTimerHook LoggerHook "
    "ParamSchedulerHook",
    "mmengine.model": "PretrainedInit",
    "mmengine.optim": "ConstantLR CosineAnnealingLR OptimWrapper",
    "mmengine.runner": "EpochBasedTrainLoop LogProcessor TestLoop ValLoop",
    "mmengine.visualization": "LocalVisBackend",
    "mmpose.datasets.transforms": "LoadImage",
    "mmpose.engine.hooks": "PoseVisualizationHook",
    "mmpose.evaluation": "CocoMetric",
    "mmpose.visualization": "PoseLocalVisualizer",
    "mmyolo.datasets.transforms": "Mosaic YOLOXMixUp",
    "mmyolo.engine.hooks": "YOLOXModeSwitchHook",
    "mmyolo.models": "ExpMomentumEMA YOLODetector YOLOXCSPDarknet YOLOXPAFPN",
    "models": "OksLoss PoseBatchSyncRandomResize PoseSimOTAAssigner YOLOXPoseHead "
    "YOLOXPoseHeadModule",
    "torch.nn": "BatchNorm2d SiLU",
    "torch.optim": "AdamW",
}


def recipe(stem: str) -> Tree:
    """Config tree of a file of the project."""
    if stem == _NEWER:
        tree = recipe("yolox-pose_s_8xb32-300e_coco") | dict(default_scope=None)
        del tree["custom_imports"]
        return imported(tree, _IMPORTS, dict(BN="BatchNorm2d", Pretrained="PretrainedInit"))
    size, batch = matched(r"yolox-pose_(\w+)_\dxb(\d+)-300e_coco", stem).groups()
    tiny = size == "tiny"
    train, last = _mosaic(tiny=tiny), [*_fitted(_SIDE), *_CHANGES, *_packed()]
    meta = ("id", *_KEPT, "scale_factor", "flip_indices")
    test = [
        *_fitted(_SMALL_SIDE if tiny else _SIDE),
        dict(type="PackDetPoseInputs", meta_keys=meta),
    ]
    data = binding("coco").changed(boxes={}, images=("train2017/", "val2017/"))
    learning = data.changed(options=dict(filter_cfg=dict(filter_empty_gt=False, min_size=32)))
    val_loader = detection.loader("val", data.dataset("val", test, "bottomup"), 1, 2)
    val_loader["pin_memory"] = True
    file = data.root + data.val
    evaluator = dict(type="mmpose.CocoMetric", ann_file=file, score_mode="bbox")
    return _around(last) | dict(
        pre_transform=_READ,
        img_scale=(_SIDE,) * 2,
        model=_model(size),
        train_pipeline_stage1=train,
        train_pipeline_stage2=last,
        test_pipeline=test,
        dataset_type=data.type,
        data_mode="bottomup",
        data_root=data.root,
        train_dataloader=yolox.loader(learning.dataset("train", train, "bottomup"), int(batch)),
        **validated(val_loader, evaluator),
    )


def _around(last: list[Tree]) -> Tree:
    """Runtime, hooks and schedule; `last` is the pipeline of the last epochs."""
    end = _EPOCHS - _LAST
    tree = runtime(
        best=("coco/AP", "greater"),
        max_keep=3,
        custom_hooks=yolox.switch_hooks(_LAST, last),
        val_cfg=dict(type="ValLoop"),
        test_cfg=dict(type="TestLoop"),
    )
    hooks = tree["default_hooks"]
    del hooks["badcase"]
    for part in (hooks["visualization"], tree["visualizer"]):
        part["type"] = f"mmpose.{part['type']}"
    switch, sync, _ = tree["custom_hooks"]
    switch["type"], sync["type"] = "YOLOXModeSwitchHook", "mmdet.SyncNormHook"
    warmup, cosine = yolox.warmup_cosine(end)
    return tree | dict(
        default_scope="mmyolo",
        custom_imports=dict(imports=["models", "datasets"]),
        auto_scale_lr=dict(base_batch_size=256),
        base_lr=4e-3,
        max_epochs=_EPOCHS,
        num_last_epochs=_LAST,
        optim_wrapper=flat_cosine_adamw(4e-3),
        param_scheduler=[
            warmup | dict(type="mmdet.QuadraticWarmupLR"),
            cosine,
            yolox.constant_part(end, _EPOCHS),
        ],
        train_cfg=dict(
            type="EpochBasedTrainLoop",
            max_epochs=_EPOCHS,
            val_interval=10,
            dynamic_intervals=[(end, 1)],
        ),
    )


def _fitted(side: int) -> list[Tree]:
    """From a file to a padded square."""
    return [*_READ, dict(type="mmdet.Resize", scale=(side, side), keep_ratio=True), _PAD]


def _packed(**options: Any) -> list[Tree]:
    """The end of a training pipeline."""
    filtering = dict(type="FilterDetPoseAnnotations", keep_empty=False)
    return [filtering, dict(type="PackDetPoseInputs") | options]


def _mosaic(*, tiny: bool) -> list[Tree]:
    """Four pictures in one, bent and, but for the smallest network, blended."""
    square = (_SIDE, _SIDE)
    mixed = dict(img_scale=square, pad_val=_GREY, pre_transform=_READ)
    border = (-_SIDE // 2,) * 2
    blend = dict(type="YOLOXMixUp", ratio_range=(0.8, 1.6)) | mixed
    filtering, pack = _packed(meta_keys=_KEPT)
    if tiny:
        filtering["min_gt_bbox_wh"] = (1, 1)
    return [
        *_READ,
        dict(type="Mosaic") | mixed,
        dict(type="mmdet.RandomAffine", scaling_ratio_range=(0.75, 1.0), border=border),
        *([] if tiny else [blend]),
        *_CHANGES,
        filtering,
        pack,
    ]


def _model(size: str) -> Tree:
    deepen, widen = FACTORS[size]
    kind, release = _START[size]
    start = f"yolox_{size}_{kind}"
    common = dict(widen_factor=widen, norm_cfg=_NORM, act_cfg=_SILU)
    similarity = dict(type="OksLoss", metainfo=metainfo_of("coco")["from_file"])
    resize = yolox.many_sizes(1, small=size == "tiny") | dict(type="PoseBatchSyncRandomResize")
    module = dict(
        type="YOLOXPoseHeadModule",
        num_classes=1,
        in_channels=256,
        feat_channels=256,
        stacked_convs=2,
        num_keypoints=count("coco"),
        featmap_strides=(8, 16, 32),
        use_depthwise=False,
        **common,
    )
    neck = dict(type="YOLOXPAFPN", in_channels=detection.widths(1), out_channels=256)
    backbone = dict(type="YOLOXCSPDarknet", out_indices=(2, 3, 4), spp_kernal_sizes=(5, 9, 13))
    return dict(
        type="YOLODetector",
        use_syncbn=False,
        init_cfg=dict(type="Pretrained", checkpoint=f"{_MMYOLO}{start}/{start}_{release}.pth"),
        data_preprocessor=dict(
            type="mmdet.DetDataPreprocessor", pad_size_divisor=32, batch_augments=[resize]
        ),
        backbone=backbone | common | dict(deepen_factor=deepen),
        neck=neck | common | dict(deepen_factor=deepen),
        bbox_head=dict(
            type="YOLOXPoseHead",
            head_module=module,
            loss_cls=_PRESENCE,
            loss_obj=_PRESENCE,
            loss_bbox=yolox.BOX_LOSS | dict(type="mmdet.IoULoss"),
            loss_bbox_aux=yolox.BOX_LOSS_LATE | dict(type="mmdet.L1Loss"),
            loss_pose=similarity | dict(loss_weight=30.0),
        ),
        train_cfg=dict(
            assigner=dict(
                type="PoseSimOTAAssigner",
                center_radius=2.5,
                iou_calculator=dict(type="mmdet.BboxOverlaps2D"),
                oks_calculator=similarity,
            )
        ),
        test_cfg=dict(
            yolox_style=True,
            multi_label=False,
            score_thr=0.001,
            max_per_img=300,
            nms=dict(type="nms", iou_threshold=0.65),
        ),
    )
