"""The form between all forms: COCO's, with the keypoints known by name."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from poise.check.categories import OWN
from poise.schemas import conversions
from poise.structures import convert_keypoints

__all__ = [
    "REVIEWED",
    "Annotations",
    "keypoints_of",
    "link_to",
    "new_annotation",
    "plain",
    "real_place",
]

#: values of a triple's third number: not labelled, labelled but hidden, visible
NUMBERS = 3
#: field of a picture whose labels somebody has looked at
REVIEWED = "reviewed"
#: so many places are kept for each reason
MOST_IDS = 1000


@dataclass
class Annotations:
    """Pictures and people.

    Attributes:
        images: with id, file_name, width, height, and whatever else a file has.
        people: COCO annotations: id, image_id, category_id, bbox xywh, keypoints as a flat list
            of x, y, visibility; and whatever else.
        names: of the K keypoints.
        swap: K indices, of each keypoint's other side.
        skeleton: pairs of indices.
        categories: COCO's, without keypoints.
        schema: name of the keypoints' schema, or "" where none is known.
        lost: what could not be kept -> how many.
        ids: what could not be kept -> where the first ones of them stand.
        said: what was made or guessed, for people; one sentence each.
        folder: that names of pictures are relative to, where it is known.
        kept: people that were written.
        proposed_by: name of the model whose proposals these are, to be corrected by people; None
            for labels. Of such, keypoints with visibility 0 may still have a place.
    """

    images: list[dict[str, Any]]
    people: list[dict[str, Any]]
    names: list[str]
    swap: list[int]
    skeleton: list[tuple[int, int]]
    categories: list[dict[str, Any]]
    schema: str = ""
    lost: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[Any]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    folder: Path | None = None
    kept: int = 0
    proposed_by: str | None = None

    def drop(self, reason: str, where: Any) -> None:
        """Count something that could not be kept."""
        self.lost[reason] += 1
        first = self.ids.setdefault(reason, [])
        if len(first) < MOST_IDS:
            first.append(where)

    def see_pictures_from(self, home: Path) -> None:
        """Name pictures relative to another folder, where it is known which one holds them."""
        if self.folder is not None:
            self.images = [
                {**image, "file_name": link_to(self, image["file_name"], home)}
                for image in self.images
            ]
            self.folder = home

    def converted(self, target: str, *, derived: bool = False) -> Annotations:
        """The same people with the keypoints of another schema.

        Args:
            target: name of a schema.
            derived: also keypoints that are made of others.
        """
        from poise import schemas

        mapping = conversions.find(self.schema, target)
        info = schemas.get(target)
        names = [point["name"] for point in info["keypoint_info"].values()]
        people = []
        for person in self.people:
            changed = copy.copy(person)
            if person.get("keypoints"):
                triples = np.array(person["keypoints"], np.float64).reshape(-1, NUMBERS)
                points, seen = convert_keypoints(
                    triples[:, :2], triples[:, 2], mapping=mapping, derived=derived
                )
                points[seen == 0] = 0
                joined = np.concatenate([points, seen[:, None]], axis=1)
                changed["keypoints"] = plain(joined)
                changed["num_keypoints"] = int((seen > 0).sum())
            people.append(changed)
        other = [p.get("swap") or p["name"] for p in info["keypoint_info"].values()]
        links = [link["link"] for link in info["skeleton_info"].values()]
        return replace(
            self,
            people=people,
            # which keypoints are a category's own was said of the old ones
            categories=[{k: v for k, v in c.items() if k != OWN} for c in self.categories],
            names=names,
            swap=[names.index(name) for name in other],
            skeleton=[(names.index(a), names.index(b)) for a, b in links],
            schema=target,
        )


def link_to(found: Annotations, name: str, home: Path) -> str:
    """A picture's path as seen from a folder.

    Below the folder, and up as far as need be, links stay links: a picture that is one has its own
    name, not that of what it leads to. An absolute name, one of another drive, and one of which
    nobody knows where it lies, stay as they are.
    """
    if found.folder is None or Path(name).is_absolute() or PureWindowsPath(name).is_absolute():
        return name
    place, home = found.folder / name, home.absolute()
    real = real_place(place)
    # ".." behind a link is above what that leads to
    place = real if ".." in place.parts else place.absolute()
    if place.is_relative_to(home):
        return place.relative_to(home).as_posix()
    try:
        ways = [Path(os.path.relpath(p, os.path.realpath(home))) for p in (place, real)]
    except ValueError:
        # another drive of Windows
        return place.as_posix()
    return min(ways, key=lambda way: len(way.parts)).as_posix()


def real_place(picture: Path) -> Path:
    """Where a picture lies, whatever links lead to its folder; one that is a link has its name."""
    return Path(os.path.realpath(picture.parent)) / picture.name


def keypoints_of(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """`names`, `swap` and `skeleton` of parsed metainfo, for `Annotations`.

    Of names alone, or nothing, there are neither sides nor links.
    """
    names = list((metainfo.get("keypoint_id2name") or {}).values())
    return {
        "names": names,
        "swap": [int(k) for k in metainfo.get("flip_indices", range(len(names)))],
        "skeleton": [(int(a), int(b)) for a, b in metainfo.get("skeleton_links", ())],
    }


def new_annotation(
    number: int, image: int, category: int, box: np.ndarray, triples: np.ndarray
) -> dict[str, Any]:
    """An annotation as COCO has it.

    Args:
        number, image, category: ids.
        box: (4,) xywh. triples: (K, 3) x, y, visibility; image space.
    """
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": plain(box),
        "area": round(float(box[2] * box[3]), 2),
        "iscrowd": 0,
        "num_keypoints": int((triples[:, 2] > 0).sum()),
        "keypoints": plain(triples),
    }


def plain(values: np.ndarray) -> list[float | int]:
    """Flat list, whole numbers without a fraction."""
    return [int(v) if float(v).is_integer() else round(float(v), 4) for v in values.ravel()]
