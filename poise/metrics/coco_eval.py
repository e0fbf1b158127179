"""Average precision and recall of keypoints by OKS, as COCO defines them, on columns.

The rules are those of COCO's own evaluation (https://cocodataset.org/#keypoints-eval) with the
extensions for CrowdPose and whole bodies: detections of a picture are matched to annotations
from the highest score down, at ten OKS thresholds; annotations without visible keypoints,
crowds, and those outside of an area range are ignored, as are detections that match them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.metrics.coco_truth import CocoTruth
from poise.metrics.matching import (
    CandidatePairs,
    Evaluation,
    best_of_each_group,
    mean_of_existing,
    pairs_of_groups,
)

__all__ = ["Detections", "OksEvaluation", "candidate_pairs", "evaluate_oks"]

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# detections per picture and category that count
MAX_DETECTIONS = 20
# square pixels: all, medium, large
AREA_RANGES = ((0.0, 1e10), (32.0**2, 96.0**2), (96.0**2, 1e10))
ALL, MEDIUM, LARGE = range(3)
# OKS of so many pairs at a time: what fits into a processor's cache is four times as fast
_PAIRS = 8_000
_EPS = np.spacing(1)


@dataclass(frozen=True)
class Detections:
    """Predicted poses as columns, in the order of the result file.

    Attributes:
        image: (M,) row of the picture in `CocoTruth.image_ids`.
        category: (M,) row of the category in `CocoTruth.category_ids`, -1 for unknown ones.
        keypoints: (M, K, 2) image space.
        seen: (M,) bool: some keypoint has a positive score.
        score: (M,).
        area: (M,) square pixels.
    """

    image: Array
    category: Array
    keypoints: Array
    seen: Array
    score: Array
    area: Array


class OksEvaluation(Evaluation):
    """Matches of poses; `curves` take ALL, MEDIUM or LARGE."""

    truth: CocoTruth

    def summarize(self) -> dict[str, float]:
        """The ten figures of the COCO keypoint task; -1 where nothing counts."""
        curves = [self.curves(area) for area in (ALL, MEDIUM, LARGE)]
        figures: dict[str, float] = {}
        for name, which in (("AP", 0), ("AR", 1)):
            figures[name] = mean_of_existing(curves[ALL][which])
            figures[f"{name} .5"] = mean_of_existing(curves[ALL][which][:, 0])
            figures[f"{name} .75"] = mean_of_existing(curves[ALL][which][:, 5])
            figures[f"{name} (M)"] = mean_of_existing(curves[MEDIUM][which])
            figures[f"{name} (L)"] = mean_of_existing(curves[LARGE][which])
        return figures

    def summarize_crowd(self, easy_below: float = 0.2, hard_from: float = 0.8) -> dict[str, float]:
        """The nine figures of CrowdPose: overall, and AP over easy, medium and hard pictures.

        The three are rounded to four digits, as the published evaluation does.

        Args:
            easy_below: pictures with a smaller crowd index are easy.
            hard_from: pictures from this crowd index on are hard.

        Raises:
            DataError: the pictures have no crowd index.
        """
        index = self.truth.crowd_index
        if index is None:
            raise DataError(
                "iou_type 'keypoints_crowd' needs 'crowdIndex' in every image of the annotation"
                " file; use 'keypoints' for datasets without it"
            )
        precision, recall = self.curves(ALL)
        figures: dict[str, float] = {}
        for name, values in (("AP", precision), ("AR", recall)):
            figures[name] = mean_of_existing(values)
            figures[f"{name} .5"] = mean_of_existing(values[:, 0])
            figures[f"{name} .75"] = mean_of_existing(values[:, 5])
        for letter, images in (
            ("E", index < easy_below),
            ("M", (index >= easy_below) & (index < hard_from)),
            ("H", index >= hard_from),
        ):
            figures[f"AP({letter})"] = round(float(self.curves(ALL, images=images)[0].mean()), 4)
        return figures


def evaluate_oks(truth: CocoTruth, detections: Detections, sigmas: Array) -> OksEvaluation:
    """Match detections to annotations at every threshold and area range.

    Args:
        truth: annotations of K keypoints.
        detections: predictions of K keypoints.
        sigmas: (K,).

    Raises:
        DataError: the numbers of keypoints differ.
    """
    return OksEvaluation.of(
        truth,
        detections,
        candidate_pairs(truth, detections, sigmas),
        sizes=detections.area,
        ignore=truth.ignore,
        ranges=AREA_RANGES,
        thresholds=OKS_THRESHOLDS,
    )


def candidate_pairs(truth: CocoTruth, detections: Detections, sigmas: Array) -> CandidatePairs:
    """All pairs that could match; arguments and errors as of `evaluate_oks`."""
    counts = {"sigmas": len(sigmas)}
    if len(truth.image):
        counts["annotated keypoints"] = truth.keypoints.shape[1]
    if len(detections.image):
        counts["predicted keypoints"] = detections.keypoints.shape[1]
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{number} {what}" for what, number in counts.items())
        raise DataError(
            f"OKS needs a sigma for each keypoint, got {listed}; does the dataset's metainfo"
            " belong to these annotations and this model?"
        )
    kept, group = _best_of_each_group(detections, len(truth.image_ids))
    pair_d, pair_g = pairs_of_groups(truth.group, group)
    oks = _oks_of_pairs(truth, detections, pair_g, kept[pair_d], sigmas)
    return CandidatePairs(kept, group, pair_d, pair_g, oks)


def _best_of_each_group(detections: Detections, images: int) -> tuple[Array, Array]:
    """Rows of up to 20 detections per category and picture, sorted, and their group numbers."""
    # a detection without any positive keypoint score says nothing
    rows = np.flatnonzero((detections.category >= 0) & detections.seen)
    group = (detections.category * images + detections.image)[rows]
    order = best_of_each_group(group, detections.score[rows], MAX_DETECTIONS)
    return rows[order], group[order]


def _oks_of_pairs(
    truth: CocoTruth, detections: Detections, pair_g: Array, pair_d: Array, sigmas: Array
) -> Array:
    """OKS (P,) of annotation pair_g[p] and detection pair_d[p]."""
    variance = (np.asarray(sigmas) * 2) ** 2
    oks = np.empty(len(pair_g))
    # planes of x and of y: numpy is slow where the last axis is as short as a point
    points_g, points_d = (
        [np.ascontiguousarray(poses.keypoints[..., axis]) for axis in (0, 1)]
        for poses in (truth, detections)
    )
    # what is not labelled may be anything, also no number
    has_nan = any(np.isnan(plane).any() for plane in (*points_g, *points_d))
    visible: Array = np.greater(truth.keypoints[..., 2], 0)
    unseen = np.logical_not(visible.any(axis=1))
    visible[unseen] = True
    number = visible.sum(axis=1)
    for begin in range(0, len(pair_g), _PAIRS):
        g, d = pair_g[begin : begin + _PAIRS], pair_d[begin : begin + _PAIRS]
        bare = np.nonzero(unseen[g])[0]
        squares = []
        for axis in (0, 1):
            # detections may be of single precision
            offset = np.subtract(points_d[axis][d], points_g[axis][g], dtype=np.float64)
            if len(bare):
                # no keypoint to compare with: distance to the box grown by its own size
                corner, side = truth.bbox[g[bare], axis, None], truth.bbox[g[bare], axis + 2, None]
                low, high = corner - side, corner + 2 * side
                xy = points_d[axis][d[bare]].astype(np.float64)
                offset[bare] = np.maximum(0, low - xy) + np.maximum(0, xy - high)
            squares.append(np.square(offset, out=offset))
        error = (squares[0] + squares[1]) / variance / (truth.area[g] + _EPS)[:, None] / 2
        similar = np.exp(-error) * visible[g]
        if has_nan:
            similar[~visible[g]] = 0
        oks[begin : begin + _PAIRS] = similar.sum(1) / number[g]
    return oks
