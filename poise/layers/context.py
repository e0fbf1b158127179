"""Global context added to every pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poise.errors import ConfigError, one_of
from poise.layers.init import constant_init, kaiming_init
from poise.registry import MODELS

__all__ = ["ContextBlock"]

_FUSIONS = ("channel_add", "channel_mul")


@MODELS.register_module(scope="mmcv")
class ContextBlock(nn.Module):
    """Global context block (Cao 2019, GCNet): (B, C, H, W) -> the same.

    Args:
        in_channels: C.
        ratio: channels of the transform relative to C.
        pooling_type: "att" weighs pixels, "avg" does not.
        fusion_types: "channel_add", "channel_mul", or both.

    Raises:
        ConfigError: another pooling or fusion.
    """

    _abbr_ = "context_block"

    channel_add_conv: nn.Module | None
    channel_mul_conv: nn.Module | None

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: str = "att",
        fusion_types: Sequence[str] = ("channel_add",),
    ) -> None:
        super().__init__()
        one_of(pooling_type, ("avg", "att"), "pooling_type")
        if not fusion_types or not set(fusion_types) <= set(_FUSIONS):
            raise ConfigError(f"fusion_types must name some of {_FUSIONS}, got {fusion_types}")
        self.in_channels, self.planes = in_channels, int(in_channels * ratio)
        self.pooling_type, self.fusion_types = pooling_type, fusion_types
        if pooling_type == "att":
            self.conv_mask = nn.Conv2d(in_channels, 1, kernel_size=1)
            kaiming_init(self.conv_mask, mode="fan_in")
        for fusion in _FUSIONS:
            branch = self._transform() if fusion in fusion_types else None
            setattr(self, f"{fusion}_conv", branch)

    def _transform(self) -> nn.Sequential:
        """Bottleneck on the context; starts at 0, so that the block starts as identity."""
        last = nn.Conv2d(self.planes, self.in_channels, kernel_size=1)
        constant_init(last, 0)
        return nn.Sequential(
            nn.Conv2d(self.in_channels, self.planes, kernel_size=1),
            nn.LayerNorm([self.planes, 1, 1]),
            nn.ReLU(inplace=True),
            last,
        )

    def _context(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1, 1)."""
        if self.pooling_type == "avg":
            return x.mean(dim=(2, 3), keepdim=True)
        weights = self.conv_mask(x).flatten(2).softmax(dim=2)
        return torch.matmul(x.flatten(2), weights.transpose(1, 2)).unsqueeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        context = self._context(x)
        out = x
        if self.channel_mul_conv is not None:
            out = out * torch.sigmoid(self.channel_mul_conv(context))
        if self.channel_add_conv is not None:
            out = out + self.channel_add_conv(context)
        return out
