"""Dropout under MMCV's argument names, and stochastic depth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poise.registry import MODELS

__all__ = ["DropPath", "Dropout", "drop_path", "drop_path_rates"]


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False) -> Tensor:
    """Set whole samples of a residual branch to 0 in training (Huang 2016, stochastic depth).

    Args:
        x: (B, ...).
        drop_prob: probability of a sample to be dropped; the others grow to keep the mean.
        training: False returns `x`.
    """
    if drop_prob == 0.0 or not training:
        return x
    keep = 1 - drop_prob
    mask = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep)
    return x * mask.div_(keep)


def drop_path_rates(highest: float, depths: Sequence[int]) -> list[list[float]]:
    """Rates of all blocks, stage by stage: rising evenly from 0 (Huang 2016, section 3).

    Args:
        highest: of the last block.
        depths: blocks of each stage.

    Example:
        >>> drop_path_rates(0.5, (1, 2))
        [[0.0], [0.25, 0.5]]
    """
    # on the host also where networks are built on torch's meta device
    rates = torch.linspace(0, highest, sum(depths), device="cpu")
    return [part.tolist() for part in rates.split(list(depths))]


@MODELS.register_module(scope="mmcv")
class DropPath(nn.Module):
    """Layer form of `drop_path`."""

    def __init__(self, drop_prob: float = 0.1) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        return drop_path(x, self.drop_prob, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"drop_prob={self.drop_prob}"


@MODELS.register_module(scope="mmcv")
class Dropout(nn.Dropout):
    """`nn.Dropout` whose probability is called `drop_prob`, as `DropPath` has it."""

    def __init__(self, drop_prob: float = 0.5, inplace: bool = False) -> None:
        super().__init__(p=drop_prob, inplace=inplace)
