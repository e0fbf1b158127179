"""Predicted poses of a batch of samples, joined to columns as they come from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array, as_numpy
from poise._words import counted
from poise.errors import DataError
from poise.geometry.boxes import bbox_xyxy2xywh
from poise.metrics.base import field
from poise.metrics.functional.mapping import transform_pred

__all__ = ["PoseBatch", "together"]


@dataclass(frozen=True, eq=False)
class PoseBatch:
    """P poses of B samples, those of a sample side by side.

    Joined by batch, an evaluation keeps a few large arrays instead of many small ones, which is
    what costs time and memory, also where results of several processes are sent.

    Attributes:
        ids: B ids of samples; bottom-up samples have lists of ids.
        image_ids: B ids of pictures.
        categories: B ids.
        counts: B numbers of poses.
        keypoints: (P, K, 2) image space.
        keypoint_scores: (P, K).
        bbox_scores: (P,).
        areas: (P,) square pixels: given, or of the box around the keypoints.
        bbox: (P, 4) xywh, or None where a sample with poses has none.
        truths: B annotations, where they come from the samples.
    """

    ids: list[Any]
    image_ids: list[Any]
    categories: list[Any]
    counts: list[int]
    keypoints: Array
    keypoint_scores: Array
    bbox_scores: Array
    areas: Array
    bbox: Array | None
    truths: list[dict[str, Any]] | None = None

    @classmethod
    def from_samples(
        cls,
        samples: Sequence[Mapping[str, Any]],
        *,
        metric: str,
        converter: Mapping[str, Any] | None = None,
    ) -> PoseBatch:
        """The poses of samples as a model gives them.

        Args:
            samples: as `CocoMetric.process` takes them.
            metric: name of the metric, for error texts.
            converter: 'num_keypoints' and 'mapping' to another set of keypoints.

        Raises:
            DataError: a sample lacks something, or has scores that do not fit its keypoints.
        """
        keypoints, scores, box_scores, scales, boxes = ([] for _ in range(5))
        try:
            for sample in samples:
                predicted, annotated = sample["pred_instances"], sample.get("gt_instances") or {}
                points = as_numpy(predicted["keypoints"])
                score = as_numpy(predicted["keypoint_scores"])
                if score.shape != points.shape[:2]:
                    raise DataError(
                        f"{metric}: keypoint_scores {score.shape} do not fit keypoints"
                        f" {points.shape}; expected (N, K) and (N, K, 2)"
                    )
                keypoints.append(points)
                scores.append(score)
                box_scores.append(_box_scores(predicted, annotated, len(points), metric))
                boxes.append(
                    _boxes(predicted["bboxes"], len(points), metric)
                    if "bboxes" in predicted
                    else None
                )
                scales.append(
                    as_numpy(annotated["bbox_scales"]) if "bbox_scales" in annotated else None
                )
            ids = [sample["id"] for sample in samples]
            image_ids = [sample["img_id"] for sample in samples]
        except (KeyError, TypeError, AttributeError, DataError):
            for sample in samples:
                _check(sample, metric)
            raise
        if converter is not None:
            poses: Any = [
                {"keypoints": points, "keypoint_scores": score}
                for points, score in zip(keypoints, scores, strict=True)
            ]
            transform_pred(poses, converter["num_keypoints"], converter["mapping"])
            keypoints, scores = (
                ([p[name] for p in poses] for name in poses[0]) if poses else ([], [])
            )
        counts = [len(points) for points in keypoints]
        boxed = all(box is not None for box, n in zip(boxes, counts, strict=True) if n)
        return cls(
            ids=ids,
            image_ids=image_ids,
            categories=[sample.get("category_id", 1) for sample in samples],
            counts=counts,
            keypoints=_wide(_joined(keypoints, counts, (0, 0, 2))),
            keypoint_scores=_wide(_joined(scores, counts, (0, 0))),
            bbox_scores=_joined(box_scores, counts, (0,)),
            areas=_areas(keypoints, scales, counts),
            bbox=bbox_xyxy2xywh(_joined(boxes, counts, (0, 4))) if boxed else None,
        )


def _box_scores(
    predicted: Mapping[str, Any], annotated: Mapping[str, Any], count: int, metric: str
) -> Array:
    """(N,): one-stage models score their own boxes, top-down models have a detector's."""
    boxes = predicted if "bbox_scores" in predicted else annotated
    if "bbox_scores" in boxes:
        scores = as_numpy(boxes["bbox_scores"])
        if len(scores) == count:
            return scores
        if boxes is predicted:
            raise DataError(
                f"{metric}: bbox_scores {scores.shape} of `pred_instances` do not fit"
                f" {counted(count, 'pose')}; expected ({count},)"
            )
    # bottom-up models find as many as they like
    return np.ones(count)


def _boxes(given: Any, count: int, metric: str) -> Array:
    """(N, 4) xyxy."""
    boxes = as_numpy(given)
    if boxes.ndim != 2 or len(boxes) != count or boxes.shape[1] < 4:
        raise DataError(
            f"{metric}: bboxes {boxes.shape} of `pred_instances` do not fit"
            f" {counted(count, 'pose')}; expected ({count}, 4)"
        )
    return boxes


def _check(sample: Mapping[str, Any], metric: str) -> None:
    field(sample, "pred_instances", "keypoints", metric)
    field(sample, "pred_instances", "keypoint_scores", metric)
    if lacking := [key for key in ("id", "img_id") if key not in sample]:
        raise DataError(
            f"{metric} needs {lacking} in the meta information of every sample; add them to"
            " `meta_keys` of PackPoseInputs"
        )


def _joined(parts: Sequence[Any], counts: Sequence[int], empty: tuple[int, ...]) -> Array:
    """Arrays of the samples that have poses, one after another."""
    some = [part for part, count in zip(parts, counts, strict=True) if count]
    return together(some) if some else np.zeros(empty)


def _wide(array: Array) -> Array:
    """32 bits at least: areas of boxes are beyond 16."""
    return array.astype(np.promote_types(array.dtype, np.float32), copy=False)


def together(parts: Sequence[Array]) -> Array:
    """Arrays of poses, one after another.

    Raises:
        DataError: they differ in their keypoints.
    """
    try:
        return np.concatenate(parts)
    except ValueError:
        shapes = sorted({part.shape[1:] for part in parts})
        raise DataError(
            f"predicted poses differ in their number of keypoints: they have the shapes {shapes};"
            " evaluate data sets of different keypoints by a metric each (MultiDatasetEvaluator)"
        ) from None


def _areas(keypoints: list[Array], scales: list[Array | None], counts: list[int]) -> Array:
    """(P,) of the boxes, where each pose has one, or of the boxes around the keypoints."""
    fit = [s is not None and len(s) >= n for s, n in zip(scales, counts, strict=True)]
    boxes = [s[:n] for s, n, fits in zip(scales, counts, fit, strict=True) if fits]  # type: ignore[index]
    if all(fit):
        return np.asarray(_joined(boxes, counts, (0, 2)).prod(axis=1))
    given = iter(boxes)
    areas = [
        next(given).prod(axis=1) if fits else _wide(np.ptp(points[..., :2], axis=1)).prod(axis=-1)
        for points, fits in zip(keypoints, fit, strict=True)
    ]
    return _joined(areas, counts, (0,))
