"""Predicted poses of a whole dataset as columns: joined, made unique, scored and thinned out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import DataError
from poise.geometry.oks import oks_matrix, soft_keep

__all__ = ["PoseColumns"]

Array = NDArray[Any]

# poses that Soft-NMS leaves in a picture
_SOFT_NMS_POSES = 20
# OKS of so many pairs at a time, to bound memory
_PAIRS = 100_000
_EPS = np.spacing(1)


@dataclass(frozen=True)
class PoseColumns:
    """M predicted poses, those of a picture side by side.

    Attributes:
        image_id: (M,) ids as they came.
        image: (M,) 0, 1, ... in the order in which the pictures first came.
        category: (M,) ids.
        keypoints: (M, K, 2) image space.
        keypoint_scores: (M, K).
        bbox_score: (M,).
        area: (M,) square pixels.
        bbox: (M, 4) xywh, or None where the first pose has none.
        score: (M,) what ranks a pose; the box's until `scored`.
    """

    image_id: Array
    image: Array
    category: Array
    keypoints: Array
    keypoint_scores: Array
    bbox_score: Array
    area: Array
    bbox: Array | None
    score: Array

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Array) -> PoseColumns:
        """The poses at some rows."""
        columns: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            columns[column.name] = None if value is None else value[rows]
        return PoseColumns(**columns)

    @classmethod
    def from_predictions(
        cls, predictions: Sequence[Mapping[str, Any]], keypoints: int
    ) -> PoseColumns:
        """Columns of predictions, sorted by picture and sample, without repeated samples.

        Args:
            predictions: 'id', 'img_id', 'category_id', 'keypoints' (N, K, 2),
                'keypoint_scores' (N, K), 'bbox_scores' (N,), perhaps 'bbox' (N, 4) xywh and
                'areas' (N,).
            keypoints: K, for when nothing was predicted.
        """
        predictions = [p for p in predictions if len(p["keypoints"])]
        if not predictions:
            return cls._empty(keypoints)
        counts = np.array([len(p["keypoints"]) for p in predictions])
        places: dict[Any, int] = {}
        image = [places.setdefault(p["img_id"], len(places)) for p in predictions]
        boxes = None
        if all("bbox" in p for p in predictions):
            boxes = np.concatenate([p["bbox"] for p in predictions])
        bbox_score = np.concatenate([p["bbox_scores"] for p in predictions])
        columns = cls(
            image_id=np.repeat(_ids([p["img_id"] for p in predictions]), counts),
            image=np.repeat(image, counts),
            category=np.repeat(_ids([p["category_id"] for p in predictions]), counts),
            keypoints=np.concatenate([p["keypoints"] for p in predictions]),
            keypoint_scores=np.concatenate([p["keypoint_scores"] for p in predictions]),
            bbox_score=bbox_score,
            area=np.concatenate([_areas(p) for p in predictions]),
            bbox=boxes,
            score=bbox_score,
        )
        return columns.take(_unique_order([p["id"] for p in predictions], columns.image, counts))

    @classmethod
    def _empty(cls, keypoints: int) -> PoseColumns:
        none, flat = np.zeros(0, int), np.zeros(0)
        return cls(
            image_id=none,
            image=none,
            category=none,
            keypoints=np.zeros((0, keypoints, 2)),
            keypoint_scores=np.zeros((0, keypoints)),
            bbox_score=flat,
            area=flat,
            bbox=None,
            score=flat,
        )

    def scored(self, mode: str, keypoint_score_thr: float) -> PoseColumns:
        """The poses with the score that ranks them.

        Args:
            mode: 'bbox' the box's score; 'keypoint' the mean of the keypoints'; 'bbox_rle' box
                plus mean plus greatest; 'bbox_keypoint' box times the mean of the keypoint
                scores above the threshold.
            keypoint_score_thr: for 'bbox_keypoint'.
        """
        points = self.keypoint_scores
        if mode == "bbox" or not len(self):
            score = self.bbox_score
        elif mode == "keypoint":
            score = points.mean(axis=1)
        elif mode == "bbox_rle":
            score = self.bbox_score + points.mean(axis=1) + points.max(axis=1)
        else:
            points = points.astype(np.float64)
            sure = points > keypoint_score_thr
            # one after another, as the reference adds: order among equal scores hangs on it
            total = np.where(sure, points, 0).cumsum(axis=1)[:, -1]
            score = self.bbox_score * (total / np.maximum(sure.sum(axis=1), 1))
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return PoseColumns(**{**columns, "score": score})

    def thinned(self, mode: str, thr: float, sigmas: Array) -> PoseColumns:
        """The poses that suppression leaves, those of a picture by falling score.

        Args:
            mode: 'oks_nms', 'soft_oks_nms' or 'none'.
            thr: as in `poise.geometry.oks_nms`.
            sigmas: (K,).
        """
        if mode == "none" or not len(self):
            return self
        if len(sigmas) != self.keypoints.shape[1]:
            raise DataError(
                f"OKS needs a sigma for each keypoint, got {len(sigmas)} sigmas and"
                f" {self.keypoints.shape[1]} predicted keypoints; does the dataset's metainfo"
                " belong to this model?"
            )
        starts = np.searchsorted(self.image, np.arange(self.image[-1] + 2))
        # per picture, with numpy's own order of equal scores, as `oks_nms` ranks them
        pictures = [slice(a, b) for a, b in itertools.pairwise(starts) if b > a]
        if mode == "soft_oks_nms":
            return self.take(np.concatenate([self._soft(p, thr, sigmas) for p in pictures]))
        ranked = np.concatenate([p.start + self.score[p].argsort()[::-1] for p in pictures])
        return self.take(ranked)._greedy(thr, sigmas)

    def _soft(self, picture: slice, thr: float, sigmas: Array) -> Array:
        poses, areas = self.keypoints[picture], self.area[picture]
        overlap = oks_matrix(poses, poses, areas, areas, sigmas)
        return picture.start + soft_keep(self.score[picture], overlap, thr, _SOFT_NMS_POSES)

    def _greedy(self, thr: float, sigmas: Array) -> PoseColumns:
        """Drop poses too close to a better one; all pairs of a picture at once."""
        total = len(self)
        last = np.searchsorted(self.image, self.image, side="right")
        following = last - np.arange(total) - 1
        better = np.repeat(np.arange(total), following)
        begin = np.cumsum(following) - following
        worse = better + 1 + np.arange(len(better)) - begin[better]
        variance = (np.asarray(sigmas) * 2) ** 2
        alive = np.ones(total, bool)
        # pairs go by their better pose, so a block only needs what came before it
        for start in range(0, len(better), _PAIRS):
            a, b = better[start : start + _PAIRS], worse[start : start + _PAIRS]
            distance = ((self.keypoints[a, :, :2] - self.keypoints[b, :, :2]) ** 2).sum(-1)
            area = (self.area[a] + self.area[b]) / 2 + _EPS
            oks = np.exp(-distance / variance / area[:, None] / 2).mean(-1).astype(np.float32)
            close = ~(oks <= thr)
            for keeper, other in zip(a[close].tolist(), b[close].tolist(), strict=True):
                if alive[keeper]:
                    alive[other] = False
        return self.take(np.nonzero(alive)[0])


def _ids(values: list[Any]) -> Array:
    """Ids as an array that keeps their type."""
    array = np.empty(len(values), object)
    # data sets give the category as an array without dimensions
    array[:] = [v.item() if isinstance(v, np.ndarray) and v.ndim == 0 else v for v in values]
    return array


def _areas(prediction: Mapping[str, Any]) -> Array:
    """(N,) areas given, or of the box around the keypoints."""
    keypoints = prediction["keypoints"]
    given = prediction.get("areas")
    if given is not None and len(given) >= len(keypoints):
        areas: Array = given[: len(keypoints)]
        return areas
    return np.ptp(keypoints[..., :2], axis=1).prod(axis=-1)


def _unique_order(ids: list[Any], image: Array, counts: Array) -> Array:
    """Rows sorted by picture and sample id, the first of equal ids only.

    Distributed samplers repeat samples. Bottom-up samples have a list of ids, of all people in
    the picture, and are not sorted.
    """
    first = np.searchsorted(np.cumsum(counts), np.arange(counts.sum()), side="right")
    if any(isinstance(one, (list, tuple)) for one in ids):
        return np.argsort(image, kind="stable")
    rank = {one: place for place, one in enumerate(sorted(set(ids)))}
    key = np.array([rank[one] for one in ids])[first]
    order = np.lexsort((key, image))
    pair = np.stack((image[order], key[order]))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (pair[:, 1:] != pair[:, :-1]).any(axis=0)
    return order[fresh]
