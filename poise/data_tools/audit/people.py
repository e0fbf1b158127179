"""The people of a data set as arrays, which every check looks at at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from poise.data_tools.audit.findings import Finding
from poise.datasets.coco_file import read_json
from poise.datasets.people import (
    extent,
    image_folder,
    iterate_people,
    parsed_metainfo,
    people_ids,
    picture_path,
)
from poise.errors import DataError
from poise.metrics.analysis.slices import neighbours

__all__ = ["People", "gather_people", "outside_boxes", "side_pairs"]

#: for OKS where the schema has no sigmas: about the middle of COCO's
UNKNOWN_SIGMA = 0.06
#: part of a box that a person covers, where the annotation has no area (MMPose's figure)
COVERED = 0.53
#: arrays of `People` with a row for each person
_COLUMNS = ("image", "points", "seen", "boxes", "areas", "flags")


@dataclass
class People:
    """N people with K keypoints, image space.

    Attributes:
        ids: annotation ids.
        image: (N,) which entry of `pictures` each is in.
        pictures: paths. image_ids: as the data set has them.
        points: (N, K, 2) float64. seen: (N, K) bool, labelled.
        boxes: (N, 4) xyxy. areas: (N,) square pixels.
        flags: (N, K) third numbers of keypoints as the file has them; NaN where it has none.
        names: of keypoints. pairs: (P, 2) of each left and right. links: (L, 2).
        sigmas: (K,) for OKS. sigmas_known: whether the schema has them.
        ignored: picture -> (M, 4) xyxy, where people are who have no keypoints, or crowds.
        metainfo: parsed schema.
    """

    ids: list[Any]
    image: np.ndarray
    pictures: list[str]
    image_ids: list[Any]
    points: np.ndarray
    seen: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    flags: np.ndarray
    names: list[str]
    pairs: np.ndarray
    links: np.ndarray
    sigmas: np.ndarray
    sigmas_known: bool = True
    ignored: dict[int, np.ndarray] = field(default_factory=dict)
    metainfo: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> np.ndarray:
        """(N,) square root of the area, pixels."""
        return np.sqrt(np.maximum(self.areas, 1.0))

    @property
    def other_sides(self) -> np.ndarray:
        """(K,) number of each keypoint's other side; its own where it has none."""
        order = np.arange(len(self.names))
        order[self.pairs] = self.pairs[:, ::-1]
        return order

    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """All ordered pairs of different people in one picture: two index arrays."""
        return neighbours(self.image, np.arange(len(self)))

    def take(self, rows: Sequence[int] | np.ndarray) -> People:
        """The people at some rows, as copies; a row may come twice."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, ids=[self.ids[row] for row in rows], **columns)

    def finding(
        self, person: Any, kind: str, sure: float, keypoints: Any, about: str, **more: Any
    ) -> Finding:
        """A finding about a person, with all that tells who it is.

        Args:
            person: number.
            kind, sure, about: as of `Finding`.
            keypoints: numbers of those concerned.
            more: further fields of `Finding`.
        """
        picture = int(self.image[person])
        return Finding(
            kind=kind,
            sure=float(sure),
            picture=self.pictures[picture],
            image_id=self.image_ids[picture],
            id=self.ids[person],
            keypoints=[self.names[k] for k in keypoints],
            about=about,
            person=int(person),
            **more,
        )

    def in_picture(self, picture: int) -> np.ndarray:
        """Numbers of the people in a picture."""
        return np.flatnonzero(self.image == picture)


def gather_people(dataset: Any) -> People:
    """The people of a data set of 2D keypoints.

    Args:
        dataset: with `get_data_info` and `metainfo`.

    Raises:
        DataError: nobody is there, or keypoints are not 2D.
    """
    meta = parsed_metainfo(dataset)
    folder = image_folder(dataset)
    places: dict[str, int] = {}
    ids: list[Any] = []
    image_ids: list[Any] = []
    rows: dict[str, list[np.ndarray]] = {k: [] for k in ("points", "seen", "boxes", "areas")}
    image: list[int] = []
    flags: list[np.ndarray] = []
    for record, points, seen, boxes in iterate_people(dataset):
        if points.shape[-1] != 2:
            raise DataError("labels of 3D keypoints are not audited, only those in pictures")
        path = picture_path(record, folder)
        if path not in places:
            places[path] = len(places)
            image_ids.append(record.get("img_id"))
        found = _boxes_around(points, seen) if boxes is None else boxes
        covered = (found[:, 2:] - found[:, :2]).clip(0).prod(axis=1)
        areas = np.ravel(np.asarray(record.get("area", 0.0), np.float64))
        several = areas if len(areas) == len(points) else np.zeros(len(points))
        ids += people_ids(record, len(points))
        image += [places[path]] * len(points)
        rows["points"].append(points)
        rows["seen"].append(seen)
        rows["boxes"].append(found)
        rows["areas"].append(np.where(several > 0, several, covered * COVERED))
        flags.append(_flags(record, points.shape[:2]))
    if not ids:
        raise DataError("the data set has nobody with keypoints to look at")
    count = len(meta["flip_indices"])
    sigmas = np.asarray(meta.get("sigmas", ()), np.float64)
    known = len(sigmas) == count
    return People(
        ids,
        np.array(image),
        list(places),
        image_ids,
        **{name: np.concatenate(parts) for name, parts in rows.items()},
        flags=np.concatenate(flags),
        names=[str(meta["keypoint_id2name"][k]) for k in range(count)],
        pairs=side_pairs(meta["flip_indices"]),
        links=np.asarray(meta["skeleton_links"], np.int64).reshape(-1, 2),
        sigmas=sigmas if known else np.full(count, UNKNOWN_SIGMA),
        sigmas_known=known,
        ignored=_ignored(dataset, {number: n for n, number in enumerate(image_ids)}),
        metainfo=dict(meta),
    )


def _flags(record: Any, shape: tuple[int, ...]) -> np.ndarray:
    """(N, K) visibilities as they stand in the file."""
    raw = record.get("raw_ann_info")
    values = np.asarray(raw.get("keypoints") or () if isinstance(raw, dict) else (), np.float64)
    if values.size != 3 * shape[0] * shape[1]:
        return np.full(shape, np.nan)
    return values.reshape(*shape, 3)[..., 2]


def _boxes_around(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N, 4) of what is labelled."""
    boxes: np.ndarray = np.concatenate(extent(points, seen), axis=1)
    boxes[~seen.any(axis=1)] = 0
    return boxes


def _ignored(dataset: Any, places: dict[Any, int]) -> dict[int, np.ndarray]:
    """Boxes of crowds, and of people without keypoints, by picture."""
    path = str(getattr(dataset, "ann_file", "") or "")
    if not path.endswith((".json", ".json.gz")) or not Path(path).is_file():
        return {}
    content = read_json(path)
    rows = content.get("annotations") if isinstance(content, dict) else ()
    found: dict[int, list[np.ndarray]] = {}
    for row in rows or ():
        empty = not any(row.get("keypoints") or ())
        if (row.get("iscrowd") or empty) and row.get("image_id") in places and row.get("bbox"):
            x, y, width, height = row["bbox"]
            box = np.array([x, y, x + width, y + height], np.float64)
            found.setdefault(places[row["image_id"]], []).append(box)
    return {picture: np.stack(boxes) for picture, boxes in found.items()}


def side_pairs(flip_indices: Sequence[int]) -> np.ndarray:
    """(P, 2) numbers of keypoints that change places in a mirror."""
    swap = np.asarray(flip_indices)
    left = np.flatnonzero(swap > np.arange(len(swap)))
    return np.stack([left, swap[left]], axis=1)


def outside_boxes(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How far (N, K) keypoints are outside of boxes, in parts of the longer side.

    Args:
        points: (N, K, 2). boxes: (N, 4) xyxy.
    """
    beyond = np.maximum(boxes[:, None, :2] - points, points - boxes[:, None, 2:]).max(axis=-1)
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return np.nan_to_num(beyond.clip(0) / np.maximum(side, 1)[:, None])
