"""How well people keep their ids in a video: CLEAR MOT, IDF1 and HOTA.

MOTA counts the faults of each frame (Bernardin, Stiefelhagen 2008), IDF1 how much of each
person's time one and the same id covers (Ristani et al. 2016). HOTA weighs finding people and
keeping their ids alike, at 19 degrees of strictness (Luiten et al. 2020).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from poise._arrays import Array
from poise._words import counted
from poise.codecs.utils import get_instance_bbox
from poise.errors import DataError
from poise.geometry import bbox_area, bbox_overlaps
from poise.geometry.oks import oks_matrix

__all__ = ["TrackScores", "track_scores"]

#: No id: those of people are 0 and above.
NOBODY = -1
#: Least similarities of a match, over which HOTA is the mean.
HOTA_THRESHOLDS = np.arange(1, 20) / 20
_EPS = np.finfo(float).eps


@dataclasses.dataclass(frozen=True)
class TrackScores:
    """Figures of a video; counts are of people in frames.

    Attributes:
        truth: people that are there.
        found: people that were found with an id.
        misses: those of `truth` that nobody was matched to.
        false_positives: those of `found` that are nobody.
        switches: matches with another id than the person had before.
        id_matches: `truth` covered by the one id that suits each person best.
        hota: root of DetA times AssA, mean over the thresholds 0.05, 0.1 ... 0.95.
        det_a: DetA: matches among all that are there or were found.
        ass_a: AssA: mean over matches of the time that its person and its id have in common.
        loc_a: LocA: mean similarity of matches; 1 at thresholds without any.
    """

    truth: int
    found: int
    misses: int
    false_positives: int
    switches: int
    id_matches: int
    hota: float
    det_a: float
    ass_a: float
    loc_a: float

    @property
    def mota(self) -> float:
        """1 - faults / truth; below zero with more faults than people."""
        faults = self.misses + self.false_positives + self.switches
        return 1 - faults / self.truth if self.truth else float("nan")

    @property
    def idf1(self) -> float:
        """F1 of the best one-to-one assignment of ids to people."""
        total = self.truth + self.found
        return 2 * self.id_matches / total if total else float("nan")

    @property
    def recall(self) -> float:
        """Part of `truth` that was matched."""
        return 1 - self.misses / self.truth if self.truth else float("nan")


class _Frame(NamedTuple):
    """Ids of N people and of M found ones as 0, 1, ... of the video, and how alike they are."""

    people: Array
    ids: Array
    similarity: Array


def track_scores(
    truth: Iterable[tuple[Sequence[int] | Array, Any]],
    found: Iterable[tuple[Sequence[int] | Array, Any]],
    *,
    min_overlap: float = 0.5,
    sigmas: Sequence[float] | Array | None = None,
) -> TrackScores:
    """Compare ids and boxes, or poses, of each frame with the truth.

    Args:
        truth: of each frame ids (N,) and boxes (N, 4) xyxy, or with `sigmas` keypoints
            (N, K, 3): x, y, and whether they are labelled.
        found: of the same frames ids (M,) and boxes (M, 4), or keypoints (M, K, 2 or more).
            Here and in `truth`, ids below 0 are ignored.
        min_overlap: least similarity of a match in all figures but HOTA's.
        sigmas: (K,) of the keypoints. Similarity is then OKS, with the area of the box around
            the labelled keypoints; else it is the boxes' IoU.

    Raises:
        DataError: another number of frames, an id twice in a frame, or ids, boxes, keypoints and
            sigmas that do not fit.
    """
    truth, found = list(truth), list(found)
    if len(truth) != len(found):
        raise DataError(f"truth has {counted(len(truth), 'frame')}, the result {len(found)}")
    frames, people_times, id_times = _numbered(truth, found, sigmas)
    together = np.zeros((len(people_times), len(id_times)), int)
    last: dict[int, int] = {}
    matched = switches = 0
    for people, ids, similarity in frames:
        near = np.where(similarity >= min_overlap, similarity, 0)
        together[np.ix_(people, ids)] += near > 0
        pairs = _frame_pairs(near, people.tolist(), ids.tolist(), last)
        now = {int(people[row]): int(ids[column]) for row, column in pairs}
        switches += sum(last.get(person, identity) != identity for person, identity in now.items())
        last |= now
        matched += len(now)
    rows, columns = linear_sum_assignment(together, maximize=True)
    people_count, found_count = int(people_times.sum()), int(id_times.sum())
    return TrackScores(
        truth=people_count,
        found=found_count,
        misses=people_count - matched,
        false_positives=found_count - matched,
        switches=switches,
        id_matches=int(together[rows, columns].sum()),
        **_hota(frames, people_times, id_times),
    )


def _frame_pairs(
    near: Array, real: Sequence[int], known: Sequence[int], last: dict[int, int]
) -> list[tuple[int, int]]:
    """Matches of a frame: those of before where they still hold, then the best of the rest."""
    place = {identity: c for c, identity in enumerate(known)}
    kept: dict[int, int] = {}
    for row, person in enumerate(real):
        column = place.get(last.get(person, NOBODY), NOBODY)
        # two people may have had the same id one after the other
        if column != NOBODY and near[row, column] > 0 and column not in kept.values():
            kept[row] = column
    free = near.copy()
    free[list(kept)] = 0
    free[:, list(kept.values())] = 0
    # as many matches as can be, and of these the nearest
    rows, columns = linear_sum_assignment(np.where(free > 0, free + len(near), 0), maximize=True)
    new = zip(rows.tolist(), columns.tolist(), strict=True)
    return [*kept.items(), *((r, c) for r, c in new if free[r, c] > 0)]


def _hota(frames: Sequence[_Frame], people_times: Array, id_times: Array) -> dict[str, float]:
    """HOTA and its parts. A frame is matched once for all thresholds, as in its authors' code."""
    if not people_times.size and not id_times.size:
        return dict.fromkeys(("hota", "det_a", "ass_a", "loc_a"), float("nan"))
    times = people_times[:, None] + id_times
    alike = np.zeros(times.shape)
    for people, ids, similarity in frames:
        # a similarity counts for less where others compete for the person or the id
        rivals = similarity.sum(0) + similarity.sum(1, keepdims=True) - similarity
        alike[np.ix_(people, ids)] += similarity / np.maximum(rivals, _EPS)
    alike /= times - alike
    pairs, values = [np.zeros(0, int)], [np.zeros(0)]
    for people, ids, similarity in frames:
        worth = alike[np.ix_(people, ids)] * similarity
        rows, columns = linear_sum_assignment(worth, maximize=True)
        pairs.append(people[rows] * len(id_times) + ids[columns])
        values.append(similarity[rows, columns])
    value = np.concatenate(values)
    pair, number = np.unique(np.concatenate(pairs), return_inverse=True)
    right = value >= HOTA_THRESHOLDS[:, None] - _EPS
    matches = np.array([np.bincount(number[some], minlength=len(pair)) for some in right])
    total, least_one = right.sum(1), np.maximum(right.sum(1), 1)
    parts = {
        "det_a": total / (people_times.sum() + id_times.sum() - total),
        "ass_a": (matches**2 / (times.ravel()[pair] - matches)).sum(1) / least_one,
        "loc_a": np.where(total > 0, right @ value / least_one, 1),
    }
    parts["hota"] = np.sqrt(parts["det_a"] * parts["ass_a"])
    return {name: float(figures.mean()) for name, figures in parts.items()}


def _numbered(
    truth: Sequence[Any], found: Sequence[Any], sigmas: Any
) -> tuple[list[_Frame], Array, Array]:
    """The frames, and in how many of them each person and each id is."""
    people, ids, alike = [], [], []
    for frame, (real, guessed) in enumerate(zip(truth, found, strict=True)):
        names, places = _checked(real, 3, f"frame {frame} of the truth", sigmas)
        own, guesses = _checked(guessed, 2, f"frame {frame} of the result", sigmas)
        similarity = _similarity(places, guesses, sigmas)
        if not np.isfinite(similarity).all():
            raise DataError(f"frame {frame} has NaN or infinity in its boxes or keypoints")
        people.append(names)
        ids.append(own)
        alike.append(similarity)
    (people, people_times), (ids, id_times) = _counted(people), _counted(ids)
    return [_Frame(*each) for each in zip(people, ids, alike, strict=True)], people_times, id_times


def _counted(ids: list[Array]) -> tuple[list[Array], Array]:
    """Ids of each frame as 0, 1, ..., and in how many frames each is."""
    flat = np.concatenate([np.zeros(0, int), *ids])
    _, number, times = np.unique(flat, return_inverse=True, return_counts=True)
    return np.split(number, np.cumsum([len(some) for some in ids]))[: len(ids)], times


def _similarity(real: Array, found: Array, sigmas: Any) -> Array:
    """(N, M) in 0..1: IoU of boxes, or with sigmas OKS of keypoints."""
    if not len(real) or not len(found):
        return np.zeros((len(real), len(found)))
    if sigmas is None:
        return np.asarray(bbox_overlaps(real, found))
    areas = bbox_area(get_instance_bbox(real[..., :2], real[..., 2]))
    # the mean of twice the area and of none: only the truth says how large a person is
    sure = np.dstack((found[..., :2], np.ones(found.shape[:2])))
    oks = oks_matrix(real, sure, 2 * areas, np.zeros(len(found)), np.asarray(sigmas), vis_thr=0)
    return oks.astype(np.float64)


def _checked(side: Any, numbers: int, where: str, sigmas: Any) -> tuple[Array, Array]:
    """Ids (N,) from 0 on and boxes (N, 4), or keypoints (N, K, `numbers` or more), of a frame."""
    try:
        given, places = (np.asarray(part, np.float64) for part in side)
        with np.errstate(invalid="ignore"):
            ids = np.array(side[0]).reshape(-1).astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{where} should be ids, whole numbers of 64 bits, and "
            f"{'boxes' if sigmas is None else 'keypoints'}: {error}"
        ) from None
    if (given.reshape(-1) != ids).any():
        raise DataError(f"{where} has ids that are no whole numbers: {given.tolist()}")
    if not len(ids) and not places.size:
        return ids, places
    form = (len(ids), 4) if sigmas is None else (len(ids), len(sigmas), numbers)
    if places.shape[:-1] != form[:-1] or places.shape[-1] < form[-1]:
        what = "boxes" if sigmas is None else "keypoints"
        raise DataError(
            f"{where} has {what} of the shape {places.shape}, where its ids"
            f"{'' if sigmas is None else ' and the sigmas'} need {form}"
        )
    ids, places = ids[ids >= 0], places[ids >= 0]
    if len(set(ids.tolist())) != len(ids):
        raise DataError(f"{where} has an id twice: {sorted(ids.tolist())}")
    return ids, places
