"""Labels of several sources as one set, such as those of two rounds of labelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import shortened
from poise.check.categories import OWN
from poise.data_tools.formats.annotations import NUMBERS, Annotations, link_to, plain, real_place
from poise.errors import DataError

__all__ = ["join_annotations"]

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
    known: set[str] = set()
    labels: dict[str, int] = {}
    for part in (first, other):
        new_images: dict[Any, int] = {}
        for image in part.images:
            name, own = link_to(part, image["file_name"], home), _identity(part, image["file_name"])
            if own in known:
                found.drop("pictures that have labels already", name)
                continue
            known.add(own)
            number = new_images[image["id"]] = len(known)
            found.images.append({**image, "id": number, "file_name": name})
        new_labels = {
            category["id"]: labels.setdefault(category["name"], len(labels) + 1)
            for category in part.categories
        }
        called = {category["name"] for category in found.categories}
        found.categories += [
            {**category, "id": labels[category["name"]], **_own(category, part, first)}
            for category in part.categories
            if category["name"] not in called
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


def _own(category: Mapping[str, Any], part: Annotations, first: Annotations) -> dict[str, Any]:
    """Which of the first one's keypoints a category has, where these are not all of them."""
    names = category.get(OWN) or part.names
    own = [name for name in names if name in first.names]
    return {OWN: own} if OWN in category or len(own) < len(first.names) else {}


def _identity(found: Annotations, name: str) -> str:
    """What is the same of a picture that two sources name through different links."""
    if found.folder is None:
        return name
    return str(real_place(found.folder / name))


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
