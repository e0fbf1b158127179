"""Backbones of released models: settings, channels of the last map, pretrained weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

from poise.zoo.parts.assembly import Tree

__all__ = [
    "CSPNEXT_SIZES",
    "VITPOSE_SIZES",
    "Backbone",
    "backbone",
    "cspnext",
    "hrnet",
    "pretrained",
]

POSE_WEIGHTS = "https://download.openmmlab.com/mmpose/pretrain_models/"
VIT_WEIGHTS = "https://download.openmmlab.com/mmpose/v1/pretrained_models/"
CSPNEXT_WEIGHTS = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/"
SWIN_WEIGHTS = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
UNIFORMER_WEIGHTS = "https://download.openmmlab.com/mmpose/v1/projects/uniformer/"
PVT_WEIGHTS = "https://github.com/whai362/PVT/releases/download/v2/"


@dataclass(frozen=True)
class Backbone:
    """A backbone and what the parts after it need to know.

    Attributes:
        cfg: the config of the module.
        channels: of the map that the head receives.
        stride: input pixels per pixel of that map.
        neck: config of what stands between backbone and head, or None.
    """

    cfg: Tree
    channels: int
    stride: int = 32
    neck: Tree | None = field(default=None)

    def started_from(self, checkpoint: str | None, *, prefix: str | None = None) -> Backbone:
        """The same with other weights to start from; None for random ones."""
        cfg = {key: value for key, value in self.cfg.items() if key != "init_cfg"}
        if checkpoint is not None:
            cfg["init_cfg"] = pretrained(checkpoint, prefix)
        return replace(self, cfg=cfg)


def pretrained(checkpoint: str | None, prefix: str | None = None) -> Tree:
    """`init_cfg` that starts from the weights of a file, or from the part of it at `prefix`."""
    start = dict(type="Pretrained")
    if prefix is not None:
        start["prefix"] = prefix
    return start | dict(checkpoint=checkpoint)


@functools.cache
def backbone(name: str) -> Backbone:
    """Backbone by its name in model names, such as "hrnet-w32" or "res50"."""
    if name in _PLAIN:
        settings, channels, weights, *rest = _PLAIN[name]
        return _made(dict(settings), channels, weights, *rest)
    start = next(start for start in _FAMILIES if name.startswith(start))
    return _FAMILIES[start](name.removeprefix(start))


def _made(settings: Tree, channels: int, weights: str | None, *rest: Any) -> Backbone:
    if weights is not None:
        settings["init_cfg"] = pretrained(weights)
    return Backbone(settings, channels, *rest)


#: size -> factors of blocks and channels, and the classifier that training starts from
CSPNEXT_SIZES: dict[str, tuple[float, float, str | None]] = {
    "nano": (0.33, 0.25, None),
    "tiny": (0.167, 0.375, "cspnext-tiny_imagenet_600e-3a2dd350.pth"),
    "s": (0.33, 0.5, "cspnext-s_imagenet_600e-ea671761.pth"),
    "m": (0.67, 0.75, "cspnext-m_8xb256-rsb-a1-600e_in1k-ecb3bbd9.pth"),
    "l": (1.0, 1.0, "cspnext-l_8xb256-rsb-a1-600e_in1k-6a760974.pth"),
    "x": (1.33, 1.25, "cspnext-x_8xb256-rsb-a1-600e_in1k-b3f78edd.pth"),
}


def cspnext(size: str, *, weights: str | None = None) -> Backbone:
    """CSPNeXt of RTMDet (Lyu 2022), sizes tiny to x; the last of its five stages.

    Args:
        size: tiny, s, m, l or x; "t" is "tiny".
        weights: address of other weights than those of ImageNet.
    """
    deepen, widen, name = CSPNEXT_SIZES["tiny" if size == "t" else size]
    cfg = dict(
        _scope_="mmdet",
        type="CSPNeXt",
        arch="P5",
        expand_ratio=0.5,
        deepen_factor=deepen,
        widen_factor=widen,
        out_indices=(4,),
        channel_attention=True,
        norm_cfg=dict(type="SyncBN"),
        act_cfg=dict(type="SiLU"),
        init_cfg=pretrained(weights or f"{CSPNEXT_WEIGHTS}{name}", "backbone."),
    )
    return Backbone(cfg, int(1024 * widen))


def _stage(modules: int, block: str, blocks: int, channels: list[int]) -> Tree:
    return dict(
        num_modules=modules,
        num_branches=len(channels),
        block=block,
        num_blocks=(blocks,) * len(channels),
        num_channels=tuple(channels),
    )


def hrnet(width: int, weights: str | None = None) -> Tree:
    """HRNet (Sun 2019): four stages, each with a branch of half the size and double the width."""
    widths = [width << i for i in range(4)]
    cfg: Tree = dict(
        type="HRNet",
        in_channels=3,
        extra=dict(
            stage1=_stage(1, "BOTTLENECK", 4, [64]),
            stage2=_stage(1, "BASIC", 4, widths[:2]),
            stage3=_stage(4, "BASIC", 4, widths[:3]),
            stage4=_stage(3, "BASIC", 4, widths),
        ),
    )
    if weights is not None:
        cfg["init_cfg"] = pretrained(weights)
    return cfg


def _hrnet(size: str) -> Backbone:
    width = int(size)
    tag = {32: "36af842e", 48: "8ef0771d"}[width]
    return Backbone(hrnet(width, f"{POSE_WEIGHTS}hrnet_w{width}-{tag}.pth"), width, 4)


def _hrnetv2(size: str) -> Backbone:
    """HRNetV2 gives all four branches, which are brought to one size and stacked."""
    width = int(size)
    cfg = hrnet(width, f"open-mmlab://msra/hrnetv2_w{width}")
    cfg["extra"]["stage4"]["multiscale_output"] = True
    cfg["extra"]["upsample"] = dict(mode="bilinear", align_corners=False)
    return Backbone(cfg, 15 * width, 4, dict(type="FeatureMapProcessor", concat=True))


def _hrformer(size: str) -> Backbone:
    """HRFormer (Yuan 2021): HRNet whose blocks are local-window transformers."""
    width, heads, drop, tag = {
        "small": (32, 1, 0.1, "09516375"),
        "base": (78, 2, 0.2, "32815020"),
    }[size]
    # the key of the first stage is misspelt in the released recipe, and has no effect
    ratios = {"small": "num_mlp_ratios", "base": "mlp_ratios"}[size]
    extra: Tree = dict(drop_path_rate=drop, with_rpe=True)
    extra["stage1"] = _stage(1, "BOTTLENECK", 2, [64]) | {"num_heads": [2], ratios: [4]}
    for stage, modules in ((2, 1), (3, 4), (4, 2)):
        branches = range(stage)
        extra[f"stage{stage}"] = _stage(
            modules, "HRFORMERBLOCK", 2, [width << i for i in branches]
        ) | dict(
            num_heads=[heads << i for i in branches],
            mlp_ratios=[4] * stage,
            window_sizes=[7] * stage,
        )
    cfg: Tree = dict(
        type="HRFormer", in_channels=3, norm_cfg=dict(type="SyncBN", requires_grad=True)
    )
    cfg["extra"] = extra
    return _made(cfg, width, f"{POSE_WEIGHTS}hrformer_{size}-{tag}_20220226.pth", 4)


def _litehrnet(depth: str) -> Backbone:
    """Lite-HRNet (Yu 2021), 18 or 30 layers."""
    stages = dict(
        num_modules={"18": (2, 4, 2), "30": (3, 8, 3)}[depth.removeprefix("w")],
        num_branches=(2, 3, 4),
        num_blocks=(2, 2, 2),
        module_type=("LITE",) * 3,
        with_fuse=(True,) * 3,
        reduce_ratios=(8, 8, 8),
        num_channels=tuple(tuple(40 << i for i in range(n)) for n in (2, 3, 4)),
    )
    extra = dict(
        stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
        num_stages=3,
        stages_spec=stages,
        with_head=True,
    )
    return Backbone(dict(type="LiteHRNet", in_channels=3, extra=extra), 40, 4)


def _multi_stage(depth: str, kind: str, stages: int = 1) -> Backbone:
    """MSPN (Li 2019) and RSN (Cai 2020): an hourglass of residual units, several times."""
    blocks = [2, 2, 2, 2] if depth == "18" else [3, 4, 6, 3]
    cfg: Tree = dict(
        type=kind, unit_channels=256, num_stages=stages, num_units=4, num_blocks=blocks
    )
    if kind == "RSN":
        cfg["num_steps"] = 4
    cfg["norm_cfg"] = dict(type="BN")
    return _made(cfg, 256, "torchvision://resnet50" if kind == "MSPN" else None, 4)


def _swin(size: str) -> Backbone:
    """Swin transformer (Liu 2021): tiny, base or large."""
    width, depth, heads, drop, weights = {
        "t-p4-w7": (96, 6, 3, 0.2, "swin_tiny_patch4_window7_224.pth"),
        "b-p4-w7": (128, 18, 4, 0.3, "swin_base_patch4_window7_224_22k.pth"),
        "l-p4-w7": (192, 18, 6, 0.5, "swin_base_patch4_window7_224_22k.pth"),
    }[size]
    cfg = dict(
        type="SwinTransformer",
        embed_dims=width,
        depths=[2, 2, depth, 2],
        num_heads=[heads << i for i in range(4)],
        window_size=7,
        mlp_ratio=4,
        qkv_bias=True,
        qk_scale=None,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=drop,
        patch_norm=True,
        out_indices=(3,),
        with_cp=False,
        convert_weights=True,
    )
    return _made(cfg, 8 * width, SWIN_WEIGHTS + weights)


#: size -> channels, layers, rate of stochastic depth, rate of learning from layer to layer
VITPOSE_SIZES = {
    "small": (384, 12, 0.1, 0.8),
    "base": (768, 12, 0.3, 0.75),
    "large": (1024, 24, 0.5, 0.8),
    "huge": (1280, 32, 0.55, 0.85),
}


def _vit(size: str) -> Backbone:
    """Plain vision transformer of ViTPose (Xu 2022), started from masked autoencoding."""
    size, _, simple = size.partition("-")
    width, layers, drop, _ = VITPOSE_SIZES[size]
    arch: str | Tree = size
    if size == "small":
        # the one without a name in MMPretrain
        arch = dict(embed_dims=width, num_layers=layers, num_heads=12)
        arch |= dict(feedforward_channels=4 * width)
    cfg = dict(
        type="mmpretrain.VisionTransformer",
        arch=arch,
        img_size=(256, 192),
        patch_size=16,
        qkv_bias=True,
        drop_path_rate=drop,
        with_cls_token=False,
        out_type="featmap",
        patch_cfg=dict(padding=2),
    )
    neck = dict(type="FeatureMapProcessor", scale_factor=4.0, apply_relu=True)
    weights = f"{VIT_WEIGHTS}mae_pretrain_vit_{size}_20230913.pth"
    return _made(cfg, width, weights, 16, neck if simple else None)


def _uniformer(size: str) -> Backbone:
    """UniFormer (Li 2022): convolutions in the first two stages, attention in the others."""
    blocks, drop, weights = {
        "s": ([3, 4, 8, 3], 0.2, "uniformer_small_in1k.pth"),
        "b": ([5, 8, 20, 7], 0.4, "uniformer_base_in1k.pth"),
    }[size]
    cfg = dict(
        type="UniFormer",
        embed_dims=[64, 128, 320, 512],
        depths=blocks,
        head_dim=64,
        drop_path_rate=drop,
        use_checkpoint=False,
        use_window=False,
        use_hybrid=False,
    )
    return _made(cfg, 512, UNIFORMER_WEIGHTS + weights)


def _residual(kind: str, weights: str) -> Any:
    """Maker of a residual network's backbones; `{}` in the weights stands for the depth."""

    def make(depth: str) -> Backbone:
        cfg = dict(type=kind, depth=int(depth))
        return _made(cfg, 2048, weights.format(depth) if weights else None)

    return make


def _cpm(points: str) -> Backbone:
    """Convolutional pose machine (Wei 2016): six stages, each with a map of every keypoint."""
    cfg = dict(type="CPM", in_channels=3, out_channels=int(points), feat_channels=128, num_stages=6)
    return Backbone(cfg, int(points), 8)


_FAMILIES = {
    "cspnext-": cspnext,
    "hrnet-w": _hrnet,
    "hrnetv2-w": _hrnetv2,
    "hrformer-": _hrformer,
    "litehrnet-": _litehrnet,
    "ViTPose-": _vit,
    "swin-": _swin,
    "cpm-": _cpm,
    "uniformer-": _uniformer,
    **{
        ("" if stages == 1 else f"{stages}x") + kind.lower(): functools.partial(
            _multi_stage, kind=kind, stages=stages
        )
        for stages in (1, 2, 3, 4)
        for kind in ("MSPN", "RSN")
    },
    "resnest": _residual("ResNeSt", "mmcls://resnest{}"),
    "resnetv1d": _residual("ResNetV1d", "mmcls://resnet{}_v1d"),
    "resnext": _residual("ResNeXt", "mmcls://resnext{}_32x4d"),
    "seresnet": _residual("SEResNet", "mmcls://se-resnet{}"),
    "res": _residual("ResNet", "torchvision://resnet{}"),
}

_PLAIN: dict[str, tuple[Any, ...]] = {
    # name: (settings, channels, weights, stride, neck)
    "alexnet": (dict(type="AlexNet", num_classes=-1), 256, None),
    "hourglass52": (dict(type="HourglassNet", num_stacks=1), 256, None, 4),
    "mobilenetv2": (
        dict(type="MobileNetV2", widen_factor=1.0, out_indices=(7,)),
        1280,
        "mmcls://mobilenet_v2",
    ),
    "pvt-s": (
        dict(type="PyramidVisionTransformer", num_layers=[3, 4, 6, 3]),
        512,
        f"{PVT_WEIGHTS}pvt_small.pth",
        32,
        dict(type="FeatureMapProcessor", select_index=3),
    ),
    "pvtv2-b2": (
        dict(type="PyramidVisionTransformerV2", embed_dims=64, num_layers=[3, 4, 6, 3]),
        512,
        f"{PVT_WEIGHTS}pvt_v2_b2.pth",
        32,
        dict(type="FeatureMapProcessor", select_index=3),
    ),
    "scnet50": (dict(type="SCNet", depth=50), 2048, f"{POSE_WEIGHTS}scnet50-7ef0a199.pth"),
    "scnet101": (dict(type="SCNet", depth=101), 2048, f"{POSE_WEIGHTS}scnet101-94250a77.pth"),
    # released without weights to start from
    "seresnet152": (dict(type="SEResNet", depth=152), 2048, None),
    "shufflenetv1": (dict(type="ShuffleNetV1", groups=3), 960, "mmcls://shufflenet_v1"),
    "shufflenetv2": (dict(type="ShuffleNetV2", widen_factor=1.0), 1024, "mmcls://shufflenet_v2"),
    "vgg16-bn": (dict(type="VGG", depth=16, norm_cfg=dict(type="BN")), 512, "mmcls://vgg16_bn"),
    "vipnas-mbv3": (dict(type="ViPNAS_MobileNetV3"), 160, None),
    "vipnas-res50": (dict(type="ViPNAS_ResNet", depth=50), 608, None),
}
