"""Suppression of overlapping boxes that are tensors, with any measure of overlap."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from poise.geometry.boxes import bbox_overlaps
from poise.geometry.suppression_torch import box_nms

__all__ = ["nms_torch"]


def nms_torch(
    bboxes: Tensor,
    scores: Tensor,
    threshold: float = 0.65,
    iou_calculator: Callable[[Tensor, Tensor], Tensor] = bbox_overlaps,
    return_group: bool = False,
) -> Tensor | list[Tensor]:
    """Indices of the boxes to keep, best first, or the groups that overlap them.

    Args:
        bboxes: (N, 4) xyxy, or whatever the calculator takes.
        scores: (N,).
        threshold: what overlaps a kept one by more is dropped.
        iou_calculator: overlap (1, M) of one box (4,) with others (M, 4).
        return_group: return for each kept box the indices of its group, itself first.
    """
    if iou_calculator is bbox_overlaps and not return_group and bboxes.dtype == torch.float32:
        return box_nms(bboxes, scores.to(bboxes.dtype), threshold)
    order = scores.argsort(descending=True)
    groups: list[Tensor] = []
    while len(order):
        best, rest = order[:1], order[1:]
        close = iou_calculator(bboxes[best[0]], bboxes[rest])[0] > threshold
        groups.append(torch.cat((best, rest[close])))
        order = rest[~close]
    if return_group:
        return groups
    return torch.cat([group[:1] for group in groups]) if groups else order
