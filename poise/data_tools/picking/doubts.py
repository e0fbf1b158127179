"""How unsure a model is of a frame, by what it does there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from poise.data_tools.audit.shapes import usual
from poise.data_tools.picking.shots import Place, Poses, Shot

__all__ = ["KINDS", "Candidate", "Known", "Scale", "told", "watched"]

#: kinds of doubt, in words for people
KINDS = {
    "unsure": "low scores",
    "mirrored": "differs when mirrored",
    "jump": "jumps",
    "unlike": "unlike the labels",
    "count": "people come and go",
}
#: an odd number of people counts as so many spreads, if nearly all frames have the usual one
_ODD_COUNT = 3.0
#: no kind says more than so many spreads
_MOST = 6.0
#: fewer spreads are no reason to name
_SAYS = 1.0
#: a distance as long as the person is a miss, however long
_MISS = 1.0
#: side of the small picture that stands for a frame
LOOK_SIDE = 16


@dataclass
class Candidate:
    """What is kept of a frame.

    Attributes:
        place, frame, time: where it is.
        look: (16, 16, 3) uint8, the picture made small.
        poses: that the model sees; None without one.
        raw: kind of doubt -> its number, of the most doubtful person.
    """

    place: Place
    frame: int
    time: float | None
    look: np.ndarray
    poses: Poses | None = None
    raw: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its picture, without ending."""
        return self.place.picture(self.frame)


@dataclass(frozen=True)
class Known:
    """Labelled poses, (M, K, 2) in units of the person around the middle, with (M, K) bool."""

    points: np.ndarray
    seen: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, seen: np.ndarray, swap: Sequence[int]) -> Known:
        """Poses in pixels, and their mirror images."""
        places = _standing(points, seen)
        turned = places[:, list(swap)] * (-1, 1)
        return cls(np.concatenate([places, turned]), np.concatenate([seen, seen[:, list(swap)]]))

    def distance(self, poses: Poses) -> float:
        """How far the person is who is unlike all of them, in parts of the size; 0 for nobody."""
        if not len(poses.keypoints) or not len(self.points):
            return 0.0
        mine = _standing(poses.keypoints, np.ones(poses.scores.shape, bool))
        gaps = np.linalg.norm(mine[:, None] - self.points[None], axis=-1)
        weights = self.seen.astype(float)[None]
        means = (gaps * weights).sum(axis=-1) / np.maximum(weights.sum(axis=-1), 1)
        return float(means.min(axis=1).max())


def _standing(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Poses (N, K, 2) around their middle, as large as one another."""
    weights = seen.astype(np.float64)[..., None]
    count = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    around = points - (points * weights).sum(axis=1, keepdims=True) / count
    spread = np.sqrt(((around**2) * weights).sum(axis=(1, 2), keepdims=True) / count)
    return around / np.maximum(spread, 1e-6)


def watched(
    shots: Iterable[tuple[Shot, Poses | None, Poses | None]],
) -> Iterator[Candidate]:
    """Candidates with the numbers of their doubts, each once its successor is known.

    Args:
        shots: each with its poses, and those that the model sees in its mirror image, turned back.
    """
    import cv2

    before: Candidate | None = None
    now: Candidate | None = None
    for shot, poses, turned in shots:
        small = cv2.resize(shot.image, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA)
        after = Candidate(shot.place, shot.frame, shot.time, small, poses)
        if poses is not None:
            after.raw = _alone(poses, turned)
        if now is not None:
            yield _beside(now, before, after)
        before, now = now, after
    if now is not None:
        yield _beside(now, before, None)


def _alone(poses: Poses, turned: Poses | None) -> dict[str, float]:
    """Doubts that need no other frame."""
    found = {"unsure": float((1 - poses.sure).mean(axis=1).max(initial=0))}
    if turned is not None:
        found["mirrored"] = _apart(poses, turned)
    return found


def _beside(now: Candidate, before: Candidate | None, after: Candidate | None) -> Candidate:
    """The candidate with the doubts that need its neighbours in the video."""
    around = [
        c.poses for c in (before, after) if c is not None and c.place is now.place and c.poses
    ]
    poses = now.poses
    if poses is None:
        return now
    now.raw["count"] = float(not len(poses.keypoints))
    if len(around) < 2:
        return now
    counts = {len(other.keypoints) for other in around}
    if len(counts) == 1 and counts != {len(poses.keypoints)}:
        now.raw["count"] = 1.0
    paired = [_paired(poses, other) for other in around]
    both = np.intersect1d(paired[0][0], paired[1][0])
    if not len(both):
        return now
    middle = sum(
        other.keypoints[theirs[np.searchsorted(mine, both)]]
        for other, (mine, theirs) in zip(around, paired, strict=True)
    )
    gaps = np.linalg.norm(poses.keypoints[both] - middle / 2, axis=-1)
    now.raw["jump"] = _worst(gaps / poses.sizes[both, None])
    return now


def _apart(poses: Poses, others: Poses) -> float:
    """How far the same people's keypoints are apart, in parts of the size; a miss for nobody."""
    mine, theirs = _paired(poses, others)
    if not len(mine):
        return _MISS * (len(poses.keypoints) != len(others.keypoints))
    gaps = np.linalg.norm(poses.keypoints[mine] - others.keypoints[theirs], axis=-1)
    return _worst(gaps / poses.sizes[mine, None])


def _worst(gaps: np.ndarray) -> float:
    """Of people's keypoints (N, K): the largest mean of a person."""
    return float(np.minimum(gaps, _MISS).mean(axis=1).max())


def _paired(poses: Poses, others: Poses) -> tuple[np.ndarray, np.ndarray]:
    """Who is who, by the nearest keypoints; numbers of the first rise."""
    gaps = np.linalg.norm(poses.keypoints[:, None] - others.keypoints[None], axis=-1).mean(axis=-1)
    rows, columns = linear_sum_assignment(gaps)
    return np.asarray(rows), np.asarray(columns)


@dataclass(frozen=True)
class Scale:
    """What is usual of each kind of doubt.

    A kind counts by how many spreads its number is above the middle of all frames, so that none
    says more because its numbers are larger.

    Attributes:
        kinds: that frames have.
        middle, spread: (kinds,) of their numbers.
        odd: share of the frames in which people come and go.
    """

    kinds: list[str]
    middle: np.ndarray
    spread: np.ndarray
    odd: float

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> Scale:
        """Measured on frames."""
        kinds = [kind for kind in KINDS if any(kind in c.raw for c in candidates)]
        values = _numbers(candidates, kinds)
        if not kinds:
            return cls(kinds, np.zeros(0), np.zeros(0), 0.0)
        middle, spread = usual(values, np.isfinite(values))
        odd = float(np.mean([c.raw.get("count", 0.0) for c in candidates]))
        return cls(kinds, middle, np.maximum(spread, 1e-6), odd)

    def doubts(self, candidates: Sequence[Candidate]) -> tuple[np.ndarray, list[str]]:
        """How doubtful frames are, and of which kind most.

        Returns:
            (F,) sums over the kinds; for each the kind that says most, "" where none says much.
        """
        if not self.kinds:
            return np.zeros(len(candidates)), [""] * len(candidates)
        values = _numbers(candidates, self.kinds)
        spreads = np.nan_to_num(np.clip((values - self.middle) / self.spread, 0, _MOST))
        if "count" in self.kinds:
            k = self.kinds.index("count")
            spreads[:, k] = np.nan_to_num(values[:, k]) * _ODD_COUNT * (1 - self.odd)
        most = spreads.argmax(axis=1).tolist()
        reasons = [
            self.kinds[k] if row[k] >= _SAYS else "" for row, k in zip(spreads, most, strict=True)
        ]
        result: np.ndarray = spreads.sum(axis=1)
        return result, reasons


def _numbers(candidates: Sequence[Candidate], kinds: Sequence[str]) -> np.ndarray:
    """(F, kinds) numbers, NaN where there is none."""
    rows = [[c.raw.get(kind, np.nan) for kind in kinds] for c in candidates]
    return np.array(rows, np.float64).reshape(len(candidates), len(kinds))


def told(candidate: Candidate, kind: str) -> str:
    """A reason in words, with its number: a score, a number of people, or parts of the size."""
    value = candidate.raw[kind]
    if kind == "count":
        people = 0 if candidate.poses is None else len(candidate.poses.keypoints)
        return f"{KINDS[kind]} ({people})" if people else "finds nobody"
    return (
        f"{KINDS[kind]} ({1 - value:.2f})" if kind == "unsure" else f"{KINDS[kind]} ({value:.0%})"
    )
