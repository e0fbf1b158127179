"""What an edit of the page makes of an annotation; all it does not know stays as it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poise.data_tools.formats.annotations import NUMBERS, new_annotation, plain
from poise.data_tools.labelling.kinds import Kind
from poise.data_tools.labelling.refusals import RefusedError
from poise.geometry.boxes import bbox_of_keypoints

__all__ = ["Edit", "box_of", "edited", "new_person", "read_edits", "triples_of"]

#: nobody labels more people in a picture, and no picture is larger
_MOST_PEOPLE, _MOST_PIXELS = 10_000, 1e6
_VISIBILITIES = (0, 1, 2)
#: no categories have more keypoints together
_MOST_ASIDE = 10_000
#: pixels by which a box may differ from one that was made of the keypoints, by rounding
_SAME_BOX = 0.02


@dataclass(frozen=True)
class Edit:
    """One person as the page has it.

    Attributes:
        id: of the annotation; None for a new one.
        key: of the page, by which a new one is known until it has an id.
        category: id.
        triples: (K, 3) x, y (image space), visibility.
        box: (4,) xywh, or None.
        drawn: whether somebody drew the box, which then is as it is, whatever the keypoints are.
        aside: name -> x, y, visibility of keypoints that the category lacks and an earlier one of
            this person had; no part of the file.
    """

    id: Any
    key: str
    category: Any
    triples: np.ndarray
    box: np.ndarray | None
    drawn: bool = False
    aside: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def beside(self) -> dict[str, Any]:
        """What the page knows of the person, and the file does not."""
        return {"drawn": self.drawn, "aside": dict(self.aside)}

    @property
    def is_somebody(self) -> bool:
        """Whether there is anything to write."""
        return self.drawn or bool((self.triples[:, 2] > 0).any())


def triples_of(row: Mapping[str, Any], count: int) -> np.ndarray:
    """(K, 3) keypoints of an annotation; those that are not finite are not labelled.

    Raises:
        RefusedError: there is something else than numbers.
    """
    values = row.get("keypoints") or [0] * NUMBERS * count
    try:
        triples = np.array(values, np.float64).reshape(count, NUMBERS)
    except (TypeError, ValueError) as error:
        raise RefusedError(
            422, f"annotation {row['id']} has something else than numbers in `keypoints`: {error}"
        ) from error
    triples[~np.isfinite(triples).all(axis=1)] = 0
    return triples


def box_of(row: Mapping[str, Any]) -> list[float] | None:
    """Box xywh of an annotation, if it has a proper one."""
    box = _numbers(row.get("bbox"), (4,))
    return None if box is None else box.tolist()


def read_edits(content: Any, kinds: Mapping[Any, Kind]) -> list[Edit]:
    """Edits out of what the page sent.

    Raises:
        RefusedError: it is of another form.
    """
    if not isinstance(content, list) or len(content) > _MOST_PEOPLE:
        got = f"{len(content):,}" if isinstance(content, list) else type(content).__name__
        raise RefusedError(400, f"`people` is a list of at most {_MOST_PEOPLE:,}, got {got}")
    found = [_read_edit(n, entry, kinds) for n, entry in enumerate(content)]
    keys = [edit.key for edit in found if edit.id is None]
    if len(set(keys)) < len(keys):
        raise RefusedError(400, "a `key` comes twice in `people`")
    return found


def _read_edit(number: int, entry: Any, kinds: Mapping[Any, Kind]) -> Edit:
    where = f"people[{number}]"
    if not isinstance(entry, dict):
        raise RefusedError(400, f"{where} is a {type(entry).__name__}, expected an object")
    name, key, category = entry.get("id"), entry.get("key"), entry.get("category_id")
    if not isinstance(name, int | float | str | None) or isinstance(name, bool):
        raise RefusedError(400, f"{where}.id is a number, a text or null, got {name!r:.60}")
    if name is None and not (isinstance(key, str) and key):
        raise RefusedError(400, f"{where} is new and needs a text as `key`, got {key!r:.60}")
    if not isinstance(category, int | float | str) or category not in kinds:
        known = ", ".join(f"{kind.category} ({kind.name})" for kind in kinds.values())
        raise RefusedError(400, f"{where}.category_id must be one of {known}, got {category!r:.60}")
    count = len(kinds[category].keypoints)
    triples = _numbers(entry.get("keypoints"), (count, NUMBERS))
    if triples is None or not np.isin(triples[:, 2], _VISIBILITIES).all():
        raise RefusedError(
            400,
            f"{where}.keypoints are {count} lists [x, y, v] of finite numbers with v of 0, 1 or 2, "
            f"got {entry.get('keypoints')!r:.80}",
        )
    box = None
    if entry.get("bbox") is not None:
        box = _numbers(entry["bbox"], (4,))
        if box is None or (box[2:] <= 0).any():
            raise RefusedError(
                400,
                f"{where}.bbox is [x, y, width, height] or null, got {entry['bbox']!r:.60}",
            )
    drawn = entry.get("drawn", False)
    if not isinstance(drawn, bool) or (drawn and box is None):
        raise RefusedError(
            400, f"{where}.drawn is true or false, true only with a bbox, got {drawn!r:.60}"
        )
    aside = _read_aside(where, entry.get("aside") or {})
    return Edit(name, str(key or ""), category, triples, box, drawn, aside)


def _read_aside(where: str, given: Any) -> dict[str, list[float]]:
    """Keypoints that a category lacks, by name."""
    fits = isinstance(given, dict) and len(given) <= _MOST_ASIDE
    found = {name: _numbers(values, (NUMBERS,)) for name, values in given.items()} if fits else {}
    if not fits or any(p is None or p[2] not in _VISIBILITIES for p in found.values()):
        raise RefusedError(
            400, f"{where}.aside has [x, y, v] of finite numbers by name, got {given!r:.80}"
        )
    return {name: point.tolist() for name, point in found.items() if point is not None}


def _numbers(values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Finite numbers of a shape, none larger than a picture; None where they are not that."""
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError):
        return None
    return found if found.shape == shape and (np.abs(found) < _MOST_PIXELS).all() else None


def new_person(edit: Edit, number: int, image: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Annotation of a new person, who has a labelled keypoint or a box that was drawn.

    Args:
        edit: of the page.
        number, image: ids.
        size: width and height of the picture.
    """
    labelled = edit.triples[edit.triples[:, 2] > 0, :2]
    box = edit.box
    if box is None or not (edit.drawn or _contains(box, labelled)):
        box = np.array(bbox_of_keypoints(edit.triples, size))
    return new_annotation(number, image, edit.category, box.round(2), edit.triples)


def edited(
    row: dict[str, Any], edit: Edit, size: tuple[int, int], kinds: Mapping[Any, Kind]
) -> dict[str, Any]:
    """The annotation with the category, keypoints and box of an edit; itself where nothing differs.

    A box that was drawn is taken. Another one stays if it has all keypoints that came or moved; one
    that has not, and one that was made of the keypoints before, is made of the keypoints.

    Args:
        row: the annotation.
        edit: of the page.
        size: width and height of the picture.
        kinds: category id -> kind.
    """
    old = kinds[row["category_id"]]
    new = row if edit.category == old.category else _of_kind(row, old, kinds[edit.category])
    before = triples_of(new, len(edit.triples))
    changed = (before != edit.triples).any(axis=1)
    if changed.any():
        # of the others every digit stays
        values = list(new.get("keypoints") or [0] * edit.triples.size)
        for k in np.flatnonzero(changed).tolist():
            values[NUMBERS * k : NUMBERS * (k + 1)] = plain(edit.triples[k])
        new = {**new, "keypoints": values}
    if new is not row:
        new["num_keypoints"] = int((edit.triples[:, 2] > 0).sum())
    box = edit.box if edit.drawn else _following_box(row, old, edit, changed, size)
    if box is None or box.tolist() == box_of(row):
        return new
    return new | _box_fields(row, box)


def _of_kind(row: Mapping[str, Any], old: Kind, new: Kind) -> dict[str, Any]:
    """The annotation in another category, whose keypoints it has by their names."""
    found = {**row, "category_id": new.category}
    if row.get("keypoints"):
        values = row["keypoints"]
        points = {n: values[NUMBERS * k :][:NUMBERS] for k, n in enumerate(old.keypoints)}
        asked = {new.keypoints[k] for k in new.asked}
        named = (points.get(name) if name in asked else None for name in new.keypoints)
        found["keypoints"] = [value for point in named for value in point or (0,) * NUMBERS]
    return found


def _following_box(
    row: Mapping[str, Any], kind: Kind, edit: Edit, changed: np.ndarray, size: tuple[int, int]
) -> np.ndarray | None:
    """A new box that keypoints ask for which came, went or moved; None where it stays."""
    if not changed.any():
        return None
    before = triples_of(row, len(kind.keypoints))
    box, made = _numbers(row.get("bbox"), (4,)), bbox_of_keypoints(before, size)
    was_made = box is not None and made is not None and np.allclose(box, made, atol=_SAME_BOX)
    labelled = edit.triples[changed & (edit.triples[:, 2] > 0), :2]
    if box is not None and not was_made and _contains(box, labelled):
        return None
    around = bbox_of_keypoints(edit.triples, size)
    return None if around is None else np.array(around)


def _box_fields(row: Mapping[str, Any], box: np.ndarray) -> dict[str, Any]:
    """`bbox`, and `area` unless a shape says that."""
    area = {} if row.get("segmentation") else {"area": round(math.prod(box[2:].tolist()), 2)}
    return {"bbox": plain(box.round(2)), **area}


def _contains(box: np.ndarray, points: np.ndarray) -> bool:
    """Whether all points (N, 2) are in a box xywh."""
    return bool(((points >= box[:2]) & (points <= box[:2] + box[2:])).all())
