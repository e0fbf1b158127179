"""From COCO-style annotations to columns of instances, many at a time.

Most data sets differ only in which fields hold the keypoints, how the box is found and which
facts are handed on. `InstanceRule` says so, and `read_instances` does the arithmetic for all
annotations of a file in a few numpy calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np

from poise._words import counted, shortened
from poise.datasets.paths import join_path
from poise.datasets.records import MISSING, Columns
from poise.errors import DataError
from poise.geometry.boxes import AREA_PER_BOX, bbox_cs2xyxy

__all__ = [
    "InstanceRule",
    "field_of",
    "image_sizes",
    "invalid_reason",
    "invalid_reasons",
    "nan_instances",
    "nan_people",
    "numbers_of",
    "read_instances",
    "row",
    "select_columns",
]

# centre and scale of MPII, 300W, AFLW, WFLW: a scale of 1 is a box of 200 pixels
PIXELS_PER_SCALE = 200.0


@dataclass(frozen=True)
class InstanceRule:
    """How one data set writes its instances.

    Attributes:
        keypoints: fields of `(x, y, visible)` triples, joined in this order.
        box: `clipped`: the field `box_field` as xywh, cut to the picture; `centre_scale`: from
            the fields `center` and `scale` (in units of 200 pixels); a number: the whole
            picture, that many pixels wide and high.
        box_field: field of a `clipped` box.
        offset: added to box and keypoints; -1 for annotations that count from 1.
        needs: annotations without one of these fields are left out.
        flag: field that must be true, and then one keypoint positive, or the annotation is
            left out.
        count: where `num_keypoints` comes from: the field if it is there, the field, or the
            number of keypoints that are not at the origin.
        extras: further keys: names in `_EXTRAS`, or fields.
        test_extras: further keys in test mode.
        exact: keep keypoints in float64 and visibility as integers (COCO-WholeBody).
    """

    keypoints: tuple[str, ...] = ("keypoints",)
    box: Literal["clipped", "centre_scale"] | float = "clipped"
    box_field: str = "bbox"
    offset: float = 0.0
    needs: tuple[str, ...] = ()
    flag: str | None = None
    count: Literal["field or counted", "field", "counted"] = "counted"
    extras: tuple[str, ...] = ()
    test_extras: tuple[str, ...] = ()
    exact: bool = False

    def refusal(self, ann: dict[str, Any]) -> str | None:
        """Why an annotation is left out unread, or `None`."""
        for field in self.needs:
            if field not in ann:
                return "without box" if field == self.box_field else "without keypoints"
        if self.flag is not None:
            field = self.keypoints[0]
            try:
                if not ann.get(self.flag) or max(ann.get(field) or [0]) <= 0:
                    return f"without {self.flag}"
            except TypeError as error:
                raise DataError(
                    f"annotation {ann.get('id')}: `{field}` must be a list of numbers"
                ) from error
        return None


def read_instances(
    anns: Sequence[dict[str, Any]],
    images: Sequence[dict[str, Any]],
    rule: InstanceRule,
    *,
    num_keypoints: int | None,
    image_root: str = "",
    test_mode: bool = False,
    source: str = "the annotations",
) -> Columns:
    """Parse N annotations at once.

    Args:
        anns: N annotations that the rule does not refuse.
        images: the image of each.
        rule: how the data set writes them.
        num_keypoints: K of the schema, `None` to take it from the first annotation.
        image_root: folder of the images.
        test_mode: whether to add the rule's `test_extras`.
        source: the file, for error texts.

    Returns:
        key -> `(N, ...)` array or list of N. Image space throughout: `bbox` `(N, 1, 4)` xyxy,
        `keypoints` `(N, 1, K, 2)`, `keypoints_visible` `(N, 1, K)`, float32.

    Raises:
        DataError: a field is missing, a box has not four numbers, the number of keypoints is
            not the schema's; names the annotation.
    """
    triples = _triples(anns, rule, num_keypoints, source)
    keypoints = triples[..., :2]
    if not rule.exact:
        triples = triples.astype(np.float32)
        keypoints = triples[..., :2] + np.float32(rule.offset) if rule.offset else triples[..., :2]
    boxes, exact_boxes = _boxes(anns, images, rule, source)
    columns: Columns = {
        "img_id": field_of(anns, "image_id", source),
        "img_path": [
            i["img_path"] if "img_path" in i else join_path(image_root, i["file_name"])
            for i in images
        ],
        **boxes,
        "bbox_score": np.ones((len(anns), 1), dtype=np.float32),
        "num_keypoints": _counts(anns, keypoints, rule, source),
        "keypoints": np.ascontiguousarray(keypoints[:, None]),
        "keypoints_visible": _visible(triples[..., 2], exact=rule.exact)[:, None],
        "iscrowd": [a.get("iscrowd", 0) for a in anns],
        "id": field_of(anns, "id", source),
    }
    given = _Given(anns, images, exact_boxes, source)
    for name in rule.extras + (rule.test_extras if test_mode else ()):
        known = name in _EXTRAS
        columns.update(_EXTRAS[name](given) if known else {name: field_of(anns, name, source)})
    return columns


def row(columns: Columns, i: int) -> dict[str, Any]:
    """Instance `i` as a dict; keys whose value is `MISSING` are left out."""
    values = {k: v[i, ...] if isinstance(v, np.ndarray) else v[i] for k, v in columns.items()}
    return {k: v for k, v in values.items() if v is not MISSING}


def select_columns(columns: Columns, indices: np.ndarray) -> Columns:
    """The chosen instances, in that order."""
    chosen = indices.tolist()
    return {
        name: values[indices] if isinstance(values, np.ndarray) else [values[i] for i in chosen]
        for name, values in columns.items()
    }


def invalid_reasons(columns: Columns) -> dict[str, np.ndarray]:
    """Which instances cannot be learnt from, by reason, in the order of the tests.

    Returns:
        reason -> `(N,)` bool; an instance stands under its first reason only.
    """
    keypoints = np.asarray(columns["keypoints"])
    boxes = np.asarray(columns["bbox"])[:, 0]
    tests = {
        "crowd": np.array([bool(c) for c in columns["iscrowd"]], dtype=bool),
        "without keypoints": np.array([n == 0 for n in columns["num_keypoints"]], dtype=bool),
        "zero-size box": ((boxes[:, 2:] - boxes[:, :2]) <= 0).any(axis=1),
        # numpy's max gives NaN where one coordinate is NaN, and NaN <= 0 is false
        "without keypoints in the picture": keypoints.max(axis=(1, 2, 3), initial=-np.inf) <= 0,
    }
    seen = np.zeros(len(keypoints), dtype=bool)
    reasons = {}
    for reason, found in tests.items():
        reasons[reason] = found & ~seen
        seen |= found
    return reasons


def invalid_reason(person: dict[str, Any]) -> str | None:
    """Why one instance cannot be learnt from, or `None`; the tests of `invalid_reasons`."""
    if person.get("iscrowd"):
        return "crowd"
    if person.get("num_keypoints") == 0:
        return "without keypoints"
    if "bbox" in person:
        left, top, right, bottom = person["bbox"][0]
        if right - left <= 0 or bottom - top <= 0:
            return "zero-size box"
    if "keypoints" in person and np.max(person["keypoints"]) <= 0:
        return "without keypoints in the picture"
    return None


#: Where NaN would turn the loss into NaN.
FINITE = ("bbox", "keypoints", "keypoints_visible")


def nan_instances(columns: Columns) -> np.ndarray:
    """`(N,)` bool: a coordinate of box or keypoints is NaN or infinite."""
    wrong = np.zeros(len(columns["keypoints"]), dtype=bool)
    for name in FINITE:
        values = np.asarray(columns[name])
        wrong |= ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return wrong


def nan_people(people: Sequence[dict[str, Any]]) -> np.ndarray:
    """`nan_instances` of N instances as dicts, which need not have all of the keys."""
    wrong = np.zeros(len(people), dtype=bool)
    for name in FINITE:
        having = [i for i, person in enumerate(people) if name in person]
        values = [np.ravel(people[i][name]) for i in having]
        finite = np.isfinite(np.concatenate([np.empty(0), *values]).astype(np.float64))
        if not finite.all():
            places = np.repeat(having, [len(v) for v in values])
            wrong[places[~finite]] = True
    return wrong


def _triples(
    anns: Sequence[dict[str, Any]], rule: InstanceRule, num_keypoints: int | None, source: str
) -> np.ndarray:
    """`(N, K, 3)` float64."""
    parts = [field_of(anns, name, source) for name in rule.keypoints]
    rows = parts[0]
    if len(parts) > 1:
        try:
            rows = [list(chain(*p)) for p in zip(*parts, strict=True)]
        except TypeError:
            # one is no list; it is named below
            rows = list(zip(*parts, strict=True))
    numbers = None if num_keypoints is None else 3 * num_keypoints
    try:
        flat = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    except (ValueError, TypeError):
        flat = None
    if flat is not None and flat.shape[1] % 3 == 0 and numbers in (None, flat.shape[1]):
        return flat.reshape(len(rows), -1, 3)
    numbers = np.size(rows[0]) if numbers is None else numbers
    for ann, triples in zip(anns, rows, strict=True):
        size = _size(triples)
        if size != numbers or size % 3:
            raise DataError(
                f"{source}: annotation {ann.get('id')}: {size} numbers in "
                f"{' + '.join(f'`{k}`' for k in rule.keypoints)}, expected {numbers} "
                f"({numbers // 3} keypoints of the schema x 3: x, y, visible); is `metainfo` "
                "that of this file?"
            )
    raise DataError(f"{source}: keypoints hold something else than numbers")


def _size(triples: Any) -> int:
    try:
        return int(np.size(triples))
    except ValueError:
        return sum(_size(t) for t in triples)


def _visible(flags: np.ndarray, *, exact: bool) -> np.ndarray:
    """`(N, K)`: visibility 0 or less (unlabelled), 1 (hidden), 2 (visible) to 0 or 1."""
    return np.minimum(1, flags > 0) if exact else np.clip(flags, np.float32(0), np.float32(1))


def _boxes(
    anns: Sequence[dict[str, Any]],
    images: Sequence[dict[str, Any]],
    rule: InstanceRule,
    source: str,
) -> tuple[Columns, np.ndarray]:
    """Columns of the boxes, and the boxes `(N, 4)` xyxy in the precision areas come from."""
    if rule.box == "centre_scale":
        centres = _number_field(anns, "center", source).astype(np.float32)
        sides = _number_field(anns, "scale", source).astype(np.float32)
        scales = np.repeat(sides, 2, axis=1) * np.float32(PIXELS_PER_SCALE)
        found = bbox_cs2xyxy(centres, scales)
        columns: Columns = {
            "bbox": found[:, None],
            "bbox_center": centres[:, None],
            "bbox_scale": scales[:, None],
        }
        return columns, found
    if rule.box == "clipped":
        found = _clipped_boxes(anns, images, rule, source)
    else:
        found = np.tile([0.0, 0.0, float(rule.box), float(rule.box)], (len(anns), 1))
    return {"bbox": found[:, None].astype(np.float32)}, found


def _clipped_boxes(
    anns: Sequence[dict[str, Any]],
    images: Sequence[dict[str, Any]],
    rule: InstanceRule,
    source: str,
) -> np.ndarray:
    xywh = _number_field(anns, rule.box_field, source)
    sizes = image_sizes(images, source)
    corner = xywh[:, :2] + rule.offset
    corners = np.stack([corner, corner + xywh[:, 2:]], axis=1)
    # the last pixel has the index size - 1
    return np.clip(corners, 0, sizes[:, None] - 1).reshape(-1, 4)


def image_sizes(images: Sequence[dict[str, Any]], source: str) -> np.ndarray:
    """`(N, 2)` float64, width and height of images as the file gives them.

    Args:
        images: N images.
        source: the file, for error texts.

    Raises:
        DataError: an image lacks one, or has something else than a number; names it.
    """
    try:
        sizes = [(i["width"], i["height"]) for i in images]
    except KeyError as error:
        lacking = next(i for i in images if error.args[0] not in i)
        raise DataError(
            f"{source}: image {lacking.get('id')} has no `{error.args[0]}`, which boxes are cut "
            "to; `poise data convert FILE -o NEW.json` reads sizes from the pictures"
        ) from error
    try:
        numbers = np.array(sizes, dtype=np.float64)
    except (ValueError, TypeError):
        known = [size if _holds(size, 2) else (np.nan, np.nan) for size in sizes]
        numbers = np.array(known, dtype=np.float64)
    numbers = numbers.reshape(-1, 2)
    # None has become NaN
    wrong = [images[i].get("id") for i in np.flatnonzero(np.isnan(numbers).any(axis=1)).tolist()]
    if wrong:
        raise DataError(
            f"{source}: width and height of {counted(len(wrong), 'image')} are no numbers (image "
            f"id {shortened(wrong)}); `poise data convert FILE -o NEW.json` reads sizes from the "
            "pictures"
        )
    return numbers


def _counts(
    anns: Sequence[dict[str, Any]], keypoints: np.ndarray, rule: InstanceRule, source: str
) -> list[Any]:
    """Labelled keypoints of each instance: as the file says, or those not at the origin."""
    if rule.count == "field":
        return field_of(anns, "num_keypoints", source)
    counted = np.count_nonzero(keypoints.max(axis=2), axis=1).tolist()
    if rule.count == "counted":
        return counted
    return [a.get("num_keypoints", n) for a, n in zip(anns, counted, strict=True)]


class _Given(NamedTuple):
    """What further keys are made of: N annotations, their images and boxes (N, 4) xyxy."""

    anns: Sequence[dict[str, Any]]
    images: Sequence[dict[str, Any]]
    boxes: np.ndarray
    source: str

    def areas(self) -> np.ndarray:
        """`(N,)` float32: the field where it is there, else from the box."""
        of_boxes = zip(self.anns, _area(self.boxes), strict=True)
        given = [b if a.get("area") is None else a["area"] for a, b in of_boxes]
        return numbers_of(self.anns, given, "area", self.source)[:, 0].astype(np.float32)

    def categories(self) -> np.ndarray | list[Any]:
        values = field_of(self.anns, "category_id", self.source)
        plain = all(type(v) is int for v in values)
        return np.array(values) if plain else [np.array(v) for v in values]

    def crowd_indices(self) -> Columns:
        found = [i.get("crowdIndex", MISSING) for i in self.images]
        return {} if all(f is MISSING for f in found) else {"crowd_index": found}


#: name in `InstanceRule.extras` -> columns; any other name is a field, handed on as it stands
_EXTRAS: dict[str, Callable[[_Given], Columns]] = {
    "area": lambda given: {"area": given.areas()},
    "box_area": lambda given: {"area": _area(given.boxes).astype(np.float32)},
    "category_array": lambda given: {"category_id": given.categories()},
    "category_or_1": lambda given: {"category_id": [a.get("category_id", [1]) for a in given.anns]},
    "segmentation": lambda given: {"segmentation": [a.get("segmentation") for a in given.anns]},
    "crowd_index": _Given.crowd_indices,
    "raw_ann_info": lambda given: {"raw_ann_info": list(given.anns)},
    "no_keypoints_3d": lambda given: {"keypoints_3d": [None] * len(given.anns)},
}


def _area(boxes: np.ndarray) -> np.ndarray:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.maximum(sides[:, 0] * sides[:, 1] * AREA_PER_BOX, 1.0)


def field_of(anns: Sequence[dict[str, Any]], name: str, source: str) -> list[Any]:
    """What N annotations have for a field.

    Raises:
        DataError: some lack it; names them.
    """
    try:
        return [a[name] for a in anns]
    except KeyError as error:
        lacking = [a.get("id") for a in anns if name not in a]
        raise DataError(
            f"{source}: there is no `{name}` in {counted(len(lacking), 'annotation')} "
            f"({shortened(lacking)})"
        ) from error


#: field -> how many numbers it holds and how errors describe them; any other is a box
_FORMS = {
    "center": (2, "two numbers x, y"),
    "scale": (1, "one number"),
    "area": (1, "one number"),
}
_BOX_FORM = (4, "four numbers x, y, width, height")


def _number_field(anns: Sequence[dict[str, Any]], name: str, source: str) -> np.ndarray:
    return numbers_of(anns, field_of(anns, name, source), name, source)


def numbers_of(
    anns: Sequence[dict[str, Any]], values: Sequence[Any], name: str, source: str
) -> np.ndarray:
    """`(N, width)` float64 from the values that N annotations have for a field.

    Raises:
        DataError: a value is no list of so many numbers; names the annotations.
    """
    width, form = _FORMS.get(name, _BOX_FORM)
    try:
        return np.array(values, dtype=np.float64).reshape(len(values), width)
    except (ValueError, TypeError) as error:
        wrong = [a.get("id") for a, v in zip(anns, values, strict=True) if not _holds(v, width)]
        raise DataError(
            f"{source}: `{name}` must be {form}; it is not in "
            f"{counted(len(wrong), 'annotation')} (id {shortened(wrong)})"
        ) from error


def _holds(value: Any, width: int) -> bool:
    try:
        return np.asarray(value, dtype=np.float64).size == width
    except (ValueError, TypeError):
        return False
