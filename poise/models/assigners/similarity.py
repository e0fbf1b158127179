"""How alike boxes and poses are, for assigners."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poise.geometry.boxes import bbox_overlaps
from poise.losses.similarity import keypoint_similarity, sigmas_of
from poise.registry import TASK_UTILS

__all__ = ["BBoxOverlaps2D", "PoseOKS"]


@TASK_UTILS.register_module()
@TASK_UTILS.register_module(name="BboxOverlaps2D", scope="mmdet")
class BBoxOverlaps2D:
    """Overlaps of boxes.

    Args:
        scale: boxes are divided by it before they become half precision, against overflow.
        dtype: "fp16" computes in half precision, to save memory.
    """

    def __init__(self, scale: float = 1.0, dtype: str | None = None) -> None:
        self.scale = scale
        self.dtype = dtype

    @torch.no_grad()
    def __call__(
        self, bboxes1: Tensor, bboxes2: Tensor, mode: str = "iou", is_aligned: bool = False
    ) -> Tensor:
        """Overlaps (M, N), or (M,) of aligned boxes.

        Args:
            bboxes1: (M, 4) xyxy, or (M, 5) with a score that is left out.
            bboxes2: (N, 4) or (N, 5).
            mode: "iou", "iof" or "giou".
            is_aligned: compare pairs.
        """
        first, second = bboxes1[..., :4], bboxes2[..., :4]
        if self.dtype == "fp16":
            first, second = (first / self.scale).half(), (second / self.scale).half()
        overlaps = bbox_overlaps(first, second, mode, is_aligned)
        return overlaps.float() if self.dtype == "fp16" and not overlaps.is_cuda else overlaps

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale={self.scale}, dtype={self.dtype})"


@TASK_UTILS.register_module()
class PoseOKS:
    """Object keypoint similarity of poses.

    Args:
        metainfo: schema whose sigmas are used (a path or name, or the schema); None for none.
    """

    def __init__(
        self, metainfo: str | dict[str, Any] | None = "configs/_base_/datasets/coco.py"
    ) -> None:
        self.sigmas = sigmas_of(metainfo)

    @torch.no_grad()
    def __call__(
        self,
        output: Tensor,
        target: Tensor,
        target_weights: Tensor,
        areas: Tensor,
        eps: float = 1e-8,
    ) -> Tensor:
        """Similarities (...) of poses (..., K, 2), broadcast over the leading axes.

        Args:
            output: (..., K, 2) predicted, input space.
            target: (..., K, 2).
            target_weights: (..., K).
            areas: areas of the targets in pixels², along the last leading axis.
            eps: smallest size and weight.
        """
        if self.sigmas is not None:
            self.sigmas = self.sigmas.to(output.device)
        return keypoint_similarity(
            output, target, target_weights, areas.flatten(), self.sigmas, eps=eps, by_sum=True
        )
