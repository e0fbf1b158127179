"""Average precision of keypoints, as in the COCO and CrowdPose challenges."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._collector import no_gc
from poise._options import options_of
from poise.errors import DataError, one_of
from poise.metrics.base import BaseMetric
from poise.metrics.coco_eval import Detections, OksEvaluation, evaluate_oks
from poise.metrics.coco_table import CocoTable, read_coco_table
from poise.metrics.coco_truth import CocoTruth, coco_from_samples
from poise.metrics.functional.mapping import transform_sigmas
from poise.metrics.pose_batch import PoseBatch
from poise.metrics.pose_columns import PoseColumns
from poise.registry import METRICS

__all__ = ["CocoMetric", "Comparison", "write_json"]

_SCORE_MODES = ("bbox", "bbox_keypoint", "bbox_rle", "keypoint")
_NMS_MODES = ("oks_nms", "soft_oks_nms", "none")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Annotations and predictions of a whole evaluation, ready to be matched.

    Attributes:
        truth: G annotations of I pictures.
        poses: M poses, scored and thinned out.
        detections: the same M poses against the rows of `truth`.
        sigmas: (K,).
    """

    truth: CocoTruth
    poses: PoseColumns
    detections: Detections
    sigmas: Array


@METRICS.register_module()
class CocoMetric(BaseMetric):
    """AP and AR of predicted poses by object keypoint similarity.

    Annotations come from `ann_file`, else from the dataset's own file, else from the samples'
    'raw_ann_info'. Poses with a predicted box are sized by it, others by the box around their
    keypoints, as COCO's result files are read.

    Args:
        ann_file: COCO annotation file.
        use_area: use 'area' of the annotations; else 0.53 of their box (CrowdPose, AIC).
        iou_type: 'keypoints', or 'keypoints_crowd' for CrowdPose's easy, medium and hard.
        score_mode: what ranks a pose: 'bbox' its box's score, 'bbox_keypoint' that times the
            mean of its sure keypoints' scores, 'bbox_rle' the sum of box, mean and greatest
            keypoint score, 'keypoint' the mean of the keypoint scores.
        keypoint_score_thr: a sure keypoint scores above this.
        nms_mode: 'oks_nms', 'soft_oks_nms', or 'none' for bottom-up models.
        nms_thr: OKS above which poses are the same.
        format_only: write the result file and compute nothing, for test servers.
        pred_converter: 'num_keypoints' and 'mapping' of predictions to other keypoints.
        gt_converter: 'num_keypoints' and 'mapping' of annotations to other keypoints.
        outfile_prefix: write '<prefix>.keypoints.json' (and '<prefix>.gt.json' where the
            annotations come from the samples). Without it nothing is written.
        **options: those of `BaseMetric`.

    Raises:
        DataError: an unknown mode, a converter that lacks something, `format_only` without a place
            to write to, or an annotation file without annotations.
        FileMissingError: there is no `ann_file`.
    """

    default_prefix: str | None = "coco"
    keeps_tensors = False
    iou_types: tuple[str, ...] = ("keypoints", "keypoints_crowd")
    #: fields of an annotation that make the pose
    keypoint_fields: tuple[str, ...] = ("keypoints",)

    @options_of(BaseMetric, positional=True)
    def __init__(
        self,
        ann_file: str | None = None,
        use_area: bool = True,
        iou_type: str = "keypoints",
        score_mode: str = "bbox_keypoint",
        keypoint_score_thr: float = 0.2,
        nms_mode: str = "oks_nms",
        nms_thr: float = 0.9,
        format_only: bool = False,
        pred_converter: dict[str, Any] | None = None,
        gt_converter: dict[str, Any] | None = None,
        outfile_prefix: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        one_of(iou_type, self.iou_types, "`iou_type`", DataError)
        one_of(score_mode, _SCORE_MODES, "`score_mode`", DataError)
        one_of(nms_mode, _NMS_MODES, "`nms_mode`", DataError)
        for name, converter in (("pred_converter", pred_converter), ("gt_converter", gt_converter)):
            if converter is not None and not {"num_keypoints", "mapping"} <= converter.keys():
                raise DataError(
                    f"`{name}` needs 'num_keypoints' and 'mapping', got only {sorted(converter)}"
                )
        if format_only and outfile_prefix is None:
            raise DataError(
                "`outfile_prefix` can not be None when `format_only` is True: say where the"
                " results shall be written, such as 'work_dirs/test/results'"
            )
        self.ann_file = ann_file
        self.use_area = use_area
        self.iou_type = iou_type
        self.score_mode = score_mode
        self.keypoint_score_thr = keypoint_score_thr
        self.nms_mode = nms_mode
        self.nms_thr = nms_thr
        self.format_only = format_only
        self.pred_converter = pred_converter
        self.gt_converter = gt_converter
        self.outfile_prefix = outfile_prefix
        self.coco: CocoTruth | None = None
        if ann_file is not None:
            self._read(ann_file)

    def _taken(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Meta information after `gt_converter`."""
        if self.gt_converter is not None:
            number = self.gt_converter["num_keypoints"]
            sigmas = transform_sigmas(meta["sigmas"], number, self.gt_converter["mapping"])
            meta = {**meta, "sigmas": sigmas, "num_keypoints": len(sigmas)}
        own_file = meta.get("ann_file")
        if self.coco is None and own_file and not self.format_only:
            self._read(own_file)
        return meta

    def _read(self, ann_file: str) -> None:
        """Take the annotations of a file; for `format_only` it is enough that it is there."""
        with no_gc():
            table = read_coco_table(ann_file, self.keypoint_fields)
            if not self.format_only:
                self.coco = self._truth(table, source=str(ann_file))

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the poses of one batch, and its annotations where there is no file of them.

        Args:
            data_batch: not used.
            data_samples: 'id', 'img_id', 'pred_instances' ('keypoints' (N, K, 2),
                'keypoint_scores' (N, K), perhaps 'bboxes' (N, 4) xyxy and 'bbox_scores'),
                'gt_instances' (perhaps 'bbox_scores', 'bbox_scales'), perhaps 'category_id',
                and without a file 'ori_shape' and 'raw_ann_info'.
        """
        batch = PoseBatch.from_samples(
            data_samples, metric=type(self).__name__, converter=self.pred_converter
        )
        if self._from_samples:
            batch = replace(batch, truths=[self._annotations(sample) for sample in data_samples])
        self.results.append(batch)

    def entries(self) -> list[Any]:
        """An entry per sample: its batch and its place there, since batches are kept whole."""
        with no_gc():
            parts = (zip(repeat(batch), range(len(batch.ids))) for batch in self.results)
            return list(chain.from_iterable(parts))

    @property
    def _from_samples(self) -> bool:
        return self.coco is None and not (self.format_only and self.ann_file is not None)

    def _annotations(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        needed = ["ori_shape", "raw_ann_info"]
        needed += ["crowd_index"] * (self.iou_type == "keypoints_crowd")
        if lacking := [key for key in needed if key not in sample]:
            raise DataError(
                f"{type(self).__name__} needs {lacking} in every sample, since neither the metric"
                " nor the dataset names an annotation file; give `ann_file`"
            )
        anns = sample["raw_ann_info"]
        kept = {
            "img_id": sample["img_id"],
            "height": sample["ori_shape"][0],
            "width": sample["ori_shape"][1],
            "raw_ann_info": anns if isinstance(anns, list) else [anns],
        }
        if "crowd_index" in needed:
            kept["crowd_index"] = sample["crowd_index"]
        return kept

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """AP and AR, overall and by threshold, and by size or crowding."""
        with no_gc():
            return self._figures(results)

    def _figures(self, results: list[tuple[PoseBatch, int]]) -> dict[str, Any]:
        meta = self._needed_meta()
        poses = self._poses(results, meta)
        if self.outfile_prefix is not None:
            write_json(f"{self.outfile_prefix}.keypoints.json", self._result_rows(poses))
        if self.coco is None and self.format_only:
            return {}
        truth = self._truth_for(results, meta)
        return self.summary(self._matches(truth, poses, self._sigmas(meta)))

    def comparison(self, results: list[Any]) -> Comparison:
        """What the figures are made of, for a closer look at them.

        Args:
            results: what `entries` gives.

        Raises:
            DataError: there are no annotations, or as in `compute_metrics`.
        """
        meta = self._needed_meta()
        truth, poses = self._truth_for(results, meta), self._poses(results, meta)
        return Comparison(truth, poses, self._detections(truth, poses), self._sigmas(meta))

    def _needed_meta(self) -> Mapping[str, Any]:
        meta = self.dataset_meta or {}
        if "num_keypoints" not in meta:
            raise DataError(
                f"{type(self).__name__} needs `dataset_meta` before it can evaluate, with "
                f"'num_keypoints' and 'sigmas' of the dataset, got only {sorted(meta)}"
            )
        return meta

    def _truth_for(
        self, results: list[tuple[PoseBatch, int]], meta: Mapping[str, Any]
    ) -> CocoTruth:
        """Of the annotation file, or without one of the samples."""
        if self.coco is not None:
            return self.coco
        return self._truth_of_samples([b.truths[i] for b, i in results if b.truths], meta)

    def summary(self, evaluation: OksEvaluation) -> dict[str, float]:
        """The figures of matches, as `iou_type` says, without the prefix."""
        if self.iou_type == "keypoints_crowd":
            return evaluation.summarize_crowd()
        return evaluation.summarize()

    def _poses(
        self, predictions: list[tuple[PoseBatch, int]], meta: Mapping[str, Any]
    ) -> PoseColumns:
        """Poses of all samples, scored and thinned out."""
        number = meta["num_keypoints"]
        if self.pred_converter is not None:
            number = self.pred_converter["num_keypoints"]
        poses = PoseColumns.from_batches(predictions, number)
        poses = poses.scored(self.score_mode, self.keypoint_score_thr)
        if self.nms_mode == "none":
            return poses
        return poses.thinned(self.nms_mode, self.nms_thr, self._sigmas(meta))

    def _matches(self, truth: CocoTruth, poses: PoseColumns, sigmas: Array) -> OksEvaluation:
        if not len(poses):
            warnings.warn(f"{type(self).__name__}: no poses were predicted", stacklevel=2)
        if lost := int((~np.isfinite(poses.keypoints)).any(axis=(1, 2)).sum()):
            warnings.warn(
                f"{type(self).__name__}: {lost} of {len(poses)} predicted poses hold NaN or"
                " infinity, which match nobody; look at what the model puts out",
                stacklevel=2,
            )
        return evaluate_oks(truth, self._detections(truth, poses), sigmas)

    def _detections(self, truth: CocoTruth, poses: PoseColumns) -> Detections:
        """The poses against the rows of the annotations."""
        # poses of a picture stand side by side: one look-up for each picture
        begins = np.flatnonzero(np.diff(poses.image, prepend=-1))
        image = truth.rows_of(poses.image_id[begins].tolist())
        counts = np.diff(begins, append=len(poses))
        categories = dict.fromkeys(poses.category.tolist(), -1)
        categories |= {key: row for row, key in enumerate(truth.category_ids)}
        return Detections(
            image=np.repeat(image, counts),
            category=np.fromiter(map(categories.__getitem__, poses.category), int, len(poses)),
            keypoints=poses.keypoints,
            seen=np.asarray((poses.keypoint_scores > 0).any(axis=1)),
            score=poses.score.astype(np.float64),
            area=self._areas(poses),
        )

    def _areas(self, poses: PoseColumns) -> Array:
        """(M,) of the boxes, predicted or around the keypoints."""
        if poses.bbox is not None:
            return poses.bbox[:, 2:4].astype(np.float64).prod(axis=1)
        if not len(poses):
            return np.zeros(0)
        return np.ptp(poses.keypoints.astype(np.float64), axis=1).prod(axis=1)

    def _result_rows(self, poses: PoseColumns) -> list[dict[str, Any]]:
        """Rows of COCO's result format."""
        rows: list[dict[str, Any]] = []
        flat = np.concatenate((poses.keypoints, poses.keypoint_scores[..., None]), axis=-1)
        for index, keypoints in enumerate(flat.reshape(len(poses), -1).tolist()):
            row = {
                "image_id": poses.image_id[index],
                "category_id": poses.category[index],
                "keypoints": keypoints,
                "score": float(poses.score[index]),
            }
            if poses.bbox is not None:
                row["bbox"] = poses.bbox[index].tolist()
            rows.append(row)
        return rows

    def _sigmas(self, meta: Mapping[str, Any]) -> Array:
        sigmas = np.asarray(meta.get("sigmas", ()))
        if not sigmas.size:
            raise DataError(
                f"the dataset {meta.get('dataset_name', '')!r} has no sigmas, which OKS needs; add"
                " 'sigmas' (one per keypoint, such as 0.05) to its metainfo, or use PCKAccuracy,"
                " AUC or EPE"
            )
        if not (sigmas > 0).all():
            raise DataError(
                f"sigmas, which OKS divides by, should be above 0, got {sigmas.tolist()}"
            )
        return sigmas

    def _truth(self, table: CocoTable, *, source: str) -> CocoTruth:
        return CocoTruth.from_table(
            table,
            source=source,
            use_area=self.use_area,
            crowd_pose=self.iou_type == "keypoints_crowd",
            keypoint_fields=self.keypoint_fields,
            converter=self.gt_converter,
        )

    def _truth_of_samples(
        self, samples: list[dict[str, Any]], meta: Mapping[str, Any]
    ) -> CocoTruth:
        needed = ["id", "image_id", "category_id", "bbox", "iscrowd", *self.keypoint_fields]
        needed += ["area"] * self.use_area
        needed += ["num_keypoints"] * (self.iou_type == "keypoints_crowd")
        content = coco_from_samples(samples, meta.get("CLASSES"), fields=needed)
        if self.outfile_prefix is not None:
            write_json(f"{self.outfile_prefix}.gt.json", content)
        table = CocoTable.from_coco(content, self.keypoint_fields, source="the samples")
        return self._truth(table, source="the samples")


def write_json(path: str, content: Any) -> None:
    """Write JSON that may hold numpy values, and the folders above it."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, sort_keys=True, default=_plain), encoding="utf-8")


def _plain(value: Any) -> Any:
    """What json cannot write by itself: numpy scalars and arrays."""
    return value.tolist()
