"""Published variants of backbones: which sizes their papers have, and what makes each.

The one table that Python's `HRNet.variant("w32")`, its short forms such as `HRNet.w32()`, and
`poise zoo backbones` read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import CSPNEXT_SIZES, backbone, hrnet
from poise.zoo.parts.detection import FACTORS

__all__ = ["SEQUENCES", "VARIANTS", "variant_settings"]


def _each(key: str, values: Iterable[Any], **more: Any) -> dict[str, Tree]:
    """Variants that are named by one argument."""
    return {str(value): {key: value, **more} for value in values}


def _named(prefix: str, **names: str) -> dict[str, str]:
    """Variants that are those of released models: variant -> name in `zoo.parts.backbones`."""
    return {variant: prefix + name for variant, name in names.items()}


def _factors(sizes: Iterable[str], factors: Mapping[str, Sequence[Any]]) -> dict[str, Tree]:
    return {
        size: {"deepen_factor": factors[size][0], "widen_factor": factors[size][1]}
        for size in sizes
    }


def _tcn(*kernels: int) -> Tree:
    return {
        "in_channels": 34,
        "stem_channels": 1024,
        "num_blocks": len(kernels) - 1,
        "kernel_sizes": kernels,
    }


def _swin_v2(dim: int, third: int) -> Tree:
    """Sizes of SwinV2 (Liu 2022, appendix), in windows of 16 on pictures of 256."""
    heads = [dim // 32 * factor for factor in (1, 2, 4, 8)]
    sizes = {"embed_dim": dim, "depths": [2, 2, third, 2], "num_heads": heads}
    return {"img_size": 256, "window_size": 16, "num_classes": 0, **sizes}


_PVT_LAYERS = {"tiny": [2, 2, 2, 2], "small": [3, 4, 6, 3], "medium": [3, 4, 18, 3]}
_PVT_LAYERS["large"] = [3, 8, 27, 3]
_REGNETS = ["400mf", "800mf", "1.6gf", "3.2gf", "4.0gf", "6.4gf", "8.0gf", "12gf"]

_VGG = _each("depth", (11, 13, 16, 19))

#: backbones that take sequences of poses, not pictures
SEQUENCES = ("DSTFormer", "TCN")

#: class -> variant -> arguments of the constructor, or the name of a part of released models
VARIANTS: Mapping[str, Mapping[str, str | Tree]] = {
    "AlexNet": {"5-layers": {}},
    "CPM": {"6-stages": {"in_channels": 3, "out_channels": 17, "feat_channels": 128}},
    "CSPDarknet": _factors(FACTORS, FACTORS),
    "CSPNeXt": _factors(("tiny", *"smlx"), CSPNEXT_SIZES),
    "DSTFormer": {
        "motionbert": {
            "in_channels": 3,
            "feat_size": 512,
            "depth": 5,
            "num_heads": 8,
            "mlp_ratio": 2,
        }
    },
    "HRFormer": _named("hrformer-", small="small", base="base"),
    "HRNet": {f"w{width}": {"extra": hrnet(width)["extra"]} for width in (18, 32, 48)},
    "HourglassAENet": {"4-stacks": {"num_stacks": 4}},
    "HourglassNet": {
        "1-stack": {"num_stacks": 1},
        **{f"{n}-stacks": {"num_stacks": n} for n in (2, 8)},
    },
    "LiteHRNet": _named("litehrnet-", layers18="18", layers30="30"),
    "MSPN": {f"{n}x50": ("" if n == 1 else f"{n}x") + "mspn50" for n in (1, 2, 3, 4)},
    "MobileNetV2": _each("widen_factor", (0.5, 0.75, 1.0)),
    "MobileNetV3": {"small": {"arch": "small"}, "large": {"arch": "big"}},
    "PyramidVisionTransformer": {k: {"num_layers": v} for k, v in _PVT_LAYERS.items()},
    "PyramidVisionTransformerV2": {
        "b0": {"embed_dims": 32, "num_layers": _PVT_LAYERS["tiny"]},
        "b1": {"embed_dims": 64, "num_layers": _PVT_LAYERS["tiny"]},
        "b2": {"embed_dims": 64, "num_layers": _PVT_LAYERS["small"]},
        "b3": {"embed_dims": 64, "num_layers": _PVT_LAYERS["medium"]},
        "b4": {"embed_dims": 64, "num_layers": _PVT_LAYERS["large"]},
        "b5": {"embed_dims": 64, "num_layers": [3, 6, 40, 3], "mlp_ratios": (4, 4, 4, 4)},
    },
    "RSN": {"18": "rsn18", "50": "rsn50", "2x50": "2xrsn50", "3x50": "3xrsn50"},
    "RegNet": {f"x{size}": {"arch": f"regnetx_{size}"} for size in _REGNETS},
    "ResNeSt": _each("depth", (50, 101, 200, 269)),
    "ResNeXt": _each("depth", (50, 101, 152)),
    "ResNet": _each("depth", (18, 34, 50, 101, 152)),
    "ResNetV1d": _each("depth", (18, 34, 50, 101, 152)),
    "Sapiens2": {n: {"arch": f"sapiens2_{n}"} for n in ("0.1b", "0.4b", "0.8b", "1b", "5b")},
    "SCNet": _each("depth", (50, 101)),
    "SEResNeXt": _each("depth", (50, 101, 152)),
    "SEResNet": _each("depth", (50, 101, 152)),
    "ShuffleNetV1": {f"g{n}": {"groups": n} for n in (1, 2, 3, 4, 8)},
    "ShuffleNetV2": _each("widen_factor", (0.5, 1.0, 1.5, 2.0)),
    "SwinTransformer": {
        "tiny": "swin-t-p4-w7",
        "small": {"depths": (2, 2, 18, 2), "out_indices": (3,), "drop_path_rate": 0.3},
        "base": "swin-b-p4-w7",
        "large": "swin-l-p4-w7",
    },
    "SwinTransformerV2": {
        "tiny": _swin_v2(96, 6),
        "small": _swin_v2(96, 18),
        "base": _swin_v2(128, 18),
        "large": _swin_v2(192, 18),
    },
    "TCN": {
        "1-frame": _tcn(1, 1, 1, 1, 1),
        "27-frames": _tcn(3, 3, 3),
        "81-frames": _tcn(3, 3, 3, 3),
        "243-frames": _tcn(3, 3, 3, 3, 3),
    },
    "UniFormer": {
        "small": {"depths": (3, 4, 8, 3)},
        "base": {"depths": (5, 8, 20, 7), "drop_path_rate": 0.3},
    },
    "VGG": _VGG
    | {f"{depth}-bn": {**made, "norm_cfg": {"type": "BN"}} for depth, made in _VGG.items()},
    "ViPNAS_MobileNetV3": {"searched": {}},
    "ViPNAS_ResNet": {"50": {"depth": 50}},
    "VisionTransformer": _named("ViTPose-", small="small", base="base", large="large", huge="huge"),
}


def variant_settings(family: str, variant: str) -> Tree:
    """Constructor arguments of a published variant, without its weights.

    Args:
        family: class name, a key of `VARIANTS`.
        variant: a key of its row.
    """
    made = VARIANTS[family][variant]
    if isinstance(made, dict):
        return dict(made)
    cfg = backbone(made).cfg
    settings = {k: v for k, v in cfg.items() if k not in ("type", "_scope_", "init_cfg")}
    # a recipe for many devices; on one it is an ordinary batch norm
    if settings.get("norm_cfg", {}).get("type") == "SyncBN":
        settings["norm_cfg"] = {**settings["norm_cfg"], "type": "BN"}
    return settings
