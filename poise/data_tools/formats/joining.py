"""Labels of several sources as one set, such as those of two rounds of labelling."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import shortened
from poise.data_tools.formats.annotations import NUMBERS, Annotations, plain
from poise.errors import DataError

__all__ = ["join_annotations", "seen_from"]

#: so many names are shown in an error text
_SHOWN = 4


def join_annotations(first: Annotations, other: Annotations, home: Path) -> Annotations:
    """Pictures and people of both, with the keypoints of the first, which are known by name.

    A picture that is in both has the people of the first.

    Args:
        first, other: labels; the folders of their pictures say what is the same picture.
        home: folder that names of pictures are made relative to.

    Raises:
        DataError: no keypoint has the same name.
    """
    if not set(first.names) & set(other.names):
        raise DataError(
            f"labels cannot be joined that have no keypoint in common: "
            f"{shortened(first.names, _SHOWN)} and {shortened(other.names, _SHOWN)}"
        )
    found = replace(first, images=[], people=[], categories=[], folder=home)
    numbers: dict[str, int] = {}
    labels: dict[str, int] = {}
    for part in (first, other):
        new_images: dict[Any, int] = {}
        for image in part.images:
            name = _seen_from(home, part, image["file_name"])
            if name in numbers:
                found.drop("pictures that have labels already", name)
                continue
            new_images[image["id"]] = numbers[name] = len(numbers) + 1
            found.images.append({**image, "id": numbers[name], "file_name": name})
        new_labels = {
            category["id"]: labels.setdefault(category["name"], len(labels) + 1)
            for category in part.categories
        }
        known = {category["name"] for category in found.categories}
        found.categories += [
            {**category, "id": labels[category["name"]]}
            for category in part.categories
            if category["name"] not in known
        ]
        for person in part.people:
            if person["image_id"] in new_images:
                changed = {
                    **person,
                    "id": len(found.people) + 1,
                    "image_id": new_images[person["image_id"]],
                    "category_id": new_labels.get(person.get("category_id"), 1),
                }
                if person.get("keypoints"):
                    changed["keypoints"] = _reordered(person["keypoints"], part, first)
                found.people.append(changed)
    lacking = [name for name in other.names if name not in first.names]
    if lacking:
        found.said.append(
            f"keypoints of the added labels that the others lack are left out: "
            f"{shortened(lacking, _SHOWN)}"
        )
    found.said += other.said
    for reason, count in other.lost.items():
        found.lost[reason] += count
        found.ids.setdefault(reason, []).extend(other.ids.get(reason, ()))
    return found


def seen_from(found: Annotations, home: Path) -> None:
    """Let names of pictures be relative to another folder."""
    found.images = [
        {**image, "file_name": _seen_from(home, found, image["file_name"])}
        for image in found.images
    ]
    found.folder = home


def _seen_from(home: Path, part: Annotations, name: str) -> str:
    """A picture's path from a folder; its name where nobody knows where it lies."""
    if part.folder is None:
        return name
    place = (part.folder / name).resolve()
    try:
        return Path(os.path.relpath(place, home.resolve())).as_posix()
    except ValueError:
        # another drive of Windows
        return place.as_posix()


def _reordered(keypoints: list[float], part: Annotations, target: Annotations) -> list[Any]:
    """Triples in the target's order; zeros for what the part lacks."""
    if part.names == target.names:
        return keypoints
    triples = np.array(keypoints, np.float64).reshape(-1, NUMBERS)
    moved = np.zeros((len(target.names), NUMBERS))
    for k, name in enumerate(target.names):
        if name in part.names:
            moved[k] = triples[part.names.index(name)]
    return plain(moved)
