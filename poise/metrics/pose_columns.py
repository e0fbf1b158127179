"""Predicted poses of a whole dataset as columns: joined, made unique, scored and thinned out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import DataError
from poise.geometry.oks import oks_matrix, soft_keep
from poise.metrics.pose_batch import PoseBatch

__all__ = ["PoseColumns"]

Array = NDArray[Any]

# poses that Soft-NMS leaves in a picture
_SOFT_NMS_POSES = 20
# OKS of so many pairs at a time, to bound memory
_PAIRS = 100_000
_EPS = np.spacing(1)
# keypoints that tell at first sight whether two poses are different people
_TELLING = 4


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
    def from_batches(cls, samples: Sequence[tuple[PoseBatch, int]], keypoints: int) -> PoseColumns:
        """Columns of samples, sorted by picture and sample, without repeated samples.

        Args:
            samples: each as the batch that holds it and its place there.
            keypoints: K, for when nothing was predicted.
        """
        samples = [sample for sample in samples if sample[0].counts[sample[1]]]
        if not samples:
            return cls._empty(keypoints)
        batches = list(dict.fromkeys(batch for batch, _ in samples))
        # where each batch's samples begin, when all batches are joined
        sizes = [len(batch.ids) for batch in batches]
        begin = dict(zip(batches, itertools.accumulate([0, *sizes[:-1]]), strict=True))
        chosen = np.fromiter((begin[batch] + place for batch, place in samples), int, len(samples))

        def of_samples(name: str) -> list[Any]:
            values = list(itertools.chain.from_iterable(getattr(b, name) for b in batches))
            return [values[place] for place in chosen.tolist()]

        all_counts = np.array(list(itertools.chain.from_iterable(b.counts for b in batches)))
        counts = all_counts[chosen]
        first = (np.cumsum(all_counts) - all_counts)[chosen]
        rows = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        image_ids = of_samples("image_ids")
        places = {key: row for row, key in enumerate(dict.fromkeys(image_ids))}
        image = np.repeat([places[key] for key in image_ids], counts)
        order = _unique_order(of_samples("ids"), image, counts)
        sample = np.repeat(np.arange(len(samples)), counts)[order]
        rows = rows[order]

        def joined(name: str) -> Array:
            return np.concatenate([getattr(batch, name) for batch in batches])[rows]

        score = joined("bbox_scores")
        return cls(
            image_id=_ids(image_ids)[sample],
            image=image[order],
            category=_ids(of_samples("categories"))[sample],
            keypoints=joined("keypoints"),
            keypoint_scores=joined("keypoint_scores"),
            bbox_score=score,
            area=joined("areas"),
            bbox=joined("bbox") if all(batch.bbox is not None for batch in batches) else None,
            score=score,
        )

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
        # planes of x and of y: numpy is slow where the last axis is as short as a point
        x, y = (np.ascontiguousarray(self.keypoints[..., axis]) for axis in (0, 1))
        may_be_close = self._first_sight(thr, variance)
        # pairs go by their better pose, so a block only needs what came before it
        for start in range(0, len(better), _PAIRS):
            a, b = better[start : start + _PAIRS], worse[start : start + _PAIRS]
            near = may_be_close(a, b)
            a, b = a[near], b[near]
            distance = (x[a] - x[b]) ** 2 + (y[a] - y[b]) ** 2
            area = (self.area[a] + self.area[b]) / 2 + _EPS
            oks = np.exp(-distance / variance / area[:, None] / 2).mean(-1).astype(np.float32)
            close = ~(oks <= thr)
            for keeper, other in zip(a[close].tolist(), b[close].tolist(), strict=True):
                if alive[keeper]:
                    alive[other] = False
        return self.take(np.nonzero(alive)[0])

    def _first_sight(self, thr: float, variance: Array) -> Callable[[Array, Array], Array]:
        """Tells which of some pairs (P,) of poses can have an OKS above `thr`.

        A few keypoints tell: if all the others agreed entirely, these would still have to make
        up for the rest.
        """
        K = self.keypoints.shape[1]
        some = np.linspace(0, K - 1, min(K, _TELLING)).astype(int)
        wanted = len(some) - K * (1 - thr)
        if wanted <= 0:
            return lambda a, _: np.ones(len(a), bool)
        points = self.keypoints[:, some, :2].astype(np.float32).transpose(1, 2, 0).copy()
        area = (self.area + _EPS).astype(np.float32)
        scale = (-1 / variance[some]).astype(np.float32)

        def may_be_close(a: Array, b: Array) -> Array:
            spread = 1 / (area[a] + area[b])
            similarity = np.zeros(len(a), np.float32)
            for (x, y), factor in zip(points, scale, strict=True):
                error = (x[a] - x[b]) ** 2 + (y[a] - y[b]) ** 2
                similarity += np.exp(error * (spread * factor))
            # asked this way round, NaN may be close; the slack is for rounding
            return ~np.asarray(similarity < wanted - 1e-3)

        return may_be_close


def _ids(values: list[Any]) -> Array:
    """Ids as an array that keeps their type."""
    array = np.empty(len(values), object)
    if np.ndarray in set(map(type, values)):
        # data sets give the category as an array without dimensions
        values = [v.item() if isinstance(v, np.ndarray) and v.ndim == 0 else v for v in values]
    array[:] = values
    return array


def _unique_order(ids: list[Any], image: Array, counts: Array) -> Array:
    """Rows sorted by picture and sample id, the first of equal ids only.

    Distributed samplers repeat samples. Bottom-up samples have a list of ids, of all people in
    the picture, and are not sorted.
    """
    first = np.searchsorted(np.cumsum(counts), np.arange(counts.sum()), side="right")
    kinds = set(map(type, ids))
    if kinds & {list, tuple}:
        return np.argsort(image, kind="stable")
    if kinds == {int}:
        key = np.array(ids)[first]
    else:
        rank = {one: place for place, one in enumerate(sorted(set(ids)))}
        key = np.array([rank[one] for one in ids])[first]
    order = np.lexsort((key, image))
    pair = np.stack((image[order], key[order]))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (pair[:, 1:] != pair[:, :-1]).any(axis=0)
    return order[fresh]
