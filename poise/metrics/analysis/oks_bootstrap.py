"""AP and AR of pictures that count several times, or not at all, from one matching.

Detections keep their matches and their order; a picture that is drawn twice has each of its
detections twice, side by side. Of equal hits side by side the last one has the best precision
and the largest recall, so the curve needs no more points than there are hits: a weight each is
enough, and the figures are those of the evaluation itself, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poise._arrays import Array
from poise.metrics.analysis.bootstrap import Statistic
from poise.metrics.coco_eval import AREA_RANGES, OKS_THRESHOLDS, OksEvaluation
from poise.metrics.matching import RECALL_POINTS, sampled_precision

__all__ = ["WeightedEvaluation", "oks_statistic"]


@dataclass(frozen=True, eq=False)
class _Level:
    """A category at one area range and threshold.

    Attributes:
        hits: (H,) pictures of the hits, the best score first.
        counted: (N,) pictures of all detections that count, in the same order.
        place: (H,) where the hits stand among them.
    """

    hits: Array
    counted: Array
    place: Array


@dataclass(frozen=True, eq=False)
class Plan:
    """All levels, and how many annotated people of each picture count.

    Attributes:
        levels: area range, category -> its thresholds.
        people: (A, C, I).
    """

    levels: dict[tuple[int, int], list[_Level]]
    people: Array

    @classmethod
    def of(cls, evaluation: OksEvaluation) -> Plan:
        """The plan of a matching."""
        truth = evaluation.truth
        shape = (len(AREA_RANGES), len(truth.category_ids), len(truth.image_ids))
        people = np.zeros(shape, np.int64)
        for area, ignored in enumerate(evaluation.truth_ignored):
            np.add.at(people[area], (truth.category[~ignored], truth.image[~ignored]), 1)
        levels: dict[tuple[int, int], list[_Level]] = {}
        for category in range(shape[1]):
            rows = np.flatnonzero(evaluation.category == category)
            rows = rows[np.argsort(-evaluation.score[rows], kind="stable")]
            image = evaluation.image[rows].astype(np.int32)
            for area in range(shape[0]):
                matched, counts = (
                    part[area][:, rows] for part in (evaluation.matched, ~evaluation.ignored)
                )
                levels[area, category] = [
                    _level(image, matched[level], counts[level])
                    for level in range(len(OKS_THRESHOLDS))
                ]
        return cls(levels, people)


def _level(image: Array, matched: Array, counts: Array) -> _Level:
    counted = image[counts]
    place = np.flatnonzero(matched[counts])
    return _Level(counted[place], counted, place)


@dataclass(frozen=True)
class WeightedEvaluation(OksEvaluation):
    """Matches of pictures of which some count several times.

    Attributes:
        weights: (I,) int, how often each picture counts.
        plan: of the matching.
    """

    weights: Array
    plan: Plan

    def curves(self, area: int, images: Array | None = None) -> tuple[Array, Array]:
        """As `OksEvaluation.curves`, of the weighted pictures."""
        weights = self.weights if images is None else self.weights * images
        categories = len(self.truth.category_ids)
        precision = np.full((categories, len(OKS_THRESHOLDS), len(RECALL_POINTS)), -1.0)
        recall = np.full((categories, len(OKS_THRESHOLDS)), -1.0)
        for category in range(categories):
            total = int(self.plan.people[area, category] @ weights)
            if total:
                for row, level in enumerate(self.plan.levels[area, category]):
                    seen = weights[level.counted].cumsum()[level.place]
                    hits = weights[level.hits].cumsum()
                    curve = sampled_precision(seen, total, hits)
                    precision[category, row], recall[category, row] = curve
        return precision, recall


def oks_statistic(
    evaluation: OksEvaluation, summary: Callable[[OksEvaluation], dict[str, float]]
) -> Statistic:
    """AP and AR as a function of how often each picture counts.

    Args:
        evaluation: the matching.
        summary: figures of a matching, such as `OksEvaluation.summarize`; -1 where nothing
            counts.
    """
    plan = Plan.of(evaluation)

    def figures(weights: Array) -> Array:
        rows = [
            list(summary(WeightedEvaluation(**vars(evaluation), weights=row, plan=plan)).values())
            for row in weights
        ]
        found = np.array(rows, np.float64)
        found[found == -1] = np.nan
        return found

    names = list(summary(evaluation))
    return Statistic(evaluation.truth.image_ids, names, [True] * len(names), figures)
