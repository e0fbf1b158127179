"""Deformable convolutions with MMCV's weights, on torchvision's operator.

Each kernel tap looks where a learned offset points (Dai 2017, DCN), in version 2 weighted by a
learned mask (Zhu 2019).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d

from poise.errors import ConfigError
from poise.layers.init import constant_init
from poise.registry import MODELS

__all__ = [
    "DeformConv2d",
    "DeformConv2dPack",
    "ModulatedDeformConv2d",
    "ModulatedDeformConv2dPack",
]

#: precisions that torchvision's operator lacks on the CPU
HALVES = (torch.bfloat16, torch.float16)


class _DeformConv(nn.Module):
    """Weights and shapes that all four share; arguments as of `DeformConv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool | str = True,
    ) -> None:
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"channels of a deformable convolution must be divisible by groups={groups}, "
                f"got in_channels={in_channels}, out_channels={out_channels}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.groups, self.deform_groups = groups, deform_groups
        self.transposed, self.output_padding = False, (0,)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights."""
        raise NotImplementedError(f"{type(self).__name__} does not define `reset_parameters`")

    def extra_repr(self) -> str:
        """Shapes."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, groups={self.groups}, deform_groups={self.deform_groups}"
        )

    def _convolve(self, x: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        shape = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        if x.device.type != "cpu" or x.dtype not in HALVES:
            return deform_conv2d(x, offset, self.weight, self.bias, mask=mask, **shape)
        bias, mask = (None if t is None else t.float() for t in (self.bias, mask))
        out = deform_conv2d(
            x.float(), offset.float(), self.weight.float(), bias, mask=mask, **shape
        )
        return out.to(x.dtype)

    def _offset_conv(self, planes: int) -> nn.Conv2d:
        """Convolution that predicts `planes` numbers per tap; starts at no offset."""
        height, width = self.kernel_size
        conv = nn.Conv2d(
            self.in_channels,
            self.deform_groups * planes * height * width,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        constant_init(conv, 0)
        return conv


@MODELS.register_module(name="DeformConv", scope="mmcv")
class DeformConv2d(_DeformConv):
    """DCN version 1 with offsets from outside.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups: as of
            `nn.Conv2d`.
        deform_groups: groups of channels with offsets of their own.
        bias: must be False, as in MMCV.
        im2col_step: accepted for MMCV's configs; torchvision's operator has no such step.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = False,
        im2col_step: int = 32,
    ) -> None:
        if bias:
            raise ConfigError("a deformable convolution of version 1 has no bias; set bias=False")
        shape = (kernel_size, stride, padding, dilation, groups, deform_groups)
        super().__init__(in_channels, out_channels, *shape, bias=False)
        self.im2col_step = im2col_step

    def reset_parameters(self) -> None:
        """Weights by He's rule for ReLU."""
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """Convolve with displaced taps.

        Args:
            x: (B, C, H, W).
            offset: (B, 2 * deform_groups * kh * kw, H', W'), pairs of y and x in pixels.

        Returns:
            (B, C', H', W').
        """
        # a picture smaller than the kernel is padded for the operator, and the output cut again
        extra = [max(k - s, 0) for k, s in zip(self.kernel_size, x.shape[2:], strict=True)]
        if not any(extra):
            return self._convolve(x, offset)
        height, width = extra
        pad = (0, width, 0, height)
        out = self._convolve(F.pad(x, pad), F.pad(offset, pad))
        return out[:, :, : out.shape[2] - height, : out.shape[3] - width].contiguous()


@MODELS.register_module(name="DCN", scope="mmcv")
class DeformConv2dPack(DeformConv2d):
    """DCN version 1 that predicts its own offsets; a drop-in for `nn.Conv2d`."""

    _version = 2

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_offset = self._offset_conv(2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # offsets are its own
        """(B, C, H, W) -> (B, C', H', W')."""
        return self._convolve(x, self.conv_offset(x))


class ModulatedDeformConv2d(_DeformConv):
    """DCN version 2 with offsets and masks from outside; arguments as `DeformConv2d`."""

    def reset_parameters(self) -> None:
        """As `init_weights`, by which MMCV calls it."""
        self.init_weights()

    def init_weights(self) -> None:
        """Weights even within 1 / sqrt(fan-in), bias 0."""
        bound = 1 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """As `DeformConv2d`, each tap multiplied by `mask` (B, deform_groups * kh * kw, H', W')."""
        return self._convolve(x, offset, mask)


@MODELS.register_module(name="DCNv2", scope="mmcv")
class ModulatedDeformConv2dPack(ModulatedDeformConv2d):
    """DCN version 2 that predicts its own offsets and masks; a drop-in for `nn.Conv2d`."""

    _version = 2

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_offset = self._offset_conv(3)

    def init_weights(self) -> None:
        """As the base class; the offsets start at 0."""
        super().init_weights()
        if hasattr(self, "conv_offset"):
            constant_init(self.conv_offset, 0)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # offsets are its own
        """(B, C, H, W) -> (B, C', H', W')."""
        y, x_shift, mask = self.conv_offset(x).chunk(3, dim=1)
        # MMCV's operator reads the first two thirds as pairs, whatever their names say
        return self._convolve(x, torch.cat((y, x_shift), dim=1), mask.sigmoid())
