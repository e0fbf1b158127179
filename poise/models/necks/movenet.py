"""MoveNet's feature pyramid: three bilinear steps from stride 32 to stride 4."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers import Conv2d
from poise.layers.paths import check_halves, check_maps
from poise.registry import MODELS

__all__ = ["MoveNetFPN", "SeparableConv"]


class SeparableConv(nn.Module):
    """3x3 filter per channel, then 1x1 mix and ReLU; only the mix has a bias."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.depthwise = Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False)
        self.pointwise = Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        return F.relu(self.pointwise(self.depthwise(x)))


@MODELS.register_module(scope="poise")
class MoveNetFPN(nn.Module):
    """Top-down pathway that adds finer features and halves the channels at each step.

    Args:
        in_channels: channels of the features, finest first.
        channels: channels of the pathway at strides 32, 16, 8, 4.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (40, 56, 112, 1280),
        channels: Sequence[int] = (64, 64, 32, 24),
    ) -> None:
        super().__init__()
        coarse_first = list(reversed(in_channels))
        self.laterals = nn.ModuleList(Conv2d(c, channels[i], 1) for i, c in enumerate(coarse_first))
        self.merges = nn.ModuleList(
            SeparableConv(channels[i], channels[min(i + 1, len(channels) - 1)])
            for i in range(1, len(channels))
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor]:
        """Features at strides 4 to 32 -> one (B, 24, H / 4, W / 4).

        Raises:
            DataError: another number of maps than `in_channels` says.
        """
        check_maps(self, features, len(self.laterals))
        top = self.laterals[0](features[-1])
        for lateral, merge, feature in zip(
            list(self.laterals)[1:], self.merges, features[-2::-1], strict=True
        ):
            top = F.interpolate(top, scale_factor=2.0, mode="bilinear", align_corners=False)
            check_halves(top, feature)
            top = merge(top + lateral(feature))
        return (top,)
