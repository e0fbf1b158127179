"""Losses between predicted and wanted coordinates, any coordinate space."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise._options import options_of
from poise.losses.weighting import (
    REDUCTIONS,
    WeightedLoss,
    check_option,
    require,
    spread,
)
from poise.registry import MODELS

__all__ = [
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "SoftWeightSmoothL1Loss",
    "SoftWingLoss",
    "WingLoss",
]


@MODELS.register_module()
class SmoothL1Loss(WeightedLoss):
    """Huber's loss: square below an error of 1, absolute above.

    Less swayed by outliers than the squared error, smoother at zero than the absolute one.
    """

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over all numbers."""
        return F.smooth_l1_loss(output, target)


@MODELS.register_module()
class MSELoss(WeightedLoss):
    """Mean squared error of coordinates."""

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over all numbers."""
        return F.mse_loss(output, target)


@MODELS.register_module()
class L1Loss(WeightedLoss):
    """Absolute error of coordinates.

    Args:
        reduction: "mean", "sum" or "none".
        **options: those of `WeightedLoss`.
    """

    @options_of(WeightedLoss, positional=True)
    def __init__(self, reduction: str = "mean", **options: Any) -> None:
        super().__init__(**options)
        self.reduction = check_option(self, "reduction", reduction, REDUCTIONS)

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Absolute errors, reduced as built."""
        return F.l1_loss(output, target, reduction=self.reduction)


@MODELS.register_module()
class SoftWeightSmoothL1Loss(WeightedLoss):
    """Huber's loss whose values, not its inputs, are weighted (DEKR's displacement loss).

    Args:
        use_target_weight: multiply the losses by the weights given to `forward`.
        supervise_empty: divide by the number of all entries; otherwise by the number of
            entries with a positive weight.
        beta: error at which the square turns into a line.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        supervise_empty: bool = True,
        beta: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(use_target_weight, loss_weight)
        self.supervise_empty = supervise_empty
        self.beta = beta

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Losses of all entries, or their mean where nothing is weighted."""
        return F.smooth_l1_loss(
            output,
            target,
            reduction="none" if self.use_target_weight else "mean",
            beta=self.beta,
        )

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            output: (B, K, D) or maps (B, C, H, W).
            target: as `output`.
            target_weight: leading axes of `output`; needed with `use_target_weight`.
        """
        losses = self.criterion(output, target)
        if self.use_target_weight:
            weights = spread(require(self, "target_weight", target_weight), losses)
            losses = losses * weights
            if self.supervise_empty:
                losses = losses.mean()
            else:
                losses = losses.sum() / (weights > 0).sum().clamp(min=1)
        return losses * self.loss_weight


class _PiecewiseLoss(WeightedLoss):
    """Losses of one coordinate, summed over a sample and averaged over the batch."""

    def curve(self, error: Tensor) -> Tensor:
        """Loss of an absolute error."""
        raise NotImplementedError(f"{type(self).__name__} does not define `curve`")

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Sum over keypoints and dimensions of (B, K, D), mean over the batch."""
        return self.curve((target - pred).abs()).sum(dim=(1, 2)).mean()


@MODELS.register_module()
class WingLoss(_PiecewiseLoss):
    """Logarithmic for small errors, linear for large ones.

    Gives small and medium errors of face landmarks more weight (Feng 2018, eq. 5).

    Args:
        omega: error at which the logarithm turns into a line, in the coordinates' unit.
        epsilon: curvature of the logarithm.
        **options: those of `WeightedLoss`.
    """

    @options_of(WeightedLoss, positional=True)
    def __init__(self, omega: float = 10.0, epsilon: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.omega = omega
        self.epsilon = epsilon
        # joins the two parts without a step
        self.C = omega * (1.0 - math.log1p(omega / epsilon))

    def curve(self, error: Tensor) -> Tensor:
        """Loss of absolute errors of any shape."""
        log = self.omega * torch.log1p(error / self.epsilon)
        return torch.where(error < self.omega, log, error - self.C)


@MODELS.register_module()
class SoftWingLoss(_PiecewiseLoss):
    """Linear for small errors, logarithmic for large ones.

    Lin 2021, "Structure-Coherent Deep Feature Learning for Robust Face Alignment".

    Args:
        omega1: error at which the line turns into a logarithm, in the coordinates' unit.
        omega2: height of the logarithm.
        epsilon: curvature of the logarithm.
        **options: those of `WeightedLoss`.
    """

    @options_of(WeightedLoss, positional=True)
    def __init__(
        self, omega1: float = 2.0, omega2: float = 20.0, epsilon: float = 0.5, **options: Any
    ) -> None:
        super().__init__(**options)
        self.omega1 = omega1
        self.omega2 = omega2
        self.epsilon = epsilon
        # joins the two parts without a step
        self.B = omega1 - omega2 * math.log1p(omega1 / epsilon)

    def curve(self, error: Tensor) -> Tensor:
        """Loss of absolute errors of any shape."""
        log = self.omega2 * torch.log1p(error / self.epsilon) + self.B
        return torch.where(error < self.omega1, error, log)
