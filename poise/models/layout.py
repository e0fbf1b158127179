"""The quickest way of pictures through a network."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from poise.layers import Conv2d, Linear

__all__ = ["PictureNetwork", "dense"]

#: packages whose layers never ask for maps of another order, as `view` may do
_PACKAGES = frozenset({"poise", "torch", "torchvision", "timm"})


class PictureNetwork(nn.Module):
    """Networks whose pictures may pass in channels-last order, on a processor and in eval mode.

    Convolutions and norms are faster so. Most convolutions round otherwise, too, and a keypoint
    whose heatmap has two peaks of one height then jumps; so it is done unasked only for backbones
    that give the same digits (`channels_last`), for those that MMPose does not have, and whose
    digits are nobody's reference (`prefers_speed`), and for all others after `prefer_speed()`.

    It is never done with parts from elsewhere, nor in graphs that are recorded: these should run
    anywhere.
    """

    _prefers_speed = False
    _channels_last = False

    def prefer_speed(self, on: bool = True) -> Self:
        """Take the quickest way in eval mode on a processor, at the price of the last digits.

        Args:
            on: False goes back to the digits of MMPose.
        """
        self._prefers_speed = on
        self.train(self.training)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and look what parts there are."""
        super().train(mode)
        parts = list(self.modules())
        known = not mode and all(
            type(part).__module__.partition(".")[0] in _PACKAGES for part in parts
        )
        backbone = getattr(self, "backbone", None)
        quick = known and (self._prefers_speed or getattr(backbone, "prefers_speed", False))
        self._channels_last = quick or (known and getattr(backbone, "channels_last", False))
        for part in parts:
            if isinstance(part, (Conv2d, Linear)):
                part.prefer_onednn = quick
        return self

    def laid_out(self, inputs: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in the order of memory in which they should pass."""
        if (
            not self._channels_last
            or not isinstance(inputs, Tensor)
            or inputs.ndim != 4
            or inputs.device.type != "cpu"
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()
        ):
            return inputs
        return inputs.contiguous(memory_format=torch.channels_last)


def dense(outputs: Any) -> Any:
    """Outputs of a network, each tensor in the usual order of memory: row by row."""
    if isinstance(outputs, Tensor):
        return outputs.contiguous()
    if isinstance(outputs, list):
        return [dense(output) for output in outputs]
    if isinstance(outputs, tuple):
        return tuple(dense(output) for output in outputs)
    if isinstance(outputs, dict):
        return {name: dense(output) for name, output in outputs.items()}
    return outputs
