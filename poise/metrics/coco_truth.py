"""COCO annotations as columns, from a file or from the samples themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import DataError, FileMissingError
from poise.metrics.functional.mapping import transform_ann

__all__ = ["CocoTruth", "coco_from_samples", "read_coco"]

Array = NDArray[Any]

# CrowdPose and AIC annotate no area; a person fills about this share of the box
AREA_OF_BOX = 0.53


@dataclass(frozen=True)
class CocoTruth:
    """Annotations as columns.

    Attributes:
        image_ids: I ids, ascending.
        category_ids: C ids, ascending.
        image: (G,) row in `image_ids`.
        category: (G,) row in `category_ids`.
        keypoints: (G, K, 3) x, y, visibility, image space.
        bbox: (G, 4) xywh.
        area: (G,) square pixels, what OKS divides by.
        range_area: (G,) square pixels, what the area ranges go by.
        crowd: (G,) bool.
        ignore: (G,) bool: crowds and annotations without visible keypoints.
        crowd_index: (I,) how crowded a picture is, 0 to 1, or None.
    """

    image_ids: list[Any]
    category_ids: list[Any]
    image: Array
    category: Array
    keypoints: Array
    bbox: Array
    area: Array
    range_area: Array
    crowd: Array
    ignore: Array
    crowd_index: Array | None = None

    @property
    def group(self) -> Array:
        """(G,) number of the category and picture; detections only meet their own group."""
        return self.category * len(self.image_ids) + self.image

    def sorted_by_group(self) -> CocoTruth:
        """The same annotations with each group's side by side, in their old order."""
        order = np.argsort(self.group, kind="stable")
        names = ("image", "category", "keypoints", "bbox", "area", "range_area", "crowd", "ignore")
        return replace(self, **{name: getattr(self, name)[order] for name in names})

    @classmethod
    def from_coco(
        cls,
        coco: Mapping[str, Any],
        *,
        source: str,
        use_area: bool = True,
        crowd_pose: bool = False,
        keypoint_fields: Sequence[str] = ("keypoints",),
        converter: Mapping[str, Any] | None = None,
    ) -> CocoTruth:
        """Columns of a COCO dict.

        Args:
            coco: 'images', 'annotations' and perhaps 'categories'.
            source: where it comes from, for error texts.
            use_area: use 'area'; else 0.53 of the box.
            crowd_pose: 'num_keypoints' says what is ignored, and pictures have 'crowdIndex'.
            keypoint_fields: fields whose keypoints make the pose, one after another.
            converter: 'num_keypoints' and 'mapping' to another set of keypoints.

        Raises:
            DataError: an annotation lacks a field, or has another number of keypoints.
        """
        if "annotations" not in coco:
            raise DataError(
                "Ground truth annotations are required for evaluation when `format_only` is"
                f" False, but {source} has only {sorted(coco)}"
            )
        images = sorted({image["id"] for image in coco["images"]})
        image_row = {key: row for row, key in enumerate(images)}
        given = [category["id"] for category in coco.get("categories") or []]
        categories = sorted(set(given or (ann["category_id"] for ann in coco["annotations"])))
        category_row = {key: row for row, key in enumerate(categories)}
        anns = [
            ann
            for ann in coco["annotations"]
            if ann["image_id"] in image_row and ann["category_id"] in category_row
        ]
        _check(anns, source, use_area, crowd_pose, keypoint_fields)
        keypoints = _keypoints(anns, source, keypoint_fields, converter)
        bbox = np.array([ann["bbox"] for ann in anns], np.float64).reshape(-1, 4)
        area = bbox[:, 2] * bbox[:, 3] * AREA_OF_BOX
        if use_area:
            area = np.array([ann["area"] for ann in anns], np.float64)
        visible = (keypoints[..., 2] > 0).sum(axis=1)
        if crowd_pose:
            visible = np.array([ann["num_keypoints"] for ann in anns], int)
            if converter is not None:
                visible = np.full(len(anns), converter["num_keypoints"])
        crowd = np.array([bool(ann["iscrowd"]) for ann in anns], bool)
        return cls(
            image_ids=images,
            category_ids=categories,
            image=np.array([image_row[ann["image_id"]] for ann in anns], int),
            category=np.array([category_row[ann["category_id"]] for ann in anns], int),
            keypoints=keypoints,
            bbox=bbox,
            area=area,
            range_area=area,
            crowd=crowd,
            ignore=crowd | (visible == 0),
            crowd_index=_crowd_index(coco["images"], image_row),
        )


def read_coco(path: str | Path) -> dict[str, Any]:
    """The content of an annotation file.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is no JSON object.
    """
    file = Path(path)
    if not file.is_file():
        raise FileMissingError(f"annotation file {file} of the metric does not exist")
    try:
        content = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise DataError(f"annotation file {file} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"annotation file {file} holds a {type(content).__name__}, not an object")
    return content


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
    anns: Sequence[Mapping[str, Any]],
    source: str,
    use_area: bool,
    crowd_pose: bool,
    keypoint_fields: Sequence[str],
) -> None:
    needed = ["bbox", "iscrowd", *keypoint_fields]
    needed += ["area"] * use_area + ["num_keypoints"] * crowd_pose
    for ann in anns:
        if lacking := [name for name in needed if name not in ann]:
            hint = "; set use_area=False to use the box instead" if "area" in lacking else ""
            raise DataError(f"annotation {ann.get('id')} of {source} lacks {lacking}{hint}")


def _keypoints(
    anns: Sequence[Mapping[str, Any]],
    source: str,
    fields: Sequence[str],
    converter: Mapping[str, Any] | None,
) -> Array:
    """(G, K, 3) float64."""
    flat = [[number for name in fields for number in ann[name]] for ann in anns]
    if converter is not None:
        count, mapping = converter["num_keypoints"], converter["mapping"]
        rows: list[dict[str, Any]] = [{"keypoints": row} for row in flat]
        transform_ann(rows, count, mapping)
        flat = [row["keypoints"] for row in rows]
    lengths = sorted({len(row) for row in flat})
    if len(lengths) > 1:
        odd = next(ann for ann, row in zip(anns, flat, strict=True) if len(row) != lengths[0])
        raise DataError(
            f"annotations of {source} differ in their number of keypoints"
            f" ({', '.join(str(n // 3) for n in lengths)}), for example annotation {odd.get('id')}"
        )
    numbers = lengths[0] if lengths else 0
    return np.array(flat, np.float64).reshape(len(flat), numbers // 3, 3)


def _crowd_index(images: Sequence[Mapping[str, Any]], row: Mapping[Any, int]) -> Array | None:
    if not images or any("crowdIndex" not in image for image in images):
        return None
    index = np.zeros(len(row))
    for image in images:
        index[row[image["id"]]] = image["crowdIndex"]
    return index
