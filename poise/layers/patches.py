"""Pictures and maps as tokens: patches, their merging, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from poise.errors import ConfigError, DataError, one_of
from poise.layers.base import BaseModule
from poise.layers.builders import build_conv_layer, build_norm_layer
from poise.layers.linear import Linear

__all__ = [
    "AdaptivePadding",
    "PatchEmbed",
    "PatchMerging",
    "nchw_to_nlc",
    "nlc_to_nchw",
    "picture_sides",
]

Config = Mapping[str, Any]
LN: Config = {"type": "LN"}
Size = tuple[int, int]


def nlc_to_nchw(x: Tensor, hw_shape: Sequence[int]) -> Tensor:
    """Tokens (B, H * W, C) -> map (B, C, H, W)."""
    height, width = hw_shape
    if x.dim() != 3 or x.shape[1] != height * width:
        raise DataError(f"expected (B, {height} * {width}, C) tokens, got {tuple(x.shape)}")
    # unlike `unflatten`, this leaves the batch free in exported files
    x = x.transpose(1, 2).view(-1, x.shape[2], height, width)
    # on a processor convolutions like the view, whose channels lie side by side, better than a copy
    return x if x.device.type == "cpu" else x.contiguous()


def nchw_to_nlc(x: Tensor) -> Tensor:
    """Map (B, C, H, W) -> tokens (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2).contiguous()


class AdaptivePadding(nn.Module):
    """Pad with zeros so that a kernel covers the whole map: (B, C, H, W) -> (B, C, H', W').

    Args:
        kernel_size, stride, dilation: of the kernel.
        padding: "corner" pads right and below, "same" all around.

    Raises:
        ConfigError: another `padding`.
    """

    def __init__(
        self,
        kernel_size: int | Size = 1,
        stride: int | Size = 1,
        dilation: int | Size = 1,
        padding: str = "corner",
    ) -> None:
        super().__init__()
        self.padding = one_of(padding, ("same", "corner"), "padding")
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.dilation = _pair(dilation)

    def get_pad_shape(self, input_shape: Sequence[int]) -> Size:
        """Rows and columns to add to a map of (height, width)."""
        pads = []
        sides = zip(input_shape, self.kernel_size, self.stride, self.dilation, strict=True)
        for size, kernel, stride, dilation in sides:
            covered = (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1
            pads.append(max(covered - size, 0))
        return pads[0], pads[1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        height, width = self.get_pad_shape(x.shape[-2:])
        if not height and not width:
            return x
        top, left = (height // 2, width // 2) if self.padding == "same" else (0, 0)
        return F.pad(x, [left, width - left, top, height - top])


class _Patches(BaseModule):
    """Where patches lie: what `PatchEmbed` and `PatchMerging` share."""

    def _set_grid(
        self,
        kernel_size: int | Size,
        stride: int | Size | None,
        padding: str | int | Size,
        dilation: int | Size,
    ) -> None:
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride or kernel_size)
        self.dilation = _pair(dilation)
        self.adap_padding = (
            AdaptivePadding(self.kernel_size, self.stride, self.dilation, padding)
            if isinstance(padding, str)
            else None
        )
        self.padding = _pair(0 if isinstance(padding, str) else padding)

    def _padded(self, x: Tensor) -> Tensor:
        return x if self.adap_padding is None else self.adap_padding(x)

    def _out_size(self, size: Sequence[int]) -> Size:
        """Patches along (height, width) of a padded map."""
        sides = zip(size, self.padding, self.dilation, self.kernel_size, self.stride, strict=True)
        rows, columns = ((s + 2 * p - d * (k - 1) - 1) // step + 1 for s, p, d, k, step in sides)
        return rows, columns


class PatchEmbed(_Patches):
    """Patches as tokens: (B, C, H, W) -> (B, L, embed_dims) and their grid.

    Args:
        in_channels: C.
        embed_dims: channels of tokens.
        conv_type: name of the convolution.
        kernel_size, stride, dilation: of the patches.
        padding: pixels, or "corner" or "same", see `AdaptivePadding`.
        bias: of the convolution.
        norm_cfg: norm of tokens, or None.
        input_size: size of the picture, for `init_out_size`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: int | Size = 16,
        stride: int | Size | None = 16,
        padding: str | int | Size = "corner",
        dilation: int | Size = 1,
        bias: bool = True,
        norm_cfg: Config | None = None,
        input_size: int | Size | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        self._set_grid(kernel_size, stride, padding, dilation)
        self.projection = build_conv_layer(
            {"type": conv_type},
            in_channels,
            embed_dims,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            bias=bias,
        )
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.init_input_size: Size | None = None
        #: grid of patches of a picture of `input_size`
        self.init_out_size: Size | None = None
        if input_size:
            height, width = self.init_input_size = tuple(_pair(input_size))
            if self.adap_padding is not None:
                more = self.adap_padding.get_pad_shape((height, width))
                height, width = height + more[0], width + more[1]
            self.init_out_size = self._out_size((height, width))

    def forward(self, x: Tensor) -> tuple[Tensor, Size]:
        """(B, C, H, W) -> (B, L, embed_dims), (rows, columns)."""
        x = self.projection(self._padded(x))
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x)), grid


class PatchMerging(_Patches):
    """Neighbouring tokens into one: (B, L, C) -> (B, L', C') and their grid (Liu 2021, Swin).

    Args:
        in_channels, out_channels: C and C'.
        kernel_size, stride, dilation: of the neighbourhoods; the stride is the kernel if None.
        padding: tokens, or "corner" or "same", see `AdaptivePadding`.
        bias: of the linear layer.
        norm_cfg: norm before it, or None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Size = 2,
        stride: int | Size | None = None,
        padding: str | int | Size = "corner",
        dilation: int | Size = 1,
        bias: bool = False,
        norm_cfg: Config | None = LN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        self._set_grid(kernel_size, stride, padding, dilation)
        self.sampler = nn.Unfold(self.kernel_size, self.dilation, self.padding, self.stride)
        joined = math.prod(self.kernel_size) * in_channels
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, joined)[1]
        self.reduction = Linear(joined, out_channels, bias=bias)

    def forward(self, x: Tensor, input_size: Sequence[int]) -> tuple[Tensor, Size]:
        """Tokens (B, H * W, C) of a grid (H, W) -> tokens (B, L', C'), (rows, columns)."""
        patches = self._padded(nlc_to_nchw(x, input_size))
        x = self.sampler(patches).transpose(1, 2)
        x = x if self.norm is None else self.norm(x)
        return self.reduction(x), self._out_size(patches.shape[-2:])


def picture_sides(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of one number or two.

    Raises:
        ConfigError: another number of numbers.
    """
    sides = (size,) if isinstance(size, int) else tuple(size)
    if len(sides) not in (1, 2):
        raise ConfigError(f"the size of a picture is a number or (height, width), got {sides}")
    return sides[0], sides[-1]
