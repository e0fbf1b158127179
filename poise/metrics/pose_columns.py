"""Predicted poses of a whole dataset as columns: joined, made unique, scored and thinned out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.oks import oks_matrix, soft_keep
from poise.metrics.base import id_order
from poise.metrics.pose_batch import PoseBatch, together

__all__ = ["PoseColumns"]

# poses that Soft-NMS leaves in a picture
_SOFT_NMS_POSES = 20
# poses or pairs of poses at a time: what fits into a processor's cache is the fastest
_BLOCK = 8_000
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
        columns: dict[str, Any] = {n: v for n, v in vars(self).items() if v is not None}
        return replace(self, **{name: column[rows] for name, column in columns.items()})

    @classmethod
    def from_batches(cls, samples: Sequence[tuple[PoseBatch, int]], keypoints: int) -> PoseColumns:
        """Columns of samples, sorted by picture and sample, without repeated samples.

        Args:
            samples: each as the batch that holds it and its place there.
            keypoints: K, for when nothing was predicted.
        """
        held_by, places_there = zip(*samples, strict=True) if samples else ((), ())
        batches = list(dict.fromkeys(held_by))
        # where each batch's samples begin, when all batches are joined
        sizes = [len(batch.ids) for batch in batches]
        begin = dict(zip(batches, itertools.accumulate([0, *sizes[:-1]]), strict=False))
        chosen = np.fromiter(map(begin.__getitem__, held_by), int, len(samples))
        chosen += np.array(places_there, int)
        all_counts = np.array(list(itertools.chain.from_iterable(b.counts for b in batches)), int)
        chosen = chosen[all_counts[chosen] > 0]
        if not len(chosen):
            return cls._empty(keypoints)
        whole = np.array_equal(chosen, np.arange(len(all_counts)))

        def of_samples(name: str) -> list[Any]:
            values = list(itertools.chain.from_iterable(getattr(b, name) for b in batches))
            return values if whole else [values[place] for place in chosen.tolist()]

        counts = all_counts[chosen]
        first = (np.cumsum(all_counts) - all_counts)[chosen]
        rows = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        image_ids = _plain(of_samples("image_ids"))
        places = {key: row for row, key in enumerate(dict.fromkeys(image_ids))}
        image = np.repeat(np.fromiter(map(places.__getitem__, image_ids), int), counts)
        order = _unique_order(of_samples("ids"), image, counts)
        sample = np.repeat(np.arange(len(chosen)), counts)[order]
        rows = rows[order]
        in_order = np.array_equal(rows, np.arange(all_counts.sum()))

        # an empty batch does not know how many keypoints a pose has
        with_poses = [batch for batch in batches if any(batch.counts)]

        def joined(name: str) -> Array:
            values = together([getattr(batch, name) for batch in with_poses])
            return values if in_order else values[rows]

        score = joined("bbox_scores")
        return cls(
            image_id=_ids(image_ids)[sample],
            image=image[order],
            category=_ids(_plain(of_samples("categories")))[sample],
            keypoints=joined("keypoints"),
            keypoint_scores=joined("keypoint_scores"),
            bbox_score=score,
            area=joined("areas"),
            bbox=joined("bbox") if all(b.bbox is not None for b in with_poses) else None,
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
            parts = [
                _mean_of_sure(points[begin : begin + _BLOCK], keypoint_score_thr)
                for begin in range(0, len(points), _BLOCK)
            ]
            score = self.bbox_score * np.concatenate(parts)
        return replace(self, score=score)

    def thinned(self, mode: str, thr: float, sigmas: Array) -> PoseColumns:
        """The poses that suppression leaves, those of a picture by falling score.

        Args:
            mode: 'oks_nms' or 'soft_oks_nms'.
            thr: as in `poise.geometry.oks_nms`.
            sigmas: (K,).
        """
        if not len(self):
            return self
        if len(sigmas) != self.keypoints.shape[1]:
            raise DataError(
                f"OKS needs a sigma for each keypoint, got {len(sigmas)} sigmas and"
                f" {self.keypoints.shape[1]} predicted keypoints; does the dataset's metainfo"
                " belong to this model?"
            )
        begins = np.flatnonzero(np.diff(self.image, prepend=-1))
        counts = np.diff(begins, append=len(self))
        if mode == "soft_oks_nms":
            pictures = map(slice, begins.tolist(), (begins + counts).tolist())
            return self.take(np.concatenate([self._soft(p, thr, sigmas) for p in pictures]))
        ranked = _ranked(self.score, begins, counts)
        # a picture's rows stay within its own
        following = np.repeat(begins + counts, counts) - np.arange(len(self)) - 1
        return self.take(self._greedy(ranked, following, thr, sigmas))

    def _soft(self, picture: slice, thr: float, sigmas: Array) -> Array:
        poses, areas = self.keypoints[picture], self.area[picture]
        overlap = oks_matrix(poses, poses, areas, areas, sigmas)
        return picture.start + soft_keep(self.score[picture], overlap, thr, _SOFT_NMS_POSES)

    def _greedy(self, ranked: Array, following: Array, thr: float, sigmas: Array) -> Array:
        """Rows without those too close to a better one; all pairs of all pictures.

        Args:
            ranked: (M,) rows, those of a picture by falling score.
            following: (M,) how many of the same picture come after each.
            thr: OKS above which poses are the same.
            sigmas: (K,).
        """
        variance = (np.asarray(sigmas) * 2) ** 2
        # planes of x and of y: numpy is slow where the last axis is as short as a point
        x, y = (np.ascontiguousarray(self.keypoints[..., axis]) for axis in (0, 1))
        areas = self.area
        better, worse = self._close_at_first_sight(ranked, following, thr, variance)
        alive = np.ones(len(self), bool)
        # pairs go by their better pose, so a block only needs what came before it
        for start in range(0, len(better), _BLOCK):
            places = better[start : start + _BLOCK], worse[start : start + _BLOCK]
            a, b = (ranked[place] for place in places)
            distance = (x[a] - x[b]) ** 2 + (y[a] - y[b]) ** 2
            area = (areas[a] + areas[b]) / 2 + _EPS
            oks = np.exp(-distance / variance / area[:, None] / 2).mean(-1).astype(np.float32)
            close = ~(oks <= thr)
            for keeper, other in zip(*(place[close].tolist() for place in places), strict=True):
                if alive[keeper]:
                    alive[other] = False
        return ranked[alive]

    def _close_at_first_sight(
        self, ranked: Array, following: Array, thr: float, variance: Array
    ) -> tuple[Array, Array]:
        """Pairs (P,), (P,) of places in `ranked` that can have an OKS above `thr`, by the first.

        A few keypoints tell: if all the others agreed entirely, these would still have to make
        up for the rest.
        """
        K = self.keypoints.shape[1]
        some = np.linspace(0, K - 1, min(K, _TELLING)).astype(int)
        # the slack is for rounding
        wanted = len(some) - K * (1 - thr) - 1e-3
        points = self.keypoints[:, some, :2].astype(np.float32)[ranked].transpose(1, 2, 0).copy()
        area = (self.area + _EPS).astype(np.float32)[ranked]
        scale = (-1 / variance[some]).astype(np.float32)
        found = []
        place = np.arange(len(ranked))
        # each with the next of its picture, with the one after that, ...
        for shift in range(1, int(following.max(initial=0)) + 1):
            place = place[following[place] >= shift]
            a, b = place, place + shift
            spread = 1 / (area[a] + area[b])
            similarity = np.zeros(len(a), np.float32)
            for left, (x, y), factor in zip(range(len(some))[::-1], points, scale, strict=True):
                error = (x[a] - x[b]) ** 2 + (y[a] - y[b]) ** 2
                similarity += np.exp(error * (spread * factor))
                if wanted > left:
                    # asked this way round, NaN may be close
                    near = ~np.asarray(similarity < wanted - left)
                    a, b, spread, similarity = a[near], b[near], spread[near], similarity[near]
            found.append((a, b))
        if not found:
            return place[:0], place[:0]
        better, worse = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(better, kind="stable")
        return better[order], worse[order]


def _mean_of_sure(points: Array, thr: float) -> Array:
    """(M,) mean of the keypoint scores (M, K) above the threshold, 0 where none is."""
    # planes of keypoints: sums over an axis as short as a pose are slow
    points = points.T.astype(np.float64, order="C")
    sure = points > thr
    # one after another, as the reference adds: order among equal scores hangs on it
    total = np.where(sure, points, 0).cumsum(axis=0)[-1]
    return np.asarray(total / np.maximum(sure.sum(axis=0), 1))


def _ranked(score: Array, begins: Array, counts: Array) -> Array:
    """Rows of each picture by falling score.

    Pictures with equally many poses are sorted by one call, which gives equal scores numpy's own
    order, as `oks_nms` ranks them.

    Args:
        score: (M,) those of a picture side by side.
        begins: (I,) first row of each picture.
        counts: (I,) number of its rows.
    """
    ranked = np.empty(len(score), np.intp)
    for count in np.unique(counts).tolist():
        first = begins[counts == count][:, None]
        rows = first + np.arange(count)
        ranked[rows] = first + score[rows].argsort(axis=1)[:, ::-1]
    return ranked


def _plain(ids: list[Any]) -> list[Any]:
    """Ids, of which data sets give some as arrays without dimensions."""
    if np.ndarray not in set(map(type, ids)):
        return ids
    return [i.item() if isinstance(i, np.ndarray) and i.ndim == 0 else i for i in ids]


def _ids(values: list[Any]) -> Array:
    """Ids as an array that keeps their type."""
    array = np.empty(len(values), object)
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
        rank = {one: place for place, one in enumerate(sorted(set(ids), key=id_order))}
        key = np.array([rank[one] for one in ids])[first]
    order = np.lexsort((key, image))
    pair = np.stack((image[order], key[order]))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (pair[:, 1:] != pair[:, :-1]).any(axis=0)
    return order[fresh]
