"""Convolutional pose machines (Wei 2016, arXiv 1602.00134)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, ConvModule, MaxPool2d
from poise.models.backbones.base import NORMAL_INIT, BaseBackbone
from poise.registry import MODELS

__all__ = ["CPM"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN", "requires_grad": True}


class CpmBlock(BaseModule):
    """Row of convolutions that keep the size: (B, C, H, W) -> (B, channels[-1], H, W).

    Args:
        in_channels: C.
        channels, kernels: of each convolution.
        norm_cfg: for all.

    Raises:
        ConfigError: lists of unequal length.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (128, 128, 128),
        kernels: Sequence[int] = (11, 11, 11),
        norm_cfg: Config | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(channels) != len(kernels):
            raise ConfigError(f"a channel and a kernel each, got {channels} and {kernels}")
        shapes = zip([in_channels, *channels], channels, kernels, strict=False)
        self.model = nn.Sequential(
            *(
                ConvModule(before, after, k, padding=(k - 1) // 2, norm_cfg=norm_cfg)
                for before, after, k in shapes
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels[-1], H, W)."""
        return self.model(x)


@MODELS.register_module()
class CPM(BaseBackbone):
    """Stages that refine heatmaps: (B, 3, H, W) -> heatmaps at stride 8 of each stage.

    Args:
        in_channels: 3.
        out_channels: keypoints.
        feat_channels: channels inside stages.
        middle_channels: channels of the picture's features that each stage sees.
        num_stages: stages, the first of which sees the picture alone.
        norm_cfg: for all layers.

    Raises:
        ConfigError: `in_channels` is not 3, or no stage.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        feat_channels: int = 128,
        middle_channels: int = 32,
        num_stages: int = 6,
        norm_cfg: Config = BN,
        init_cfg: Any = NORMAL_INIT,
    ) -> None:
        super().__init__(init_cfg)
        if in_channels != 3 or num_stages < 1:
            raise ConfigError(
                f"CPM takes in_channels=3 and at least one stage, got {in_channels}, {num_stages}"
            )
        self.num_stages = num_stages

        def conv(before: int, after: int, kernel: int) -> ConvModule:
            return ConvModule(before, after, kernel, padding=kernel // 2, norm_cfg=norm_cfg)

        def trunk() -> list[nn.Module]:
            layers: list[nn.Module] = []
            for before in (in_channels, 128, 128):
                layers += [conv(before, 128, 9), MaxPool2d(3, 2, padding=1)]
            return layers

        def last(before: int) -> ConvModule:
            return ConvModule(before, out_channels, 1, act_cfg=None)

        self.stem = nn.Sequential(
            *trunk(), conv(128, 32, 5), conv(32, 512, 9), conv(512, 512, 1), last(512)
        )
        self.middle = nn.Sequential(*trunk())
        later = range(num_stages - 1)
        joined, widths = middle_channels + out_channels, [feat_channels] * 3
        self.cpm_stages = nn.ModuleList(
            CpmBlock(joined, widths, [11, 11, 11], norm_cfg) for _ in later
        )
        self.middle_conv = nn.ModuleList(
            nn.Sequential(conv(128, middle_channels, 5)) for _ in later
        )
        self.out_convs = nn.ModuleList(
            nn.Sequential(conv(feat_channels, feat_channels, 1), last(feat_channels)) for _ in later
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> list of (B, out_channels, H / 8, W / 8), the best last."""
        outs = [self.stem(x)]
        middle = self.middle(x)
        stages = zip(self.middle_conv, self.cpm_stages, self.out_convs, strict=True)
        for project, stage, out_conv in stages:
            outs.append(out_conv(stage(torch.cat((outs[-1], project(middle)), dim=1))))
        return outs
