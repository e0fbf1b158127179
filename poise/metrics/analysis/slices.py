"""People sorted by what may make them hard: size, labelled and hidden keypoints, crowding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._words import counted
from poise.errors import DataError
from poise.geometry.boxes import bbox_overlaps, bbox_xywh2xyxy
from poise.metrics.coco_truth import CocoTruth

__all__ = ["SLICES", "Groups", "People", "largest_overlap", "neighbours", "slice_people"]

#: Bounds of sizes: square roots of areas, pixels. 32 and 96 are COCO's.
SIZES = (32, 64, 96, 160, 256)
#: Bounds of the largest IoU of a person's box with another's.
OVERLAPS = (0.1, 0.3, 0.5)
#: Bounds of the share of labelled keypoints that are hidden.
HIDDEN = (0.25, 0.5)


@dataclass(frozen=True, eq=False)
class People:
    """What N people are sorted by.

    Attributes:
        keypoints: K of the schema.
        labelled: (N,) number of labelled keypoints.
        size: (N,) square root of the area, pixels; None where it is not known.
        overlap: (N,) largest IoU of the box with that of another person in the picture, or None.
        hidden: (N,) share of the labelled keypoints that are marked as hidden, or None.
        category: (N,) name of what each is, or None.
    """

    keypoints: int
    labelled: Array
    size: Array | None = None
    overlap: Array | None = None
    hidden: Array | None = None
    category: Array | None = None

    @classmethod
    def of_truth(cls, truth: CocoTruth, names: Mapping[Any, str] | None = None) -> People:
        """Annotations, those that do not count, too.

        Args:
            truth: all of them.
            names: of the categories' ids.
        """
        known = [str((names or {}).get(key, key)) for key in truth.category_ids]
        flags = truth.keypoints[..., 2]
        labelled = (flags > 0).sum(axis=1)
        hidden = ((flags > 0) & (flags < 2)).sum(axis=1)
        return cls(
            keypoints=truth.keypoints.shape[1],
            labelled=labelled,
            size=np.sqrt(truth.area),
            overlap=largest_overlap(bbox_xywh2xyxy(truth.bbox), truth.group),
            hidden=hidden / np.maximum(labelled, 1) if hidden.any() else None,
            category=np.array(known)[truth.category] if known else None,
        )


@dataclass(frozen=True, eq=False)
class Groups:
    """People in groups.

    Attributes:
        names: of the groups.
        row: (N,) place in `names`.
    """

    names: list[str]
    row: Array


def neighbours(group: Array, rows: Array) -> tuple[Array, Array]:
    """Pairs of people in the same picture.

    Args:
        group: (N,) number of each person's picture.
        rows: (P,) some of them.

    Returns:
        places in `rows`, ascending, and the row of somebody else of the same picture for each.
    """
    order = np.argsort(group, kind="stable")
    size = np.bincount(group)
    first = np.cumsum(size) - size
    number = size[group[rows]]
    place = np.repeat(np.arange(len(rows)), number)
    start = np.cumsum(number) - number
    other = order[np.arange(len(place)) - np.repeat(start - first[group[rows]], number)]
    somebody_else = other != rows[place]
    return place[somebody_else], other[somebody_else]


def largest_overlap(boxes: Array, group: Array) -> Array:
    """(N,) largest IoU of each box (N, 4) xyxy with another one of its picture."""
    largest = np.zeros(len(boxes))
    one, other = neighbours(group, np.arange(len(boxes)))
    if len(one):
        np.maximum.at(largest, one, bbox_overlaps(boxes[one], boxes[other], is_aligned=True))
    return largest


def slice_people(kind: str, people: People) -> Groups:
    """Sort people into groups.

    Args:
        kind: one of `SLICES`.
        people: N of them.

    Raises:
        DataError: the labels do not say what the groups go by.
    """
    return SLICES[kind](people)


def _by_size(people: People) -> Groups:
    if people.size is None:
        raise DataError("the predictions hold no boxes or areas, so nobody has a size")
    names = [f"below {SIZES[0]} pixels", *(f"{a} to {b}" for a, b in _steps(SIZES))]
    return Groups(
        [*names, f"from {SIZES[-1]} on"], np.searchsorted(SIZES, people.size, side="right")
    )


def _by_labelled(people: People) -> Groups:
    """A quarter of the keypoints each; some have fewer than four."""
    quarters = [people.keypoints * part // 4 for part in (1, 2, 3, 4)]
    ends = sorted({max(end, 1) for end in quarters})
    starts = [1, *(end + 1 for end in ends[:-1])]
    names = [
        f"{a} to {b} keypoints" if a < b else counted(a, "keypoint")
        for a, b in zip(starts, ends, strict=True)
    ]
    none = np.where(people.labelled > 0, 0, len(ends))
    row = np.where(none, none, np.searchsorted(ends, people.labelled, side="left"))
    return Groups([*names, "none"], row)


def _by_overlap(people: People) -> Groups:
    if people.overlap is None:
        raise DataError("the predictions hold no boxes, so nobody is known to be crowded")
    names = ["alone", f"IoU below {OVERLAPS[0]}", *(f"{a} to {b}" for a, b in _steps(OVERLAPS))]
    row = 1 + np.searchsorted(OVERLAPS, people.overlap, side="right")
    return Groups([*names, f"from {OVERLAPS[-1]} on"], np.where(people.overlap > 0, row, 0))


def _by_category(people: People) -> Groups:
    if people.category is None:
        raise DataError("the predictions do not say of which category anybody is")
    names, row = np.unique(people.category, return_inverse=True)
    return Groups(names.tolist(), row)


def _by_hidden(people: People) -> Groups:
    if people.hidden is None:
        raise DataError(
            "no keypoint is marked as hidden (visibility 1 in COCO's form), so nothing is known of "
            "occlusion"
        )
    names = ["nothing hidden", f"up to {HIDDEN[0]:.0%}", f"up to {HIDDEN[1]:.0%}", "more"]
    row = 1 + np.searchsorted(HIDDEN, people.hidden, side="left")
    return Groups(names, np.where(people.hidden > 0, row, 0))


def _steps(bounds: tuple[float, ...]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(bounds))


#: kind -> how people are sorted
SLICES: dict[str, Callable[[People], Groups]] = {
    "size": _by_size,
    "visible": _by_labelled,
    "crowding": _by_overlap,
    "occlusion": _by_hidden,
    "category": _by_category,
}
