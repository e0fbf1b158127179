"""Boxes for the frames between two runs of the detector.

`interpolate_boxes` knows the detections before and after and fits files, where the poses of all
frames between go through the network together. `PoseBoxes` knows only the past and fits cameras:
the poses of a frame say where to look in the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry import bbox_overlaps

__all__ = ["PoseBoxes", "interpolate_boxes"]

#: Boxes of two detector runs are of one person above this GIoU; below zero they are apart.
_SAME_PERSON_GIOU = -0.3
#: Share of sure keypoints that a pose needs for its box to be believed.
_MIN_SURE_PART = 0.25


def interpolate_boxes(
    before: Any,
    after: Any,
    fractions: Sequence[float],
    *,
    scores: tuple[Any, Any] | None = None,
) -> list[tuple[Array, Array]]:
    """Boxes of the frames between two detector runs, by straight lines.

    A box without a partner stays where it is in the half of the time that is nearer to it.

    Args:
        before: (M, 4) xyxy, image space, at fraction 0.
        after: (N, 4) at fraction 1.
        fractions: times in 0..1 for which boxes are wanted.
        scores: (M,) and (N,) of the boxes; None: 1.

    Returns:
        For each fraction: boxes (P, 4) float32 and scores (P,) float32.

    Raises:
        DataError: boxes of another shape.
    """
    # a third of a second to import, which every single picture would wait for
    from scipy.optimize import linear_sum_assignment

    first, last = _rows(before, "before"), _rows(after, "after")
    if scores is None:
        scores = np.ones(len(first)), np.ones(len(last))
    score_of = [np.asarray(s, np.float64).reshape(-1) for s in scores]
    overlap = np.asarray(bbox_overlaps(first, last, mode="giou"), np.float64)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    same = overlap[rows, columns] > _SAME_PERSON_GIOU
    rows, columns = rows[same], columns[same]
    alone = np.setdiff1d(np.arange(len(first)), rows), np.setdiff1d(np.arange(len(last)), columns)
    out = []
    for fraction in fractions:
        moved = (1 - fraction) * first[rows] + fraction * last[columns]
        sure = (1 - fraction) * score_of[0][rows] + fraction * score_of[1][columns]
        near = int(fraction >= 0.5)
        rest = (first, last)[near][alone[near]]
        boxes = np.concatenate((moved, rest))
        confidence = np.concatenate((sure, score_of[near][alone[near]]))
        out.append((boxes.astype(np.float32), confidence.astype(np.float32)))
    return out


class PoseBoxes:
    """Where to look next, from the poses just found.

    Around a person's keypoints the detector's box leaves a margin (hair, shoes, hands). The
    margin is measured where the detector ran and kept, so boxes neither grow nor shrink from
    frame to frame; the person's last step is added, since people go on.

    Args:
        threshold: keypoints with a lower score do not count.
        lead: how much of the last step is added; 0: none.

    Attributes:
        kept: (P,) who of the people of the frame before `moved` gave boxes for.

    Example:
        >>> boxes = PoseBoxes()
        >>> pose = np.array([[[10.0, 10], [20, 50], [15, 30], [12, 40]]])
        >>> boxes.detected(np.array([[5.0, 0, 25, 60]]), np.array([0.9]), pose, np.ones((1, 4)))
        >>> boxes.moved(pose + 3, np.ones((1, 4)))[0].tolist()
        [[11.0, 6.0, 31.0, 66.0]]
    """

    def __init__(self, *, threshold: float = 0.3, lead: float = 1.0) -> None:
        self.threshold, self.lead = threshold, lead
        self.kept: Array = np.zeros((0,), np.intp)
        self._margins: Array = np.zeros((0, 4))
        self._centers: Array = np.zeros((0, 2))
        self._scores: Array = np.zeros((0,))

    def detected(self, boxes: Any, scores: Any, keypoints: Any, keypoint_scores: Any) -> None:
        """Take the people of a frame in which the detector ran.

        Args:
            boxes: (N, 4) xyxy, image space.
            scores: (N,).
            keypoints: (N, K, 2 or more), image space.
            keypoint_scores: (N, K).
        """
        found = _rows(boxes, "detected")
        low, high, sure = self._extent(keypoints, keypoint_scores)
        size = np.maximum(high - low, 1)
        margins = np.concatenate(((found[:, :2] - low) / size, (found[:, 2:] - high) / size), 1)
        # a person whose pose is not sure has no margin that could be kept
        self._margins = np.where(sure[:, None], margins, np.nan)
        self._centers = np.where(sure[:, None], (low + high) / 2, np.nan)
        self._scores = np.asarray(scores, np.float64).reshape(-1)

    def moved(self, keypoints: Any, keypoint_scores: Any) -> tuple[Array, Array]:
        """Boxes for the next frame.

        Args:
            keypoints: (N, K, 2 or more) of the people whose boxes were given or returned last,
                in the same order.
            keypoint_scores: (N, K).

        Returns:
            boxes (P, 4) float32 and their scores (P,) float32. People whose pose is no longer
            sure are dropped: the detector must find them again.

        Raises:
            DataError: another number of people than before.
        """
        low, high, sure = self._extent(keypoints, keypoint_scores)
        if len(low) != len(self._margins):
            raise DataError(
                f"expected the poses of the {len(self._margins)} people of the frame before, got "
                f"{len(low)}"
            )
        keep = self.kept = np.flatnonzero(sure)
        low, high, margins = low[keep], high[keep], np.nan_to_num(self._margins[keep])
        center = (low + high) / 2
        step = np.nan_to_num(center - self._centers[keep]) * self.lead
        size = np.maximum(high - low, 1)
        boxes = np.concatenate((low + margins[:, :2] * size, high + margins[:, 2:] * size), 1)
        boxes += np.tile(step, 2)
        self._margins, self._centers, self._scores = margins, center, self._scores[keep]
        return boxes.astype(np.float32), self._scores.astype(np.float32)

    def _extent(self, keypoints: Any, keypoint_scores: Any) -> tuple[Array, Array, Array]:
        """Corners (N, 2), (N, 2) around sure keypoints, and (N,) whether there are enough."""
        points = np.asarray(keypoints, np.float64)[..., :2]
        counted = np.asarray(keypoint_scores) >= self.threshold
        counted &= np.isfinite(points).all(-1)
        sure = counted.mean(-1) >= _MIN_SURE_PART if points.size else np.zeros(len(points), bool)
        low = np.where(counted[..., None], points, np.inf).min(1, initial=np.inf)
        high = np.where(counted[..., None], points, -np.inf).max(1, initial=-np.inf)
        return np.where(sure[:, None], low, 0), np.where(sure[:, None], high, 0), sure


def _rows(boxes: Any, name: str) -> Array:
    rows = np.asarray(boxes, np.float64)
    if rows.size == 0:
        return np.zeros((0, 4))
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise DataError(f"boxes '{name}' must be (N, 4) xyxy, got shape {rows.shape}")
    return rows
