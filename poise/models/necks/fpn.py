"""Feature pyramid network (Lin 2017, arXiv 1612.03144)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ArgumentError, ConfigError
from poise.layers import BaseModule, ConvModule
from poise.layers.paths import check_maps
from poise.registry import MODELS

__all__ = ["FPN"]

Config = Mapping[str, Any]
XAVIER: Config = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"}
_EXTRA_SOURCES = ("on_input", "on_lateral", "on_output")


@MODELS.register_module()
@MODELS.register_module(scope="mmdet")
class FPN(BaseModule):
    """Coarse maps added to finer ones: maps of a backbone -> maps of equal channels.

    Args:
        in_channels: channels of each input map, finest first.
        out_channels: channels of every output map.
        num_outs: output maps.
        start_level, end_level: first and last input used; -1 is the last.
        add_extra_convs: where coarser outputs than inputs come from: False pools, True or
            "on_input", "on_lateral", "on_output" convolves.
        relu_before_extra_convs: rectify between extra convolutions.
        no_norm_on_lateral: no norm in lateral convolutions.
        conv_cfg, norm_cfg, act_cfg: for all convolutions.
        upsample_cfg: arguments of the interpolation.

    Raises:
        ArgumentError: `in_channels` is no list.
        ConfigError: levels and `num_outs` do not fit together.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        relu_before_extra_convs: bool = False,
        no_norm_on_lateral: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = None,
        upsample_cfg: Config = {"mode": "nearest"},  # noqa: B006 (never changed)
        init_cfg: Any = XAVIER,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(in_channels, (list, tuple)):
            raise ArgumentError(f"in_channels must be a list, one number a map; got {in_channels}")
        self.in_channels, self.out_channels, self.num_outs = in_channels, out_channels, num_outs
        self.start_level, self.end_level = start_level, end_level
        self.upsample_cfg = dict(upsample_cfg)
        self.relu_before_extra_convs = relu_before_extra_convs
        self.add_extra_convs = _extra_source(add_extra_convs)
        levels = len(in_channels)
        open_end = end_level in (-1, levels - 1)
        self.backbone_end_level = levels if open_end else end_level + 1
        used = self.backbone_end_level - start_level
        if self.backbone_end_level > levels or (num_outs < used if open_end else num_outs != used):
            raise ConfigError(
                f"FPN uses the maps {start_level} to {self.backbone_end_level - 1} of {levels}, "
                f"which does not fit num_outs={num_outs}"
            )
        lateral_norm = None if no_norm_on_lateral else norm_cfg
        cfgs = {"conv_cfg": conv_cfg, "act_cfg": act_cfg, "inplace": False}
        self.lateral_convs = nn.ModuleList(
            ConvModule(c, out_channels, 1, norm_cfg=lateral_norm, **cfgs)
            for c in in_channels[start_level : self.backbone_end_level]
        )
        cfgs["norm_cfg"] = norm_cfg
        self.fpn_convs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **cfgs) for _ in range(used)
        )
        if self.add_extra_convs:
            on_input = self.add_extra_convs == "on_input"
            source = in_channels[self.backbone_end_level - 1] if on_input else out_channels
            for i in range(num_outs - used):
                before = out_channels if i else source
                conv = ConvModule(before, out_channels, 3, stride=2, padding=1, **cfgs)
                self.fpn_convs.append(conv)

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C, H, W), finest first -> `num_outs` maps (B, out_channels, H', W').

        Raises:
            DataError: another number of maps than `in_channels` says.
        """
        check_maps(self, inputs, len(self.in_channels))
        maps = [conv(inputs[i + self.start_level]) for i, conv in enumerate(self.lateral_convs)]
        for i in range(len(maps) - 1, 0, -1):
            target = {} if "scale_factor" in self.upsample_cfg else {"size": maps[i - 1].shape[2:]}
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], **target, **self.upsample_cfg)
        outs = [conv(m) for conv, m in zip(self.fpn_convs, maps, strict=False)]
        self._extend(outs, inputs[self.backbone_end_level - 1], maps[-1])
        return outs

    def _extend(self, outs: list[Tensor], last_input: Tensor, last_lateral: Tensor) -> None:
        """Append coarser maps until there are `num_outs`."""
        sources = {"on_input": last_input, "on_lateral": last_lateral, "on_output": outs[-1]}
        extra = 0
        while len(outs) < self.num_outs:
            if not self.add_extra_convs:
                outs.append(F.max_pool2d(outs[-1], 1, stride=2))
                continue
            source = outs[-1] if extra else sources[self.add_extra_convs]
            if extra and self.relu_before_extra_convs:
                source = F.relu(source)
            outs.append(self.fpn_convs[len(outs)](source))
            extra += 1


def _extra_source(add_extra_convs: bool | str) -> str | None:
    """Name of the map that extra levels start from; None where they are pooled."""
    if add_extra_convs in (True, False):
        return "on_input" if add_extra_convs else None
    if add_extra_convs not in _EXTRA_SOURCES:
        raise ConfigError(
            f"add_extra_convs must be a bool or one of {_EXTRA_SOURCES}, got {add_extra_convs!r}"
        )
    return str(add_extra_convs)
