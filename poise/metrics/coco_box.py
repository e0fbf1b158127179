"""Average precision of a detector's boxes, as in the COCO challenge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._collector import no_gc
from poise._words import counted
from poise.errors import DataError, one_of
from poise.geometry.boxes import bbox_xyxy2xywh
from poise.metrics.base import BaseMetric, field
from poise.metrics.box_eval import (
    ALL,
    FIGURES,
    IOU_THRESHOLDS,
    BoxesFound,
    BoxEvaluation,
    BoxTruth,
    boxed,
    evaluate_boxes,
)
from poise.metrics.coco import write_json
from poise.metrics.coco_table import ABSENT, CocoTable, read_coco, read_coco_table
from poise.metrics.matching import mean_of_existing
from poise.registry import METRICS

__all__ = ["DetectionCocoMetric"]

_PRECISIONS, _RECALLS = FIGURES[:6], FIGURES[6:]
_KINDS = ("bbox", "proposal")
_NUMBERS = 3


@METRICS.register_module(name="CocoMetric", scope="mmdet")
class DetectionCocoMetric(BaseMetric):
    """AP and AR of predicted boxes; MMDetection's `CocoMetric`.

    Annotations come from `ann_file`, else from the dataset's own file, else from the samples'
    'instances'. Those with keypoints and no box are measured by a box around the labelled ones, as
    `mmdet.CocoDataset` reads them. Figures have all their digits; MMDetection rounds to three.

    Args:
        ann_file: COCO annotation file.
        metric: "bbox", or "proposal" for the recall of boxes whatever their class; or a list.
        classwise: also give the AP of each class, as '<class>_precision'.
        proposal_nums: three numbers of detections a picture and class at which recall is taken;
            precision is taken at the largest, but for 'bbox_mAP': as in COCO's own tool at 100.
        iou_thrs: overlaps from which on a box is found; 0.5 to 0.95 in ten steps unless given.
        metric_items: the figures to give; the six of precision unless given.
        format_only: write the result file and compute nothing, for test servers.
        outfile_prefix: write '<prefix>.bbox.json'. Without it nothing is written.
        backend_args, use_mp_eval, sort_categories: kept for configs.
        collect_device, prefix: as in `BaseMetric`.

    Raises:
        DataError: an unknown metric or figure, not three `proposal_nums`, `format_only` without a
            place to write to.
        FileMissingError: there is no `ann_file`.
    """

    default_prefix: str | None = "coco"
    keeps_tensors = False

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | list[str] = "bbox",
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend_args: dict[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        sort_categories: bool = False,
        use_mp_eval: bool = False,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.metrics = [metric] if isinstance(metric, str) else list(metric)
        for kind in self.metrics:
            one_of(kind, _KINDS, "metric of boxes", DataError)
        for name in metric_items or ():
            one_of(name, FIGURES, "metric_items", DataError)
        if len(proposal_nums) != _NUMBERS or min(proposal_nums) < 1:
            raise DataError(
                f"proposal_nums are three numbers from 1 on, got {tuple(proposal_nums)}"
            )
        if iou_thrs is not None and not np.size(iou_thrs):
            raise DataError("iou_thrs needs an overlap, such as 0.5, or None for ten, got none")
        if format_only and outfile_prefix is None:
            raise DataError(
                "format_only=True writes results and needs outfile_prefix, such as "
                "'work_dirs/test/results'"
            )
        self.ann_file = ann_file
        self.classwise = classwise
        self.proposal_nums = tuple(proposal_nums)
        self.iou_thrs = IOU_THRESHOLDS if iou_thrs is None else np.sort(np.ravel(iou_thrs))
        self.metric_items = metric_items
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.backend_args, self.use_mp_eval = backend_args, use_mp_eval
        self.sort_categories = sort_categories
        self._table: CocoTable | None = None if ann_file is None else _read(ann_file)

    def _taken(self, meta: dict[str, Any]) -> dict[str, Any]:
        own_file = meta.get("ann_file")
        if self.ann_file is None and own_file:
            self._table = _read(own_file)
        return meta

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the boxes of one batch, and its annotations where there is no file of them.

        Args:
            data_batch: not used.
            data_samples: 'img_id' and 'pred_instances' ('bboxes' (N, 4) xyxy, image space,
                'scores' (N,), 'labels' (N,)), and without a file 'instances'.
        """
        for sample in data_samples:
            boxes, scores, labels = (
                field(sample, "pred_instances", name, type(self).__name__)
                for name in ("bboxes", "scores", "labels")
            )
            if boxes.shape != (len(labels), 4) or scores.shape != labels.shape:
                raise DataError(
                    f"{type(self).__name__}: bboxes {boxes.shape}, scores {scores.shape} and labels"
                    f" {labels.shape} do not fit; expected (N, 4), (N,) and (N,)"
                )
            needed = ["img_id"] + ["instances"] * (self._table is None and not self.format_only)
            lacking = [name for name in needed if name not in sample]
            if lacking:
                raise DataError(
                    f"{type(self).__name__} needs {lacking} in the meta information of every "
                    "sample; add them to `meta_keys` of PackDetInputs, or give `ann_file`"
                )
            kept = {"img_id": sample["img_id"], "bbox": boxes, "score": scores, "label": labels}
            if self._table is None:
                kept["instances"] = sample["instances"]
            self.results.append(kept)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """AP, or AR, overall and by overlap or size."""
        with no_gc():
            if self.outfile_prefix is not None:
                categories = self._categories(self._annotations(results))
                rows = _result_rows(_once(results), categories)
                write_json(f"{self.outfile_prefix}.bbox.json", rows)
            return {} if self.format_only else self.summary(self.evaluations(results))

    def evaluations(self, results: list[dict[str, Any]]) -> dict[str, BoxEvaluation]:
        """What the figures are made of: each metric's matching.

        Args:
            results: what `entries` gives.

        Raises:
            DataError: boxes that are not of these annotations, or as of the annotations.
        """
        results = _once(results)
        table = self._annotations(results)
        truth = BoxTruth.from_table(table, self._categories(table), source=self._source)
        found = _found(results, truth)
        options: dict[str, Any] = {"limits": self.proposal_nums, "thresholds": self.iou_thrs}
        matched = {}
        for kind in self.metrics:
            pair = (
                (truth, found) if kind == "bbox" else (_of_one_class(truth), _of_one_class(found))
            )
            matched[kind] = evaluate_boxes(*pair, **options)
        return matched

    def summary(self, evaluations: Mapping[str, BoxEvaluation]) -> dict[str, float]:
        """The figures of matchings, without the prefix."""
        figures: dict[str, float] = {}
        for kind, evaluation in evaluations.items():
            prefix, usual = ("bbox_", _PRECISIONS) if kind == "bbox" else ("", _RECALLS)
            found = evaluation.summarize(self.metric_items or usual)
            figures |= {f"{prefix}{name}": value for name, value in found.items()}
            if self.classwise and kind == "bbox":
                figures |= self._by_class(evaluation)
        return figures

    @property
    def _source(self) -> str:
        return str(self.ann_file or "the annotations")

    def _annotations(self, results: list[dict[str, Any]]) -> CocoTable:
        return self._table or _table_of(results, self._classes())

    def _categories(self, table: CocoTable) -> list[Any]:
        return _categories(table, self._classes(), self._source)

    def _classes(self) -> list[str]:
        classes = (self.dataset_meta or {}).get("classes")
        if classes is None and self._table is not None:
            classes = self._table.category_names
        if not classes:
            raise DataError(
                f"{type(self).__name__} needs the names of the classes: `classes` in the "
                "dataset's metainfo, or an annotation file with `categories`"
            )
        return list(classes)

    def _by_class(self, evaluation: BoxEvaluation) -> dict[str, float]:
        precision, _ = evaluation.curves(ALL)
        return {
            f"{name}_precision": mean_of_existing(own) if (own > -1).any() else float("nan")
            for name, own in zip(self._classes(), precision, strict=True)
        }


def _once(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first result of each picture.

    Samplers of several processes repeat pictures, and pose data sets have one for each hand.
    """
    return list({result["img_id"]: result for result in reversed(results)}.values())[::-1]


def _read(ann_file: str) -> CocoTable:
    """The fields of an annotation file, with boxes around keypoints that have none."""
    with no_gc():
        table = read_coco_table(ann_file, ())
        boxes = table.annotations["bbox"]
        if isinstance(boxes, list) and not all(box is not ABSENT and box for box in boxes):
            table = CocoTable.from_coco(boxed(read_coco(ann_file)), (), source=ann_file)
        return table


def _categories(table: CocoTable, classes: Sequence[str], source: str) -> list[Any]:
    """Category id of each class; `ABSENT` for one that the annotations do not have.

    Such a class can neither be found nor missed.
    """
    ids = dict(zip(table.category_names, table.categories, strict=True))
    found = [ids.get(name, ABSENT) for name in classes]
    if all(key is ABSENT for key in found):
        raise DataError(
            f"none of the classes ({', '.join(map(str, classes[:5]))}) is a category of {source}, "
            f"which has {', '.join(map(str, table.category_names[:8])) or 'none'}; is `ann_file` "
            "that of the test dataset?"
        )
    return found


def _table_of(results: list[dict[str, Any]], classes: list[str]) -> CocoTable:
    """Annotations that samples bring along; categories are the places of the classes."""
    annotations = [
        {
            "image_id": result["img_id"],
            "category_id": thing["bbox_label"],
            "bbox": bbox_xyxy2xywh(np.asarray(thing["bbox"], np.float64)).tolist(),
            "iscrowd": thing["ignore_flag"],
        }
        for result in results
        for thing in result.get("instances", ())
    ]
    content = {
        "images": [{"id": result["img_id"]} for result in results],
        "annotations": annotations,
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes)],
    }
    return CocoTable.from_coco(content, (), source="the samples")


def _columns(results: list[dict[str, Any]]) -> tuple[Array, Array, Array, Array]:
    """Place of the sample (M,), box (M, 4) xywh, score (M,) and label (M,) of all detections."""
    sample = np.repeat(np.arange(len(results)), [len(result["label"]) for result in results])
    boxes, scores, labels = (
        np.concatenate([np.zeros(shape), *(result[name] for result in results)])
        for name, shape in (("bbox", (0, 4)), ("score", 0), ("label", 0))
    )
    return sample, bbox_xyxy2xywh(boxes), scores, labels.astype(int)


def _found(results: list[dict[str, Any]], truth: BoxTruth) -> BoxesFound:
    image = truth.rows_of([result["img_id"] for result in results])
    sample, boxes, scores, labels = _columns(results)
    wrong = labels[(labels < 0) | (labels >= len(truth.category_ids))]
    if len(wrong):
        raise DataError(
            f"a detection has the label {wrong[0]}, but the dataset has "
            f"{counted(len(truth.category_ids), 'class')};"
            " is num_classes of the model's head that of the dataset's `classes`?"
        )
    return BoxesFound(image=image[sample], category=labels, bbox=boxes, score=scores)


def _of_one_class(columns: Any) -> Any:
    """Annotations or detections as if there were one class; those of a class stay together."""
    order = np.argsort(columns.category, kind="stable")
    changed = {
        name: value[order] if isinstance(value, np.ndarray) else value
        for name, value in vars(columns).items()
    }
    changed["category"] = np.zeros(len(order), int)
    if "category_ids" in changed:
        changed["category_ids"] = [0]
    return type(columns)(**changed)


def _result_rows(results: list[dict[str, Any]], categories: list[Any]) -> list[dict[str, Any]]:
    """Rows of COCO's result format."""
    sample, boxes, scores, labels = _columns(results)
    columns = (sample.tolist(), boxes.tolist(), scores.tolist(), labels.tolist())
    return [
        {
            "image_id": results[place]["img_id"],
            "bbox": box,
            "score": score,
            "category_id": categories[label],
        }
        for place, box, score, label in zip(*columns, strict=True)
        if categories[label] is not ABSENT
    ]
