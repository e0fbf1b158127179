"""People picture by picture, as labelling tools show them: what their writers go by."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from poise._files import write_whole, writing
from poise.check.categories import OWN
from poise.data_tools.formats.annotations import NUMBERS, Annotations
from poise.errors import DataError
from poise.geometry.boxes import Box

__all__ = [
    "Shown",
    "category_keypoints",
    "check_apart",
    "identity",
    "place_below",
    "shown_people",
    "write_files",
]


@dataclass(frozen=True)
class Shown:
    """One person of a picture.

    Attributes:
        number: in the picture, from 1.
        label: name of the category.
        names: K keypoints that the category has.
        triples: (K, 3) x, y (image space), visibility 0, 1 or 2.
        scores: (K,) of a model; 0 of labels.
        box: left, top, right, bottom.
        about: the annotation.
    """

    number: int
    label: str
    names: list[str]
    triples: np.ndarray
    scores: np.ndarray
    box: Box
    about: Mapping[str, Any]

    @property
    def labelled(self) -> list[tuple[str, float, float, bool]]:
        """Name, x, y, and whether it is hidden, of the keypoints that have a label."""
        rows = zip(self.names, self.triples.tolist(), strict=True)
        return [(name, x, y, seen < 2) for name, (x, y, seen) in rows if seen > 0]


def category_keypoints(found: Annotations) -> dict[str, list[str]]:
    """Names of the categories -> their keypoints."""
    return {c["name"]: list(c.get(OWN) or found.names) for c in found.categories}


def shown_people(
    found: Annotations, *, posed: bool = False
) -> list[tuple[dict[str, Any], list[Shown]]]:
    """Every picture with its people.

    Args:
        found: crowds, and people of pictures that are not listed, are counted in its `lost`.
        posed: count those without a labelled keypoint there, too.
    """
    labels = {c["id"]: c["name"] for c in found.categories}
    own = category_keypoints(found)
    known = {image["id"] for image in found.images}
    by_image: dict[Any, list[Shown]] = defaultdict(list)
    for person in found.people:
        label = labels[person["category_id"]]
        names = own[label]
        chosen = [found.names.index(name) for name in names]
        scores = np.array(person.get("keypoint_scores") or [0] * len(found.names), np.float64)
        triples = np.array(person.get("keypoints") or [0] * NUMBERS * len(found.names), np.float64)
        triples = triples.reshape(-1, NUMBERS)[chosen]
        if person.get("iscrowd"):
            found.drop("crowd", person.get("id"))
        elif person["image_id"] not in known:
            found.drop("of an image that is not listed", person.get("id"))
        elif posed and not (triples[:, 2] > 0).any():
            found.drop("without keypoints", person.get("id"))
        else:
            x, y, width, height = map(float, person["bbox"])
            others = by_image[person["image_id"]]
            box = (x, y, x + width, y + height)
            number = len(others) + 1
            others.append(Shown(number, label, names, triples, scores[chosen], box, person))
    return [(image, by_image[image["id"]]) for image in found.images]


def identity(person: Mapping[str, Any]) -> str | None:
    """Who it is in all pictures of a video, by name; None where nobody said."""
    name = person.get("individual", person.get("track_id"))
    return None if name is None else str(name)


def place_below(folder: Path, name: str) -> Path:
    """A picture's name as a path below a folder, whatever else it leads to.

    Example:
        >>> place_below(Path("out"), "../a/b.png").as_posix()
        'out/a/b.png'
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return folder.joinpath(*(p for p in parts if p not in ("/", "..") and not p.endswith(":")))


def write_files(files: Mapping[Path, bytes], *, replace: bool) -> None:
    """Write files of labels, whose folders are made.

    Raises:
        DataError: one is there already and must not be replaced, or cannot be written; in the
            first case none is written.
    """
    there = [file for file in files if file.exists()]
    if there and not replace:
        more = f" and {len(there) - 1:,} more" if len(there) > 1 else ""
        raise DataError(
            f"{there[0]}{more} would be overwritten, with whatever somebody corrected there; "
            "choose another --out, or say --force"
        )
    for file, content in files.items():
        with writing(file):
            write_whole(file, content)


def check_apart(places: Iterable[tuple[Path, str]]) -> None:
    """See that no two pictures have one file of labels.

    Args:
        places: file, and name of the picture.

    Raises:
        DataError: two have.
    """
    by_place = sorted(places)
    for (place, one), (other, two) in itertools.pairwise(by_place):
        if place == other:
            raise DataError(
                f"{one} and {two} would both have their labels in {place}; give one another name, "
                "or convert their folders by themselves"
            )
