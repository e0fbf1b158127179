"""Boxes that the caller gives, instead of a detector's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from poise.errors import DataError, FileMissingError

__all__ = ["BoxFile", "Boxes", "check_boxes", "parse_boxes", "read_boxes"]


class Boxes(NamedTuple):
    """The boxes of a picture.

    Attributes:
        xyxy: (N, 4) float32, image space.
        scores: (N,) float32.
        categories: (N,) int64, ids of what is in them; None where nobody says.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    categories: np.ndarray | None = None

    def rows(self) -> np.ndarray:
        """(N, 5) float32, or with categories (N, 6), as `parse_boxes` takes them."""
        columns = [self.xyxy, self.scores[:, None]]
        if self.categories is not None:
            columns.append(self.categories[:, None].astype(np.float32))
        return np.concatenate(columns, 1)


def parse_boxes(boxes: Any, *, where: str = "boxes") -> Boxes:
    """Boxes in any usual form, or a text that says which box is wrong.

    Args:
        boxes: (N, 4), (N, 5) or (N, 6) numbers: x1, y1, x2, y2 in pixels of the picture, a score
            (1 where there is none), and the id of a category. N may be 0.
        where: for the error text.

    Raises:
        DataError: wrong shape, NaN, a box without area, or a category that is no whole number.
    """
    try:
        array = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} must be numbers [[x1, y1, x2, y2], ...]: {error}") from error
    if array.size == 0:
        known = array.ndim == 2 and array.shape[1] in (4, 5, 6)
        array = array.reshape(0, array.shape[1] if known else 4)
    if array.ndim == 1 and len(array) in (4, 5, 6):
        array = array[None]
    if array.ndim != 2 or array.shape[1] not in (4, 5, 6):
        raise DataError(
            f"{where} must have the shape (N, 4), (N, 5) or (N, 6): x1, y1, x2, y2, perhaps a "
            f"score, and perhaps a category; got {array.shape}"
        )
    xyxy = array[:, :4]
    bad = ~np.isfinite(array).all(1) | ~(xyxy[:, 2:] > xyxy[:, :2]).all(1)
    if bad.any():
        i = int(bad.argmax())
        raise DataError(
            f"{where}: box {i} is {array[i].tolist()}; expected finite x1 < x2 and y1 < y2. "
            f"Boxes of the form x, y, width, height become x, y, x + width, y + height"
        )
    scores = array[:, 4] if array.shape[1] > 4 else np.ones(len(array), np.float32)
    if array.shape[1] < 6:
        return Boxes(xyxy, scores)
    categories = array[:, 5].astype(np.int64)
    if (categories != array[:, 5]).any():
        raise DataError(
            f"{where}: the sixth number of a box is the id of its category, a whole number; got "
            f"{array[:, 5].tolist()}"
        )
    return Boxes(xyxy, scores, categories)


def check_boxes(boxes: Any, *, where: str = "boxes") -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) float32 xyxy and scores (N,) float32; arguments and errors as `parse_boxes`."""
    return parse_boxes(boxes, where=where)[:2]


class BoxFile:
    """Boxes by picture, from a JSON file.

    Two layouts are read: `{"photo.jpg": [[x1, y1, x2, y2, score?, category?], ...], ...}`, and
    COCO's (`images` and `annotations`, boxes as x, y, width, height, perhaps a `category_id`).
    """

    def __init__(self, path: Path | None, boxes: dict[str, list[list[float]]]) -> None:
        self._path, self._boxes = path, boxes

    def describe(self) -> str:
        """How an error text calls this."""
        return f"the file of boxes '{self._path}'" if self._path else "the dict of boxes"

    def of(self, name: str) -> list[list[float]] | None:
        """Boxes of a picture, by its path or its file name; None where the file has none."""
        if name in self._boxes:
            return self._boxes[name]
        return self._boxes.get(Path(name).name)

    def required(self, name: str) -> list[list[float]]:
        """The same; a picture that the file does not have is an error.

        Raises:
            DataError: it has none.
        """
        found = self.of(name)
        if found is None:
            raise DataError(f"{self.describe()} has no entry for '{name}'")
        return found


def read_boxes(path: str | os.PathLike[str]) -> BoxFile:
    """Read a JSON file of boxes.

    Raises:
        FileMissingError, DataError: no such file; not JSON; neither of the two layouts.
    """
    path = Path(path)
    if not path.is_file():
        raise FileMissingError(f"there is no file of boxes '{path}'")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"'{path}' is not JSON: {error}") from error
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return BoxFile(path, _from_coco(content, path))
    if not isinstance(content, dict):
        raise DataError(f"{_expected(path)}; got a {type(content).__name__}")
    for name, boxes in content.items():
        if not isinstance(boxes, list):
            raise DataError(f"{_expected(path)}; '{name}' has {json.dumps(boxes)[:60]}")
    return BoxFile(path, content)


def _expected(path: Path) -> str:
    return (
        f"'{path}' must be {{'photo.jpg': [[x1, y1, x2, y2], ...]}} or a COCO file with 'images' "
        "and 'annotations'"
    )


def _from_coco(content: dict[str, Any], path: Path) -> dict[str, list[list[float]]]:
    """Boxes of a COCO file's annotations by file name.

    Raises:
        DataError: an entry without what it needs, or of a picture that is not listed.
    """
    where, rows = "images", []
    try:
        # all or none: the boxes of a picture are one array
        told = all(isinstance(ann.get("category_id"), int) for ann in content["annotations"])
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for i, ann in enumerate(content["annotations"]):
            where = f"annotations, entry {i}"
            x, y, w, h = map(float, ann["bbox"])
            row = [x, y, x + w, y + h, ann.get("score", 1.0)]
            rows.append((ann["image_id"], [*row, ann["category_id"]] if told else row))
    except KeyError as error:
        raise DataError(f"'{path}', {where}: there is no {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"'{path}', {where}: images need an id and a file_name, annotations an image_id and a "
            f"bbox [x, y, width, height]; {error}"
        ) from error
    boxes: dict[str, list[list[float]]] = {name: [] for name in names.values()}
    for i, (image_id, corners) in enumerate(rows):
        if image_id not in names:
            raise DataError(
                f"'{path}', annotations, entry {i}: image_id {image_id!r} is not among the images"
            )
        boxes[names[image_id]].append(corners)
    return boxes
