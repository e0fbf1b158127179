"""Activations that torch does not have, or has with other defaults."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.registry import MODELS

__all__ = ["Clamp", "HSigmoid", "Swish"]


@MODELS.register_module(scope="mmcv")
class Swish(nn.Module):
    """x * sigmoid(x): SiLU under its older name, without an `inplace` argument."""

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        # not the fused silu: it rounds otherwise, and one-stage heads rank thousands of cells by
        # scores that differ by less than that
        return x * torch.sigmoid(x)


@MODELS.register_module(scope="mmcv")
class HSigmoid(nn.Module):
    """Piecewise linear sigmoid: (x + bias) / divisor, cut to [min_value, max_value]."""

    def __init__(
        self,
        bias: float = 3.0,
        divisor: float = 6.0,
        min_value: float = 0.0,
        max_value: float = 1.0,
    ) -> None:
        super().__init__()
        if divisor == 0:
            raise ConfigError("the divisor of HSigmoid must not be 0")
        self.bias, self.divisor = bias, divisor
        self.min_value, self.max_value = min_value, max_value

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ((x + self.bias) / self.divisor).clamp_(self.min_value, self.max_value)


@MODELS.register_module(name=["Clamp", "Clip"], scope="mmcv")
class Clamp(nn.Module):
    """Cut to [min, max]."""

    def __init__(self, min: float = -1.0, max: float = 1.0) -> None:  # noqa: A002 (MMCV's names)
        super().__init__()
        self.min, self.max = min, max

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return torch.clamp(x, self.min, self.max)
