"""Suppression of boxes that are tensors, by torchvision's kernel."""

from __future__ import annotations

from torch import Tensor

from poise.geometry.kernels_torch import kernel

__all__ = ["box_nms"]


def box_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that no better one overlaps, best first.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,), of the same type.
        iou_threshold: what overlaps a kept box by more is dropped.

    Returns:
        (M,) int64.
    """
    kept: Tensor = kernel("nms")(boxes, scores, iou_threshold)
    return kept
