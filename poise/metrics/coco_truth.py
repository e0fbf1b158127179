"""COCO annotations as columns, from a file or from the samples themselves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.boxes import AREA_PER_BOX
from poise.metrics.coco_table import ABSENT, CocoTable
from poise.metrics.functional.mapping import transform_ann

__all__ = ["CocoTruth", "coco_from_samples", "crowds", "placed"]

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
            DataError: an annotation lacks a field, or has another number of keypoints.
        """
        categories = sorted(set(table.categories or table.annotations["category_id"]))
        anns, images, image, category = placed(table, categories)
        _check(anns, source, use_area, crowd_pose, keypoint_fields)
        keypoints = _keypoints(anns, source, keypoint_fields, converter)
        bbox = _numbers(anns["bbox"]).reshape(-1, 4)
        area = bbox[:, 2] * bbox[:, 3] * AREA_PER_BOX
        if use_area:
            area = np.array(anns["area"], np.float64)
        unseen = ~np.asarray((keypoints[..., 2] > 0).any(axis=1))
        if crowd_pose:
            unseen = np.array(anns["num_keypoints"], int) == 0
            if converter is not None:
                unseen = np.full(len(unseen), converter["num_keypoints"] == 0)
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


def placed(table: CocoTable, categories: Sequence[Any]) -> tuple[Columns, list[Any], Array, Array]:
    """Annotations of the listed pictures and of some categories.

    Args:
        table: all annotations.
        categories: ids.

    Returns:
        fields of G annotations, ids of I pictures, ascending, and for each annotation (G,) the row
        of its picture and of its category.
    """
    images = sorted(set(table.images["id"]))
    row_of = ({key: row for row, key in enumerate(ids)} for ids in (images, categories))
    image, category = (
        np.array([rows.get(key, -1) for key in table.annotations[name]], int)
        for rows, name in zip(row_of, ("image_id", "category_id"), strict=True)
    )
    known = (image >= 0) & (category >= 0)
    anns = table.annotations if known.all() else table.rows(known.tolist()).annotations
    return anns, images, image[known], category[known]


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


def _check(
    anns: Columns,
    source: str,
    use_area: bool,
    crowd_pose: bool,
    keypoint_fields: Sequence[str],
) -> None:
    needed = ["bbox", *keypoint_fields]
    needed += ["area"] * use_area + ["num_keypoints"] * crowd_pose
    # an array has no gaps
    columns = [list(anns[name]) if isinstance(anns[name], list) else [] for name in needed]
    odd = [column.index(ABSENT) for column in columns if ABSENT in column]
    if odd:
        row = min(odd)
        lacking = [name for name in needed if anns[name][row] is ABSENT]
        hint = "; set use_area=False to use the box instead" if "area" in lacking else ""
        raise DataError(f"annotation {_id(anns, row)} of {source} lacks {lacking}{hint}")


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
    columns = [anns[name] for name in fields]
    arrays = [column for column in columns if isinstance(column, np.ndarray)]
    if converter is None and len(arrays) == len(columns):
        flat = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)
        return flat.reshape(len(flat), flat.shape[1] // 3, 3)
    poses = [list(itertools.chain(*parts)) for parts in zip(*columns, strict=True)]
    if converter is not None:
        count, mapping = converter["num_keypoints"], converter["mapping"]
        rows: list[dict[str, Any]] = [{"keypoints": pose} for pose in poses]
        transform_ann(rows, count, mapping)
        poses = [row["keypoints"] for row in rows]
    lengths = sorted(set(map(len, poses)))
    if len(lengths) > 1:
        odd = next(row for row, numbers in enumerate(poses) if len(numbers) != lengths[0])
        raise DataError(
            f"annotations of {source} differ in their number of keypoints"
            f" ({', '.join(str(n // 3) for n in lengths)}), for example annotation {_id(anns, odd)}"
        )
    numbers = lengths[0] if lengths else 0
    return _numbers(poses).reshape(len(poses), numbers // 3, 3)


def _numbers(rows: Array | Sequence[Sequence[float]]) -> Array:
    """The numbers of all rows one after another, float64."""
    if isinstance(rows, np.ndarray):
        return rows.ravel()
    return np.fromiter(itertools.chain.from_iterable(rows), np.float64)


def _crowd_index(images: Mapping[str, list[Any]], image_ids: Sequence[Any]) -> Array | None:
    if not images["id"] or ABSENT in images["crowdIndex"]:
        return None
    row = {key: place for place, key in enumerate(image_ids)}
    index = np.zeros(len(row))
    index[[row[key] for key in images["id"]]] = images["crowdIndex"]
    return index
