"""How well people keep their ids in a video: CLEAR MOT and IDF1.

MOTA counts the faults of each frame (Bernardin, Stiefelhagen 2008), IDF1 how much of each
person's time one and the same id covers (Ristani et al. 2016).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry import bbox_overlaps

__all__ = ["TrackScores", "track_scores"]

#: No id: those of people are 0 and above.
NOBODY = -1


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
    """

    truth: int
    found: int
    misses: int
    false_positives: int
    switches: int
    id_matches: int

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


def track_scores(
    truth: Iterable[tuple[Sequence[int] | Array, Any]],
    found: Iterable[tuple[Sequence[int] | Array, Any]],
    *,
    min_overlap: float = 0.5,
) -> TrackScores:
    """Compare ids and boxes of each frame with the truth.

    Args:
        truth: of each frame ids (N,) and boxes (N, 4) xyxy.
        found: of the same frames ids (M,) and boxes (M, 4); people with an id below 0 are
            ignored.
        min_overlap: least IoU of a match.

    Raises:
        DataError: another number of frames, or an id twice in a frame.
    """
    matches: dict[tuple[int, int], int] = {}
    last: dict[int, int] = {}
    counts = np.zeros(5, int)
    truth, found = list(truth), list(found)
    if len(truth) != len(found):
        raise DataError(f"truth has {len(truth)} frames, the result {len(found)}")
    for number, ((true_ids, true_boxes), (ids, boxes)) in enumerate(zip(truth, found, strict=True)):
        real = _checked(true_ids, number, "truth")
        named = np.asarray(ids) >= 0
        known = _checked(np.asarray(ids)[named], number, "result")
        near = _overlaps(true_boxes, np.asarray(boxes).reshape(-1, 4)[named])
        near[near < min_overlap] = 0
        for row, column in np.argwhere(near > 0).tolist():
            pair = (real[row], known[column])
            matches[pair] = matches.get(pair, 0) + 1
        pairs = _frame_pairs(near, real, known, last)
        switches = sum(last.get(real[r], known[c]) != known[c] for r, c in pairs)
        last.update({real[r]: known[c] for r, c in pairs})
        counts += (
            len(real),
            len(known),
            len(real) - len(pairs),
            len(known) - len(pairs),
            switches,
        )
    return TrackScores(*[*counts.tolist(), _id_matches(matches)])


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


def _id_matches(matches: dict[tuple[int, int], int]) -> int:
    """Most matches that a one-to-one assignment of ids to people can explain."""
    if not matches:
        return 0
    people, ids = (sorted({pair[side] for pair in matches}) for side in (0, 1))
    table = np.zeros((len(people), len(ids)), int)
    for (person, identity), count in matches.items():
        table[people.index(person), ids.index(identity)] = count
    rows, columns = linear_sum_assignment(table, maximize=True)
    return int(table[rows, columns].sum())


def _overlaps(first: Any, second: Any) -> Array:
    boxes = [np.asarray(b, np.float64).reshape(-1, 4) for b in (first, second)]
    return np.array(bbox_overlaps(*boxes), np.float64).reshape(len(boxes[0]), len(boxes[1]))


def _checked(ids: Any, frame: int, whose: str) -> list[int]:
    listed = np.asarray(ids).astype(int).tolist()
    if len(set(listed)) != len(listed):
        raise DataError(f"frame {frame} of the {whose} has an id twice: {sorted(listed)}")
    return listed
