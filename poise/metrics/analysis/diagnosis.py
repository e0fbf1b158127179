"""Which errors cost how much: jitter, inversion, swap and miss of keypoints, and of people.

After Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation",
ICCV 2017 (arXiv:1707.05388), sections 3 and 4. A predicted keypoint is told by its similarity
(`assignment.similarity`) with the keypoint it is meant for: from 0.85 on it is good, from 0.5 on
it jitters. Below that it is an inversion where it is within 0.5 of the same person's other side,
a swap where it is of that keypoint, or its other side, of somebody else, and a miss elsewhere;
within both the nearer one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poise._arrays import Array
from poise.metrics.analysis.assignment import LEAST_OKS, Assignment, similarity
from poise.metrics.analysis.slices import neighbours
from poise.metrics.coco_eval import Detections, OksEvaluation, evaluate_oks
from poise.metrics.coco_truth import CocoTruth

__all__ = ["GOOD", "KINDS", "Diagnosis", "diagnose", "gains", "mended"]

#: A keypoint is good from the one similarity on, and jitters from the other on.
GOOD_FROM, JITTER_FROM = 0.85, 0.5
KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
NOT_LABELLED = -1
#: Neighbours of people looked at at a time, to bound memory.
_PAIRS = 20_000
_EPS = np.spacing(1)


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Every keypoint of people that were found, and every person and pose that was not.

    Attributes:
        kind: (G, K) int8, place in `KINDS`; -1 where nothing is annotated or nobody found.
        confused: (G, K) similarity with the keypoint that an inversion or a swap took it for, 0
            for other kinds.
        missed: (G,) bool: people that count and got no pose.
        background: (M,) bool: poses that are nobody's, with an OKS below 0.1 with everybody.
        duplicate: (M,) bool: poses of somebody who got a better ranked one.
    """

    kind: Array
    confused: Array
    missed: Array
    background: Array
    duplicate: Array

    def counts(self) -> Array:
        """(K, 5) keypoints of each kind."""
        return np.stack([(self.kind == kind).sum(axis=0) for kind in range(len(KINDS))], axis=1)


def diagnose(
    truth: CocoTruth,
    detections: Detections,
    assignment: Assignment,
    sigmas: Array,
    flip_indices: Array,
) -> Diagnosis:
    """Tell the errors apart.

    Args:
        truth: G annotations of K keypoints.
        detections: M predictions.
        assignment: whose they are.
        sigmas: (K,).
        flip_indices: (K,) the other side of each keypoint, itself where there is none.
    """
    own = assignment.similarity
    found = np.flatnonzero(assignment.pose >= 0)
    points = detections.keypoints[assignment.pose[found]]
    labelled = ~np.isnan(own[found])
    inverted = _inverted(points, truth, found, sigmas, flip_indices)
    swapped = _swapped(points, truth, found, sigmas, flip_indices)
    mine = np.where(labelled, own[found], 0)
    confused = np.maximum(inverted, swapped)
    # the first condition that holds
    kind = np.select(
        [
            ~labelled,
            mine >= GOOD_FROM,
            mine >= JITTER_FROM,
            confused < JITTER_FROM,
            inverted >= swapped,
        ],
        [NOT_LABELLED, GOOD, JITTER, MISS, INVERSION],
        default=SWAP,
    )
    kinds = np.full(own.shape, NOT_LABELLED, np.int8)
    taken_for = np.zeros(own.shape)
    kinds[found] = kind
    taken_for[found] = np.where((kind == INVERSION) | (kind == SWAP), confused, 0)
    alone = assignment.counted & (assignment.person < 0)
    near = assignment.nearest >= LEAST_OKS
    return Diagnosis(
        kind=kinds,
        confused=taken_for,
        missed=~truth.ignore & (assignment.pose < 0),
        background=alone & ~near,
        duplicate=alone & near,
    )


def _inverted(
    points: Array, truth: CocoTruth, people: Array, sigmas: Array, flip_indices: Array
) -> Array:
    """(P, K) similarity of each predicted keypoint with the same person's other side."""
    targets = truth.keypoints[people][:, flip_indices]
    near = similarity(points, targets[..., :2], truth.area[people], sigmas)
    two_sided = flip_indices != np.arange(len(flip_indices))
    return np.where((targets[..., 2] > 0) & two_sided, near, 0)


def _swapped(
    points: Array, truth: CocoTruth, people: Array, sigmas: Array, flip_indices: Array
) -> Array:
    """(P, K) largest similarity with that keypoint, or its other side, of anybody else."""
    largest = np.zeros(points.shape[:2])
    place, other = neighbours(truth.group, people)
    for begin in range(0, len(place), _PAIRS):
        p, q = place[begin : begin + _PAIRS], other[begin : begin + _PAIRS]
        for order in (np.arange(len(flip_indices)), flip_indices):
            targets = truth.keypoints[q][:, order]
            near = similarity(points[p], targets[..., :2], truth.area[q], sigmas)
            np.maximum.at(largest, p, np.where(targets[..., 2] > 0, near, 0))
    return largest


def mended(
    truth: CocoTruth,
    detections: Detections,
    assignment: Assignment,
    diagnosis: Diagnosis,
    sigmas: Array,
    kinds: tuple[int, ...],
) -> Detections:
    """Predictions whose errors of some kinds are mended, as far as the paper mends them.

    A jittering keypoint comes to where it is just good, a missed one to where it just jitters,
    and one that was taken for another as near to its own place as it was to the other's.

    Args:
        truth: as for `diagnose`.
        detections: as for `diagnose`.
        assignment: as for `diagnose`.
        diagnosis: of them.
        sigmas: (K,).
        kinds: places in `KINDS`.
    """
    people, keypoint = np.nonzero(np.isin(diagnosis.kind, kinds))
    kind = diagnosis.kind[people, keypoint]
    wanted = np.select(
        [kind == JITTER, kind == MISS],
        [GOOD_FROM, JITTER_FROM],
        diagnosis.confused[people, keypoint],
    )
    variance = (np.asarray(sigmas, np.float64)[keypoint] * 2) ** 2
    away = np.sqrt(-2 * np.log(wanted) * variance * (truth.area[people] + _EPS))
    points = detections.keypoints.astype(np.float64)
    target = truth.keypoints[people, keypoint, :2].astype(np.float64)
    # similarity goes by the distance alone, so any direction will do
    target[:, 0] += away
    points[assignment.pose[people], keypoint] = target
    return replace(detections, keypoints=points)


def gains(
    truth: CocoTruth,
    detections: Detections,
    assignment: Assignment,
    diagnosis: Diagnosis,
    sigmas: Array,
    summary: Callable[[OksEvaluation], dict[str, float]],
) -> dict[str, dict[str, float]]:
    """What the figures would gain if the errors of a kind were mended, each kind by itself.

    Args:
        truth: as for `diagnose`.
        detections: as for `diagnose`.
        assignment: as for `diagnose`.
        diagnosis: of them.
        sigmas: (K,).
        summary: figures of a matching.

    Returns:
        kind -> figure -> gain: 'jitter' ... 'miss', 'all keypoints', 'background' and
        'duplicate' (without these poses), 'missed people' (if they did not count), 'scores' (if
        poses were ranked by their OKS).
    """
    plain = summary(evaluate_oks(truth, detections, sigmas))

    def gain(changed_truth: CocoTruth, changed: Detections) -> dict[str, float]:
        figures = summary(evaluate_oks(changed_truth, changed, sigmas))
        return {
            name: value - plain[name] if -1 not in (value, plain[name]) else float("nan")
            for name, value in figures.items()
        }

    found = {}
    errors = {KINDS[kind]: (kind,) for kind in (JITTER, INVERSION, SWAP, MISS)}
    for name, kinds in (errors | {"all keypoints": (JITTER, INVERSION, SWAP, MISS)}).items():
        better = mended(truth, detections, assignment, diagnosis, sigmas, kinds)
        found[name] = gain(truth, better)
    for name, wrong in (("background", diagnosis.background), ("duplicate", diagnosis.duplicate)):
        rows = {column: values[~wrong] for column, values in vars(detections).items()}
        found[name] = gain(truth, replace(detections, **rows))
    found["missed people"] = gain(
        replace(truth, ignore=truth.ignore | diagnosis.missed), detections
    )
    own = np.where(assignment.person >= 0, assignment.oks[assignment.person], -1.0)
    found["scores"] = gain(truth, replace(detections, score=own))
    return found
