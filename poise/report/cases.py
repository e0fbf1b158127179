"""How well each keypoint and each sample of a data set was found; which were worst and best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.datasets.people import extent

__all__ = ["Case", "CaseBook", "KeypointScores"]

#: Shares of the box's longer side within which a keypoint counts as found.
THRESHOLDS = (0.05, 0.1)


@dataclass(frozen=True)
class Case:
    """One annotated person (animal, hand ...) and what was predicted for it.

    Attributes:
        path: picture. name: what tells the sample: its annotation id, or its picture.
        error: mean distance over labelled keypoints, in shares of the box's longer side;
            infinite where nothing was predicted.
        truth, found: (K, D) coordinates, image space; visible: (K,) bool, what is labelled.
        box: (4,) xyxy, image space.
    """

    path: str
    name: str
    error: float
    truth: np.ndarray
    found: np.ndarray | None
    visible: np.ndarray
    box: np.ndarray


@dataclass(frozen=True)
class KeypointScores:
    """How well one keypoint was found over a data set.

    Attributes:
        name: of the keypoint. count: how often it is labelled.
        within: share (0 to 1) found within each of `THRESHOLDS` of the box's longer side.
        median: distance in shares of the box's longer side.
    """

    name: str
    count: int
    within: tuple[float, ...]
    median: float


class CaseBook:
    """Collects predictions of a validation.

    Args:
        metainfo: parsed schema of the data, for names of keypoints.

    Example:
        >>> book = CaseBook({"keypoint_id2name": {0: "nose"}})
        >>> book.cases, book.keypoint_scores()
        ([], [])
    """

    def __init__(self, metainfo: Mapping[str, Any] | None = None) -> None:
        self.names: dict[int, str] = dict((metainfo or {}).get("keypoint_id2name") or {})
        self.cases: list[Case] = []

    def add(self, sample: Any) -> None:
        """Take in a predicted data sample; one without annotated keypoints is left out."""
        truth, poses = sample.get("gt_instances"), sample.get("pred_instances")
        if truth is None or poses is None or "keypoints" not in truth or "keypoints" not in poses:
            return
        annotated, visible = _array(truth.keypoints), _visible(truth)
        found = _array(poses.keypoints)
        if annotated.shape[1:] != found.shape[1:]:
            return
        boxes = _boxes(truth, annotated, visible)
        for n, m in enumerate(_pairs(annotated, visible, found, boxes)):
            if not visible[n].any():
                continue
            pose = None if m is None else found[m]
            self.cases.append(
                Case(
                    path=_path(sample),
                    name=_name(sample, n),
                    error=_error(annotated[n], visible[n], pose, boxes[n]),
                    truth=annotated[n],
                    found=pose,
                    visible=visible[n],
                    box=boxes[n],
                )
            )

    def keypoint_scores(self) -> list[KeypointScores]:
        """A row per keypoint, in the schema's order."""
        if not self.cases:
            return []
        count = len(self.cases[0].truth)
        cases = [c for c in self.cases if len(c.truth) == count]
        distances = np.stack([_distances(c) for c in cases])
        rows = []
        for k in range(count):
            column = distances[:, k]
            column = column[~np.isnan(column)]
            within = tuple(float((column <= t).mean()) if len(column) else 0.0 for t in THRESHOLDS)
            median = float(np.median(column)) if len(column) else float("nan")
            rows.append(KeypointScores(self.names.get(k, str(k)), len(column), within, median))
        return rows

    def worst(self, count: int) -> list[Case]:
        """The cases with the largest errors, the worst first."""
        return sorted(self.cases, key=lambda c: -c.error)[:count]

    def best(self, count: int) -> list[Case]:
        """The cases with the smallest errors, the best first; none that is among the worst."""
        ranked = sorted(self.cases, key=lambda c: c.error)
        return ranked[: max(0, min(count, len(ranked) - count))]


def _array(values: Any) -> np.ndarray:
    return np.asarray(as_numpy(values), dtype=np.float64)


def _visible(truth: Any) -> np.ndarray:
    """(N, K) bool: which keypoints are labelled; some data have a second plane of weights."""
    if "keypoints_visible" not in truth:
        return np.ones(truth.keypoints.shape[:2], bool)
    seen = _array(truth.keypoints_visible)
    return (seen[..., 0] if seen.ndim == 3 else seen) > 0


def _boxes(truth: Any, annotated: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy: annotated boxes, or what the labelled keypoints span."""
    if "bboxes" in truth:
        return _array(truth.bboxes)[:, :4]
    around = np.concatenate(extent(annotated[..., :2], visible), axis=1)
    return np.where(visible.any(axis=1, keepdims=True), around, 0)


def _side(box: np.ndarray) -> float:
    """Longer side of a box in pixels, at least 1."""
    return float(max(box[2] - box[0], box[3] - box[1], 1.0))


def _error(
    truth: np.ndarray, visible: np.ndarray, pose: np.ndarray | None, box: np.ndarray
) -> float:
    if pose is None or not visible.any():
        return float("inf")
    return float(np.linalg.norm(truth - pose, axis=-1)[visible].mean() / _side(box))


def _distances(case: Case) -> np.ndarray:
    """(K,) in shares of the box's longer side: NaN where nothing is labelled, infinite where
    nobody was found.
    """
    if case.found is None:
        distances = np.full(len(case.truth), np.inf)
    else:
        distances = np.linalg.norm(case.truth - case.found, axis=-1) / _side(case.box)
    return np.where(case.visible, distances, np.nan)


def _pairs(
    annotated: np.ndarray, visible: np.ndarray, found: np.ndarray, boxes: np.ndarray
) -> list[int | None]:
    """Which prediction belongs to each annotation: the pairing of the smallest total error."""
    if len(annotated) == len(found) == 1:
        return [0]
    from scipy.optimize import linear_sum_assignment

    cost = np.full((len(annotated), len(found)), 1e6)
    for n, seen in enumerate(visible):
        if seen.any() and len(found):
            gaps = np.linalg.norm(annotated[n][None] - found, axis=-1)[:, seen]
            cost[n] = gaps.mean(axis=1) / _side(boxes[n])
    cost = np.nan_to_num(cost, nan=1e6, posinf=1e6)
    pairs: list[int | None] = [None] * len(annotated)
    for n, m in zip(*linear_sum_assignment(cost), strict=True):
        pairs[n] = int(m)
    return pairs


def _path(sample: Any) -> str:
    path = sample.get("img_path", "")
    return str(path[-1] if isinstance(path, Sequence) and not isinstance(path, str) else path)


def _name(sample: Any, number: int) -> str:
    ident = sample.get("id", sample.get("img_id", ""))
    if isinstance(ident, (list, tuple, np.ndarray)):
        ident = ident[number] if number < len(ident) else ""
    return str(ident)
