"""Annotation files whose categories have different keypoints: joined into one set, or one chosen.

A model has one set of keypoints. Over the union of all of them a category's annotations leave the
keypoints of the others unlabelled, which counts in no loss and in no score, as in DeepFashion2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise._words import counted
from poise.check.files import read_annotations, write_annotations
from poise.errors import DataError, nearest

__all__ = ["OWN", "JoinedNames", "has_several_sets", "join_names", "one_set", "use_one_set"]

#: field of a category of a joined file: which keypoints are its own
OWN = "own_keypoints"
#: names that say nothing beside a number: those of two categories are not the same thing
_NUMBERED = re.compile(
    r"(?:keypoints?|kpts?|kps?|points?|pts?|p|k|joints?|j|landmarks?|lm)?[\s_-]*\d+"
)


@dataclass(frozen=True)
class JoinedNames:
    """Keypoints of several categories as one set.

    Attributes:
        names: of the union, in order.
        own: category -> its keypoints, by their names in the union, in its own order.
    """

    names: list[str]
    own: dict[str, list[str]]

    @property
    def said(self) -> str:
        """What was done, in a sentence."""
        parts = [f"{label} ({counted(len(own), 'keypoint')})" for label, own in self.own.items()]
        return (
            f"categories: {' and '.join(parts)}: one set of {len(self.names)}; those that a "
            "category lacks count in none of its losses and scores. --category NAME takes one alone"
        )


def join_names(sets: Mapping[str, Sequence[str]]) -> JoinedNames:
    """One set of keypoints of those of several categories.

    Keypoints of one name are one keypoint; mere numbers, such as "point 3", are of their category.

    Args:
        sets: category -> names.

    Example:
        >>> join_names({"dog": ["nose", "tail", "p1"], "hen": ["beak", "tail", "p1"]}).names
        ['nose', 'tail', 'dog_p1', 'beak', 'hen_p1']
    """
    own = {
        label: [f"{label}_{n}" if _NUMBERED.fullmatch(n.lower()) else n for n in names]
        for label, names in sets.items()
    }
    return JoinedNames(list(dict.fromkeys(name for names in own.values() for name in names)), own)


def has_several_sets(content: Mapping[str, Any]) -> bool:
    """Whether categories of a COCO file that are used have different keypoints."""
    return _differ(_sets([content]))


def _differ(sets: Mapping[str, Sequence[str]]) -> bool:
    return len(set(map(tuple, sets.values()))) > 1


def use_one_set(
    files: Sequence[Path], folder: Path, category: str | None = None
) -> tuple[list[Path], list[str]]:
    """COCO files with one set of keypoints: themselves, or new ones that are written.

    Args:
        files: such as those of training and validation, which get the same keypoints.
        folder: for new files.
        category: the only one that is wanted; None joins all.

    Returns:
        files in the same order, and a sentence about what was done.

    Raises:
        DataError: no such category, or annotations that do not fit their categories.
    """
    contents = [read_annotations(file) for file in files]
    if category is None and not _differ(_sets(contents)):
        return list(files), []
    written: list[Path] = []
    told: list[str] = []
    for file, content in zip(files, contents, strict=True):
        found, said = one_set(content, category, source=file, beside=contents)
        kept = re.sub(r"\W+", "_", category) if category is not None else "joined"
        target = folder / f"{file.stem}_{kept}.json"
        if target in written:
            target = folder / f"{file.stem}_{kept}_{len(written)}.json"
        write_annotations(found, target)
        written.append(target)
        told = said
    return written, told


def one_set(
    content: Mapping[str, Any],
    category: str | None = None,
    *,
    source: Path,
    beside: Sequence[Mapping[str, Any]] = (),
) -> tuple[dict[str, Any], list[str]]:
    """Content of a COCO file with one set of keypoints, and what was done.

    Args:
        content: of the file; left alone.
        category: the only one that is wanted; None joins all.
        source: the file, for error texts.
        beside: contents of files that get the same keypoints.

    Raises:
        DataError: no such category, or annotations that do not fit their categories.
    """
    if category is not None:
        return _chosen(content, category, source), [f"category: {category} alone"]
    sets = _sets(beside or [content])
    if not _differ(sets):
        return dict(content), []
    joined = join_names(sets)
    place = {name: number for number, name in enumerate(joined.names)}
    labels = {c["id"]: _label(c) for c in content["categories"]}
    people = [
        _widened(
            ann, [place[n] for n in joined.own[labels[ann["category_id"]]]], len(place), source
        )
        if ann.get("keypoints") and labels.get(ann.get("category_id")) in joined.own
        else ann
        for ann in content["annotations"]
    ]
    links = _links(content["categories"], joined, place)
    categories = [
        {**c, "keypoints": joined.names, "skeleton": links, OWN: joined.own[_label(c)]}
        if _label(c) in joined.own
        else c
        for c in content["categories"]
    ]
    # its indices are of another set
    info = {k: v for k, v in (content.get("info") or {}).items() if k != "flip_indices"}
    whole = {**content, "annotations": people, "categories": categories, "info": info}
    return whole, [joined.said]


def _label(category: Mapping[str, Any]) -> str:
    return str(category.get("name", category["id"]))


def _sets(contents: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Category -> names of its keypoints, of those that annotations use; the first file counts."""
    found: dict[str, list[str]] = {}
    for content in contents:
        lengths: dict[Any, int] = {}
        for ann in content["annotations"]:
            if ann.get("keypoints"):
                lengths.setdefault(ann.get("category_id"), len(ann["keypoints"]) // 3)
        for category in content["categories"]:
            if category["id"] in lengths:
                names = [str(name) for name in category.get("keypoints") or ()]
                names = names or [f"keypoint_{k}" for k in range(lengths[category["id"]])]
                found.setdefault(_label(category), names)
    return found


def _chosen(content: Mapping[str, Any], category: str, source: Path) -> dict[str, Any]:
    """Only the annotations of a category; all pictures stay."""
    chosen = [c for c in content["categories"] if _label(c).lower() == category.lower()]
    if not chosen:
        labels = [_label(c) for c in content["categories"]]
        raise DataError(
            f"{source} has no category '{category}'{nearest(category, labels)}; it has "
            f"{', '.join(labels)}"
        )
    ids = {c["id"] for c in chosen}
    people = [ann for ann in content["annotations"] if ann.get("category_id") in ids]
    if not people:
        raise DataError(f"{source} has no annotation of the category '{category}'")
    return {**content, "annotations": people, "categories": chosen}


def _widened(
    ann: Mapping[str, Any], places: Sequence[int], count: int, source: Path
) -> dict[str, Any]:
    """An annotation with its keypoints at their places among all of them."""
    numbers = ann["keypoints"]
    if len(numbers) != 3 * len(places):
        raise DataError(
            f"{source}: annotation {ann.get('id')} has {len(numbers)} numbers in keypoints, "
            f"expected {3 * len(places)} (x, y, v of the {len(places)} keypoints of its category)"
        )
    wide = [0] * (3 * count)
    for row, place in enumerate(places):
        wide[3 * place : 3 * place + 3] = numbers[3 * row : 3 * row + 3]
    return {**ann, "keypoints": wide}


def _links(
    categories: Iterable[Mapping[str, Any]], joined: JoinedNames, place: Mapping[str, int]
) -> list[list[int]]:
    """Links of all categories between the keypoints of all; COCO counts from one."""
    found: dict[tuple[int, int], None] = {}
    for category in categories:
        own = joined.own.get(_label(category), [])
        for a, b in category.get("skeleton") or ():
            if 0 < a <= len(own) and 0 < b <= len(own):
                found[place[own[a - 1]] + 1, place[own[b - 1]] + 1] = None
    return [list(link) for link in found]
