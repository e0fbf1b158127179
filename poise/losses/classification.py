"""Losses of scores and distributions: is it there, is it visible, which class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._options import options_of
from poise.errors import ConfigError
from poise.losses.weighting import REDUCTIONS, check_option, reduce_loss, require, spread
from poise.registry import MODELS

__all__ = ["BCELoss", "InfoNCELoss", "JSDiscretLoss", "VariFocalLoss"]

# logits beyond this are cut off by VariFocalLoss
LOGIT_LIMIT = 10
# smallest target that VariFocalLoss takes for a positive
POSITIVE_TARGET = 1e-4
# keeps the logarithm of an empty heatmap pixel finite
LOG_EPS = 1e-24


class _ScoreLoss(nn.Module):
    """Losses of single scores (N, K): weigh, clean, reduce.

    Args:
        use_target_weight: weigh by the weights given to `forward`.
        loss_weight: factor of the result.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self,
        use_target_weight: bool = False,
        loss_weight: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.reduction = check_option(self, "reduction", reduction, REDUCTIONS)
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of every score."""
        raise NotImplementedError(f"{type(self).__name__} does not define `criterion`")

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss, reduced as built.

        Args:
            output: (N, K) predicted scores.
            target: (N, K) in 0..1.
            target_weight: (N, K) or (N,); needed with `use_target_weight`.
        """
        losses = self.criterion(output, target)
        if self.use_target_weight:
            losses = losses * spread(require(self, "target_weight", target_weight), losses)
        return reduce_loss(self.cleaned(losses), self.reduction) * self.loss_weight

    def cleaned(self, losses: Tensor) -> Tensor:
        """Hook for losses that drop values which are not finite."""
        return losses


@MODELS.register_module()
class BCELoss(_ScoreLoss):
    """Binary cross entropy.

    Args:
        **options: `use_target_weight`, `loss_weight` and `reduction`, as all losses of scores.
        use_sigmoid: MMPose's meaning: True says that the predictions went through a sigmoid
            already; False that they are logits.
    """

    @options_of(_ScoreLoss, positional=True)
    def __init__(self, *, use_sigmoid: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.use_sigmoid = use_sigmoid

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of every score."""
        if self.use_sigmoid:
            return F.binary_cross_entropy(output, target, reduction="none")
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")


@MODELS.register_module()
class VariFocalLoss(_ScoreLoss):
    """Cross entropy that plays down easy negatives and weighs positives by their quality.

    Zhang 2021, "VarifocalNet", eq. 2, arXiv 2008.13367.

    Args:
        **options: `use_target_weight`, `loss_weight` and `reduction`, as all losses of scores.
        alpha: factor of the negatives.
        gamma: exponent of the negatives' score.
    """

    @options_of(_ScoreLoss, positional=True)
    def __init__(self, *, alpha: float = 0.75, gamma: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha
        self.gamma = gamma

    def criterion(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of every logit; `target` is the quality (IoU, OKS) or 0."""
        negative = (target <= POSITIVE_TARGET).to(target.dtype)
        weight = self.alpha * output.sigmoid() ** self.gamma * negative + target
        logits = output.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def cleaned(self, losses: Tensor) -> Tensor:
        """Losses that are not finite count as zero."""
        return torch.where(losses.isfinite(), losses, torch.zeros_like(losses))


@MODELS.register_module()
class JSDiscretLoss(nn.Module):
    """Jensen-Shannon divergence of heatmaps that sum to one (DSNT's regulariser).

    Nibali 2018, "Numerical Coordinate Regression with Convolutional Neural Networks",
    section 3.3.

    Args:
        use_target_weight: weigh both heatmaps by the weights given to `forward`.
        size_average: divide the sum by the batch size.
    """

    def __init__(self, use_target_weight: bool = True, size_average: bool = True) -> None:
        super().__init__()
        self.use_target_weight = use_target_weight
        self.size_average = size_average

    def kl(self, p: Tensor, q: Tensor) -> Tensor:
        """Kullback-Leibler divergence of each pixel."""
        return F.kl_div((q + LOG_EPS).log(), p, reduction="none")

    def js(self, pred_hm: Tensor, gt_hm: Tensor) -> Tensor:
        """Jensen-Shannon divergence of each pixel."""
        middle = 0.5 * (pred_hm + gt_hm)
        return 0.5 * (self.kl(pred_hm, middle) + self.kl(gt_hm, middle))

    def forward(
        self, pred_hm: Tensor, gt_hm: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            pred_hm: (B, K, H, W).
            gt_hm: (B, K, H, W).
            target_weight: (B, K) or (B,); needed with `use_target_weight`.
        """
        if self.use_target_weight:
            weights = spread(require(self, "target_weight", target_weight), pred_hm)
            pred_hm, gt_hm = pred_hm * weights, gt_hm * weights
        total = self.js(pred_hm, gt_hm).sum()
        return total / len(gt_hm) if self.size_average else total


@MODELS.register_module()
class InfoNCELoss(nn.Module):
    """Contrastive loss: each feature should be like itself and unlike all others.

    van den Oord 2018, arXiv 1807.03748; CID uses it to keep people apart.

    Args:
        temperature: divides the cosine similarities; positive.
        loss_weight: factor of the result.
    """

    def __init__(self, temperature: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"InfoNCELoss: `temperature` should be positive, got {temperature}")
        self.temp = temperature
        self.loss_weight = loss_weight

    def forward(self, features: Tensor) -> Tensor:
        """Return the loss of features (N, C), summed over them."""
        unit = F.normalize(features, dim=1)
        own = torch.arange(len(features), device=features.device)
        return F.cross_entropy(unit @ unit.T / self.temp, own, reduction="sum") * self.loss_weight
