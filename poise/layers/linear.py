"""Linear layer that oneDNN may compute."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers.conv2d import onednn_takes

__all__ = ["Linear"]

#: rows, numbers and sums of products from which on oneDNN gains more than it spends on ordering the
#: weights; torch does not hand it less than so many numbers
_LEAST_ROWS, _LEAST_NUMBERS, _LEAST_PRODUCTS = 128, 20_481, 4_000_000


class Linear(nn.Linear):
    """`nn.Linear`, whose product can be left to oneDNN on a processor.

    torch takes MKL's matrix product, which took twice as long where it was measured (AMD EPYC, MKL
    2024). To a convolution the rows are the pixels of a single line, in channels-last order as
    they lie; the dilation makes torch choose oneDNN, as in `Conv2d`.
    """

    #: set by the network of which the layer is a part; the last digits of results change
    prefer_onednn = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """(..., in_features) -> (..., out_features)."""
        if not (self.prefer_onednn and self._gains(input)):
            return super().forward(input)
        pixels = input.reshape(1, -1, 1, self.in_features).permute(0, 3, 1, 2)
        products = F.conv2d(pixels, self.weight[:, :, None, None], self.bias, dilation=2)
        return products.permute(0, 2, 3, 1).reshape(*input.shape[:-1], self.out_features)

    def _gains(self, x: Tensor) -> bool:
        return (
            x.numel() >= max(_LEAST_NUMBERS, _LEAST_ROWS * self.in_features)
            and x.numel() * self.out_features >= _LEAST_PRODUCTS
            and onednn_takes(x)
            and not torch.is_autocast_enabled("cpu")
        )
