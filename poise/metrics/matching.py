"""Matching detections to annotations, and the curves of it, as COCO's evaluation does both.

Poses and boxes differ in what makes a pair similar; everything else is here. The detections of a
picture and category, a group, are matched to its annotations from the highest score down, at every
threshold and area range. Groups do not depend on each other, so detections of equal rank are
matched in all groups at once.
"""

from __future__ import annotations

import numpy as np

from poise._arrays import Array

__all__ = [
    "RECALL_POINTS",
    "best_of_each_group",
    "match",
    "mean_of_existing",
    "pairs_of_groups",
    "rank_in_group",
    "sampled_precision",
]

RECALL_POINTS = np.linspace(0.0, 1.0, 101)
_EPS = np.spacing(1)


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
    limits = np.minimum(thresholds, 1 - 1e-10)[:, None]
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


def sampled_precision(seen: Array, total: int, number: Array | None = None) -> tuple[Array, float]:
    """Precision (101,) at the recall points, 0 beyond the last, and the final recall.

    Args:
        seen: (H,) how many detections count up to each hit, itself included, the best score first.
        total: annotations that count, at least one.
        number: (H,) how many hits those are; 1, 2, ... if None.
    """
    sampled = np.zeros(len(RECALL_POINTS))
    if not len(seen):
        return sampled, 0.0
    # recall rises at hits only and precision falls between them: they are the curve
    hits = np.arange(1, len(seen) + 1) if number is None else number
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
