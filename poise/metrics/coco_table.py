"""COCO annotations by field: the fields that evaluation needs, and no more.

A file is decoded straight into those fields; polygons and the like are skipped, which takes a
third of the time of reading everything. Keypoints and boxes become arrays pose by pose, so that
millions of numbers are never objects at the same time. A file that does not have the expected
form is read as a whole, so that what is wrong with it can be said.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from poise._files import unzipped
from poise.errors import DataError, FileMissingError

__all__ = ["ABSENT", "CocoTable", "read_coco", "read_coco_table"]

#: Stands where an entry lacks a field.
ABSENT: Any = msgspec.UNSET
_KEYS = ("id", "image_id", "category_id", "iscrowd", "num_keypoints")
_LIST, _TUPLE = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(tuple[float, ...])


@dataclass(frozen=True)
class CocoTable:
    """Fields of annotations and pictures, with an entry per annotation or picture.

    Attributes:
        annotations: field -> values, `ABSENT` where an annotation lacks it; or an array with a
            row per annotation, where all have the same count of numbers.
        images: 'id' and 'crowdIndex' -> values.
        categories: ids; empty where the file names none.
        category_names: their names; the id of one that has none.
    """

    annotations: dict[str, list[Any] | NDArray[Any]]
    images: dict[str, list[Any]]
    categories: list[Any]
    category_names: list[str] = field(default_factory=list)

    @classmethod
    def from_coco(
        cls, coco: Mapping[str, Any], keypoint_fields: Sequence[str], *, source: str
    ) -> CocoTable:
        """The fields of a COCO dict.

        Args:
            coco: 'images', 'annotations' and perhaps 'categories'.
            keypoint_fields: fields whose keypoints make the pose.
            source: where it comes from, for error texts.

        Raises:
            DataError: there are no annotations or pictures, or they are no lists of objects.
        """
        if "annotations" not in coco:
            raise DataError(
                "Ground truth annotations are required for evaluation when `format_only` is"
                f" False, but {source} has only {sorted(coco)}"
            )
        annotations, images = (_objects(coco, name, source) for name in ("annotations", "images"))
        fields = (*_KEYS, "bbox", "area", *keypoint_fields)
        return cls(
            annotations={name: [a.get(name, ABSENT) for a in annotations] for name in fields},
            images={name: [i.get(name, ABSENT) for i in images] for name in ("id", "crowdIndex")},
            **_categories(coco.get("categories"), source),
        )

    def rows(self, chosen: list[bool]) -> CocoTable:
        """The table with some of the annotations."""
        kept = {
            name: values[chosen]
            if isinstance(values, np.ndarray)
            else list(itertools.compress(values, chosen))
            for name, values in self.annotations.items()
        }
        return replace(self, annotations=kept)


def read_coco_table(path: str | Path, keypoint_fields: Sequence[str]) -> CocoTable:
    """The fields of an annotation file.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is no JSON object, or has no annotations.
    """
    raw = _bytes_of(path)
    try:
        content = _decoder(tuple(keypoint_fields)).decode(raw)
        annotations = content.annotations
        columns = {name: list(map(attrgetter(name), annotations)) for name in (*_KEYS, "area")}
        numbers = {
            name: _packed(list(map(attrgetter(name), annotations)))
            for name in ("bbox", *keypoint_fields)
        }
    except (msgspec.DecodeError, UnicodeDecodeError):
        # another form, or NaN, which JSON does not know
        return CocoTable.from_coco(_parsed(raw, path), keypoint_fields, source=str(path))
    return CocoTable(
        annotations={**columns, **numbers},
        images={n: list(map(attrgetter(n), content.images)) for n in ("id", "crowdIndex")},
        **_categories(content.categories, str(path)),
    )


def read_coco(path: str | Path) -> dict[str, Any]:
    """The whole content of an annotation file; raises as `read_coco_table`."""
    return _parsed(_bytes_of(path), path)


def _bytes_of(path: str | Path) -> bytes:
    file = Path(path)
    if not file.is_file():
        raise FileMissingError(f"annotation file {file} of the metric does not exist")
    try:
        return unzipped(file.read_bytes())
    except ValueError as error:
        raise DataError(f"annotation file {file} cannot be read: {error}") from error


def _parsed(raw: bytes, path: str | Path) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"annotation file {path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"annotation file {path} holds a {type(content).__name__}, not an object")
    return content


def _objects(coco: Mapping[str, Any], name: str, source: str) -> list[Mapping[str, Any]]:
    entries = coco.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise DataError(
            f"`{name}` of {source} should be a list of objects, as in COCO's files, got "
            f"{'one of other things' if isinstance(entries, list) else repr(entries)}"
        )
    return entries


def _categories(entries: Sequence[Mapping[str, Any]] | None, source: str) -> dict[str, list[Any]]:
    listed = entries or ()
    if lacking := [category for category in listed if "id" not in category]:
        raise DataError(f"category {dict(lacking[0])} of {source} has no `id`")
    return {
        "categories": [category["id"] for category in listed],
        "category_names": [str(category.get("name", category["id"])) for category in listed],
    }


@lru_cache(maxsize=8)
def _decoder(keypoint_fields: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Decoder of a file whose annotations have these fields of keypoints."""
    numbers = msgspec.Raw | msgspec.UnsetType
    types: dict[str, Any] = {
        **dict.fromkeys(_KEYS, Any),
        "bbox": numbers,
        "area": float | msgspec.UnsetType,
        **dict.fromkeys(keypoint_fields, numbers),
    }
    # millions of numbers hold no cycles: nothing for the collector to look at
    annotation = msgspec.defstruct(
        "Annotation", [(name, kind, ABSENT) for name, kind in types.items()], gc=False
    )
    image = msgspec.defstruct("Image", [("id", Any), ("crowdIndex", Any, ABSENT)], gc=False)
    content = msgspec.defstruct(
        "Coco",
        [
            ("images", list[image]),  # type: ignore[valid-type]
            ("annotations", list[annotation]),  # type: ignore[valid-type]
            ("categories", list[dict[str, Any]] | None, None),
        ],
    )
    return msgspec.json.Decoder(content)


def _packed(texts: list[Any]) -> list[Any] | NDArray[Any]:
    """Lists of numbers, still JSON, as the rows of a float64 array; lists where lengths differ.

    Raises:
        msgspec.DecodeError: something is no list of numbers.
    """
    if not texts or ABSENT in texts:
        return [text if text is ABSENT else _LIST.decode(text) for text in texts]
    decode = _TUPLE.decode
    pack = Struct(f"{len(decode(texts[0]))}d").pack
    try:
        rows = b"".join([pack(*decode(text)) for text in texts])
    except StructError:
        return [_LIST.decode(text) for text in texts]
    return np.frombuffer(rows).reshape(len(texts), -1)
