"""Dropout under MMCV's argument names, and stochastic depth."""

from __future__ import annotations

from torch import Tensor, nn

from poise.registry import MODELS

__all__ = ["DropPath", "Dropout", "drop_path"]


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
