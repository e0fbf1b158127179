"""The people of one frame in the form that association and filters work with."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = ["AREA_OF_EXTENT", "People", "people_of"]

#: In three dimensions: the part of the squared extent that stands for a box's area.
AREA_OF_EXTENT = 0.3


@dataclasses.dataclass(frozen=True)
class People:
    """N people of one frame, image space (D = 2, pixels) or a metric space (D = 3).

    Attributes:
        centers: (N, D) middle of the box, in 3D of the keypoints.
        sizes: (N, D) width and height, in 3D three times the largest extent.
        keypoints: (N, K, D).
        sure: (N, K) bool: these keypoints count.
        areas: (N,) square units, for the tolerance of the pose's similarity.
        boxes: (N, 4) xyxy, or None in 3D.
    """

    centers: Array
    sizes: Array
    keypoints: Array
    sure: Array
    areas: Array
    boxes: Array | None

    def __len__(self) -> int:
        return len(self.centers)

    def of(self, index: Array) -> People:
        """Some of them."""
        return People(*(None if v is None else v[index] for v in self._columns()))  # type: ignore[arg-type]

    def _columns(self) -> tuple[Array | None, ...]:
        return self.centers, self.sizes, self.keypoints, self.sure, self.areas, self.boxes


def people_of(
    keypoints: Any, keypoint_scores: Any, boxes: Any = None, *, threshold: float = 0.3
) -> People:
    """People of a frame.

    Args:
        keypoints: (N, K, 2) image space, or (N, K, 3) in a metric space, then without boxes.
        keypoint_scores: (N, K).
        boxes: (N, 4) xyxy, image space; None: around the keypoints.
        threshold: keypoints with a lower score do not count.

    Raises:
        DataError: shapes that do not fit together.
    """
    points = np.asarray(keypoints, np.float64)
    scores = np.asarray(keypoint_scores, np.float64)
    if points.ndim != 3 or points.shape[-1] not in (2, 3) or scores.shape != points.shape[:2]:
        raise DataError(
            f"tracking takes keypoints (N, K, 2 or 3) and scores (N, K), got {points.shape} and "
            f"{scores.shape}"
        )
    finite = np.asarray(np.isfinite(points).all(-1))
    sure = finite & (scores >= threshold)
    points = np.where(finite[..., None], points, 0)
    # where no keypoint is sure, those that are numbers say at least where the person is
    used = np.where(sure.any(1, keepdims=True), sure, finite)[..., None]
    low = np.where(used, points, np.inf).min(1, initial=np.inf)
    high = np.where(used, points, -np.inf).max(1, initial=-np.inf)
    nowhere = ~np.isfinite(low)
    low, high = np.where(nowhere, 0, low), np.where(nowhere, 0, high)
    if points.shape[-1] == 3:
        extent = np.maximum((high - low).max(-1, keepdims=True), 1e-6)
        middle = np.where(used, points, 0).sum(1) / np.maximum(used.sum(1), 1)
        areas = AREA_OF_EXTENT * extent[:, 0] ** 2
        return People(middle, np.repeat(extent, 3, -1), points, sure, areas, None)
    around = np.concatenate((low, high), -1)
    rows = around if boxes is None else np.asarray(boxes, np.float64)
    if rows.shape != (len(points), 4):
        raise DataError(f"tracking {len(points)} people takes boxes (N, 4), got {rows.shape}")
    # a box that is no number would make a track that nobody ever matches
    rows = np.where(np.isfinite(rows).all(-1, keepdims=True), rows, around)
    sizes = np.maximum(rows[:, 2:] - rows[:, :2], 1)
    return People((rows[:, :2] + rows[:, 2:]) / 2, sizes, points, sure, sizes.prod(-1), rows)
