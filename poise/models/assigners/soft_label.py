"""RTMDet's assignment: costs by soft labels, overlaps and distances from the centre."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.models.assigners.dynamic import (
    BOX_OVERLAPS,
    LOG_EPS,
    DynamicAssigner,
    class_costs,
    inside,
)
from poise.registry import TASK_UTILS
from poise.structures import InstanceData

__all__ = ["DynamicSoftLabelAssigner"]


@TASK_UTILS.register_module(scope="mmdet")
class DynamicSoftLabelAssigner(DynamicAssigner):
    """Dynamic assignment of grid points to boxes that they lie in.

    Lyu 2022, "RTMDet", section 3.3, arXiv 2212.07784.

    Args:
        soft_center_radius: how far from a centre points cost little, in strides.
        topk: best overlaps whose sum is the number of points of an object.
        iou_weight: factor of the box cost.
        iou_calculator: config or object.
    """

    def __init__(
        self,
        soft_center_radius: float = 3.0,
        topk: int = 13,
        iou_weight: float = 3.0,
        iou_calculator: Any = BOX_OVERLAPS,
    ) -> None:
        self.soft_center_radius = soft_center_radius
        self.candidate_topk = topk
        self.iou_weight = iou_weight
        self.iou_calculator = TASK_UTILS.build(iou_calculator)

    def candidates(self, predicted: InstanceData, wanted: InstanceData) -> tuple[Tensor, Tensor]:
        """Points inside a box."""
        boxes = wanted.bboxes
        where = inside(predicted.priors[:, None, :2], boxes[:, :2], boxes[:, 2:])
        valid = where.any(dim=1)
        return valid, where[valid]

    def costs(
        self, predicted: InstanceData, wanted: InstanceData, near: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Costs (M, N), and overlaps that both count points and say how well they fit."""
        ious = self.iou_calculator(predicted.bboxes, wanted.bboxes)
        centers = (wanted.bboxes[:, :2] + wanted.bboxes[:, 2:]) / 2
        points, strides = predicted.priors[:, None, :2], predicted.priors[:, 2:3]
        distance = (points - centers).square().sum(dim=-1).sqrt() / strides
        logits, labels = predicted.scores, wanted.labels.long()
        absent = _focal_entropy(logits, torch.zeros_like(logits))
        # a score should be the overlap at the object's class, and 0 at all others
        present = _focal_entropy(logits[:, labels], ious.to(logits.dtype))
        cost = class_costs(absent, present, labels)
        cost = cost - torch.log(ious + LOG_EPS) * self.iou_weight
        return cost + 10 ** (distance - self.soft_center_radius), ious, ious


def _focal_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy, by the square of how far the score is off."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return entropy * (wanted - logits.sigmoid()).square()
