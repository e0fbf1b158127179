"""Convolution that is as fast on one thread as on several."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.registry import MODELS

__all__ = ["Conv2d", "onednn_takes"]

#: sums of products, and pixels of a batch, from which on oneDNN gains more than it spends on
#: ordering the weights
_LEAST_PRODUCTS, _LEAST_PIXELS = 2_000_000, 96


@MODELS.register_module(name=["Conv", "Conv2d"], scope="mmcv")
class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, whose 1 x 1 kernels can be left to oneDNN on a processor.

    On a single thread torch hands small batches to a plain matrix product instead, which took 2.3
    times as long where it was measured (AMD EPYC, MKL 2024). A dilation does nothing to a 1 x 1
    kernel, but makes torch choose oneDNN. Recorded graphs have no such dilation.
    """

    #: set by the network of which the layer is a part; the last digits of results change
    prefer_onednn = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """(B, C, H, W) -> (B, C', H', W')."""
        if self.prefer_onednn and self._gains(input):
            return F.conv2d(input, self.weight, self.bias, dilation=2, groups=self.groups)
        return super().forward(input)

    def _gains(self, x: Tensor) -> bool:
        return (
            onednn_takes(x)
            and self.kernel_size == self.stride == self.dilation == (1, 1)
            and self.padding == (0, 0)
            and x.numel() >= _LEAST_PIXELS * self.in_channels
            and x.numel() * self.out_channels >= _LEAST_PRODUCTS * self.groups
        )


def onednn_takes(x: Tensor) -> bool:
    """Whether oneDNN may compute with `x`: on a processor, and not while a graph is recorded."""
    return (
        not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and x.device.type == "cpu"
        and x.dtype is torch.float32
        and torch.backends.mkldnn.is_available()
    )
