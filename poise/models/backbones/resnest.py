"""ResNeSt: bottlenecks with split attention (Zhang 2020, arXiv 2004.08955)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers import BaseModule, build_conv_layer, build_norm_layer
from poise.layers.residual import Bottleneck
from poise.models.backbones.resnet import ResNetV1d
from poise.registry import MODELS

__all__ = ["ResNeSt"]

Config = Mapping[str, Any]

#: smallest width inside the attention
MIN_ATTENTION_CHANNELS = 32


class SplitAttentionConv2d(BaseModule):
    """Convolution into `radix` splits, summed with weights per channel.

    (B, C, H, W) -> (B, channels, H / stride, W / stride).

    Args:
        in_channels, channels: C and channels of the output.
        kernel_size, stride, padding, dilation, groups: of the convolution.
        radix: splits.
        reduction_factor: of channels inside the attention.
        conv_cfg: for the convolution.
        norm_cfg: for both norms.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        radix: int = 2,
        reduction_factor: int = 4,
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN"},  # noqa: B006 (never changed)
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        inner = max(in_channels * radix // reduction_factor, MIN_ATTENTION_CHANNELS)
        self.radix, self.groups, self.channels = radix, groups, channels
        self.conv = build_conv_layer(
            conv_cfg,
            in_channels,
            channels * radix,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups * radix,
            bias=False,
        )
        self.norm0_name, norm0 = build_norm_layer(norm_cfg, channels * radix, postfix=0)
        self.add_module(self.norm0_name, norm0)
        self.relu = nn.ReLU(inplace=True)
        self.fc1 = nn.Conv2d(channels, inner, 1, groups=groups)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, inner, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.fc2 = nn.Conv2d(inner, channels * radix, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H / stride, W / stride)."""
        x = self.relu(getattr(self, self.norm0_name)(self.conv(x)))
        # (B, radix, channels, H, W)
        splits = x.unflatten(1, (self.radix, self.channels))
        context = F.adaptive_avg_pool2d(splits.sum(dim=1), 1)
        context = self.relu(getattr(self, self.norm1_name)(self.fc1(context)))
        weights = self._attention(self.fc2(context))
        return (weights * splits).sum(dim=1)

    def _attention(self, logits: Tensor) -> Tensor:
        """(B, channels * radix, 1, 1) -> weights (B, radix, channels, 1, 1) of the splits."""
        if self.radix == 1:
            weights = torch.sigmoid(logits)
        else:
            # the convolution is grouped, so its output lies group by group
            weights = logits.flatten(1).unflatten(1, (self.groups, self.radix, -1))
            weights = weights.softmax(dim=2).transpose(1, 2)
        return weights.reshape(-1, self.radix, self.channels, 1, 1)


class ResNeStBottleneck(Bottleneck):
    """Bottleneck whose spatial convolution has split attention.

    Args:
        in_channels, out_channels, groups, width_per_group, base_channels: as `Bottleneck`.
        radix, reduction_factor: as `SplitAttentionConv2d`.
        avg_down_stride: reduce the size by a mean after the convolution, not by its stride.
        *args, **kwargs: as `Bottleneck`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *args: Any,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        self._attention: dict[str, Any] = {"radix": radix, "reduction_factor": reduction_factor}
        self.avg_down_stride = avg_down_stride
        super().__init__(in_channels, out_channels, *args, **kwargs)

    def _add_spatial_conv(self) -> None:
        self.avg_down_stride = self.avg_down_stride and self.conv2_stride > 1
        self.conv2 = SplitAttentionConv2d(
            self.mid_channels,
            self.mid_channels,
            kernel_size=3,
            stride=1 if self.avg_down_stride else self.conv2_stride,
            padding=self.dilation,
            dilation=self.dilation,
            groups=self.groups,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            **self._attention,
        )
        if self.avg_down_stride:
            self.avd_layer = nn.AvgPool2d(3, self.conv2_stride, padding=1)

    def _branch(self, x: Tensor) -> Tensor:
        x = self.conv2(self.relu(self.norm1(self.conv1(x))))
        if self.avg_down_stride:
            x = self.avd_layer(x)
        return self.norm3(self.conv3(x))


@MODELS.register_module()
class ResNeSt(ResNetV1d):
    """ResNet-D with split attention: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 50, 101, 152, 200 or 269.
        groups, width_per_group: as `ResNeXt`.
        radix, reduction_factor, avg_down_stride: of the blocks.
        **kwargs: as `ResNet`.
    """

    arch_settings = {
        50: (ResNeStBottleneck, (3, 4, 6, 3)),
        101: (ResNeStBottleneck, (3, 4, 23, 3)),
        152: (ResNeStBottleneck, (3, 8, 36, 3)),
        200: (ResNeStBottleneck, (3, 24, 36, 3)),
        269: (ResNeStBottleneck, (3, 30, 48, 8)),
    }

    def __init__(
        self,
        depth: int,
        groups: int = 1,
        width_per_group: int = 4,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        options = {
            "groups": groups,
            "width_per_group": width_per_group,
            "base_channels": kwargs.get("base_channels", 64),
            "radix": radix,
            "reduction_factor": reduction_factor,
            "avg_down_stride": avg_down_stride,
        }
        super().__init__(depth, block_options=options, **kwargs)
