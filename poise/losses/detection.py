"""Losses of box detectors, with the names and arguments that MMDetection gives them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._options import options_of
from poise.errors import ArgumentError, ConfigError
from poise.geometry.boxes import bbox_overlaps
from poise.losses.weighting import MODES, REDUCTIONS, check_option, dissimilarity, reduce_loss
from poise.registry import MODELS

__all__ = [
    "CIoULoss",
    "DIoULoss",
    "DetectionCrossEntropyLoss",
    "DetectionIoULoss",
    "DetectionL1Loss",
    "DistributionFocalLoss",
    "GIoULoss",
    "QualityFocalLoss",
    "full_precision",
]

#: keeps a mean over no object at all defined
EPS = torch.finfo(torch.float32).eps


def full_precision(values: Tensor) -> Tensor:
    """The values with 32 bits at least: 16 cannot tell pixels of a large picture apart."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class _DetectionLoss(nn.Module, ABC):
    """A loss for each of N predictions: weigh, then reduce, perhaps by a number given.

    Args:
        reduction: "mean", "sum" or "none".
        loss_weight: factor of the result.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction = check_option(self, "reduction", reduction, REDUCTIONS)
        self.loss_weight = loss_weight

    @abstractmethod
    def criterion(self, pred: Tensor, target: Any) -> Tensor:
        """Loss of each prediction, in full precision."""

    def forward(
        self,
        pred: Tensor,
        target: Tensor | tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the loss; a mean of nothing is 0.

        Args:
            pred: (N, ...) predicted.
            target: wanted; what it is, the class says.
            weight: of the losses, of their shape; of more axes, their mean counts.
            avg_factor: a mean divides by it, not by the number of losses.
            reduction_override: takes the place of the reduction of the constructor.

        Raises:
            ArgumentError: `avg_factor` with the reduction "sum".
        """
        name = reduction_override or self.reduction
        reduction = check_option(self, "reduction_override", name, REDUCTIONS)
        losses = self.criterion(full_precision(pred), target)
        if weight is not None:
            losses = losses * (weight.mean(dim=-1) if weight.ndim > losses.ndim else weight)
        if losses.numel() == 0 and avg_factor is None and reduction == "mean":
            # MMDetection gives 0 for some losses and NaN for others
            return losses.sum()
        if avg_factor is None or reduction == "none":
            return reduce_loss(losses, reduction) * self.loss_weight
        if reduction == "sum":
            raise ArgumentError(
                f"{type(self).__name__}: avg_factor is what a mean is divided by, and the "
                "reduction is 'sum'; leave one of them out"
            )
        return losses.sum() / (avg_factor + EPS) * self.loss_weight


@MODELS.register_module(name="CrossEntropyLoss", scope="mmdet")
class DetectionCrossEntropyLoss(_DetectionLoss):
    """Binary cross entropy of logits (N, C) and scores (N, C) in 0..1.

    Args:
        use_sigmoid: has to be True: classes of dense heads do not exclude one another.
        use_mask: has to be False: there are no masks to learn.
        reduction: "mean", "sum" or "none".
        class_weight: has to be None: scores of one class need no weights.
        ignore_index, avg_non_ignore: kept for configs; targets are scores, none is ignored.
        loss_weight: factor of the result.

    Raises:
        ConfigError: an argument that has to be what it is not.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        reduction: str = "mean",
        class_weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        loss_weight: float = 1.0,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__(reduction, loss_weight)
        if not use_sigmoid or use_mask or class_weight is not None:
            raise ConfigError(
                "mmdet.CrossEntropyLoss is the loss of dense heads here: use_sigmoid=True, "
                "use_mask=False and class_weight=None, got "
                f"{use_sigmoid=}, {use_mask=}, {class_weight=}"
            )

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of every score."""
        return F.binary_cross_entropy_with_logits(pred, target.to(pred.dtype), reduction="none")


@MODELS.register_module(name="L1Loss", scope="mmdet")
class DetectionL1Loss(_DetectionLoss):
    """Absolute error of numbers (N, D).

    Args:
        reduction: "mean", "sum" or "none".
        loss_weight: factor of the result.
    """

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Error of every number."""
        return (pred - target).abs()


@MODELS.register_module(scope="mmdet")
class QualityFocalLoss(_DetectionLoss):
    """Cross entropy with how well a box fits, in which sure points count less.

    Li 2020, "Generalized Focal Loss", arXiv 2006.04388, eq. 2: a point's score is to be the
    overlap of its box with the object's, 0 where there is none.

    Args:
        use_sigmoid: has to be True.
        beta: power of the distance from the target by which losses are weighed.
        **options: `reduction` and `loss_weight`, as all losses of detectors.
        activated: predictions are probabilities, not logits.

    Raises:
        ConfigError: `use_sigmoid` is not True.
    """

    @options_of(_DetectionLoss, positional=True)
    def __init__(
        self,
        use_sigmoid: bool = True,
        beta: float = 2.0,
        *,
        activated: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if use_sigmoid is not True:
            raise ConfigError(f"QualityFocalLoss: use_sigmoid should be True, got {use_sigmoid!r}")
        self.beta = beta
        self.activated = activated

    def criterion(self, pred: Tensor, target: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Loss of each point, (N,).

        Args:
            pred: (N, C).
            target: classes (N,), C or -1 for none, and overlaps (N,); or the wanted scores (N, C).
        """
        if not isinstance(target, Tensor):
            labels, quality = target
            # a column of its own takes what belongs to no class
            labels = torch.where(labels < 0, pred.shape[1], labels).long()
            wanted = pred.new_zeros(len(pred), pred.shape[1] + 1)
            target = wanted.scatter_(1, labels[:, None], quality[:, None].to(pred.dtype))[:, :-1]
        target = target.to(pred.dtype)
        if self.activated:
            with torch.autocast(pred.device.type, enabled=False):
                entropy = F.binary_cross_entropy(pred, target, reduction="none")
            probability = pred
        else:
            entropy = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
            probability = pred.sigmoid()
        return (entropy * (target - probability).abs().pow(self.beta)).sum(dim=1)


@MODELS.register_module(scope="mmdet")
class DistributionFocalLoss(_DetectionLoss):
    """Cross entropy with the two whole numbers that a distance lies between.

    Li 2020, "Generalized Focal Loss", arXiv 2006.04388, eq. 6.

    Args:
        reduction: "mean", "sum" or "none".
        loss_weight: factor of the result.
    """

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each distance, (N,).

        Args:
            pred: (N, n + 1) logits of the numbers 0..n.
            target: (N,) in 0..n.
        """
        below = target.long()
        above = (below + 1).clamp(max=pred.shape[1] - 1)
        share = target - below
        logs = pred.log_softmax(dim=-1).gather(1, torch.stack((below, above), dim=1))
        return -(logs * torch.stack((1 - share, share), dim=1)).sum(dim=1)


class _BoxLoss(_DetectionLoss):
    """A loss for each of N pairs of boxes (N, 4) xyxy; weights may also have one a side, (N, 4).

    Args:
        eps: smallest area, in square pixels.
        **options: `reduction` and `loss_weight`, as all losses of detectors.
    """

    @options_of(_DetectionLoss, positional=True)
    def __init__(self, eps: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.eps = eps


@MODELS.register_module(name="IoULoss", scope="mmdet")
class DetectionIoULoss(_BoxLoss):
    """A falling function of the intersection over union.

    Args:
        linear: the old way to say mode="linear".
        **options: `eps` (the smallest IoU), `reduction` and `loss_weight`, as all losses of boxes.
        mode: of the IoU u: "linear" 1 - u, "square" 1 - u**2, "log" -log u.
    """

    @options_of(_BoxLoss, positional=True)
    def __init__(self, linear: bool = False, *, mode: str = "log", **options: Any) -> None:
        super().__init__(**options)
        self.mode = check_option(self, "mode", "linear" if linear else mode, MODES)

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair, (N,)."""
        ious = bbox_overlaps(pred, target, is_aligned=True).clamp(min=self.eps)
        return dissimilarity(ious, self.mode)


@MODELS.register_module(scope="mmdet")
class GIoULoss(_BoxLoss):
    """One minus the generalised IoU, which also draws boxes that do not meet together.

    Rezatofighi 2019, arXiv 1902.09630; arguments as all losses of boxes have them.
    """

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair, (N,)."""
        gious: Tensor = bbox_overlaps(pred, target, "giou", is_aligned=True, eps=self.eps)
        return 1 - gious


@MODELS.register_module(scope="mmdet")
class DIoULoss(_BoxLoss):
    """One minus the IoU, and how far apart the centres are, in diagonals of the hull.

    Zheng 2020, "Distance-IoU Loss", arXiv 1911.08287; arguments as all losses of boxes.
    """

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair, (N,)."""
        ious, distance = self._near(pred, target)
        return 1 - ious + distance

    def _near(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """IoU and relative squared distance of each pair, (N,)."""
        hull = torch.maximum(pred[:, 2:], target[:, 2:]) - torch.minimum(pred[:, :2], target[:, :2])
        diagonal = hull.clamp(min=0).square().sum(dim=1) + self.eps
        # sums of two corners are centres times two
        apart = (target[:, :2] + target[:, 2:] - pred[:, :2] - pred[:, 2:]).square().sum(dim=1) / 4
        return bbox_overlaps(pred, target, is_aligned=True, eps=self.eps), apart / diagonal


@MODELS.register_module(scope="mmdet")
class CIoULoss(DIoULoss):
    """`DIoULoss`, and how much the aspect ratios differ, once the boxes are nearly in place.

    Zheng 2020, arXiv 2005.03572; arguments as all losses of boxes.
    """

    def criterion(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair, (N,)."""
        ious, distance = self._near(pred, target)
        angles = [
            torch.atan(width / (height + self.eps))
            for width, height in ((b[:, 2:] - b[:, :2]).unbind(1) for b in (target, pred))
        ]
        ratios = (angles[0] - angles[1]).square() * (4 / math.pi**2)
        with torch.no_grad():
            share = (ious > 0.5) * ratios / (1 - ious + ratios)
        return 1 - (ious - distance - share * ratios).clamp(min=-1.0, max=1.0)
