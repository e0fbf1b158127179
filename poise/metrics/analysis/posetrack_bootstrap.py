"""PoseTrack's AP of videos that count several times, or not at all, from one matching.

Frames of a video are not independent, so whole videos are drawn. Of equal joints side by side the
last one has the best precision and the largest recall, so a weight each is enough, as in COCO's AP.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from poise._arrays import Array
from poise.metrics.analysis.bootstrap import Statistic
from poise.metrics.posetrack18 import RATED_JOINTS, LabelledJoints, group_figures

__all__ = ["VIDEOS", "posetrack_statistics"]

#: What is drawn.
VIDEOS = "videos"


def posetrack_statistics(labelled: LabelledJoints) -> tuple[Statistic, Statistic]:
    """The figures, and the AP of each joint, as functions of how often each video counts.

    Args:
        labelled: which predicted joints are right.
    """
    curves = [_Curve(labelled, joint) for joint in range(len(RATED_JOINTS))]

    def joints(weights: Array) -> Array:
        return np.stack([curve.average_precision(weights) for curve in curves], axis=1)

    def figures(weights: Array) -> Array:
        return np.stack(list(group_figures(joints(weights)).values()), axis=1)

    def statistic(names: list[str], function: Callable[[Array], Array]) -> Statistic:
        return Statistic(labelled.videos, names, [True] * len(names), function, VIDEOS)

    groups = list(group_figures(np.zeros(len(RATED_JOINTS))))
    return statistic(groups, figures), statistic(RATED_JOINTS, joints)


class _Curve:
    """Precision and recall of a joint over any draw of videos.

    Args:
        labelled: of all joints.
        joint: which one.
    """

    def __init__(self, labelled: LabelledJoints, joint: int) -> None:
        rows = np.flatnonzero(~np.isnan(labelled.score[:, joint]))
        # the metric's own order, also of equal scores
        rows = rows[labelled.score[rows, joint].argsort()[::-1]]
        self._video = labelled.video[rows]
        self._right = labelled.right[rows, joint]
        self._annotated = labelled.annotated[:, joint]

    def average_precision(self, weights: Array) -> Array:
        """(R,) in percent of draws (R, V); 0 without predictions, NaN without annotations."""
        counted = weights[:, self._video]
        number = counted.cumsum(axis=1)
        hits = (counted * self._right).cumsum(axis=1)
        precision = hits / np.maximum(number, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = weights @ self._annotated
        recall = hits / np.maximum(total, 1)[:, None]
        area = (np.diff(recall, axis=1, prepend=0.0) * precision).sum(axis=1) * 100
        empty = counted.sum(axis=1) == 0
        return np.asarray(np.where((total > 0) | empty, area, np.nan))
