"""Faults of a data set that training would not notice, each with the ids concerned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poise.datasets.base.unreadable import image_problem
from poise.datasets.people import (
    extent,
    image_folder,
    iterate_people,
    people_ids,
    picture_path,
)
from poise.datasets.report import reports_of

__all__ = ["OddRecords", "check_data"]

#: keypoints farther from the box than this part of its longer side are odd
OUTSIDE_PART = 0.5


@dataclass
class OddRecords:
    """One kind of fault.

    Attributes:
        about: what is wrong, after a number.
        ids: annotations, or pictures where it says so.
        fault: whether it is one for sure, rather than worth a look.
    """

    about: str
    ids: list[Any] = field(default_factory=list)
    fault: bool = True


def check_data(
    dataset: Any, *, open_pictures: bool = False, limit: int | None = None
) -> list[OddRecords]:
    """Look for faults.

    Args:
        dataset: with `get_data_info` and `metainfo`.
        open_pictures: also decode every picture, to find those that are cut short, and to
            compare keypoints with its size.
        limit: look at most at so many records, spread over the data set; None for all.

    Returns:
        What was left out by the reader, by reason; pictures that are absent or unreadable;
        keypoints far outside of their box, outside of the picture, or all at one place; people
        that occur twice; keypoints that are never labelled. Of data of boxes, boxes that occur
        twice and classes that no box has. Empty for a clean data set.
    """
    findings: dict[str, OddRecords] = {}

    def note(about: str, ids: list[Any], *, fault: bool = True) -> None:
        if ids:
            findings.setdefault(about, OddRecords(about, fault=fault)).ids.extend(ids)

    for report in reports_of(dataset):
        for reason, ids in report.ids.items():
            note(f"annotations {reason}", ids, fault=False)
    folder = image_folder(dataset)
    if "classes" in dataset.metainfo:
        _look_at_boxes(dataset, folder, limit, note, decode=open_pictures)
        return list(findings.values())
    poses: dict[tuple[str, bytes], list[Any]] = defaultdict(list)
    sizes: dict[str, tuple[int, int] | None] = {}
    labelled: Any = 0
    for record, points, seen, boxes in iterate_people(dataset, limit):
        ids = people_ids(record, len(points))
        path = picture_path(record, folder)
        if path not in sizes:
            problem, sizes[path] = _picture(path, decode=open_pictures)
            note(problem, [path] if problem else [])
        labelled = labelled + seen.sum(axis=0)
        flat = points[..., :2]
        where: dict[str, Any] = {
            "people whose keypoints lie far outside of their box": _outside_box(flat, seen, boxes),
            "people whose keypoints all lie at one place": _at_one_place(flat, seen),
        }
        if sizes[path] is not None:
            outside = (flat < 0) | (flat > np.array(sizes[path]))
            beyond = np.asarray(outside).any(axis=-1) & seen
            where["people with labelled keypoints outside of the picture"] = beyond.any(axis=1)
        for about, wrong in where.items():
            note(about, [ids[i] for i in np.flatnonzero(wrong)])
        for i in range(len(flat)):
            poses[path, np.where(seen[i, :, None], flat[i], 0).tobytes()].append(ids[i])
    twice = [number for same in poses.values() if len(same) > 1 for number in same]
    note("people with the very same keypoints in one picture", twice)
    note("keypoints that are labelled nowhere", _never(dataset, labelled), fault=False)
    return list(findings.values())


def _look_at_boxes(
    dataset: Any, folder: str, limit: int | None, note: Callable[..., None], *, decode: bool
) -> None:
    """Faults of records whose people, animals or things have boxes and classes alone."""
    count = len(dataset) if limit is None else min(limit, len(dataset))
    names = dataset.metainfo["classes"]
    seen: set[int] = set()
    for place in range(count):
        record = dataset.get_data_info(place * len(dataset) // count)
        path = picture_path(record, folder)
        problem, _ = _picture(path, decode=decode)
        note(problem, [path] if problem else [])
        rows = [(*thing["bbox"], thing["bbox_label"]) for thing in record["instances"]]
        if len(set(rows)) < len(rows):
            note("pictures with the very same box twice", [record["img_id"]])
        seen.update(row[-1] for row in rows)
    if count == len(dataset):
        empty = [name for label, name in enumerate(names) if label not in seen]
        note("classes that no box has", empty, fault=False)


def _picture(path: str, *, decode: bool) -> tuple[str, tuple[int, int] | None]:
    """What is wrong with a picture, and its (width, height) where it was decoded."""
    if not path or not Path(path).is_file():
        return "pictures not found", None
    if not decode:
        return "", None
    if image_problem(path):
        return "pictures that cannot be read", None
    from poise.transforms.image import stored_image

    image = stored_image(path)
    return ("pictures that cannot be read", None) if image is None else ("", image.shape[1::-1])


def _outside_box(points: np.ndarray, seen: np.ndarray, boxes: np.ndarray | None) -> np.ndarray:
    """(N,) a labelled keypoint is far from the box."""
    if boxes is None or len(boxes) != len(points):
        return np.zeros(len(points), bool)
    reach = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)[:, None, None] * OUTSIDE_PART
    low, high = boxes[:, None, :2] - reach, boxes[:, None, 2:] + reach
    far = ((points < low) | (points > high)).any(axis=-1)
    result: np.ndarray = (far & seen).any(axis=1)
    return result


def _at_one_place(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N,) several labelled keypoints, and all of them equal."""
    low, high = extent(points, seen)
    result: np.ndarray = (seen.sum(axis=1) > 1) & (high - low <= 0).all(axis=1)
    return result


def _never(dataset: Any, labelled: Any) -> list[str]:
    names = dataset.metainfo.get("keypoint_id2name", {})
    return [str(names.get(i, i)) for i in np.flatnonzero(np.atleast_1d(labelled) == 0).tolist()]
