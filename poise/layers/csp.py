"""Cross-stage partial blocks of CSPDarknet, CSPNeXt and their necks (Wang 2020, CSPNet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import DataError
from poise.layers.base import BaseModule
from poise.layers.conv_module import ConvModule, DepthwiseSeparableConvModule
from poise.layers.pooling import max_pool2d

__all__ = [
    "CSPLayer",
    "CSPNeXtBlock",
    "ChannelAttention",
    "DarknetBottleneck",
    "Focus",
    "SPPBottleneck",
    "conv_class",
]

Config = Mapping[str, Any]

#: the norm that YOLOX and RTMDet were trained with
YOLO_BN: Config = {"type": "BN", "momentum": 0.03, "eps": 0.001}
SWISH: Config = {"type": "Swish"}
SILU: Config = {"type": "SiLU"}


def conv_class(use_depthwise: bool) -> type[nn.Module]:
    """`ConvModule`, or its depthwise separable form."""
    return DepthwiseSeparableConvModule if use_depthwise else ConvModule


class ChannelAttention(BaseModule):
    """Weights of channels from their means: (B, C, H, W) -> the same (Lyu 2022, RTMDet)."""

    def __init__(self, channels: int, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Conv2d(channels, channels, 1)
        self.act = nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.act(self.fc(self.global_avgpool(x)))


class _CSPBlock(BaseModule):
    """Two convolutions and, where shapes allow, the input: (B, C, H, W) -> (B, C', H, W)."""

    conv1: nn.Module
    conv2: nn.Module
    add_identity: bool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        out = self.conv2(self.conv1(x))
        return out + x if self.add_identity else out


class DarknetBottleneck(_CSPBlock):
    """1 x 1, then 3 x 3 convolution.

    Args:
        in_channels, out_channels: C and C'.
        expansion: middle channels relative to C'.
        add_identity: add the input where C = C'.
        use_depthwise: make the second convolution depthwise separable.
        conv_cfg, norm_cfg, act_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = int(out_channels * expansion)
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, hidden, 1, **cfgs)
        self.conv2 = conv_class(use_depthwise)(hidden, out_channels, 3, padding=1, **cfgs)
        self.add_identity = add_identity and in_channels == out_channels


class CSPNeXtBlock(_CSPBlock):
    """3 x 3, then depthwise separable convolution of a large kernel (Lyu 2022, RTMDet).

    Args:
        in_channels, out_channels, expansion, add_identity: as `DarknetBottleneck`.
        use_depthwise: make the first convolution depthwise separable, too.
        kernel_size: of the second.
        conv_cfg: for the second; the first is always plain, as in MMDetection.
        norm_cfg, act_cfg: for both.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        kernel_size: int = 5,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SILU,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = int(out_channels * expansion)
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = conv_class(use_depthwise)(in_channels, hidden, 3, padding=1, **cfgs)
        self.conv2 = DepthwiseSeparableConvModule(
            hidden, out_channels, kernel_size, padding=kernel_size // 2, conv_cfg=conv_cfg, **cfgs
        )
        self.add_identity = add_identity and in_channels == out_channels


class CSPLayer(BaseModule):
    """Half of the channels through blocks, half past them: (B, C, H, W) -> (B, C', H, W).

    Args:
        in_channels, out_channels: C and C'.
        expand_ratio: channels of each half relative to C'.
        num_blocks: blocks.
        add_identity: whether blocks add their input.
        use_depthwise: depthwise separable convolutions in blocks.
        use_cspnext_block: `CSPNeXtBlock` instead of `DarknetBottleneck`.
        channel_attention: weigh channels before the last convolution.
        conv_cfg, norm_cfg, act_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        num_blocks: int = 1,
        add_identity: bool = True,
        use_depthwise: bool = False,
        use_cspnext_block: bool = False,
        channel_attention: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        block = CSPNeXtBlock if use_cspnext_block else DarknetBottleneck
        half = int(out_channels * expand_ratio)
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.main_conv = ConvModule(in_channels, half, 1, **cfgs)
        self.short_conv = ConvModule(in_channels, half, 1, **cfgs)
        self.final_conv = ConvModule(2 * half, out_channels, 1, **cfgs)
        self.blocks = nn.Sequential(
            *(
                block(half, half, 1.0, add_identity, use_depthwise, **cfgs)
                for _ in range(num_blocks)
            )
        )
        self.channel_attention = channel_attention
        if channel_attention:
            self.attention = ChannelAttention(2 * half)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), dim=1)
        return self.final_conv(self.attention(both) if self.channel_attention else both)


class SPPBottleneck(BaseModule):
    """Maxima over windows of several sizes, side by side (He 2015, spatial pyramid pooling).

    (B, C, H, W) -> (B, C', H, W). A maximum over 9 x 9 is one over 5 x 5 of one over 5 x 5, so
    windows that grow are computed from one another: the same numbers for less work. Not so where
    gradients are wanted, whose sums would then differ from MMDetection's in their last digits.

    Args:
        in_channels, out_channels: C and C'.
        kernel_sizes: sides of the windows.
        conv_cfg, norm_cfg, act_cfg: for both convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        middle = in_channels // 2
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, middle, 1, **cfgs)
        sizes = list(kernel_sizes)
        steps = [b - a + 1 for a, b in zip([1, *sizes], sizes, strict=False)]
        self.chained = all(s >= 1 and s % 2 for s in steps)
        self.sizes, self.steps = sizes, steps
        self.conv2 = ConvModule(middle * (len(sizes) + 1), out_channels, 1, **cfgs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        maps = [self.conv1(x)]
        chained = self.chained and not torch.is_grad_enabled()
        for size in self.steps if chained else self.sizes:
            source = maps[-1 if chained else 0]
            maps.append(max_pool2d(source, size, stride=1, padding=size // 2))
        return self.conv2(torch.cat(maps, dim=1))


class Focus(nn.Module):
    """Every second pixel into channels, then a convolution: (B, C, H, W) -> (B, C', H/2, W/2).

    Args:
        in_channels, out_channels: C and C'.
        kernel_size, stride: of the convolution.
        conv_cfg, norm_cfg, act_cfg: for the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
    ) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels * 4,
            out_channels,
            kernel_size,
            stride,
            padding=(kernel_size - 1) // 2,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of even H and W -> (B, C', H / 2, W / 2).

        Raises:
            DataError: an odd side.
        """
        if not torch.jit.is_tracing() and any(side % 2 for side in x.shape[2:]):
            raise DataError(
                "the Focus layer of CSPDarknet puts every second pixel into channels, so it takes "
                f"pictures of even sides; got {tuple(x.shape[2:])} (height, width). Pad them: "
                "data_preprocessor=dict(pad_size_divisor=32)"
            )
        # order of the released weights: top left, bottom left, top right, bottom right
        parts = [x[..., top::2, left::2] for left in (0, 1) for top in (0, 1)]
        return self.conv(torch.cat(parts, dim=1))
