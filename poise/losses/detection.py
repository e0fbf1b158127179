"""Losses with the names and arguments that MMDetection gives them."""

from __future__ import annotations

from collections.abc import Sequence

from poise.errors import ConfigError
from poise.losses.classification import BCELoss
from poise.losses.coordinate import L1Loss
from poise.losses.similarity import IoULoss
from poise.registry import MODELS

__all__ = ["DetectionCrossEntropyLoss", "DetectionIoULoss", "DetectionL1Loss"]


@MODELS.register_module(name="CrossEntropyLoss", scope="mmdet")
class DetectionCrossEntropyLoss(BCELoss):
    """Binary cross entropy of logits; in MMDetection `use_sigmoid` says so.

    Args:
        use_sigmoid: has to be True: the classes of pose heads do not exclude one another.
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
        super().__init__(loss_weight=loss_weight, reduction=reduction)
        if not use_sigmoid or use_mask or class_weight is not None:
            raise ConfigError(
                "mmdet.CrossEntropyLoss is the loss of pose heads here: use_sigmoid=True, "
                "use_mask=False and class_weight=None, got "
                f"{use_sigmoid=}, {use_mask=}, {class_weight=}"
            )


@MODELS.register_module(name="IoULoss", scope="mmdet")
class DetectionIoULoss(IoULoss):
    """`IoULoss` with MMDetection's order of arguments.

    Args:
        linear: the old way to say mode="linear".
        eps, reduction, loss_weight, mode: as `IoULoss`.
    """

    def __init__(
        self,
        linear: bool = False,
        eps: float = 1e-6,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        mode: str = "log",
    ) -> None:
        super().__init__(reduction, "linear" if linear else mode, eps, loss_weight)


@MODELS.register_module(name="L1Loss", scope="mmdet")
class DetectionL1Loss(L1Loss):
    """`L1Loss` with MMDetection's arguments.

    Args:
        reduction: "mean", "sum" or "none".
        loss_weight: factor of the result.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__(reduction, loss_weight=loss_weight)
