"""Box AP of draws of pictures: boxes are matched once, each draw counts pictures anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from poise._arrays import Array
from poise.metrics.analysis.bootstrap import Statistic
from poise.metrics.box_eval import BoxEvaluation
from poise.metrics.coco_box import DetectionCocoMetric

__all__ = ["box_statistic"]


def box_statistic(
    metric: DetectionCocoMetric, evaluations: Mapping[str, BoxEvaluation]
) -> Statistic:
    """AP and AR as a function of how often each picture counts.

    Args:
        metric: that says which figures.
        evaluations: its matchings.
    """

    def figures(weights: Array) -> Array:
        rows = [
            metric.summary({k: replace(e, weights=row) for k, e in evaluations.items()}).values()
            for row in weights
        ]
        found = np.array([list(row) for row in rows], np.float64)
        found[found == -1] = np.nan
        return found

    names = list(metric.summary(evaluations))
    pictures = next(iter(evaluations.values())).truth.image_ids
    return Statistic(pictures, names, [True] * len(names), figures)
