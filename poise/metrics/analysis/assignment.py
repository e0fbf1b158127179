"""Which predicted pose is meant for which annotated person.

One assignment for everything that looks at single people and keypoints. COCO's own matching is
ten, one for each threshold, and leaves out whoever is worse than OKS 0.5; to see what is wrong
with a pose it has to be known whose it is, so an OKS of 0.1 is enough here (Ronchi and Perona,
"Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poise._arrays import Array
from poise.metrics.coco_eval import Detections, candidate_pairs
from poise.metrics.coco_truth import CocoTruth
from poise.metrics.matching import CandidatePairs

__all__ = ["Assignment", "assign", "similarity"]

#: Least OKS of a pose and the person that it is meant for.
LEAST_OKS = 0.1
#: Least OKS at which a pose on an ignored annotation is let be, COCO's lowest.
_LEAST_IGNORED_OKS = 0.5
_EPS = np.spacing(1)


@dataclass(frozen=True, eq=False)
class Assignment:
    """Poses and people, each at most once.

    Attributes:
        pose: (G,) row of the detection that a person got, -1 for none.
        oks: (G,) of the two, 0 without.
        person: (M,) row of the annotation that a detection got, -1 for none.
        counted: (M,) bool: detections that count: up to 20 of a picture, and not those that lie
            on an ignored annotation.
        nearest: (M,) largest OKS with any person of the picture that counts, taken or not.
        similarity: (G, K) of each keypoint with that of the pose, 0 to 1; 0 for people without
            a pose, NaN where nothing is annotated, and for annotations that do not count.
    """

    pose: Array
    oks: Array
    person: Array
    counted: Array
    nearest: Array
    similarity: Array


def similarity(points: Array, targets: Array, areas: Array, sigmas: Array) -> Array:
    """exp(-d² / (2 s² k²)) of keypoints one by one, which OKS is the mean of.

    Args:
        points: (..., K, 2) image space.
        targets: (..., K, 2).
        areas: (...,) s², square pixels.
        sigmas: (K,) half of k.
    """
    squared = np.square(np.subtract(points, targets, dtype=np.float64)).sum(axis=-1)
    variance = (np.asarray(sigmas, np.float64) * 2) ** 2
    result: Array = np.exp(-squared / variance / (areas + _EPS)[..., None] / 2)
    return result


def assign(truth: CocoTruth, detections: Detections, sigmas: Array) -> Assignment:
    """Give each pose, from the best score down, the free person with the largest OKS.

    Args:
        truth: G annotations of K keypoints.
        detections: M predictions of K keypoints.
        sigmas: (K,).

    Raises:
        DataError: the numbers of keypoints differ.
    """
    pairs = candidate_pairs(truth, detections, sigmas)
    number, people = len(detections.image), len(truth.image)
    ignored = truth.ignore[pairs.person]
    person, pose = np.full(number, -1), np.full(people, -1)
    oks = np.zeros(people)
    close = np.flatnonzero(~ignored & (pairs.similarity >= LEAST_OKS))
    for pair in _taken(pairs, close, people):
        row, own = pairs.kept[pairs.detection[pair]], pairs.person[pair]
        person[row], pose[own], oks[own] = own, row, pairs.similarity[pair]
    counted, nearest = np.zeros(number, bool), np.zeros(number)
    counted[pairs.kept] = True
    on_ignored = ignored & (pairs.similarity >= _LEAST_IGNORED_OKS)
    let_be = pairs.kept[pairs.detection[on_ignored]]
    counted[let_be[person[let_be] < 0]] = False
    np.fmax.at(nearest, pairs.kept[pairs.detection[~ignored]], pairs.similarity[~ignored])
    return Assignment(
        pose, oks, person, counted, nearest, _similarity(truth, detections, pose, sigmas)
    )


def _taken(pairs: CandidatePairs, close: Array, people: int) -> list[Array]:
    """Pairs that belong together, those of all pictures' best detections first."""
    taken = np.zeros(people, bool)
    rank = pairs.rank[pairs.detection[close]]
    found = []
    for place in range(int(rank.max(initial=-1)) + 1):
        rows = close[rank == place]
        rows = rows[~taken[pairs.person[rows]]]
        if not len(rows):
            continue
        # the largest OKS of each detection last; among equals the later annotation wins, as in COCO
        rows = rows[np.lexsort((rows, pairs.similarity[rows], pairs.detection[rows]))]
        last = np.append(np.diff(pairs.detection[rows]) > 0, True)
        taken[pairs.person[rows[last]]] = True
        found.append(rows[last])
    return found


def _similarity(truth: CocoTruth, detections: Detections, pose: Array, sigmas: Array) -> Array:
    """(G, K) as `Assignment.similarity`."""
    labelled = (truth.keypoints[..., 2] > 0) & ~truth.ignore[:, None]
    found = np.where(labelled, 0.0, np.nan)
    has = np.flatnonzero(pose >= 0)
    own = similarity(
        detections.keypoints[pose[has]], truth.keypoints[has, :, :2], truth.area[has], sigmas
    )
    found[has] = np.where(labelled[has], own, np.nan)
    return found
