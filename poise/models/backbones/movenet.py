"""MoveNet's backbone: MobileNetV2 as TensorFlow pads it, batch norms folded away.

Source: MoveNet (Google, 2021), model card; MobileNetV2 (Sandler 2018).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers import Conv2d, make_divisible
from poise.models.backbones.base import maps_behind
from poise.models.backbones.mobilenet_v2 import LAST_CHANNELS, MobileNetV2
from poise.registry import MODELS

__all__ = ["MoveNetBackbone", "SamePadConv2d"]

#: Stages whose output the neck takes: strides 4, 8, 16; stride 32 comes after the last conv.
_OUT_STAGES = (1, 2, 3)


class SamePadConv2d(Conv2d):
    """Convolution with TensorFlow's SAME padding: an odd pixel goes to the right and bottom.

    torch pads both sides alike, which at stride 2 shifts the picture by one pixel.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        height, width = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size, kernel, stride in zip(
                input.shape[2:], self.kernel_size, self.stride, strict=True
            )
        )
        if height % 2 or width % 2:
            top, left = height // 2, width // 2
            return super().forward(F.pad(input, (left, width - left, top, height - top)))
        if not (height or width):
            return super().forward(input)
        padding = height // 2, width // 2
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, groups=self.groups)


def _conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    return SamePadConv2d(c_in, c_out, kernel, stride, groups=groups)


class _InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shape is the same."""

    def __init__(self, c_in: int, c_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.expand = _conv(c_in, hidden) if expansion > 1 else None
        self.depthwise = _conv(hidden, hidden, 3, stride, groups=hidden)
        self.project = _conv(hidden, c_out)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + y if self.residual else y


@MODELS.register_module(scope="poise")
class MoveNetBackbone(nn.Module):
    """MobileNetV2 with biases instead of batch norms, as MoveNet was released.

    Args:
        width: channel factor; 1.75 for Thunder, 1.0 for Lightning.

    Example:
        >>> import torch
        >>> features = MoveNetBackbone(1.0)(torch.zeros(1, 3, 64, 64))
        >>> [tuple(f.shape[1:]) for f in features]
        [(24, 16, 16), (32, 8, 8), (64, 4, 4), (1280, 2, 2)]
    """

    #: always the quickest way on a processor (see `PictureNetwork`)
    prefers_speed = True

    def __init__(self, width: float = 1.75) -> None:
        super().__init__()
        channels = make_divisible(32 * width, 8)
        self.stem = _conv(3, channels, 3, 2)
        self.stages = nn.ModuleList()
        widths = []
        for expansion, base, blocks, stride in MobileNetV2.arch_settings:
            out = make_divisible(base * width, 8)
            shapes = [(channels, stride)] + [(out, 1)] * (blocks - 1)
            self.stages.append(
                nn.Sequential(*(_InvertedResidual(i, out, expansion, s) for i, s in shapes))
            )
            widths.append(out)
            channels = out
        self.last = _conv(channels, LAST_CHANNELS)
        #: channels of each map
        self.out_channels = [*(widths[i] for i in _OUT_STAGES), LAST_CHANNELS]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in -1..1 -> features at strides 4, 8, 16, 32."""
        x = F.relu6(self.stem(x))
        *features, x = maps_behind(self.stages, x, (*_OUT_STAGES, len(self.stages) - 1))
        return (*features, F.relu6(self.last(x)))
