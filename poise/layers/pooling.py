"""Max pooling without torch's slow way on a processor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MaxPool2d", "max_pool2d"]


def max_pool2d(x: Tensor, kernel_size: int | tuple[int, int], *args: Any, **kwargs: Any) -> Tensor:
    """`F.max_pool2d`; the detour over channels-last order takes a half to a twentieth of the time.

    Args:
        x: (B, C, H, W).
        kernel_size, *args, **kwargs: as of `F.max_pool2d`, which returns no indices here.
    """
    if (
        x.device.type != "cpu"
        or x.requires_grad
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    ):
        return F.max_pool2d(x, kernel_size, *args, **kwargs)
    order = torch.channels_last if x.stride(1) == 1 else torch.contiguous_format
    x = x.contiguous(memory_format=torch.channels_last)
    return F.max_pool2d(x, kernel_size, *args, **kwargs).contiguous(memory_format=order)


class MaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d` by `max_pool2d`."""

    def forward(self, input: Tensor) -> Any:  # noqa: A002 (torch's name)
        """(B, C, H, W) -> (B, C, H', W')."""
        if not isinstance(input, Tensor) or input.ndim != 4 or self.return_indices:
            return super().forward(input)
        options = (self.stride, self.padding, self.dilation, self.ceil_mode)
        return max_pool2d(input, self.kernel_size, *options)
