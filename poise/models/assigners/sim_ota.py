"""SimOTA: each person gets the predictions that explain it at the least cost."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise._options import options_of
from poise.errors import one_of
from poise.models.assigners.dynamic import (
    BOX_OVERLAPS,
    LOG_EPS,
    DynamicAssigner,
    class_costs,
    inside,
)
from poise.registry import MODELS, TASK_UTILS
from poise.structures import InstanceData

__all__ = ["BoxSimOTAAssigner", "PoseSimOTAAssigner", "SimOTAAssigner"]

#: what only MMPose's own assigner asks
_OF_POSES = ("dynamic_k_indicator", "use_keypoints_for_center")
#: cost of a point that is not inside the box and near the centre
OUTSIDE_COST = 100000.0


def _cross_entropy_cost(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Summed cross entropy of probabilities (M, C) and targets (N, C), (M, N)."""
    shape = (len(predicted), len(wanted), predicted.shape[-1])
    # in full precision: half overflows here
    with torch.autocast(predicted.device.type, enabled=False):
        cost = F.binary_cross_entropy(
            predicted.float().unsqueeze(1).expand(shape),
            wanted.float().unsqueeze(0).expand(shape),
            reduction="none",
        )
    return cost.sum(dim=-1).to(predicted.dtype)


@TASK_UTILS.register_module()
class SimOTAAssigner(DynamicAssigner):
    """Dynamic assignment of grid points to people.

    Ge 2021, "YOLOX", section 2.1, arXiv 2107.08430; with keypoint terms as in RTMO.

    Args:
        center_radius: how far from a centre points may lie, in strides.
        candidate_topk: best similarities whose sum is the number of points of a person.
        iou_weight: factor of the box cost.
        cls_weight: factor of the classification cost.
        oks_weight: factor of the keypoint cost.
        vis_weight: factor of the visibility cost.
        dynamic_k_indicator: "iou" or "oks", whose similarities are summed.
        use_keypoints_for_center: take the mean of the visible keypoints as centre, not the
            box's.
        iou_calculator: config or object.
        oks_calculator: config or object; None where no term asks for it.

    Raises:
        ConfigError: unknown `dynamic_k_indicator`.
    """

    def __init__(
        self,
        center_radius: float = 2.5,
        candidate_topk: int = 10,
        iou_weight: float = 3.0,
        cls_weight: float = 1.0,
        oks_weight: float = 3.0,
        vis_weight: float = 0.0,
        dynamic_k_indicator: str = "iou",
        use_keypoints_for_center: bool = False,
        iou_calculator: Any = {"type": "BBoxOverlaps2D"},  # noqa: B006
        oks_calculator: Any = {"type": "PoseOKS"},  # noqa: B006
    ) -> None:
        one_of(dynamic_k_indicator, ("iou", "oks"), "SimOTAAssigner: dynamic_k_indicator")
        self.center_radius = center_radius
        self.candidate_topk = candidate_topk
        self.iou_weight = iou_weight
        self.cls_weight = cls_weight
        self.oks_weight = oks_weight
        self.vis_weight = vis_weight
        self.dynamic_k_indicator = dynamic_k_indicator
        self.use_keypoints_for_center = use_keypoints_for_center
        self.iou_calculator = TASK_UTILS.build(iou_calculator)
        self.oks_calculator: Any = None
        if oks_calculator is not None:
            self.oks_calculator = TASK_UTILS.build(oks_calculator)

    def candidates(self, predicted: InstanceData, wanted: InstanceData) -> tuple[Tensor, Tensor]:
        """Points inside a box or near a centre; whether they are both."""
        return self.get_in_gt_and_in_center_info(
            predicted.priors,
            wanted.bboxes,
            wanted.get("keypoints"),
            wanted.get("keypoints_visible"),
        )

    def costs(
        self, predicted: InstanceData, wanted: InstanceData, near: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """By boxes, classes, keypoints and visibilities; see `DynamicAssigner`."""
        ious = self.iou_calculator(predicted.bboxes, wanted.bboxes)
        cost = (~near) * OUTSIDE_COST
        if self.iou_weight > 0:
            cost = cost - torch.log(ious + LOG_EPS) * self.iou_weight
        similarity = ious
        if self.oks_weight > 0 or self.dynamic_k_indicator == "oks":
            oks = self._oks(predicted, wanted)
            cost = cost - torch.log(oks + LOG_EPS) * self.oks_weight
            similarity = oks if self.dynamic_k_indicator == "oks" else ious
        if self.cls_weight > 0:
            classes = F.one_hot(wanted.labels.long(), predicted.scores.shape[-1])
            cost = cost + _cross_entropy_cost(predicted.scores, classes) * self.cls_weight
        if self.vis_weight > 0:
            visible = wanted.keypoints_visible
            cost = cost + self.vis_weight * _cross_entropy_cost(
                predicted.keypoints_visible, visible
            )
        return cost, similarity, similarity

    def _oks(self, predicted: InstanceData, wanted: InstanceData) -> Tensor:
        """Similarities (M, N) of the points' keypoints and those of people."""
        similarities: Tensor = self.oks_calculator(
            predicted.keypoints.unsqueeze(1),
            target=wanted.keypoints.unsqueeze(0),
            target_weights=wanted.keypoints_visible.unsqueeze(0),
            areas=wanted.areas.unsqueeze(0),
        )
        return similarities

    def get_in_gt_and_in_center_info(
        self,
        priors: Tensor,
        gt_bboxes: Tensor,
        gt_keypoints: Tensor | None = None,
        gt_keypoints_visible: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Which points may answer for somebody.

        Args:
            priors: (M, 4) points and strides.
            gt_bboxes: (N, 4) xyxy.
            gt_keypoints: (N, K, 2).
            gt_keypoints_visible: (N, K).

        Returns:
            (M,) points inside a box or near a centre; of these (M', N) whether inside the box
            and near the centre.
        """
        points, stride = priors[:, None, :2], priors[:, None, 2:]
        in_box = inside(points, gt_bboxes[:, :2], gt_bboxes[:, 2:])
        centers = (gt_bboxes[:, :2] + gt_bboxes[:, 2:]) / 2
        points_of, seen = gt_keypoints, gt_keypoints_visible
        if self.use_keypoints_for_center and points_of is not None and seen is not None:
            count = seen.sum(dim=-1, keepdim=True)
            weighted = (points_of * seen.unsqueeze(-1)).sum(dim=-2)
            means = (weighted / count.clamp(min=LOG_EPS)).to(centers)
            centers = torch.where(count > 0, means, centers)
        reach = self.center_radius * stride
        near_center = inside(points, centers - reach, centers + reach)
        valid = in_box.any(dim=1) | near_center.any(dim=1)
        return valid, in_box[valid] & near_center[valid]


@TASK_UTILS.register_module(name="SimOTAAssigner", scope="mmdet")
class BoxSimOTAAssigner(SimOTAAssigner):
    """As MMDetection's YOLOX assigns: by boxes and classes alone.

    Takes the other arguments of `SimOTAAssigner`.
    """

    @options_of(
        SimOTAAssigner,
        positional=True,
        without=("oks_weight", "vis_weight", "oks_calculator", *_OF_POSES),
        iou_calculator=BOX_OVERLAPS,
    )
    def __init__(self, **options: Any) -> None:
        super().__init__(oks_weight=0.0, oks_calculator=None, **options)

    def costs(
        self, predicted: InstanceData, wanted: InstanceData, near: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """By boxes and classes, summed up as MMDetection does: far points differ in digits."""
        ious = self.iou_calculator(predicted.bboxes, wanted.bboxes)
        scores, labels = predicted.scores.float(), wanted.labels.long()
        # in full precision, and autocast refuses it
        with torch.autocast(scores.device.type, enabled=False):
            absent = F.binary_cross_entropy(scores, torch.zeros_like(scores), reduction="none")
            present = F.binary_cross_entropy(scores, torch.ones_like(scores), reduction="none")
        cost = class_costs(absent, present[:, labels], labels) * self.cls_weight
        cost = cost - torch.log(ious + LOG_EPS) * self.iou_weight
        return cost + (~near) * OUTSIDE_COST, ious, ious


@TASK_UTILS.register_module(scope="mmyolo")
class PoseSimOTAAssigner(SimOTAAssigner):
    """As MMPose's `projects/yolox_pose` assigns: by boxes, with poses as the measure of success.

    `max_overlaps` is the square root of the keypoint similarity, sizes being diagonals of boxes.

    Args:
        **options: as `SimOTAAssigner`; `oks_calculator` is a config or module with `compute_oks`,
            such as `mmyolo.OksLoss`.
    """

    @options_of(
        SimOTAAssigner,
        positional=True,
        without=_OF_POSES,
        oks_weight=0.0,
        iou_calculator=BOX_OVERLAPS,
        oks_calculator={"type": "mmyolo.OksLoss"},
    )
    def __init__(self, **options: Any) -> None:
        calculator = MODELS.build(options["oks_calculator"])
        super().__init__(**{**options, "oks_calculator": calculator})

    def costs(
        self, predicted: InstanceData, wanted: InstanceData, near: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """By boxes, and keypoint similarities as what fits."""
        cost, ious, _ = super().costs(predicted, wanted, near)
        return cost, ious, self._oks(predicted, wanted).sqrt()

    def _oks(self, predicted: InstanceData, wanted: InstanceData) -> Tensor:
        similarities: Tensor = self.oks_calculator.compute_oks(
            predicted.keypoints.unsqueeze(1),
            wanted.keypoints.unsqueeze(0),
            wanted.keypoints_visible.unsqueeze(0),
            wanted.bboxes.unsqueeze(0),
        )
        return similarities
