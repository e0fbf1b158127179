"""Upsampling by pixel shuffle, and interpolation under MMCV's argument names."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers.init import xavier_init
from poise.registry import MODELS

__all__ = ["PixelShufflePack", "resize"]


@MODELS.register_module(name="pixel_shuffle", scope="mmcv")
class PixelShufflePack(nn.Module):
    """Convolution to scale^2 times the channels, then shuffled into pixels (Shi 2016).

    Args:
        in_channels, out_channels: channels before and after.
        scale_factor: growth of height and width.
        upsample_kernel: kernel size of the convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, scale_factor: int, upsample_kernel: int
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale_factor, self.upsample_kernel = scale_factor, upsample_kernel
        expanded = out_channels * scale_factor**2
        padding = (upsample_kernel - 1) // 2
        self.upsample_conv = nn.Conv2d(in_channels, expanded, upsample_kernel, padding=padding)
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier, uniform."""
        xavier_init(self.upsample_conv, distribution="uniform")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', scale * H, scale * W)."""
        return F.pixel_shuffle(self.upsample_conv(x), self.scale_factor)


def resize(
    input: Tensor,  # noqa: A002 (MMPose's name)
    size: tuple[int, int] | None = None,
    scale_factor: float | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    warning: bool = True,
) -> Tensor:
    """Interpolate a (B, C, H, W) tensor.

    Args:
        input: (B, C, H, W).
        size: target (height, width); or
        scale_factor: growth of both.
        mode: as of `F.interpolate`.
        align_corners: whether corner pixels keep their place; linear modes only.
        warning: accepted for MMPose's callers.
    """
    # sides of a map whose way is traced are tensors, and stay so
    target = None if size is None else tuple(s if isinstance(s, Tensor) else int(s) for s in size)
    return F.interpolate(input, target, scale_factor, mode, align_corners)
