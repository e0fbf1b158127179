"""What assigners share that give each object as many points as fit it, the cheapest ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.structures import InstanceData

__all__ = ["BOX_OVERLAPS", "LOG_EPS", "DynamicAssigner", "class_costs", "inside"]

#: how detectors measure overlaps unless a config says otherwise
BOX_OVERLAPS: Mapping[str, Any] = {"type": "mmdet.BboxOverlaps2D"}
#: overlap of a point that no object was given
NO_OVERLAP = -100000.0
#: keeps the logarithm of a similarity of zero finite
LOG_EPS = 1.0e-7


def inside(points: Tensor, left_top: Tensor, right_bottom: Tensor) -> Tensor:
    """Which points (M, 1, 2) lie strictly between corners (M or 1, N, 2), (M, N)."""
    return ((points > left_top) & (points < right_bottom)).all(dim=-1)


def class_costs(absent: Tensor, present: Tensor, labels: Tensor) -> Tensor:
    """Costs (M, N) of points whose scores should name an object's class and no other.

    Objects differ in one class only, so all classes are looked at once a point, not once a pair.

    Args:
        absent: (M, C) cost of each class if it should not be there.
        present: (M, N) cost of the object's class, which should.
        labels: (N,) classes of the objects.
    """
    return absent.sum(dim=1, keepdim=True) - absent[:, labels] + present


class DynamicAssigner(ABC):
    """Base of assigners by cost; subclasses say who may answer for whom, and at what cost."""

    #: best similarities whose sum is the number of points of an object
    candidate_topk: int

    @abstractmethod
    def candidates(self, predicted: InstanceData, wanted: InstanceData) -> tuple[Tensor, Tensor]:
        """Points that may answer for an object.

        Args:
            predicted: of M points.
            wanted: of N objects.

        Returns:
            (M,) bool; of these (M', N) whether a point is where the object is.
        """

    @abstractmethod
    def costs(
        self, predicted: InstanceData, wanted: InstanceData, near: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of candidates and objects, (M', N) each: costs, what counts points, how well they fit."""

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Assign points to objects.

        Args:
            pred_instances: of M points: `bboxes` (M, 4) xyxy, `scores` (M, classes), `priors`
                (M, 4: points and strides), and what else the cost needs.
            gt_instances: of N objects: `bboxes` (N, 4), `labels` (N,), and what else it needs.
            gt_instances_ignore: not used, as in MMDetection: points in boxes of crowds are
                background.
            **kwargs: not used.

        Returns:
            `num_gts`; of each point `gt_inds` (index of its object + 1, or 0), `max_overlaps`
            (how well they fit) and `labels` (class, or -1).
        """
        points, objects = len(pred_instances.bboxes), len(gt_instances.bboxes)
        gt_inds = torch.zeros(points, dtype=torch.long, device=pred_instances.bboxes.device)
        result = {
            "num_gts": objects,
            "gt_inds": gt_inds,
            "max_overlaps": pred_instances.bboxes.new_zeros(points),
            "labels": torch.full_like(gt_inds, -1),
        }
        if objects == 0 or points == 0:
            return result
        valid, near = self.candidates(pred_instances, gt_instances)
        if not valid.any():
            return result
        cost, similarity, quality = self.costs(pred_instances[valid], gt_instances, near)
        chosen, owner = self._match(cost, similarity)
        overlap = quality[chosen].gather(1, owner[:, None]).squeeze(1)
        index = valid.nonzero().squeeze(1)[chosen]
        result["max_overlaps"] = torch.full_like(
            gt_inds, NO_OVERLAP, dtype=torch.float32
        ).index_put_((index,), overlap.float())
        gt_inds[index] = owner + 1
        result["labels"][index] = gt_instances.labels[owner].long()
        return result

    def _match(self, cost: Tensor, similarity: Tensor) -> tuple[Tensor, Tensor]:
        """Points of each object: as many as its best similarities sum up to, the cheapest.

        Ge 2021, "YOLOX", section 2.1, arXiv 2107.08430.

        Returns:
            (M',) mask of matched points; the object of these.
        """
        best = similarity.topk(min(self.candidate_topk, len(similarity)), dim=0).values
        counts = best.sum(dim=0).int().clamp(min=1)
        most = int(counts.max())
        cheapest = cost.topk(most, dim=0, largest=False).indices
        wanted = torch.arange(most, device=cost.device)[:, None] < counts
        matches = torch.zeros_like(cost, dtype=torch.bool).scatter_(0, cheapest, wanted)
        # a point that several objects want goes where it costs least
        several = matches.sum(dim=1) > 1
        only = F.one_hot(cost.argmin(dim=1), cost.shape[1]).bool()
        matches = torch.where(several[:, None], only, matches)
        chosen = matches.any(dim=1)
        return chosen, matches[chosen].int().argmax(dim=1)
