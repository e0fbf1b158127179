"""The inverted residual block of the mobile networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers.conv_module import ConvModule
from poise.layers.recompute import maybe_checkpoint
from poise.layers.squeeze_excite import SELayer

__all__ = ["InvertedResidual"]

Config = Mapping[str, Any]


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze and excite, project (Sandler 2018, Howard 2019).

    (B, C, H, W) -> (B, C', H / stride, W / stride). The input is added where shapes allow.

    Args:
        in_channels, out_channels: C and C'.
        mid_channels: channels of the depthwise convolution.
        kernel_size, stride: of the depthwise convolution.
        groups: of the depthwise convolution; `mid_channels` if None.
        se_cfg: arguments of `SELayer`, or None for no such layer.
        with_expand_conv: False needs `mid_channels == in_channels`.
        conv_cfg, norm_cfg, act_cfg: for all convolutions; the last has no activation.
        with_cp: recompute activations in the backward pass.

    Raises:
        ConfigError: `stride` is not 1 or 2, or the channels do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel_size: int = 3,
        groups: int | None = None,
        stride: int = 1,
        se_cfg: Config | None = None,
        with_expand_conv: bool = True,
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN"},  # noqa: B006 (never changed)
        act_cfg: Config = {"type": "ReLU"},  # noqa: B006 (never changed)
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ConfigError(f"stride of an inverted residual must be 1 or 2, got {stride}")
        if not with_expand_conv and mid_channels != in_channels:
            raise ConfigError(
                f"without expand_conv mid_channels must equal in_channels={in_channels}, "
                f"got {mid_channels}"
            )
        self.with_res_shortcut = stride == 1 and in_channels == out_channels
        self.with_cp, self.with_se, self.with_expand_conv = (
            with_cp,
            se_cfg is not None,
            with_expand_conv,
        )
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        if with_expand_conv:
            self.expand_conv = ConvModule(in_channels, mid_channels, 1, act_cfg=act_cfg, **common)
        self.depthwise_conv = ConvModule(
            mid_channels,
            mid_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=mid_channels if groups is None else groups,
            act_cfg=act_cfg,
            **common,
        )
        if se_cfg is not None:
            self.se = SELayer(**se_cfg)
        self.linear_conv = ConvModule(mid_channels, out_channels, 1, act_cfg=None, **common)

    def _branch(self, x: Tensor) -> Tensor:
        y = self.expand_conv(x) if self.with_expand_conv else x
        y = self.depthwise_conv(y)
        if self.with_se:
            y = self.se(y)
        y = self.linear_conv(y)
        return x + y if self.with_res_shortcut else y

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        return maybe_checkpoint(self._branch, self.with_cp, x)
