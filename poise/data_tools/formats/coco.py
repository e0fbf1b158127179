"""COCO's keypoint format."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise._files import writing
from poise.check.categories import one_set
from poise.check.files import check_annotations, write_annotations
from poise.check.keypoints import describe_content
from poise.data_tools.formats.annotations import Annotations, keypoints_of
from poise.data_tools.formats.coco_mending import mended
from poise.data_tools.formats.reading import Reading
from poise.datasets.coco_file import check_rows, read_json
from poise.errors import DataError
from poise.inference.detectors.targets import category_name
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["check_writable", "is_coco", "read_coco_file", "schema_of", "write_coco_file"]

#: how COCO-WholeBody calls further keypoints of a person
_PART = "_kpts"


def is_coco(path: Path) -> bool:
    """Any other .json (or .json.gz) file; its reader says what it lacks."""
    return path.name.endswith((".json", ".json.gz")) and path.is_file()


def read_coco_file(path: Path, reading: Reading) -> Annotations:
    """Annotations of a COCO file.

    Args:
        path: the file.
        reading: its `schema`, found by the names of the keypoints without it, and `category`;
            without that, categories with different keypoints are joined. `images` and `margin`
            fill in what the file lacks.

    Raises:
        DataError: no COCO file, or keypoints of another number than the schema's.
    """
    given = read_json(str(path))
    content, said = mended(given, path, reading)
    if reading.category is not None or reading.schema is None:
        content, joined = one_set(check_annotations(content, path), reading.category, source=path)
        said += joined
    info = (
        {"from_file": reading.schema}
        if reading.schema
        else describe_content(content, path).metainfo
    )
    meta = parse_pose_metainfo(dict(info))
    _check_entries(content, path)
    categories = content.get("categories") or [{"id": 1}]
    if len(categories) == 1 and not given.get("categories"):
        categories = [{**categories[0], "name": category_name(meta)}]
        said.append(f"without a category: called '{categories[0]['name']}' by the keypoints")
    expected = 3 * meta["num_keypoints"]
    for ann in content["annotations"]:
        if ann.get("keypoints") and len(ann["keypoints"]) != expected:
            raise DataError(
                f"{path}: annotation {ann.get('id')} has {len(ann['keypoints'])} numbers in "
                f"keypoints, expected {expected} of {meta['dataset_name']}"
            )
    others = sorted({key for ann in content["annotations"] for key in ann if key.endswith(_PART)})
    if others:
        said.append(
            f"of each person only `keypoints` is converted; {', '.join(others)} stay as they are "
            "in COCO files, and are left out of other forms"
        )
    found = Annotations(
        images=[],
        people=[],
        **keypoints_of(meta),
        categories=[
            {k: v for k, v in category.items() if k not in ("keypoints", "skeleton")}
            for category in categories
        ],
        schema=schema_of(info),
        said=said,
    )
    _take(found, content, {category["id"] for category in categories}, path)
    return found


def _take(found: Annotations, content: dict[str, Any], listed: set[Any], path: Path) -> None:
    """Keep each picture once, and the people of listed categories.

    Raises:
        DataError: different pictures have one id, so that nobody knows whose the people are.
    """
    names: dict[Any, str] = {}
    for image in content["images"]:
        if image["id"] not in names:
            names[image["id"]] = image["file_name"]
            found.images.append(image)
        elif names[image["id"]] != image["file_name"]:
            raise DataError(
                f"{path}: the pictures {names[image['id']]} and {image['file_name']} have the same "
                f"id {image['id']}; give every picture its own id"
            )
        else:
            found.drop("pictures that are listed twice", image["file_name"])
    for person in content["annotations"]:
        if person.get("category_id") in listed:
            found.people.append(person)
        else:
            found.drop("people of a category that is not listed", person.get("id"))


def _check_entries(content: dict[str, Any], path: Path) -> None:
    """See that pictures and people have what other forms need, in finite numbers.

    Raises:
        DataError: names the first one that does not.
    """
    if not isinstance(content, dict):
        raise DataError(
            f"{path} holds a {type(content).__name__}, expected an object (COCO's format)"
        )
    check_rows(content, "images", "id", "file_name", "width", "height", where=str(path))
    for ann in check_rows(content, "annotations", "image_id", "bbox", where=str(path)):
        for key, count in (("bbox", 4), ("keypoints", None)):
            try:
                numbers = np.asarray(ann.get(key) or (), np.float64)
            except (TypeError, ValueError):
                numbers = np.array([np.nan])
            if not np.isfinite(numbers).all() or (count and numbers.shape != (count,)):
                raise DataError(
                    f"{path}: annotation {ann.get('id')}: {key} needs "
                    f"{'4' if count else 'triples of'} finite numbers, got {ann[key]!r:.60}"
                )


def write_coco_file(found: Annotations, path: Path) -> list[Path]:
    """Write a COCO file; the folder is made.

    Pictures are named as seen from that folder, where it is known where they lie, so that the file
    finds them by itself.
    """
    found.see_pictures_from(path.parent)
    people = []
    for number, person in enumerate(found.people, 1):
        width, height = person["bbox"][2:4]
        defaults = {"id": number, "category_id": 1, "area": width * height, "iscrowd": 0}
        people.append({**defaults, **person})
    links = [[a + 1, b + 1] for a, b in found.skeleton]
    categories = [
        {**category, "keypoints": found.names, "skeleton": links} for category in found.categories
    ]
    # no pairs are nothing known: a reader that is told so would mirror pictures
    mirror = {"flip_indices": found.swap} if found.swap != sorted(found.swap) else {}
    content = {
        "info": mirror,
        "images": found.images,
        "annotations": people,
        "categories": categories,
    }
    write_annotations(content, path)
    return [path]


def schema_of(metainfo: dict[str, Any]) -> str:
    """Name or path of the schema that metainfo comes from, "" for one of its own."""
    source = str(metainfo.get("from_file", ""))
    return Path(source).stem if source and schemas.known(source) else source


def check_writable(path: Path) -> None:
    """See that a file can be written, before the work for it; the folder is made.

    Raises:
        DataError: it cannot be written.
    """
    with writing(path), tempfile.TemporaryFile(dir=path.parent):
        pass
