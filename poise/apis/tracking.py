"""Whose pose of the last frame a pose continues: the greedy step of MMPose's demos.

`PoseTracker` follows people through crossings and gaps; this is for scripts that keep their own
list of tracks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from poise.geometry import bbox_overlaps, oks_iou

__all__ = ["_track_by_iou", "_track_by_oks"]

#: the track of a pose that continues none
_NEW = -1


def _track_by_iou(res: Any, results_last: list[Any], thr: float) -> tuple[Any, list[Any], Any]:
    """Track of a sample by the overlap of boxes.

    Args:
        res: data sample of one person, with `pred_instances.bboxes` (1, 4), image space.
        results_last: data samples of the last frame, each with a `track_id`; the one that `res`
            continues is taken out of the list.
        thr: overlap from which on it is the same person.

    Returns:
        The track, -1 for a new one; the list; the sample that was taken out of it, {} if none.
    """

    def overlaps() -> np.ndarray:
        boxes = [np.reshape(last.pred_instances.bboxes, (-1,))[:4] for last in results_last]
        own = np.reshape(res.pred_instances.bboxes, (1, -1))[:, :4]
        return bbox_overlaps(own, np.stack(boxes))[0]

    return _matched(overlaps, results_last, thr)


def _track_by_oks(
    res: Any, results_last: list[Any], thr: float, sigmas: Any = None
) -> tuple[Any, list[Any], Any]:
    """Track of a sample by the likeness of poses; arguments and results as of `_track_by_iou`.

    Samples need `pred_instances.keypoints` (1, K, 2), `keypoint_scores` (1, K) and `areas` (1,).
    """

    def likeness() -> np.ndarray:
        areas = np.array([np.squeeze(last.pred_instances.areas, axis=0) for last in results_last])
        own_area = np.squeeze(res.pred_instances.areas, axis=0)
        return oks_iou(_flat(res), np.stack([*map(_flat, results_last)]), own_area, areas, sigmas)

    return _matched(likeness, results_last, thr)


def _flat(sample: Any) -> np.ndarray:
    """X, y and score of all keypoints, (K * 3,)."""
    found = sample.pred_instances
    return np.concatenate((found.keypoints, found.keypoint_scores[..., None]), axis=2).reshape(-1)


def _matched(
    scores: Callable[[], np.ndarray], results_last: list[Any], thr: float
) -> tuple[Any, list[Any], Any]:
    if results_last:
        values = scores()
        best = int(np.argmax(values))
        if values[best] > thr:
            match = results_last.pop(best)
            return match.track_id, results_last, match
    return _NEW, results_last, {}
