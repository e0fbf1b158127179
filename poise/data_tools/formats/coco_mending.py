"""What COCO files of other programs often lack, filled in where it can be known."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import numbered
from poise.data_tools.formats.reading import (
    Reading,
    picture_folder,
    picture_size,
    usual_folders,
)
from poise.geometry.boxes import bbox_of_keypoints

__all__ = ["mended"]

#: flat numbers of a keypoint: x, y and whether it is visible
_TRIPLE, _PAIR = 3, 2
#: names of pictures that are looked for before all are
_PROBED = 20


def mended(content: Any, path: Path, reading: Reading) -> tuple[Any, list[str]]:
    """The content of a file with what it lacks, and sentences about that.

    Names of pictures that lead elsewhere (another machine's folders) become names below the folder
    where the pictures are; sizes come from the pictures, ids are counted, keypoints as pairs or
    nested lists become triples, boxes are put around keypoints.
    What cannot be filled in stays for the reader to refuse.

    Args:
        content: of the file; left alone.
        path: the file, for the pictures around it.
        reading: `images` and `margin`.
    """
    lists = ("images", "annotations")
    if not isinstance(content, Mapping) or not all(
        isinstance(content.get(key), list) and all(isinstance(r, Mapping) for r in content[key])
        for key in lists
    ):
        return content, []
    did: Counter[str] = Counter()
    images = [dict(row) for row in content["images"]]
    people = [dict(row) for row in content["annotations"]]
    _mend_pictures(images, path, reading, did)
    sizes = {row.get("id"): (row.get("width"), row.get("height")) for row in images}
    numbers = {str(c.get("id")): len(c.get("keypoints") or ()) for c in _categories(content)}
    only = next(iter(_categories(content)), {}).get("id") if len(numbers) == 1 else None
    for person in people:
        if only is not None and person.get("category_id") is None:
            person["category_id"] = only
            did["categories of people"] += 1
        _mend_keypoints(person, numbers.get(str(person.get("category_id")), 0), did)
        _mend_box(person, sizes, reading.margin, did)
    _number(people, did)
    more = {}
    if not content.get("categories") and any(p.get("keypoints") for p in people):
        ids = list(dict.fromkeys(person.setdefault("category_id", 1) for person in people))
        more = {"categories": [{"id": one, "name": f"category {one}"} for one in ids]}
        did["categories of which the file has none"] = len(ids)
    said = [f"filled in: {numbered(count, what)}" for what, count in did.items()]
    return {**content, "images": images, "annotations": people, **more}, said


def _categories(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (c for c in content.get("categories") or () if isinstance(c, Mapping))


def _mend_pictures(
    images: list[dict[str, Any]], path: Path, reading: Reading, did: Counter[str]
) -> None:
    """Names below the folder of the pictures, and sizes, where they are not as they should be."""
    names = [str(row.get("file_name", "")) for row in images]
    some = list(filter(None, names))[:: max(1, len(names) // _PROBED)]
    folder, places = picture_folder(some, usual_folders(path.parent), reading.images)
    sized = all(row.get("width") and row.get("height") for row in images)
    if not places or (sized and all(places.get(name) == name for name in some)):
        # no pictures here, or all is well: not to look for each of a hundred thousand
        return
    _, places = picture_folder(filter(None, names), [folder], reading.images)
    for row, name in zip(images, names, strict=True):
        # where an absolute name leads somewhere, that is meant, not its namesake here
        whole = Path(name).is_absolute() and Path(name).is_file()
        place = name if whole else places.get(name)
        if place is None:
            continue
        if place != name:
            row["file_name"] = place
            did[f"names of pictures, below {folder}"] += 1
        if not (row.get("width") and row.get("height")):
            size = picture_size(folder / place)
            if size is not None:
                row["width"], row["height"] = size
                did["sizes of pictures"] += 1


def _mend_keypoints(person: dict[str, Any], count: int, did: Counter[str]) -> None:
    """A flat list of triples."""
    given = person.get("keypoints")
    if not given:
        return
    try:
        points = np.array(given, np.float64)
    except (TypeError, ValueError):
        return
    if points.ndim == 1:
        width = _PAIR if count and len(points) == _PAIR * count else _TRIPLE
        if len(points) % width:
            return
        points = points.reshape(-1, width)
    plain = points.ndim == 2 and points.shape[1] in (_PAIR, _TRIPLE)
    if not plain or not np.isfinite(points).all():
        return
    if points.shape[1] == _PAIR:
        # without a visibility, a keypoint at the corner is not labelled
        seen = np.where((points != 0).any(axis=1), 2.0, 0.0)
        points = np.concatenate([points, seen[:, None]], axis=1)
        did["visibilities of people's keypoints"] += 1
    elif np.ndim(given[0]) > 0:
        did["people's keypoints as a flat list"] += 1
    person["keypoints"] = points.ravel().tolist()
    person.setdefault("num_keypoints", int((points[:, 2] > 0).sum()))


def _mend_box(
    person: dict[str, Any], sizes: Mapping[Any, Any], margin: float, did: Counter[str]
) -> None:
    """A box around the keypoints where there is none."""
    size = sizes.get(person.get("image_id"))
    if person.get("bbox") or not person.get("keypoints") or not size or not all(size):
        return
    box = bbox_of_keypoints(person["keypoints"], size, margin)
    if box is not None:
        person["bbox"] = box
        did["boxes, around the keypoints"] += 1


def _number(people: list[dict[str, Any]], did: Counter[str]) -> None:
    """Ids for those without one, and for those who have that of somebody before them."""
    numbers = [p["id"] for p in people if isinstance(p.get("id"), int)]
    following = itertools.count(max(numbers, default=0) + 1)
    used: set[Any] = set()
    for person in people:
        number = person.get("id")
        given = isinstance(number, int | float | str)
        if given and number not in used:
            used.add(number)
        elif given or number is None:
            person["id"] = next(following)
            did[f"ids of annotations{', for those that came twice' if given else ''}"] += 1
