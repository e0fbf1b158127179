"""MoveNet's backbone: MobileNetV2 as TensorFlow pads it, batch norms folded away.

Source: MoveNet (Google, 2021), model card; MobileNetV2 (Sandler 2018), table 2.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers import Conv2d
from poise.registry import MODELS

__all__ = ["MoveNetBackbone", "SamePadConv2d"]

#: (expansion, channels at width 1, blocks, stride of the first) of MobileNetV2's stages
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
#: Stages whose output the neck takes: strides 4, 8, 16; stride 32 comes after the last conv.
_OUT_STAGES = (1, 2, 3)
_LAST_CHANNELS = 1280


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


def _width(channels: int, factor: float, divisor: int = 8) -> int:
    """Channels at a width factor, a multiple of 8 and never under 90 % of the exact number."""
    scaled = max(divisor, int(channels * factor + divisor / 2) // divisor * divisor)
    return scaled + divisor if scaled < 0.9 * channels * factor else scaled


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
        channels = _width(32, width)
        self.stem = _conv(3, channels, 3, 2)
        self.stages = nn.ModuleList()
        self.out_channels: list[int] = []
        for i, (expansion, base, blocks, stride) in enumerate(_STAGES):
            out = _width(base, width)
            stage = [
                _InvertedResidual(
                    channels if b == 0 else out, out, expansion, stride if b == 0 else 1
                )
                for b in range(blocks)
            ]
            self.stages.append(nn.Sequential(*stage))
            channels = out
            if i in _OUT_STAGES:
                self.out_channels.append(out)
        self.last = _conv(channels, _LAST_CHANNELS)
        self.out_channels.append(_LAST_CHANNELS)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in -1..1 -> features at strides 4, 8, 16, 32."""
        features = []
        x = F.relu6(self.stem(x))
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in _OUT_STAGES:
                features.append(x)
        return (*features, F.relu6(self.last(x)))
