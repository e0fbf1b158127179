"""Losses of coordinate classification: keypoints as distributions over x bins and y bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import DataError
from poise.losses.weighting import (
    MODES,
    REDUCTIONS,
    check_option,
    dissimilarity,
    require,
    spread,
)
from poise.registry import MODELS

__all__ = ["KLDiscretLoss", "KLDiscretLossWithWeight", "MLECCLoss"]

# keeps the logarithm of a likelihood of zero finite
LIKELIHOOD_EPS = 1e-4


@MODELS.register_module()
class KLDiscretLoss(nn.Module):
    """Kullback-Leibler divergence of 1D distributions (SimCC, RTMPose).

    Li 2022, "SimCC", arXiv 2107.03332; label softmax as in RTMPose (Jiang 2023).

    Args:
        beta: factor of the logits before the softmax.
        label_softmax: normalise the labels by a softmax too.
        label_beta: factor of the labels before their softmax.
        use_target_weight: weigh by the weights given to `forward`.
        mask: indices of keypoints with a weight of their own.
        mask_weight: that weight.
    """

    def __init__(
        self,
        beta: float = 1.0,
        label_softmax: bool = False,
        label_beta: float = 10.0,
        use_target_weight: bool = True,
        mask: Sequence[int] | None = None,
        mask_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.label_softmax = label_softmax
        self.label_beta = label_beta
        self.use_target_weight = use_target_weight
        self.mask = None if mask is None else list(mask)
        self.mask_weight = mask_weight

    def criterion(self, dec_outs: Tensor, labels: Tensor) -> Tensor:
        """Divergence of logits and labels (..., bins), averaged over the bins."""
        log_p = F.log_softmax(dec_outs * self.beta, dim=-1)
        if self.label_softmax:
            labels = F.softmax(labels * self.label_beta, dim=-1)
        return F.kl_div(log_p, labels, reduction="none").mean(dim=-1)

    def forward(
        self,
        pred_simcc: Sequence[Tensor],
        gt_simcc: Sequence[Tensor],
        target_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss: summed over batch and axes, averaged over keypoints.

        Args:
            pred_simcc: logits of each axis, (B, K, bins).
            gt_simcc: labels of each axis, (B, K, bins).
            target_weight: (B, K); needed with `use_target_weight`.
        """
        weights: Sequence[Tensor | None] = [None] * len(pred_simcc)
        if self.use_target_weight:
            weights = [require(self, "target_weight", target_weight)] * len(pred_simcc)
        return self._over_axes(pred_simcc, gt_simcc, weights)

    def _over_axes(
        self,
        pred_simcc: Sequence[Tensor],
        gt_simcc: Sequence[Tensor],
        weights: Sequence[Tensor | None],
    ) -> Tensor:
        """Sum over axes and batch, mean over the keypoints.

        Each axis is summed by itself: in this order the last digits are MMPose's, and with them
        whole trainings.
        """
        total: Any = 0.0
        for pred, label, weight in zip(pred_simcc, gt_simcc, weights, strict=True):
            losses = self.criterion(pred, label.reshape(pred.shape))
            if weight is not None:
                losses = losses * weight.reshape(losses.shape)
            if self.mask is not None:
                factor = torch.ones(losses.shape[1], dtype=losses.dtype, device=losses.device)
                factor[self.mask] = self.mask_weight
                losses = losses * factor
            total = total + losses.sum()
        return total / pred_simcc[0].shape[1]


@MODELS.register_module()
class KLDiscretLossWithWeight(KLDiscretLoss):
    """KLDiscretLoss with keypoint weights for each axis (RTMW3D: depth is often unknown).

    Takes the arguments of `KLDiscretLoss`; weights always count.
    """

    #: name of the loss item
    loss_name = "loss_kld"

    def forward(
        self,
        pred_simcc: Sequence[Tensor],
        gt_simcc: Sequence[Tensor],
        target_weight: Any = None,
    ) -> Tensor:
        """Return the loss: summed over batch and axes, averaged over keypoints.

        Args:
            pred_simcc: logits of each axis, (B, K, bins).
            gt_simcc: labels of each axis, (B, K, bins).
            target_weight: weights of each axis, (B, K).
        """
        weights = require(self, "target_weight", target_weight)
        return self._over_axes(pred_simcc, gt_simcc, weights)


@MODELS.register_module()
class MLECCLoss(nn.Module):
    """Likelihood of the wanted position under predicted x and y distributions (RTMO).

    Lu 2023, "RTMO", section 3.3, arXiv 2312.07526.

    Args:
        reduction: over keypoints: "mean", "sum" or "none".
        mode: of the likelihood p: "linear" 1 - p, "square" 1 - p**2, "log" -log p.
        use_target_weight: weigh by the weights given to `forward`.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        reduction: str = "mean",
        mode: str = "log",
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.reduction = check_option(self, "reduction", reduction, REDUCTIONS)
        self.mode = check_option(self, "mode", mode, MODES)
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight

    def forward(
        self,
        outputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        target_weight: Tensor | None = None,
    ) -> Tensor:
        """Return one loss an instance, (N,), or (N, K) with `reduction="none"`.

        Args:
            outputs: probabilities of each axis, (N, K, bins).
            targets: wanted distributions of each axis, (N, K, bins).
            target_weight: (N, K); needed with `use_target_weight`.
        """
        if len(outputs) != len(targets):
            raise DataError(
                f"MLECCLoss: outputs and targets should have the same number of axes, got "
                f"{len(outputs)} and {len(targets)}"
            )
        likelihood = torch.ones((), device=outputs[0].device)
        for output, target in zip(outputs, targets, strict=True):
            likelihood = likelihood * (output * target).sum(dim=-1)
        losses = dissimilarity(likelihood, self.mode, LIKELIHOOD_EPS)
        losses = torch.where(losses.isnan(), torch.zeros_like(losses), losses)
        if self.use_target_weight:
            losses = losses * spread(require(self, "target_weight", target_weight), losses)
        if self.reduction == "sum":
            losses = losses.flatten(1).sum(dim=1)
        elif self.reduction == "mean":
            losses = losses.flatten(1).mean(dim=1)
        return losses * self.loss_weight
