"""SCNet: self-calibrated convolutions (Liu 2020, CVPR)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError, DataError
from poise.layers import BaseModule
from poise.layers.residual import Bottleneck
from poise.models.backbones.hr_module import conv_norm
from poise.models.backbones.resnet import ResNet
from poise.registry import MODELS

__all__ = ["SCNet"]

Config = Mapping[str, Any]

#: side of the windows whose means calibrate a convolution
POOLING = 4


class SCConv(BaseModule):
    """A convolution weighted by what a pooled copy of the map says.

    (B, C, H, W) -> (B, C, H / stride, W / stride), H and W at least `pooling_r`.

    Args:
        in_channels, out_channels: C, twice.
        stride: of the last convolution.
        pooling_r: side of the pooling windows.
        conv_cfg, norm_cfg: for all layers.

    Raises:
        ConfigError: `in_channels` is not `out_channels`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        pooling_r: int,
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN", "momentum": 0.1},  # noqa: B006 (never changed)
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if in_channels != out_channels:
            raise ConfigError(f"SCConv keeps channels, got {in_channels} and {out_channels}")
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.pooling_r = pooling_r
        pooled = conv_norm(in_channels, in_channels, **cfgs)
        self.k2 = nn.Sequential(nn.AvgPool2d(pooling_r, pooling_r), *pooled)
        self.k3 = conv_norm(in_channels, in_channels, **cfgs)
        self.k4 = conv_norm(in_channels, out_channels, stride=stride, relu=True, **cfgs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / stride, W / stride).

        Raises:
            DataError: a map that is smaller than a pooling window.
        """
        side = self.pooling_r
        if not torch.jit.is_tracing() and min(x.shape[2:]) < side:
            raise DataError(
                f"SCNet pools windows of {side} x {side}, and a map of it has only "
                f"{tuple(x.shape[2:])} pixels (height, width); its smallest maps have stride 32, "
                f"so give pictures of {32 * side} pixels or more"
            )
        context = F.interpolate(self.k2(x), x.shape[2:])
        return self.k4(self.k3(x) * torch.sigmoid(x + context))


class SCBottleneck(Bottleneck):
    """Bottleneck of two halves, one plain and one self-calibrated; arguments as `Bottleneck`."""

    def __init__(self, in_channels: int, out_channels: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, *args, **kwargs)
        cfgs: dict[str, Any] = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg}
        half, stride = self.mid_channels, self.stride
        # these two stand last in released weights
        self.k1 = conv_norm(half, half, stride=stride, relu=True, **cfgs)
        self.scconv = SCConv(half, half, stride, POOLING, **cfgs)

    def _add_layers(self) -> None:
        self.mid_channels = self.out_channels // self.expansion // 2
        self._add_conv(1, self.in_channels, self.mid_channels, kernel_size=1)
        self._add_conv(2, self.in_channels, self.mid_channels, kernel_size=1)
        self._add_conv(3, 2 * self.mid_channels, self.out_channels, kernel_size=1)

    def _branch(self, x: Tensor) -> Tensor:
        plain = self.k1(self.relu(self.norm1(self.conv1(x))))
        calibrated = self.scconv(self.relu(self.norm2(self.conv2(x))))
        return self.norm3(self.conv3(torch.cat((plain, calibrated), dim=1)))


@MODELS.register_module()
class SCNet(ResNet):
    """ResNet of self-calibrated bottlenecks: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 50 or 101.
        **kwargs: as `ResNet`.
    """

    arch_settings = {50: (SCBottleneck, (3, 4, 6, 3)), 101: (SCBottleneck, (3, 4, 23, 3))}

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, **kwargs)
