"""Matching detections to annotations, and the curves of it, as COCO's evaluation does both.

Poses and boxes differ in what makes a pair similar; everything else is here. The detections of a
picture and category, a group, are matched to its annotations from the highest score down, at every
threshold and area range. Groups do not depend on each other, so detections of equal rank are
matched in all groups at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from poise._arrays import Array
from poise.metrics.coco_truth import Annotations

__all__ = [
    "CandidatePairs",
    "Evaluation",
    "RECALL_POINTS",
    "best_of_each_group",
    "match",
    "mean_of_existing",
    "pairs_of_groups",
    "sampled_precision",
]

RECALL_POINTS = np.linspace(0.0, 1.0, 101)
#: a similarity of one, but for rounding
_SAME = 1 - 1e-10
_EPS = np.spacing(1)


@dataclass(frozen=True, eq=False)
class CandidatePairs:
    """P pairs of a detection and an annotation of the same picture and category.

    Attributes:
        kept: (N,) rows of the detections that count, the best of each group, the best score first.
        group: (N,) ascending, number of their picture and category.
        detection: (P,) ascending, place in `kept`.
        person: (P,) row of the annotation; those of a detection in their order in the file.
        similarity: (P,) OKS or IoU.
    """

    kept: Array
    group: Array
    detection: Array
    person: Array
    similarity: Array

    @property
    def rank(self) -> Array:
        """(N,) place of each detection among those of its group: 0, 1, ..."""
        return rank_in_group(self.group)


@dataclass(frozen=True)
class Evaluation:
    """Matches of all detections, from which curves over any pictures are made.

    Attributes:
        truth: the annotations, G in C categories.
        thresholds: (T,) least similarities of a match.
        image: (M,) rows in `truth.image_ids` of the detections that count.
        begins: (C + 1,) where the detections of each category begin, the best score first.
        rank: (M,) place among those of the picture and category.
        matched: (A, T, M) bool: has an annotation at area range and threshold.
        ignored: (A, T, M) bool: does not count there.
        truth_ignored: (A, G) bool.
        weights: (I,) int, how often each picture counts; once if None.
    """

    truth: Annotations
    thresholds: Array
    image: Array
    begins: Array
    rank: Array
    matched: Array
    ignored: Array
    truth_ignored: Array
    weights: Array | None = None
    #: what no weights change, shared by all copies
    _levels: dict[tuple[int, int, int | None], list[tuple[Array, Array]]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(
        cls,
        truth: Annotations,
        detections: Any,
        pairs: CandidatePairs,
        *,
        sizes: Array,
        ignore: Array,
        ranges: Sequence[tuple[float, float]],
        thresholds: Array,
        **more: Any,
    ) -> Self:
        """Match detections to annotations at every threshold and area range.

        Args:
            truth: G annotations.
            detections: 'image', 'category' and 'score' of all, (N,) each.
            pairs: those that could match.
            sizes: (N,) square pixels, what the area ranges go by.
            ignore: (G,) bool: annotations that count in no range.
            ranges: least and largest area of each of A.
            thresholds: (T,) ascending.
            more: fields of a subclass.
        """

        def outside(areas: Array) -> Array:
            return np.stack([(areas < low) | (areas > high) for low, high in ranges])

        kept, rank = pairs.kept, pairs.rank
        truth_ignored = ignore | outside(truth.area)
        close = np.flatnonzero(pairs.similarity >= min(thresholds.min(), _SAME))
        matched, spoiled = match(
            truth.crowd,
            truth_ignored,
            pairs.similarity[close],
            pairs.person[close],
            pairs.detection[close],
            rank,
            thresholds,
        )
        ignored = spoiled | (~matched & outside(sizes[kept])[:, None])
        # stable, as COCO sorts: pictures in order of their ids where scores are equal
        order = np.lexsort((-detections.score[kept], detections.category[kept]))
        rows = kept[order]
        return cls(
            truth=truth,
            thresholds=thresholds,
            image=detections.image[rows],
            begins=np.searchsorted(
                detections.category[rows], np.arange(len(truth.category_ids) + 1)
            ),
            rank=rank[order],
            matched=matched[..., order],
            ignored=ignored[..., order],
            truth_ignored=truth_ignored,
            **more,
        )

    def curves(
        self, area: int, *, limit: int | None = None, images: Array | None = None
    ) -> tuple[Array, Array]:
        """Precision (C, T, 101) at the recall points and final recall (C, T), per category.

        -1 marks categories without annotations that count.

        Args:
            area: place among the area ranges.
            limit: how many detections of a picture and category count; all if None.
            images: (I,) bool, the pictures to use; all if None.
        """
        C, T = len(self.truth.category_ids), len(self.thresholds)
        precision = np.full((C, T, len(RECALL_POINTS)), -1.0)
        recall = np.full((C, T), -1.0)
        weights = np.ones(len(self.truth.image_ids), int) if self.weights is None else self.weights
        if images is not None:
            weights = weights * images
        counted = weights[self.truth.image] * ~self.truth_ignored[area]
        totals = np.bincount(self.truth.category, counted, minlength=C).astype(int)
        for level in range(T):
            of_categories = self._level(area, level, limit)
            for c in np.flatnonzero(totals):
                image, place = of_categories[c]
                worth = weights[image]
                # of equal hits side by side, those of a picture that counts several times, the
                # last has the best precision and the largest recall: a point a hit is the curve
                precision[c, level], recall[c, level] = sampled_precision(
                    worth.cumsum()[place], int(totals[c]), worth[place].cumsum()
                )
        return precision, recall

    def _level(self, area: int, level: int, limit: int | None) -> list[tuple[Array, Array]]:
        """Pictures (N,) of each category's detections that count there, and places of hits (H,)."""
        key = area, level, limit
        if key not in self._levels:
            counts = ~self.ignored[area, level]
            rows = np.flatnonzero(counts if limit is None else counts & (self.rank < limit))
            image, hit = self.image[rows], self.matched[area, level, rows]
            ends = np.searchsorted(rows, self.begins).tolist()
            self._levels[key] = [
                (image[a:b], np.flatnonzero(hit[a:b])) for a, b in itertools.pairwise(ends)
            ]
        return self._levels[key]


def best_of_each_group(group: Array, score: Array, limit: int) -> Array:
    """Rows of up to `limit` detections of each group, groups ascending, best scores first.

    Equal scores keep their order.

    Args:
        group: (N,) whole numbers.
        score: (N,).
        limit: how many of a group count.
    """
    order = np.lexsort((-score, group))
    return np.asarray(order[rank_in_group(group[order]) < limit])


def rank_in_group(group: Array) -> Array:
    """Place of each row among those of its group, which stand side by side: 0, 1, ...

    Example:
        >>> rank_in_group(np.array([4, 4, 7])).tolist()
        [0, 1, 0]
    """
    place = np.arange(len(group))
    begins = np.ones(len(group), bool)
    begins[1:] = group[1:] != group[:-1]
    return np.asarray(place - np.maximum.accumulate(np.where(begins, place, 0)))


def pairs_of_groups(annotated: Array, detected: Array) -> tuple[Array, Array]:
    """All pairs of a detection and an annotation of one group.

    Args:
        annotated: (G,) group of each annotation.
        detected: (N,) group of each detection, ascending.

    Returns:
        (P,) rows of the detections, ascending, and (P,) of the annotations; those of a detection
        are in their order.
    """
    order = np.argsort(annotated, kind="stable")
    first = np.searchsorted(annotated[order], detected, side="left")
    number = np.searchsorted(annotated[order], detected, side="right") - first
    start = np.cumsum(number) - number
    pair_d = np.repeat(np.arange(len(detected)), number)
    pair_g = order[np.repeat(first - start, number) + np.arange(len(pair_d))]
    return pair_d, pair_g


def match(
    crowd: Array,
    ignore: Array,
    similarity: Array,
    pair_g: Array,
    pair_d: Array,
    rank: Array,
    thresholds: Array,
) -> tuple[Array, Array]:
    """Which detections (A, T, M) find an annotation, and which only find an ignored one.

    Args:
        crowd: (G,) bool.
        ignore: (A, G) bool, in each area range.
        similarity: (P,) of the pairs that can match, those of a detection side by side.
        pair_g: (P,) their annotations, those of a detection in their order in the file.
        pair_d: (P,) their detections, ascending.
        rank: (M,) place of the detection in its group, best first.
        thresholds: (T,) least similarity of a match.
    """
    A, G = ignore.shape
    T = len(thresholds)
    matched = np.zeros((A, T, len(rank)), bool)
    spoiled = np.zeros_like(matched)
    # one annotation more than there are: where detections without a match leave their mark
    taken = np.zeros((A, T, G + 1), bool)
    area, level = np.arange(A)[:, None, None], np.arange(T)[:, None]
    limits = np.minimum(thresholds, _SAME)[:, None]
    number = np.bincount(pair_d, minlength=len(rank))
    start = np.cumsum(number) - number

    def free_at(pairs: Array) -> Array:
        gts = pair_g[pairs]
        return (~taken[:, :, gts] | crowd[gts]) & (similarity[pairs] >= limits)

    for there in _by_rank(np.flatnonzero(number), rank):
        # most have one candidate, so there is nothing to choose
        rows = there[number[there] == 1]
        gts = pair_g[start[rows]]
        free = free_at(start[rows])
        matched[:, :, rows] = free
        spoiled[:, :, rows] = free & ignore[:, None, gts]
        taken[:, :, gts] |= free
        rows = there[number[there] > 1]
        # those with many candidates stand first, so each step goes through fewer
        rows = rows[np.argsort(-number[rows], kind="stable")]
        best = np.full((A, T, len(rows)), -1.0)
        best_ignored = np.full_like(best, -1.0)
        chosen, chosen_ignored = (np.full(best.shape, G) for _ in range(2))
        for column in range(int(number[rows].max(initial=0))):
            pairs = start[rows[: np.searchsorted(-number[rows], -column)]] + column
            value, gts, free = similarity[pairs], pair_g[pairs], free_at(pairs)
            # annotations that count come first; among equals the later one wins, as in COCO
            for counts, top, which in (
                (~ignore[:, None, gts], best, chosen),
                (ignore[:, None, gts], best_ignored, chosen_ignored),
            ):
                width = len(pairs)
                better = free & counts & (value >= top[..., :width])
                np.copyto(top[..., :width], value, where=better)
                np.copyto(which[..., :width], gts, where=better)
        counted, other = chosen < G, chosen_ignored < G
        matched[:, :, rows] = counted | other
        spoiled[:, :, rows] = other & ~counted
        taken[area, level, np.where(counted, chosen, chosen_ignored)] = True
        taken[:, :, G] = False
    return matched, spoiled


def _by_rank(rows: Array, rank: Array) -> list[Array]:
    """Rows of rank 0, of rank 1, ..., each ascending."""
    rows = rows[np.argsort(rank[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(rank[rows])) + 1)


def sampled_precision(seen: Array, total: int, hits: Array) -> tuple[Array, float]:
    """Precision (101,) at the recall points, 0 beyond the last, and the final recall.

    Args:
        seen: (H,) how many detections count up to each hit, itself included, the best score first.
        total: annotations that count, at least one.
        hits: (H,) how many hits those are.
    """
    sampled = np.zeros(len(RECALL_POINTS))
    if not len(seen):
        return sampled, 0.0
    # recall rises at hits only and precision falls between them: they are the curve
    recall = hits / total
    precision = hits / (seen + _EPS)
    # the envelope: the best precision at this recall or beyond
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALL_POINTS, side="left")
    reached = place < len(seen)
    sampled[reached] = precision[place[reached]]
    return sampled, float(recall[-1])


def mean_of_existing(values: Array) -> float:
    """Mean of what exists, -1 where nothing does: -1 marks what does not."""
    there = values[values > -1]
    return float(there.mean()) if there.size else -1.0
