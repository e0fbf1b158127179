"""What the grid points of a box detector should learn, once they are assigned to objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError, DataError
from poise.models.assigners.dynamic import inside
from poise.models.heads.dense_targets import mean_over_devices
from poise.structures import InstanceData

__all__ = ["BoxTargets", "assign_boxes", "in_crowds", "in_pictures", "quality_losses"]


#: height and width of a picture whose padding is not known: all its points count
_ENDLESS = (float("inf"), float("inf"))


@dataclass
class BoxTargets:
    """Targets of a batch; M points answer for an object, of P in each of B pictures.

    Attributes:
        positive: (B, P) bool.
        bboxes: (M, 4) xyxy, input space.
        labels: (M,) int64 classes.
        overlaps: (M,) of the predicted boxes with these.
    """

    positive: Tensor
    bboxes: Tensor
    labels: Tensor
    overlaps: Tensor

    def chosen(self, outputs: Tensor) -> Tensor:
        """Those (M, ...) of positive points, of outputs (B, P, ...)."""
        return outputs[self.positive]

    def points(self, priors: Tensor) -> Tensor:
        """Points (M, ...) of the positives, of (P, ...)."""
        return priors[self.positive.nonzero()[:, 1]]

    def scores(self, classes: int) -> Tensor:
        """(M, classes) the overlap at the object's class, else 0."""
        return F.one_hot(self.labels, classes) * self.overlaps[:, None]

    def count(self) -> Tensor:
        """Number of positive points, mean over all training processes, at least 1."""
        # as 32 bits: with 16, whole numbers above 256 are rounded
        return mean_over_devices(self.positive.sum().float()).clamp(min=1.0)

    def quality(self) -> Tensor:
        """Sum of all overlaps, mean over all training processes, at least 1."""
        return mean_over_devices(self.overlaps.sum()).clamp(min=1.0)


@torch.no_grad()
def assign_boxes(
    assigner: Any,
    scores: Tensor,
    bboxes: Tensor,
    priors: Tensor,
    batch_data_samples: Sequence[Any],
    valid: Tensor | None = None,
) -> BoxTargets:
    """Targets of all points of a batch.

    Args:
        assigner: object with `assign`, such as `DynamicSoftLabelAssigner`.
        scores: (B, P, C) what the assigner calls scores: logits or probabilities.
        bboxes: (B, P, 4) predicted boxes, xyxy, input space.
        priors: (P, 4) points and strides.
        batch_data_samples: B samples; `gt_instances` has `bboxes` (N, 4) and `labels` (N,),
            `ignored_instances`, if there, what the assigner takes as such.
        valid: (B, P) points that lie in the picture, not in its padding; None for all.

    Raises:
        ConfigError: there is no assigner.
        DataError: samples without boxes or with unknown classes.
    """
    if assigner is None:
        raise ConfigError(
            "the head of a detector needs train_cfg.assigner to train, such as "
            "dict(type='mmdet.DynamicSoftLabelAssigner', topk=13), or dict(type="
            "'mmdet.SimOTAAssigner', center_radius=2.5) for YOLOX"
        )
    wanted = [_objects_of(sample) for sample in batch_data_samples]
    _check_labels(wanted, scores.shape[-1], batch_data_samples)
    owners = torch.zeros(scores.shape[:2], dtype=torch.long, device=scores.device)
    overlaps = bboxes.new_zeros(scores.shape[:2])
    first = 0
    for i, (sample, objects) in enumerate(zip(batch_data_samples, wanted, strict=True)):
        rows = slice(None) if valid is None else valid[i]
        predicted = InstanceData(
            scores=scores[i, rows], bboxes=bboxes[i, rows], priors=priors[rows]
        )
        found = assigner.assign(predicted, objects, sample.get("ignored_instances"))
        # the objects of all pictures are counted through
        owners[i, rows] = torch.where(found["gt_inds"] > 0, found["gt_inds"] + first, 0)
        overlaps[i, rows] = found["max_overlaps"].to(overlaps.dtype)
        first += len(objects)
    positive = owners > 0
    owner = owners[positive] - 1
    return BoxTargets(
        positive=positive,
        bboxes=torch.cat([objects.bboxes for objects in wanted])[owner].to(bboxes.dtype),
        labels=torch.cat([objects.labels for objects in wanted])[owner].long(),
        overlaps=overlaps[positive],
    )


def in_pictures(priors: Tensor, batch_data_samples: Sequence[Any]) -> Tensor:
    """Which points lie in a picture or its own padding, not in what the batch added, (B, P).

    Args:
        priors: (P, 4) points and strides.
        batch_data_samples: B samples; `pad_shape` is (height, width).
    """
    shapes = [sample.metainfo.get("pad_shape", _ENDLESS)[:2] for sample in batch_data_samples]
    corners = (priors[:, :2] / priors[:, 2:]).floor() * priors[:, 2:]
    return (corners < priors.new_tensor(shapes).flip(1)[:, None]).all(dim=-1)


def in_crowds(priors: Tensor, batch_data_samples: Sequence[Any]) -> Tensor:
    """Which points lie in a box of `ignored_instances`, (B, P); arguments as `in_pictures`."""
    found = torch.zeros(len(batch_data_samples), len(priors), dtype=torch.bool).to(priors.device)
    for i, sample in enumerate(batch_data_samples):
        crowds = sample.get("ignored_instances")
        if crowds is not None and len(crowds):
            boxes = crowds.bboxes
            found[i] = inside(priors[:, None, :2], boxes[:, :2], boxes[:, 2:]).any(dim=1)
    return found


def quality_losses(
    loss_cls: nn.Module,
    loss_bbox: nn.Module,
    logits: Tensor,
    bboxes: Tensor,
    targets: BoxTargets,
    weights: Tensor,
) -> dict[str, Tensor]:
    """Losses of scores that should be overlaps, and of boxes by how well they fit already.

    Args:
        loss_cls: such as `QualityFocalLoss`.
        loss_bbox: such as `GIoULoss`.
        logits: (B, P, C).
        bboxes: (B, P, 4) predicted, xyxy, input space.
        targets: what they should be.
        weights: (B, P) of the scores.
    """
    classes = logits.shape[-1]
    labels = torch.full_like(targets.positive, classes, dtype=torch.long)
    labels[targets.positive] = targets.labels
    overlaps = torch.zeros_like(weights)
    overlaps[targets.positive] = targets.overlaps
    total = targets.quality()
    scores = loss_cls(
        logits.flatten(0, 1),
        (labels.flatten(), overlaps.flatten()),
        weights.flatten(),
        avg_factor=1.0,
    )
    boxes = loss_bbox(
        targets.chosen(bboxes), targets.bboxes, weight=targets.overlaps, avg_factor=1.0
    )
    return {"loss_cls": scores / total, "loss_bbox": boxes / total}


def _objects_of(sample: Any) -> InstanceData:
    """Boxes and labels that a sample is annotated with."""
    objects = sample.get("gt_instances")
    if objects is None or "bboxes" not in objects or "labels" not in objects:
        raise DataError(
            "detectors learn from `gt_instances` with `bboxes` and `labels`, and a sample "
            f"({sample.get('img_path', 'without a path')}) has none; load them with "
            "dict(type='LoadAnnotations', with_bbox=True) and end the pipeline with PackDetInputs"
        )
    chosen: InstanceData = objects
    return chosen


def _check_labels(
    wanted: Sequence[InstanceData], classes: int, batch_data_samples: Sequence[Any]
) -> None:
    """See that all labels are classes of the head.

    Raises:
        DataError: they are not; the text names the picture.
    """
    labels = torch.cat([objects.labels for objects in wanted])
    if not ((labels < 0) | (labels >= classes)).any():
        return
    for objects, sample in zip(wanted, batch_data_samples, strict=True):
        for label in set(objects.labels.tolist()) - set(range(classes)):
            raise DataError(
                f"a box of {sample.get('img_path', 'a sample')} has the label {label}, but "
                f"bbox_head.num_classes is {classes}: labels go from 0 to {classes - 1}; set "
                "num_classes to the number of the dataset's metainfo['classes']"
            )
