"""Percentage of correct keypoints, and the variants that MPII and JHMDB report."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._options import options_of
from poise._words import counted
from poise.errors import DataError, UnknownNameError, one_of
from poise.metrics.base import BaseMetric
from poise.metrics.functional.distances import keypoint_pck_accuracy
from poise.metrics.keypoint_2d import KeypointMetric, joined, rated, sides_of
from poise.registry import METRICS

__all__ = ["JhmdbPCKAccuracy", "MpiiPCKAccuracy", "PCKAccuracy"]

#: norm item -> name of its figure
FIGURES = {"bbox": "PCK", "head": "PCKh", "torso": "tPCK"}
# JHMDB's neck and belly, or shoulder and hip
_TORSO = (4, 5)
# below this many pixels an annotated torso is no measure
_LEAST_TORSO = 1.0


@METRICS.register_module()
class PCKAccuracy(KeypointMetric):
    """Share of keypoints that are nearer to the truth than a part of the body's size.

    Args:
        thr: largest distance that is right, in units of the size; 0.05 to 0.5 are usual.
        norm_item: what the size is: 'bbox' the longer side of the box (gives 'PCK'), 'head' the
            'head_size' of the annotation ('PCKh'), 'torso' the distance between keypoints 4 and
            5 ('tPCK', for JHMDB); one or several.
        **options: those of `BaseMetric`.

    Raises:
        UnknownNameError: another `norm_item`.

    Example:
        >>> metric = PCKAccuracy(thr=0.5)
        >>> pose = np.zeros((1, 15, 2))
        >>> truth = dict(keypoints=pose, keypoints_visible=np.ones((1, 15)))
        >>> truth["bboxes"] = np.array([[0, 0, 20, 10]])
        >>> metric.process([], [dict(gt_instances=truth, pred_instances=dict(keypoints=pose))])
        >>> metric.evaluate(1)
        {'PCK': 1.0}
    """

    @options_of(BaseMetric, positional=True)
    def __init__(
        self, thr: float = 0.05, norm_item: str | Sequence[str] = "bbox", **options: Any
    ) -> None:
        super().__init__(**options)
        self.thr = thr
        self.norm_item = [norm_item] if isinstance(norm_item, str) else list(norm_item)
        for item in self.norm_item:
            one_of(item, FIGURES, f"norm_item of {type(self).__name__}", UnknownNameError)
        self.sizes = {
            item: (source, f"{type(self).__name__} with norm_item '{item}'")
            for item, source in (("bbox", "bboxes"), ("head", "head_size"))
            if item in self.norm_item
        }

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """'PCK', 'PCKh', 'tPCK', by what was asked for; 0 to 1."""
        accuracies = self._accuracies(results, FIGURES)
        return {FIGURES[item]: mean for item, (_, mean) in accuracies.items()}

    def _accuracies(
        self, results: list[Any], items: Iterable[str]
    ) -> dict[str, tuple[Array, float]]:
        """Accuracy per keypoint (K,) and overall, by those of `items` that were asked for."""
        pred, gt, mask = rated(results, type(self).__name__)
        found = {}
        for item in items:
            if item in self.norm_item:
                lengths = self.norm_of(results, item, pred, gt)
                found[item] = keypoint_pck_accuracy(pred, gt, mask, self.thr, lengths)[:2]
        return found

    @staticmethod
    def norm_of(results: list[Any], item: str, pred: Array, gt: Array) -> Array:
        """(N, D) lengths that distances are divided by, pixels."""
        if item == "torso":
            size = _torso(gt, pred)
        elif item == "bbox":
            size = sides_of(results)
        else:
            size = joined(results, item)
        return np.repeat(size[:, None], pred.shape[-1], axis=1)


@METRICS.register_module()
class MpiiPCKAccuracy(PCKAccuracy):
    """PCKh of MPII, by joint and overall, in percent.

    The overall figures weigh each joint by how often it is annotated, and leave pelvis and
    thorax out (Andriluka et al., CVPR 2014). 'PCK@0.1' is at a threshold of 0.1. Takes the
    arguments of `PCKAccuracy`; only the `norm_item` 'head' gives figures.
    """

    #: figure -> the joints whose mean it is
    JOINTS = {
        "Head PCK": (9,),
        "Shoulder PCK": (13, 12),
        "Elbow PCK": (14, 11),
        "Wrist PCK": (15, 10),
        "Hip PCK": (3, 2),
        "Knee PCK": (4, 1),
        "Ankle PCK": (5, 0),
    }
    NOT_RATED = (6, 7)  # pelvis and thorax
    STRICT_THR = 0.1

    @options_of(PCKAccuracy, positional=True, thr=0.5, norm_item="head")
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Seven joints, 'PCK' and 'PCK@0.1', in percent."""
        if "head" not in self.norm_item:
            return {}
        pred, gt, mask = rated(results, type(self).__name__)
        _has_joints(pred, self.JOINTS.values(), "MpiiPCKAccuracy needs the joints of MPII")
        heads = self.norm_of(results, "head", pred, gt)
        # MPII counts pixels from 1, and its annotations are read as they are
        pred = pred + 1.0
        percent, strict = (
            100.0 * keypoint_pck_accuracy(pred, gt, mask, thr, heads)[0]
            for thr in (self.thr, self.STRICT_THR)
        )
        weight = mask.sum(axis=0).astype(np.float64)
        weight[list(self.NOT_RATED)] = 0
        weight /= max(weight.sum(), 1)
        return {
            **{name: percent[list(joints)].mean() for name, joints in self.JOINTS.items()},
            "PCK": (percent * weight).sum(),
            "PCK@0.1": (strict * weight).sum(),
        }


@METRICS.register_module()
class JhmdbPCKAccuracy(PCKAccuracy):
    """PCK of JHMDB, by joint and overall, 0 to 1; by box, torso, or both.

    Takes the arguments of `PCKAccuracy`; the `norm_item`s 'bbox' and 'torso' give figures.
    """

    #: joint -> the keypoints whose mean it is
    JOINTS = {
        "Head": (2,),
        "Sho": (3, 4),
        "Elb": (7, 8),
        "Wri": (11, 12),
        "Hip": (5, 6),
        "Knee": (9, 10),
        "Ank": (13, 14),
    }

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """'Head PCK' ... 'Ank PCK', 'PCK', and the same with 'tPCK'."""
        figures: dict[str, Any] = {}
        for item, (accuracy, mean) in self._accuracies(results, ("bbox", "torso")).items():
            _has_joints(
                accuracy[None], self.JOINTS.values(), "JhmdbPCKAccuracy needs JHMDB's joints"
            )
            for joint, keypoints in self.JOINTS.items():
                figures[f"{joint} {FIGURES[item]}"] = accuracy[list(keypoints)].mean()
            figures[FIGURES[item]] = mean
        return figures


def _torso(gt: Array, pred: Array) -> Array:
    """(N,) annotated torso lengths in pixels; the predicted one where that is below 1."""
    first, second = _TORSO
    _has_joints(gt, [_TORSO], "norm_item 'torso' means keypoints 4 and 5")
    annotated, predicted = (
        np.linalg.norm(pose[:, first] - pose[:, second], axis=-1) for pose in (gt, pred)
    )
    short = annotated < _LEAST_TORSO
    if short.any():
        warnings.warn(
            "annotated torso size < 1 pixel: the torso of the prediction is used instead",
            stacklevel=2,
        )
    return np.where(short, predicted, annotated)


def _has_joints(poses: Array, joints: Iterable[Sequence[int]], what: str) -> None:
    """Raise DataError unless `poses` (N, K, ...) has all `joints`."""
    last = max(max(group) for group in joints)
    if poses.shape[1] <= last:
        raise DataError(
            f"{what}, of which the last is number {last}; these poses have "
            f"{counted(poses.shape[1], 'keypoint')}; is the metric that of the dataset?"
        )
