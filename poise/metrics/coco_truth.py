"""COCO annotations as columns, from a file or from the samples themselves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._words import counted
from poise.errors import DataError
from poise.geometry.boxes import AREA_PER_BOX
from poise.metrics.base import id_order
from poise.metrics.coco_table import ABSENT, CocoTable
from poise.metrics.functional.mapping import mapped

__all__ = [
    "Annotations",
    "CocoTruth",
    "areas_of",
    "boxes_of",
    "coco_from_samples",
    "crowds",
    "placed",
]

Columns = Mapping[str, "list[Any] | Array"]


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """What annotations of poses and of boxes have in common, as columns.

    Attributes:
        image_ids: I ids, ascending.
        category_ids: C ids.
        image: (G,) row in `image_ids`.
        category: (G,) row in `category_ids`.
        bbox: (G, 4) xywh, image space.
        area: (G,) square pixels, what the area ranges go by, and what OKS divides by.
        crowd: (G,) bool.
    """

    image_ids: list[Any]
    category_ids: list[Any]
    image: Array
    category: Array
    bbox: Array
    area: Array
    crowd: Array

    @property
    def group(self) -> Array:
        """(G,) number of the category and picture; detections only meet their own group."""
        return self.category * len(self.image_ids) + self.image

    def rows_of(self, images: Sequence[Any]) -> Array:
        """Rows in `image_ids` of pictures with predictions.

        Raises:
            DataError: some are not in the annotations.
        """
        rows = {key: row for row, key in enumerate(self.image_ids)}
        if unknown := [key for key in images if key not in rows]:
            raise DataError(
                f"{counted(len(unknown), 'image')} with predictions"
                f" {'is' if len(unknown) == 1 else 'are'} not in the annotations, such as"
                f" {sorted(unknown, key=str)[:3]}; is `ann_file` that of the test dataset?"
            )
        return np.array([rows[key] for key in images], int)


@dataclass(frozen=True, kw_only=True)
class CocoTruth(Annotations):
    """Annotated poses as columns; categories ascend.

    Attributes:
        keypoints: (G, K, 3) x, y, visibility, image space.
        ignore: (G,) bool: crowds and annotations without visible keypoints.
        crowd_index: (I,) how crowded a picture is, 0 to 1, or None.
        ids: G ids of the annotations, `ABSENT` for those without one.
    """

    keypoints: Array
    ignore: Array
    crowd_index: Array | None = None
    ids: Sequence[Any] = ()

    @classmethod
    def from_coco(
        cls,
        coco: Mapping[str, Any],
        *,
        source: str,
        keypoint_fields: Sequence[str] = ("keypoints",),
        **options: Any,
    ) -> CocoTruth:
        """Columns of a COCO dict.

        Args:
            coco: 'images', 'annotations' and perhaps 'categories'.
            source: where it comes from, for error texts.
            keypoint_fields: as in `from_table`.
            options: the other arguments of `from_table`.

        Raises:
            DataError: there are no annotations, or as in `from_table`.
        """
        table = CocoTable.from_coco(coco, keypoint_fields, source=source)
        return cls.from_table(table, source=source, keypoint_fields=keypoint_fields, **options)

    @classmethod
    def from_table(
        cls,
        table: CocoTable,
        *,
        source: str,
        use_area: bool = True,
        crowd_pose: bool = False,
        keypoint_fields: Sequence[str] = ("keypoints",),
        converter: Mapping[str, Any] | None = None,
    ) -> CocoTruth:
        """Columns of annotations.

        Args:
            table: the annotations' fields.
            source: where they come from, for error texts.
            use_area: use 'area'; else 0.53 of the box.
            crowd_pose: 'num_keypoints' says what is ignored, and pictures have 'crowdIndex'.
            keypoint_fields: fields whose keypoints make the pose, one after another.
            converter: 'num_keypoints' and 'mapping' to another set of keypoints.

        Raises:
            DataError: an annotation lacks a field, has another number of keypoints, or numbers
                that are none.
        """
        named = table.categories or table.annotations["category_id"]
        categories = _ascending(named, f"categories of {source}")
        anns, images, image, category = placed(table, categories, source=source)
        needed = ["bbox", *keypoint_fields]
        _check(anns, source, needed + ["area"] * use_area + ["num_keypoints"] * crowd_pose)
        keypoints = _keypoints(anns, source, keypoint_fields, converter)
        bbox = boxes_of(anns, source)
        area = areas_of(anns, source) if use_area else bbox[:, 2] * bbox[:, 3] * AREA_PER_BOX
        unseen = ~np.asarray((keypoints[..., 2] > 0).any(axis=1))
        if crowd_pose:
            # converted annotations count all keypoints of the other set
            unseen = (np.array(anns["num_keypoints"], int) == 0) & (converter is None)
        crowd = crowds(anns)
        return cls(
            image_ids=images,
            category_ids=categories,
            image=image,
            category=category,
            keypoints=keypoints,
            bbox=bbox,
            area=area,
            crowd=crowd,
            ignore=crowd | unseen,
            crowd_index=_crowd_index(table.images, images),
            ids=list(anns["id"]),
        )


def placed(
    table: CocoTable, categories: Sequence[Any], *, source: str
) -> tuple[Columns, list[Any], Array, Array]:
    """Annotations of the listed pictures and of some categories.

    Args:
        table: all annotations.
        categories: ids.
        source: where they come from, for error texts.

    Returns:
        fields of G annotations, ids of I pictures, ascending, and for each annotation (G,) the row
        of its picture and of its category.

    Raises:
        DataError: a picture has no id, or an annotation does not say whose it is.
    """
    images = _ascending(table.images["id"], f"pictures of {source}")
    rows = []
    for name, ids in (("image_id", images), ("category_id", categories)):
        row_of = {key: row for row, key in enumerate(ids) if key is not ABSENT}
        column = table.annotations[name]
        rows.append(np.array([row_of.get(key, -1) for key in column], int))
        for row in np.flatnonzero(rows[-1] < 0).tolist():
            if column[row] is ABSENT:
                raise DataError(
                    f"annotation {_id(table.annotations, row)} of {source} lacks {name}"
                )
    image, category = rows
    known = (image >= 0) & (category >= 0)
    anns = table.annotations if known.all() else table.rows(known.tolist()).annotations
    return anns, images, image[known], category[known]


def boxes_of(anns: Columns, source: str) -> Array:
    """(G, 4) float64 xywh; DataError where one is not four finite numbers."""
    boxes = anns["bbox"]
    if isinstance(boxes, np.ndarray):
        # as a file has them: all are as long
        odd = [0] * (boxes.shape[1] != 4)
    else:
        odd = [row for row, box in enumerate(boxes) if not _is_list(box) or len(box) != 4]
    if odd:
        raise DataError(
            f"annotation {_id(anns, odd[0])} of {source} has no `bbox` of four numbers, got "
            f"{'nothing' if boxes[odd[0]] is ABSENT else boxes[odd[0]]}"
        )
    found = _numbers(anns, "bbox", source).reshape(-1, 4)
    _refuse(anns, ~np.isfinite(found.sum(axis=1)), source, "`bbox`")
    return found


def areas_of(anns: Columns, source: str) -> Array:
    """(G,) float64 square pixels; DataError where one is not finite, or is below 0."""
    try:
        found = np.array(anns["area"], np.float64)
    except (TypeError, ValueError):
        found = np.array([_number(area) for area in anns["area"]])
    wrong = ~(np.isfinite(found) & (found >= 0))
    _refuse(anns, wrong, source, "`area`; boxes can stand for areas (use_area=False)")
    return found


def crowds(anns: Columns) -> Array:
    """(G,) bool: which annotations are crowds."""
    # AI Challenger's file has no such field
    return np.array([flag is not ABSENT and bool(flag) for flag in anns["iscrowd"]], bool)


def coco_from_samples(
    samples: Iterable[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]] | None,
    *,
    fields: Sequence[str],
) -> dict[str, Any]:
    """A COCO dict of the annotations that samples carry.

    Args:
        samples: 'img_id', 'width', 'height', 'raw_ann_info' (a list whose Nones are pictures
            without people), perhaps 'crowd_index'.
        categories: COCO categories; those that occur if None.
        fields: fields of an annotation to keep.

    Raises:
        DataError: an annotation lacks one of the fields.
    """
    images: dict[Any, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for sample in samples:
        if sample["img_id"] not in images:
            image = {name: sample[name] for name in ("width", "height")}
            if "crowd_index" in sample:
                image["crowdIndex"] = sample["crowd_index"]
            images[sample["img_id"]] = {"id": sample["img_id"], **image}
        for ann in sample["raw_ann_info"]:
            if ann is None:
                continue
            if lacking := [name for name in fields if name not in ann]:
                raise DataError(
                    f"annotation {ann.get('id')} of image {sample['img_id']} lacks {lacking}, which"
                    " the metric needs; give `ann_file`, or set use_area=False where only the"
                    " area is missing"
                )
            annotations.append({name: ann[name] for name in fields})
    if categories is None:
        found = sorted({ann["category_id"] for ann in annotations})
        categories = [{"id": category, "name": str(category)} for category in found]
    return {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": list(categories),
    }


def _check(anns: Columns, source: str, needed: Sequence[str]) -> None:
    # an array has no gaps
    columns = [list(anns[name]) if isinstance(anns[name], list) else [] for name in needed]
    odd = [column.index(ABSENT) for column in columns if ABSENT in column]
    if odd:
        row = min(odd)
        lacking = [name for name in needed if anns[name][row] is ABSENT]
        hint = "; set use_area=False to use the box instead" if "area" in lacking else ""
        raise DataError(f"annotation {_id(anns, row)} of {source} lacks {lacking}{hint}")


def _refuse(anns: Columns, wrong: Array, source: str, where: str) -> None:
    """Raise DataError for the first of the annotations (G,) bool with unusable numbers."""
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"annotation {_id(anns, row)} of {source} has something that is no usable number "
            f"(null, NaN, infinity or below 0) in its {where}"
        )


def _ascending(ids: Iterable[Any], what: str) -> list[Any]:
    """Different ids, ascending."""
    try:
        found = set(ids)
    except TypeError:
        found = {None}
    if found & {ABSENT, None}:
        raise DataError(f"{what} have no `id`, or one that is no number or text")
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=id_order)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _number(value: Any) -> float:
    """NaN for what is no number."""
    return float(value) if isinstance(value, (int, float, np.number)) else float("nan")


def _id(anns: Columns, row: int) -> Any:
    """Id of an annotation, None where it has none."""
    found = anns["id"][row]
    return None if found is ABSENT else found


def _keypoints(
    anns: Columns,
    source: str,
    fields: Sequence[str],
    converter: Mapping[str, Any] | None,
) -> Array:
    """(G, K, 3) float64."""
    parts = [_numbers(anns, name, source) for name in fields]
    flat = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    if flat.shape[1] % 3:
        raise DataError(
            f"annotations of {source} have {flat.shape[1]} numbers in {list(fields)}, which is no "
            "multiple of 3: x, y and visibility of each keypoint"
        )
    keypoints = flat.reshape(len(flat), flat.shape[1] // 3, 3)
    if not np.isfinite(keypoints).all():
        # what is not labelled may hold anything
        wrong = ~np.isfinite(keypoints).all(axis=2) & ~(keypoints[..., 2] == 0)
        where = "keypoints; those without labels have visibility 0"
        _refuse(anns, np.asarray(wrong.any(axis=1)), source, where)
    if converter is not None:
        return mapped(keypoints, converter["num_keypoints"], converter["mapping"])
    return keypoints


def _numbers(anns: Columns, name: str, source: str) -> Array:
    """A field's lists of numbers as rows (G, N) of float64; NaN for what is no number."""
    column = anns[name]
    if isinstance(column, np.ndarray):
        return column
    lengths = [len(row) if _is_list(row) else -1 for row in column]
    wanted = max(set(lengths), key=lengths.count, default=0)
    if wanted < 0 or set(lengths) - {wanted}:
        row = next(row for row, length in enumerate(lengths) if length < 0 or length != wanted)
        what = "keypoints" if name == "keypoints" else f"`{name}`"
        has = lengths[row] if lengths[row] >= 0 else repr(column[row])
        raise DataError(
            f"annotations of {source} differ in their number of {what}: annotation "
            f"{_id(anns, row)} has {has}, most have {wanted}"
        )
    flat = itertools.chain.from_iterable(column)
    try:
        return np.fromiter(flat, np.float64).reshape(len(column), wanted)
    except (TypeError, ValueError):
        return np.array([[_number(value) for value in row] for row in column])


def _crowd_index(images: Mapping[str, list[Any]], image_ids: Sequence[Any]) -> Array | None:
    if not images["id"] or ABSENT in images["crowdIndex"]:
        return None
    row = {key: place for place, key in enumerate(image_ids)}
    index = np.zeros(len(row))
    index[[row[key] for key in images["id"]]] = images["crowdIndex"]
    return index
