"""Losses that are one minus a similarity of whole instances: OKS of poses, IoU of boxes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from poise.losses.weighting import REDUCTIONS, check_option, reduce_loss, spread
from poise.registry import MODELS

__all__ = ["BoxOKSLoss", "IoULoss", "OKSLoss"]

MODES = ("linear", "square", "log")


def _dissimilarity(similarity: Tensor, mode: str) -> Tensor:
    """Loss of a similarity in 0..1."""
    if mode == "linear":
        return 1 - similarity
    return 1 - similarity**2 if mode == "square" else -similarity.log()


@MODELS.register_module()
class OKSLoss(nn.Module):
    """One minus object keypoint similarity, the measure that COCO ranks poses by.

    Maji 2022, "YOLO-Pose", section 3.3, arXiv 2204.06806.

    Args:
        metainfo: schema whose sigmas are used (a path or name, as in `from_file`, or the schema).
        reduction: over instances: "mean", "sum" or "none".
        mode: of the similarity s: "linear" 1 - s, "square" 1 - s**2, "log" -log s.
        eps: smallest size of an instance.
        norm_target_weight: divide the weights by their sum instead of their number.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        metainfo: str | dict[str, Any] | None = None,
        reduction: str = "mean",
        mode: str = "linear",
        eps: float = 1e-8,
        norm_target_weight: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.reduction = check_option(self, "reduction", reduction, REDUCTIONS)
        self.mode = check_option(self, "mode", mode, MODES)
        self.norm_target_weight = norm_target_weight
        self.eps = eps
        self.loss_weight = loss_weight
        if metainfo is not None:
            from poise.structures.metainfo import parse_pose_metainfo

            raw = metainfo if isinstance(metainfo, dict) else {"from_file": metainfo}
            sigmas = parse_pose_metainfo(raw).get("sigmas")
            if sigmas is not None:
                self.register_buffer("sigmas", torch.as_tensor(sigmas))

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        target_weight: Tensor | None = None,
        areas: Tensor | None = None,
    ) -> Tensor:
        """Return the loss.

        Args:
            output: (N, K, 2) keypoints, input space.
            target: (N, K, 2).
            target_weight: (N, K).
            areas: (N,) areas of the instances in pixels.
        """
        losses = _dissimilarity(self.compute_oks(output, target, target_weight, areas), self.mode)
        return reduce_loss(losses, self.reduction) * self.loss_weight

    def compute_oks(
        self,
        output: Tensor,
        target: Tensor,
        target_weight: Tensor | None = None,
        areas: Tensor | None = None,
    ) -> Tensor:
        """Similarities (N,), or (...) of broadcast leading axes; arguments as `forward`."""
        distance = vector_norm(output - target, dim=-1)
        if areas is not None:
            distance = distance / areas.sqrt().clamp(min=self.eps).unsqueeze(-1)
        sigmas = getattr(self, "sigmas", None)
        if sigmas is not None:
            distance = distance / (2 * sigmas)
        similarity = torch.exp(-distance.square() / 2)
        if target_weight is not None:
            total = (
                target_weight.sum(dim=-1, keepdim=True).clamp(min=self.eps)
                if self.norm_target_weight
                else target_weight.shape[-1]
            )
            similarity = similarity * (target_weight / total)
        return similarity.sum(dim=-1)


@MODELS.register_module(name="OksLoss", scope="mmyolo")
class BoxOKSLoss(OKSLoss):
    """`OKSLoss` of each instance, whose size is the diagonal of its box, in place of its area.

    Args:
        metainfo: as `OKSLoss`.
        loss_weight: factor of the result.
    """

    def __init__(
        self, metainfo: str | dict[str, Any] | None = None, loss_weight: float = 1.0
    ) -> None:
        super().__init__(metainfo, "none", norm_target_weight=True, loss_weight=loss_weight)

    def compute_oks(
        self,
        output: Tensor,
        target: Tensor,
        target_weight: Tensor | None = None,
        bboxes: Tensor | None = None,
    ) -> Tensor:
        """Similarities (N,), or (...) of broadcast leading axes.

        Args:
            output: (N, K, 2) keypoints, input space.
            target: (N, K, 2).
            target_weight: (N, K).
            bboxes: (N, 4) xyxy; None: all have the size 1.
        """
        if bboxes is None:
            squares = output.new_ones(output.shape[:-2])
        else:
            squares = (bboxes[..., 2:] - bboxes[..., :2]).square().sum(dim=-1)
        # sigmas count once here, and twice there
        return super().compute_oks(output, target, target_weight, squares / 4)


@MODELS.register_module()
class IoULoss(nn.Module):
    """One minus the intersection over union of boxes.

    Args:
        reduction: over boxes: "mean", "sum" or "none".
        mode: of the IoU u: "linear" 1 - u, "square" 1 - u**2, "log" -log u.
        eps: smallest IoU.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        reduction: str = "mean",
        mode: str = "log",
        eps: float = 1e-16,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.reduction = check_option(self, "reduction", reduction, REDUCTIONS)
        self.mode = check_option(self, "mode", mode, MODES)
        self.eps = eps
        self.loss_weight = loss_weight

    def forward(
        self, output: Tensor, target: Tensor, target_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss.

        Args:
            output: (N, 4) xyxy boxes.
            target: (N, 4) xyxy boxes, pairwise.
            target_weight: (N,).
        """
        from poise.structures.bbox import bbox_overlaps

        ious = bbox_overlaps(output, target, is_aligned=True).clamp(min=self.eps)
        losses = _dissimilarity(ious, self.mode)
        if target_weight is not None:
            losses = losses * spread(target_weight, losses)
        return reduce_loss(losses, self.reduction) * self.loss_weight
