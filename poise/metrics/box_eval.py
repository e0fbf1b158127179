"""Average precision and recall of boxes by intersection over union, as COCO defines them.

The rules are those of COCO's own evaluation (https://cocodataset.org/#detection-eval); `matching`
has what boxes share with poses. A crowd swallows the detections inside it: it is compared by the
part of the detection that it covers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.geometry.boxes import bbox_of_keypoints
from poise.metrics.coco_table import ABSENT, CocoTable
from poise.metrics.coco_truth import Annotations, areas_of, boxes_of, crowds, placed
from poise.metrics.matching import (
    CandidatePairs,
    Evaluation,
    best_of_each_group,
    mean_of_existing,
    pairs_of_groups,
)

__all__ = [
    "ALL",
    "AREA_RANGES",
    "FIGURES",
    "BoxEvaluation",
    "BoxTruth",
    "BoxesFound",
    "boxed",
    "evaluate_boxes",
]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# square pixels: all, small, medium, large
AREA_RANGES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
ALL, SMALL, MEDIUM, LARGE = range(4)
#: detections a picture and category of the figure "mAP"
_USUAL = 100
#: name of a figure -> area range, which of the limits (None: `_USUAL`), threshold (None: all)
_MEANINGS: dict[str, tuple[int, int | None, float | None]] = {
    "mAP": (ALL, None, None),
    "mAP_50": (ALL, -1, 0.5),
    "mAP_75": (ALL, -1, 0.75),
    "mAP_s": (SMALL, -1, None),
    "mAP_m": (MEDIUM, -1, None),
    "mAP_l": (LARGE, -1, None),
    "AR@100": (ALL, 0, None),
    "AR@300": (ALL, 1, None),
    "AR@1000": (ALL, 2, None),
    "AR_s@1000": (SMALL, -1, None),
    "AR_m@1000": (MEDIUM, -1, None),
    "AR_l@1000": (LARGE, -1, None),
}
#: names of all figures: six of precision, six of recall
FIGURES = tuple(_MEANINGS)


class BoxTruth(Annotations):
    """Annotated boxes as columns."""

    @classmethod
    def from_table(cls, table: CocoTable, categories: Sequence[Any], *, source: str) -> BoxTruth:
        """Columns of the annotations of some categories.

        Args:
            table: the annotations' fields.
            categories: C ids.
            source: where they come from, for error texts.

        Raises:
            DataError: an annotation has no box, or one that is not four numbers.
        """
        anns, images, image, category = placed(table, categories, source=source)
        boxes = boxes_of(anns, source)
        of_boxes = (boxes[:, 2] * boxes[:, 3]).tolist()
        pairs = zip(anns["area"], of_boxes, strict=True)
        area = [box if given is ABSENT else given for given, box in pairs]
        return cls(
            image_ids=images,
            image=image,
            category=category,
            category_ids=list(categories),
            bbox=boxes,
            area=areas_of({**anns, "area": area}, source),
            crowd=crowds(anns),
        )


@dataclass(frozen=True)
class BoxesFound:
    """Detections as columns.

    Attributes:
        image: (M,) row of the picture in `BoxTruth.image_ids`.
        category: (M,) row of the category.
        bbox: (M, 4) xywh, image space, float64.
        score: (M,).
    """

    image: Array
    category: Array
    bbox: Array
    score: Array


@dataclass(frozen=True)
class BoxEvaluation(Evaluation):
    """Matches of boxes; the area ranges are `AREA_RANGES`.

    Attributes:
        limits: numbers of detections a picture and category, ascending.
    """

    limits: tuple[int, ...] = ()

    def summarize(self, names: Sequence[str] = FIGURES) -> dict[str, float]:
        """Figures of the COCO box task under MMDetection's names; -1 where none is.

        As in COCO's own tool, "mAP" is that of 100 detections a picture and category, whatever
        `limits` are; "AR@100", "AR@300" and "AR@1000" stand for the three of them.

        Args:
            names: of the figures, of `FIGURES`.
        """
        found: dict[tuple[int, int], tuple[Array, Array]] = {}
        figures = {}
        for name in names:
            area, place, level = _MEANINGS[name]
            limit = self.limits[place] if place is not None else _USUAL
            if limit not in self.limits:
                figures[name] = -1.0
                continue
            if (area, limit) not in found:
                found[area, limit] = self.curves(area, limit=limit)
            values = found[area, limit][name.startswith("AR")]
            if level is not None:
                values = values[:, np.isclose(self.thresholds, level)]
            figures[name] = mean_of_existing(values)
        return figures


def evaluate_boxes(
    truth: BoxTruth,
    found: BoxesFound,
    *,
    limits: Sequence[int] = (1, 10, 100),
    thresholds: Array = IOU_THRESHOLDS,
) -> BoxEvaluation:
    """Match detections to annotations at every threshold and area range.

    Args:
        truth: annotations.
        found: predictions.
        limits: numbers of detections a picture and category.
        thresholds: (T,) least overlap of a match, ascending.
    """
    limits = tuple(sorted(limits))
    group = found.category * len(truth.image_ids) + found.image
    kept = best_of_each_group(group, found.score, limits[-1])
    pair_d, pair_g = pairs_of_groups(truth.group, group[kept])
    overlap = _overlaps(found.bbox[kept[pair_d]], truth.bbox[pair_g], truth.crowd[pair_g])
    return BoxEvaluation.of(
        truth,
        found,
        CandidatePairs(kept, group[kept], pair_d, pair_g, overlap),
        sizes=found.bbox[:, 2] * found.bbox[:, 3],
        ignore=truth.crowd,
        ranges=AREA_RANGES,
        thresholds=thresholds,
        limits=limits,
    )


def _overlaps(found: Array, annotated: Array, crowd: Array) -> Array:
    """(P,) overlap of boxes (P, 4) xywh, pair by pair: with a crowd, of the detection's area."""
    corner = np.maximum(found[:, :2], annotated[:, :2])
    far = np.minimum(found[:, :2] + found[:, 2:], annotated[:, :2] + annotated[:, 2:])
    shared = (far - corner).clip(min=0).prod(axis=1)
    own, other = (boxes[:, 2] * boxes[:, 3] for boxes in (found, annotated))
    whole = np.where(crowd, own, own + other - shared)
    return np.asarray(shared / np.where(shared > 0, whole, 1))


def boxed(coco: Mapping[str, Any]) -> dict[str, Any]:
    """A COCO dict whose annotations of keypoints have boxes around those that are labelled."""
    sizes = {i["id"]: (i.get("width", np.inf), i.get("height", np.inf)) for i in coco["images"]}
    annotations = []
    for ann in coco["annotations"]:
        if not ann.get("bbox") and ann.get("image_id") in sizes:
            ann = ann | {
                "bbox": bbox_of_keypoints(ann.get("keypoints", ()), sizes[ann["image_id"]])
            }
        # one without labelled keypoints is no thing that could be found
        if ann.get("bbox"):
            annotations.append(ann)
    return {**coco, "annotations": annotations}
