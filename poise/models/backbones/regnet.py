"""RegNet: widths of all blocks on one quantised line (Radosavovic 2020, arXiv 2003.13678)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from poise._options import options_of
from poise.errors import ArgumentError, ConfigError, one_of
from poise.models.backbones.resnet import OWN_WAYS, ResNet
from poise.registry import MODELS

__all__ = ["RegNet"]

Config = Mapping[str, Any]

#: widths are multiples of it
WIDTH_DIVISOR = 8


#: name -> parameters of the design, see `_design`
ARCHS: dict[str, Config] = {
    "regnetx_400mf": {"w0": 24, "wa": 24.48, "wm": 2.54, "group_w": 16, "depth": 22},
    "regnetx_800mf": {"w0": 56, "wa": 35.73, "wm": 2.28, "group_w": 16, "depth": 16},
    "regnetx_1.6gf": {"w0": 80, "wa": 34.01, "wm": 2.25, "group_w": 24, "depth": 18},
    "regnetx_3.2gf": {"w0": 88, "wa": 26.31, "wm": 2.25, "group_w": 48, "depth": 25},
    "regnetx_4.0gf": {"w0": 96, "wa": 38.65, "wm": 2.43, "group_w": 40, "depth": 23},
    "regnetx_6.4gf": {"w0": 184, "wa": 60.83, "wm": 2.07, "group_w": 56, "depth": 17},
    "regnetx_8.0gf": {"w0": 80, "wa": 49.56, "wm": 2.88, "group_w": 120, "depth": 23},
    "regnetx_12gf": {"w0": 168, "wa": 73.36, "wm": 2.37, "group_w": 112, "depth": 19},
}


class _Stage(NamedTuple):
    """Blocks of one width: output channels, groups of the middle, channels of a group."""

    width: int
    blocks: int
    groups: int
    group_width: int


def _design(arch: Config) -> list[_Stage]:
    """Stages of a network: section 3.3 and appendix of the paper.

    Args:
        arch: `w0` (first width), `wa` (slope), `wm` (quantisation), `depth` (blocks), `group_w`
            (channels of a group) and `bot_mul` (middle of a bottleneck over its output).
    """
    start, step = arch["w0"], arch["wm"]
    if arch["wa"] < 0 or step <= 1 or start <= 0 or start % WIDTH_DIVISOR:
        raise ConfigError(
            "a RegNet needs wa >= 0, wm > 1, and a positive w0 that is a multiple of "
            f"{WIDTH_DIVISOR}; got {dict(arch)}"
        )
    line = start + arch["wa"] * np.arange(arch["depth"])
    # the nearest power of wm, then the nearest multiple of 8
    powers = np.round(np.log(line / start) / np.log(step))
    widths = np.round(start * step**powers / WIDTH_DIVISOR) * WIDTH_DIVISOR
    stages = []
    for width, blocks in groupby(widths.astype(int).tolist()):
        middle = int(width * arch["bot_mul"])
        group = min(arch["group_w"], middle)
        # whole groups only
        middle = int(round(middle / group) * group)
        width = int(middle / arch["bot_mul"])
        stages.append(_Stage(width, len(list(blocks)), middle // group, group))
    return stages


@MODELS.register_module()
class RegNet(ResNet):
    """Grouped bottlenecks of designed widths: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        arch: name such as "regnetx_400mf" (see `ARCHS`), or a dict with `w0`, `wa`,
            `wm`, `depth`, `group_w` and `bot_mul`.
        **options: as `ResNet`, but for those that follow from `arch`. `base_channels` is accepted
            for MMPose's configs, and follows, too; `deep_stem` must be False.

    Raises:
        ConfigError: an unknown name, or numbers that give no network.
        ArgumentError: `arch` is neither a name nor a dict.

    Example:
        >>> RegNet("regnetx_400mf").stage_widths
        [32, 64, 160, 384]
    """

    @options_of(
        ResNet,
        positional=True,
        without=("depth", "expansion", "num_stages", *OWN_WAYS),
        stem_channels=32,
        base_channels=32,
        strides=(2, 2, 2, 2),
    )
    def __init__(self, arch: str | Config, **options: Any) -> None:
        if options.get("deep_stem", False):
            raise ConfigError("RegNet has no deep stem; set deep_stem=False")
        stages = _design({"bot_mul": 1.0, **_settings(arch)})
        super().__init__(
            50,  # whose blocks are bottlenecks
            expansion=1,
            num_stages=len(stages),
            stages=[
                {
                    "num_blocks": stage.blocks,
                    "out_channels": stage.width,
                    "expansion": 1,
                    "base_channels": stage.width,
                    "groups": stage.groups,
                    "width_per_group": stage.group_width,
                }
                for stage in stages
            ],
            stem_kernel_size=3,
            **options,
        )
        self.stage_widths = [stage.width for stage in stages]
        self.depth = sum(self.stage_blocks)

    def _make_stem_layer(self, in_channels: int, stem_channels: int, kernel_size: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels, kernel_size)
        # the first stage has a stride of its own
        self.maxpool = nn.Identity()


def _settings(arch: str | Config) -> Config:
    """Parameters of a named design, or those given."""
    if isinstance(arch, Mapping):
        return arch
    if not isinstance(arch, str):
        raise ArgumentError(f"arch of RegNet must be a name or a dict, got {arch!r}")
    return ARCHS[one_of(arch, ARCHS, "arch of RegNet")]
