"""Channel weights from global context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers.conv_module import ConvModule

__all__ = ["SELayer"]


class SELayer(nn.Module):
    """Squeeze and excitation (Hu 2018): (B, C, H, W) -> the same, channels weighted.

    Args:
        channels: C.
        ratio: the middle has `channels / ratio` channels.
        conv_cfg: for both convolutions.
        act_cfg: activation for both, or a pair of them.

    Raises:
        ConfigError: `act_cfg` is neither.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 16,
        conv_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (
            {"type": "ReLU"},
            {"type": "Sigmoid"},
        ),
    ) -> None:
        super().__init__()
        pair = (act_cfg, act_cfg) if isinstance(act_cfg, Mapping) else tuple(act_cfg)
        if len(pair) != 2 or not all(isinstance(a, Mapping) for a in pair):
            raise ConfigError(f"act_cfg of SELayer must be a dict or two dicts, got {act_cfg!r}")
        middle = int(channels / ratio)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(channels, middle, 1, conv_cfg=conv_cfg, act_cfg=pair[0])
        self.conv2 = ConvModule(middle, channels, 1, conv_cfg=conv_cfg, act_cfg=pair[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        # a mean of pixels in another order of memory rounds otherwise
        return x * self.conv2(self.conv1(self.global_avgpool(x.contiguous())))
