"""What the grid points of a dense pose head should learn, once they are assigned to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.geometry.boxes import bbox_area
from poise.models.heads.dense import raw_boxes_of
from poise.structures import InstanceData

__all__ = ["DenseOutputs", "DenseTargets", "assign_targets", "mean_over_devices"]

#: logits are cut off at this before the sigmoid
LOGIT_LIMIT = 1e4
#: keypoints with a visibility above it tell whose point this is
VISIBLE = 0.3
#: keeps a mean over no keypoint defined
EPS = 1e-8


@dataclass
class DenseOutputs:
    """Outputs of P points of B pictures, input space.

    Attributes:
        priors: (P, 4) points and strides.
        scores: (B, P, classes) logits.
        objectness: (B, P, 1) logits.
        bboxes: (B, P, 4) xyxy.
        keypoints: (B, P, K, 2).
        visible: (B, P, K) logits.
    """

    priors: Tensor
    scores: Tensor
    objectness: Tensor
    bboxes: Tensor
    keypoints: Tensor
    visible: Tensor


@dataclass
class DenseTargets:
    """Targets of a batch; M points are positive, of B * P.

    Attributes:
        positive: (B * P,) bool.
        classes: (M, classes) similarity to the person at its class, else 0.
        objectness: (B * P, 1) 1 at positive points.
        objectness_weights: (B * P, 1) 0 where unlabelled people are.
        bboxes: (M, 4) xyxy.
        keypoints: (M, K, 2).
        visible: (M, K).
        visible_weights: (M, K).
        areas: (M,) pixels, of the boxes where annotations have none.
        priors: (M, 4) points and strides.
    """

    positive: Tensor
    classes: Tensor
    objectness: Tensor
    objectness_weights: Tensor
    bboxes: Tensor
    keypoints: Tensor
    visible: Tensor
    visible_weights: Tensor
    areas: Tensor
    priors: Tensor

    @property
    def count(self) -> int:
        """Number of positive points."""
        return len(self.priors)

    def total(self) -> Tensor:
        """Number of positive points, mean over all training processes, at least 1."""
        # a number of its own: with 16 bits, whole numbers above 256 are rounded
        count = torch.tensor(float(self.count), device=self.objectness.device)
        return mean_over_devices(count).clamp(min=1.0)

    def chosen(self, outputs: Tensor) -> Tensor:
        """Those (M, ...) of positive points, of outputs (B, P, ...)."""
        return outputs.flatten(0, 1)[self.positive]

    def relative_bboxes(self) -> Tensor:
        """(M, 4) boxes as the network gives them: offset in strides, logarithm of the size."""
        return raw_boxes_of(self.bboxes, self.priors)

    def relative_keypoints(self) -> Tensor:
        """(M, K, 2) keypoints as offsets in strides."""
        return (self.keypoints - self.priors[:, None, :2]) / self.priors[:, None, 2:]


def mean_over_devices(value: Tensor) -> Tensor:
    """Mean of a number over all training processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


@torch.no_grad()
def assign_targets(
    assigner: Any, outputs: DenseOutputs, batch_data_samples: Sequence[Any]
) -> DenseTargets:
    """Targets of all points of a batch.

    Args:
        assigner: object with `assign`, such as `SimOTAAssigner`.
        outputs: what the head predicts.
        batch_data_samples: B samples; `gt_instance_labels` has `bboxes`, `labels`,
            `keypoints`, `keypoints_visible` and, for what needs them, `areas`.
    """
    probability = {
        name: torch.nan_to_num(
            getattr(outputs, name).detach().clamp(-LOGIT_LIMIT, LOGIT_LIMIT).sigmoid()
        )
        for name in ("scores", "objectness", "visible")
    }
    each = []
    for i, sample in enumerate(batch_data_samples):
        predicted = InstanceData(
            bboxes=outputs.bboxes[i].detach(),
            scores=(probability["scores"][i] * probability["objectness"][i]).sqrt(),
            priors=outputs.priors,
            keypoints=outputs.keypoints[i].detach(),
            keypoints_visible=probability["visible"][i],
        )
        each.append(_one_picture(assigner, predicted, sample))
    return DenseTargets(
        **{f.name: torch.cat([getattr(t, f.name) for t in each]) for f in fields(DenseTargets)}
    )


def _one_picture(assigner: Any, predicted: InstanceData, sample: Any) -> DenseTargets:
    wanted = sample.gt_instance_labels
    classes = predicted.scores.shape[1]
    if len(wanted) == 0:
        return _nobody(predicted)
    result = assigner.assign(pred_instances=predicted, gt_instances=wanted)
    positive = result["gt_inds"] > 0
    person = result["gt_inds"][positive] - 1
    overlaps = result["max_overlaps"][positive].unsqueeze(-1)
    visible = wanted.keypoints_visible[person]
    if "keypoints_visible_weights" in wanted:
        visible_weights = wanted.keypoints_visible_weights[person]
    else:
        visible_weights = torch.ones_like(visible)
    bboxes = wanted.bboxes[person]
    return DenseTargets(
        positive=positive,
        classes=F.one_hot(result["labels"][positive], classes) * overlaps,
        objectness=positive.to(predicted.scores.dtype).unsqueeze(1),
        objectness_weights=_labelled(predicted, sample),
        bboxes=bboxes,
        keypoints=wanted.keypoints[person],
        visible=visible,
        visible_weights=visible_weights,
        areas=wanted.areas[person] if "areas" in wanted else bbox_area(bboxes),
        priors=predicted.priors[positive],
    )


def _nobody(predicted: InstanceData) -> DenseTargets:
    """Targets of a picture without people."""
    scores = predicted.scores
    points, keypoints = predicted.keypoints_visible.shape
    none = scores.new_zeros
    return DenseTargets(
        positive=torch.zeros(points, dtype=torch.bool, device=scores.device),
        classes=none(0, scores.shape[1]),
        objectness=none(points, 1),
        objectness_weights=scores.new_ones(points, 1),
        bboxes=none(0, 4),
        keypoints=none(0, keypoints, 2),
        visible=none(0, keypoints),
        visible_weights=none(0, keypoints),
        areas=none(0),
        priors=predicted.priors[:0],
    )


def _labelled(predicted: InstanceData, sample: Any) -> Tensor:
    """Weight (P, 1): 0 for points whose predicted person stands where nobody is labelled."""
    scores = predicted.scores
    maps = sample.get("gt_fields", None)
    mask = None if maps is None else maps.get("heatmap_mask", None)
    if mask is None or not (mask != 0).any():
        return scores.new_ones(len(scores), 1)
    visible = (predicted.keypoints_visible.unsqueeze(-1) > VISIBLE).float()
    mean = (predicted.keypoints * visible).sum(dim=1) / visible.sum(dim=1).clamp(min=EPS)
    # pictures are square here: the width stands for both sides
    grid = mean.reshape(1, -1, 1, 2) / (mask.shape[-1] - 1) * 2 - 1
    covered = F.grid_sample(
        mask.unsqueeze(0).float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return 1.0 - covered.reshape(-1, 1)
