"""The people of a data set's records, whatever its format: keypoints, boxes, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise.datasets.paths import join_path
from poise.structures.metainfo import parse_pose_metainfo

__all__ = [
    "extent",
    "image_folder",
    "iterate_people",
    "parsed_metainfo",
    "people_ids",
    "picture_path",
]


def iterate_people(
    dataset: Any, limit: int | None = None
) -> Iterator[tuple[Mapping[str, Any], np.ndarray, np.ndarray, Any]]:
    """Records with their people.

    Args:
        dataset: with `get_data_info`, or a mixture.
        limit: at most so many records, spread over the data set; None for all.

    Yields:
        the record, keypoints (N, K, 2 or 3), whether they are labelled (N, K) bool, and boxes
        (N, 4) xyxy or None; image space.
    """
    mixture = hasattr(dataset, "datasets") or not hasattr(dataset, "get_data_info")
    count = len(dataset) if limit is None else min(limit, len(dataset))
    for place in range(count):
        i = place * len(dataset) // count
        record = dataset[i] if mixture else dataset.get_data_info(i)
        keypoints = record.get("keypoints")
        if keypoints is None or not len(keypoints):
            continue
        points = np.asarray(keypoints, np.float64)
        visible = record.get("keypoints_visible")
        seen = np.ones(points.shape[:2]) if visible is None else np.asarray(visible, np.float64)
        if seen.ndim == 3:
            seen = seen[..., 0]
        boxes = record.get("bbox")
        if boxes is not None:
            boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        yield record, points, seen.reshape(points.shape[:2]) > 0, boxes


def extent(points: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (N, 2) x and y of what is seen; infinity and -infinity of nothing.

    Args:
        points: (N, K, 2). seen: (N, K) bool.
    """
    low = np.where(seen[..., None], points, np.inf).min(axis=1)
    high = np.where(seen[..., None], points, -np.inf).max(axis=1)
    return low, high


def parsed_metainfo(dataset: Any) -> dict[str, Any]:
    """Schema of a data set, parsed; a class of the user's own may hold a raw one."""
    meta: dict[str, Any] = dataset.metainfo
    return meta if "keypoint_id2name" in meta else parse_pose_metainfo(meta)


def people_ids(record: Mapping[str, Any], count: int) -> list[Any]:
    """Annotation id of each of the `count` people of a record; that of its picture without any."""
    number = record.get("id", record.get("img_id"))
    several = isinstance(number, (list, tuple, np.ndarray)) and len(number) == count
    return list(number) if several else [number] * count


def image_folder(dataset: Any) -> str:
    """Folder of the pictures of records that name them without one; "" where none is set."""
    return (getattr(dataset, "data_prefix", None) or {}).get("img") or ""


def picture_path(record: Mapping[str, Any], folder: str = "") -> str:
    """File of a record's picture; of several frames the one that is annotated.

    Args:
        record: of a data set.
        folder: where pictures lie that are not where their name says.
    """
    name = _picture_name(record)
    below = join_path(folder, name)
    return below if name and not Path(name).is_file() and Path(below).is_file() else name


def _picture_name(record: Mapping[str, Any]) -> str:
    for name in ("img_path", "target_img_path", "img_paths"):
        value = record.get(name)
        if isinstance(value, str):
            return value
        if value is not None and len(value):
            # the frame of a video set comes first, the target of a sequence last
            return str(np.ravel(value)[0 if name == "img_path" else -1])
    return ""
