"""Weights, reductions and option checks that every loss shares.

Keypoints that are not annotated have weight 0. All losses take the weights in the same way, so
the rules for their shapes and the texts of their errors stand here once.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from torch import Tensor, nn

from poise.errors import ArgumentError, DataError, one_of

__all__ = [
    "MODES",
    "REDUCTIONS",
    "WeightedLoss",
    "check_option",
    "dissimilarity",
    "reduce_loss",
    "require",
    "spread",
]

_Value = TypeVar("_Value")

REDUCTIONS = ("none", "mean", "sum")
#: how `dissimilarity` turns a similarity into a loss
MODES = ("linear", "square", "log")


def check_option(owner: object, name: str, value: str, options: Collection[str]) -> str:
    """`value`, an argument of a loss, if it is one of `options`; errors as of `one_of`."""
    return one_of(value, options, f"{type(owner).__name__}: `{name}`")


def require(owner: object, name: str, value: _Value | None) -> _Value:
    """Return `value`, which a loss with `use_target_weight=True` cannot do without.

    Raises:
        ArgumentError: `value` is None.
    """
    if value is None:
        raise ArgumentError(
            f"{type(owner).__name__} was built with use_target_weight=True and needs "
            f"`{name}`, got None; pass the weights or build it with use_target_weight=False"
        )
    return value


def spread(weights: Tensor, like: Tensor) -> Tensor:
    """Give `weights` trailing axes of size 1 until it broadcasts over `like`.

    Args:
        weights: (B, K) or any shape with no more axes than `like`.
        like: for example (B, K, H, W).

    Raises:
        DataError: more axes.
    """
    if weights.ndim > like.ndim:
        raise DataError(
            f"weights of shape {tuple(weights.shape)} have more axes than the values they "
            f"weigh, {tuple(like.shape)}"
        )
    return weights.reshape(*weights.shape, *(1,) * (like.ndim - weights.ndim))


def reduce_loss(losses: Tensor, reduction: str) -> Tensor:
    """Mean, sum or the losses themselves (`reduction` is one of `REDUCTIONS`)."""
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses


def dissimilarity(similarity: Tensor, mode: str, eps: float = 0.0) -> Tensor:
    """Loss of similarities s in 0..1: "linear" 1 - s, "square" 1 - s**2, "log" -log(s + eps)."""
    if mode == "linear":
        return 1 - similarity
    return 1 - similarity**2 if mode == "square" else -(similarity + eps).log()


class WeightedLoss(nn.Module):
    """A loss of (output, target) in which both are multiplied by the keypoint weights.

    Subclasses say what `criterion` is; weighing both sides and the factor of the whole loss
    are done here.

    Args:
        use_target_weight: multiply output and target by the weights given to `forward`.
        loss_weight: factor of the result.
    """

    def __init__(self, use_target_weight: bool = False, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of tensors that are weighted already."""
        raise NotImplementedError(f"{type(self).__name__} does not define `criterion`")

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the weighted loss.

        Args:
            output: (B, K, D) predicted, any coordinate space.
            target: (B, K, D) wanted, same space.
            target_weight: (B, K) or (B, K, D); needed with `use_target_weight`.
        """
        if self.use_target_weight:
            weights = spread(require(self, "target_weight", target_weight), target)
            output, target = output * weights, target * weights
        return self.criterion(output, target) * self.loss_weight
