"""Losses that are one minus a similarity of whole instances: OKS of poses, IoU of boxes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from poise.geometry.boxes import bbox_overlaps
from poise.losses.weighting import (
    MODES,
    REDUCTIONS,
    check_option,
    dissimilarity,
    reduce_loss,
    spread,
)
from poise.registry import MODELS
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["BoxOKSLoss", "IoULoss", "OKSLoss", "keypoint_similarity", "sigmas_of"]


def sigmas_of(metainfo: str | dict[str, Any] | None) -> Tensor | None:
    """Sigmas (K,) of a schema; None where there is none, or one that has none.

    Args:
        metainfo: path or name, as in `from_file`, or the schema.
    """
    if metainfo is None:
        return None
    raw = metainfo if isinstance(metainfo, dict) else {"from_file": metainfo}
    sigmas = parse_pose_metainfo(raw).get("sigmas")
    return None if sigmas is None else torch.as_tensor(sigmas)


def keypoint_similarity(
    output: Tensor,
    target: Tensor,
    weights: Tensor | None,
    areas: Tensor | None,
    sigmas: Tensor | None,
    *,
    eps: float,
    by_sum: bool,
) -> Tensor:
    """Object keypoint similarities (...) of poses, broadcast over their leading axes.

    Args:
        output: (..., K, 2) predicted, pixels.
        target: (..., K, 2).
        weights: (..., K), or None for ones.
        areas: (...) of the instances, pixels², or None for 1.
        sigmas: (K,), or None for 1/2.
        eps: smallest size of an instance, and smallest sum of weights.
        by_sum: divide weights by their sum, not by their number.
    """
    distance = vector_norm(output - target, dim=-1)
    if areas is not None:
        distance = distance / areas.sqrt().clamp(min=eps).unsqueeze(-1)
    if sigmas is not None:
        distance = distance / (2 * sigmas)
    similarity = torch.exp(-distance.square() / 2)
    if weights is not None:
        total = weights.sum(-1, keepdim=True).clamp(min=eps) if by_sum else weights.shape[-1]
        similarity = similarity * (weights / total)
    return similarity.sum(dim=-1)


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
        sigmas = sigmas_of(metainfo)
        if sigmas is not None:
            self.register_buffer("sigmas", sigmas)

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
        losses = dissimilarity(self.compute_oks(output, target, target_weight, areas), self.mode)
        return reduce_loss(losses, self.reduction) * self.loss_weight

    def compute_oks(
        self,
        output: Tensor,
        target: Tensor,
        target_weight: Tensor | None = None,
        areas: Tensor | None = None,
    ) -> Tensor:
        """Similarities (N,), or (...) of broadcast leading axes; arguments as `forward`."""
        return keypoint_similarity(
            output,
            target,
            target_weight,
            areas,
            getattr(self, "sigmas", None),
            eps=self.eps,
            by_sum=self.norm_target_weight,
        )


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
        ious = bbox_overlaps(output, target, is_aligned=True).clamp(min=self.eps)
        losses = dissimilarity(ious, self.mode)
        if target_weight is not None:
            losses = losses * spread(target_weight, losses)
        return reduce_loss(losses, self.reduction) * self.loss_weight
