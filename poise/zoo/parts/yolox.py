"""What RTMO and YOLOX-Pose share: YOLOX's backbone, pipelines with mosaics, hooks, loaders."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree, words
from poise.zoo.parts.backbones import VIT_WEIGHTS, pretrained
from poise.zoo.parts.datasets import metainfo_of
from poise.zoo.parts.detection import FACTORS, GREY, widths
from poise.zoo.parts.pipelines import eval_loader, train_loader
from poise.zoo.parts.runtime import averaging
from poise.zoo.parts.schedules import flat_cosine_adamw

__all__ = [
    "BOX_LOSS",
    "BOX_LOSS_LATE",
    "NORM",
    "PRESENCE_LOSS",
    "STARTS",
    "SWISH",
    "VISIBILITY_LOSS",
    "affine_stage",
    "constant_part",
    "cosine_part",
    "darknet",
    "estimator",
    "evaluation",
    "loader",
    "many_sizes",
    "mosaic_stage",
    "oks_loss",
    "optimizer",
    "pyramid",
    "switch_hooks",
    "val_loader",
    "warmup_cosine",
]

Size = tuple[int, int]

_MMDET = "https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_"

#: size of the model -> weights of the detector that it starts from
STARTS = {
    "tiny": f"{_MMDET}tiny_8x8_300e_coco/yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth",
    "s": f"{_MMDET}s_8x8_300e_coco/yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth",
    "m": f"{VIT_WEIGHTS}yolox_m_8x8_300e_coco_20230829.pth",
    "l": f"{_MMDET}l_8x8_300e_coco/yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth",
}

NORM: Tree = dict(type="BN", momentum=0.03, eps=0.001)
SWISH: Tree = dict(type="Swish")
#: pictures are read from disk, wherever the annotations come from
_LOAD: Tree = dict(type="LoadImage", backend_args=None)
_META_KEYS = tuple(
    words("id img_id img_path ori_shape img_shape input_size input_center input_scale")
)


def darknet(size: str) -> Tree:
    """CSPDarknet of YOLOX (Ge 2021): the maps at strides 8, 16 and 32."""
    deepen, widen = FACTORS[size]
    return dict(
        type="CSPDarknet",
        deepen_factor=deepen,
        widen_factor=widen,
        out_indices=(2, 3, 4),
        spp_kernal_sizes=(5, 9, 13),
        norm_cfg=NORM,
        act_cfg=SWISH,
    )


def pyramid(size: str) -> Tree:
    """The neck of YOLOX: maps at strides 8, 16 and 32 of as many channels each."""
    deepen, widen = FACTORS[size]
    channels = widths(widen)
    return dict(
        type="YOLOXPAFPN",
        in_channels=channels,
        out_channels=channels[0],
        num_csp_blocks=max(1, round(3 * deepen)),
        use_depthwise=size == "nano",
        upsample_cfg=dict(scale_factor=2, mode="nearest"),
        norm_cfg=NORM,
        act_cfg=SWISH,
    )


def many_sizes(interval: int, *, small: bool) -> Tree:
    """Batches of pictures of another size every `interval` iterations."""
    return dict(
        type="BatchSyncRandomResize",
        random_size_range=(320, 640) if small else (480, 800),
        size_divisor=32,
        interval=interval,
    )


def estimator(size: str, neck: Tree, head: Tree, test_cfg: Tree) -> Tree:
    """One-stage model that sees pictures of many sizes in training."""
    return dict(
        type="BottomupPoseEstimator",
        init_cfg=dict(
            type="Kaiming",
            layer="Conv2d",
            a=2.23606797749979,
            distribution="uniform",
            mode="fan_in",
            nonlinearity="leaky_relu",
        ),
        data_preprocessor=dict(
            type="PoseDataPreprocessor",
            pad_size_divisor=32,
            mean=[0, 0, 0],
            std=[1, 1, 1],
            batch_augments=[many_sizes(1, small=size == "tiny")],
        ),
        backbone=darknet(size) | dict(init_cfg=pretrained(STARTS[size], "backbone.")),
        neck=neck,
        head=head,
        test_cfg=test_cfg,
    )


def mosaic_stage(
    size: Size,
    codec: Tree,
    *,
    affine: Tree | None = None,
    mixup: tuple[float, float] | None = (0.8, 1.6),
    pack: Tree | None = None,
) -> list[Tree]:
    """Pipeline of the first stage: four pictures in one, bent and blended.

    Args:
        size: input width and height in pixels.
        codec: what makes the targets.
        affine: other settings of the random affine.
        mixup: range of scales of the picture that is blended in; None for no blending.
        pack: settings of the packing.
    """
    grey = float(GREY)
    blend = dict(
        type="YOLOXMixUp",
        img_scale=size,
        ratio_range=mixup,
        pad_val=grey,
        pre_transform=[_LOAD],
    )
    bend = dict(
        type="BottomupRandomAffine",
        input_size=size,
        shift_factor=0.1,
        rotate_factor=10,
        scale_factor=(0.75, 1.0),
        pad_val=GREY,
        distribution="uniform",
        transform_mode="perspective",
        bbox_keep_corner=False,
        clip_border=True,
    )
    return [
        _LOAD,
        dict(type="Mosaic", img_scale=size, pad_val=grey, pre_transform=[_LOAD]),
        bend | (affine or {}),
        *([blend] if mixup is not None else ()),
        *_finish(codec, pack=pack),
    ]


def _finish(codec: Tree, *, mask: bool = False, pack: Tree | None = None) -> list[Tree]:
    return [
        dict(type="YOLOXHSVRandomAug"),
        dict(type="RandomFlip"),
        *([dict(type="BottomupGetHeatmapMask", get_invalid=True)] if mask else ()),
        dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
        dict(type="GenerateTarget", encoder=codec),
        dict(type="PackPoseInputs") | (pack or {}),
    ]


def affine_stage(size: Size, codec: Tree, *, still: bool = True, mask: bool = False) -> list[Tree]:
    """Pipeline of the last epochs: whole pictures.

    Args:
        size: input width and height in pixels.
        codec: what makes the targets.
        still: neither move nor turn nor scale.
        mask: leave out regions without annotation.
    """
    chances = dict.fromkeys(("shift_prob", "rotate_prob", "scale_prob"), 0) if still else {}
    fit = dict(
        type="BottomupRandomAffine",
        input_size=size,
        **chances,
        scale_type="long",
        pad_val=(GREY,) * 3,
        bbox_keep_corner=False,
        clip_border=True,
    )
    return [dict(type="LoadImage"), fit, *_finish(codec, mask=mask)]


def evaluation(size: Size) -> list[Tree]:
    """Pipeline of whole pictures, padded to the input."""
    return [
        dict(type="LoadImage"),
        dict(type="BottomupResize", input_size=size, pad_val=(GREY,) * 3),
        dict(type="PackPoseInputs", meta_keys=_META_KEYS),
    ]


def switch_hooks(
    last_epochs: int, pipeline: list[Tree], *extra: Tree, dataset: Tree | None = None
) -> list[Tree]:
    """Hooks that change the pipeline for the last epochs, and average the weights."""
    new = {} if dataset is None else dict(new_train_dataset=dataset)
    switch = dict(
        type="YOLOXPoseModeSwitchHook",
        num_last_epochs=last_epochs,
        **new,
        new_train_pipeline=pipeline,
        priority=48,
    )
    average = averaging(strict_load=False)
    return [switch, *extra, dict(type="SyncNormHook", priority=48), average]


def optimizer(**changes: Any) -> Tree:
    """AdamW with clipped gradients."""
    return flat_cosine_adamw(4e-3, clip=dict(max_norm=0.1, norm_type=2)) | changes


def warmup_cosine(end: int) -> list[Tree]:
    """Five epochs of quadratic warm-up, then a cosine that lasts until epoch `end`."""
    return [
        dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
        cosine_part(5, end, end),
    ]


def cosine_part(begin: int, end: int, length: int) -> Tree:
    """A cosine that falls to a twentieth within `length` epochs."""
    return dict(
        type="CosineAnnealingLR",
        eta_min=0.0002,
        begin=begin,
        T_max=length,
        end=end,
        by_epoch=True,
        convert_to_iter_based=True,
    )


def constant_part(begin: int, end: int, factor: float = 1) -> Tree:
    """A rate that stays."""
    return dict(type="ConstantLR", by_epoch=True, factor=factor, begin=begin, end=end)


def loader(dataset: Tree, batch: int) -> Tree:
    """Training loader."""
    return train_loader(dataset, batch, 8, pin_memory=True)


def val_loader(dataset: Tree) -> Tree:
    """Loader of single pictures."""
    return eval_loader(dataset, 1, 2, pin_memory=True)


#: of the class, and of whether there is anything
PRESENCE_LOSS: Tree = dict(
    type="CrossEntropyLoss", use_sigmoid=True, reduction="sum", loss_weight=1.0
)
BOX_LOSS: Tree = dict(type="IoULoss", mode="square", eps=1e-16, reduction="sum", loss_weight=5.0)
#: added in the last epochs
BOX_LOSS_LATE: Tree = dict(type="L1Loss", reduction="sum", loss_weight=1.0)
VISIBILITY_LOSS: Tree = dict(
    type="BCELoss", use_target_weight=True, reduction="mean", loss_weight=1.0
)


def oks_loss(schema: str) -> Tree:
    """Loss of the object keypoint similarity, with the sigmas of a schema."""
    return dict(
        type="OKSLoss",
        reduction="none",
        metainfo=metainfo_of(schema)["from_file"],
        loss_weight=30.0,
    )
