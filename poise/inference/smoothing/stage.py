"""Smoothing as a stage between the pipeline and the files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.inference.results.pose_result import PoseResult
from poise.inference.smoothing.filters import Filter, Window
from poise.inference.smoothing.gaps import fill_gaps, gather
from poise.inference.tracking.stage import with_ids
from poise.structures import InstanceData

__all__ = ["DEFAULT_FPS", "SmoothingStage"]

#: Frames a second where the source does not say.
DEFAULT_FPS = 25.0
#: Frames for which a joint that is not seen is held where nothing is known of the future.
_DEFAULT_GAP = 5
#: Share of a person's joints that count in full where there are covariances, and what the least
#: sure ones count.
_SURE, _LEAST_WEIGHT = 0.25, 0.05
#: field -> the scores that go with it, which those of filled places follow
_SCORES = {"keypoints": "keypoint_scores", "keypoints_3d": "keypoint_scores_3d"}


class SmoothingStage:
    """Calms the keypoints of each person, and fills short gaps.

    Results come late by `lag` frames, later at the beginning of a video where a filter needs its
    whole window. They gain `keypoints_filled` (N, K) bool: joints that were not seen, whose
    values come from the frames around; where results have `keypoint_covariances`, joints count by
    them instead of by their scores (but for `OneEuro`, see there). A person missed for a few frames
    is put in where frames after the gap are known, which needs a lag. People without an id stay as
    they are; where results have no ids, the tracker runs first.

    Args:
        make: makes the filter, anew for each video and field.
        min_score: keypoints with a lower score count as not seen.
        max_gap: frames; longer gaps are not filled. None: 5, or the lag where it is longer.
        lag: frames to wait, if more than the filter needs (to fill gaps from both sides).
        fields: which keypoints: "keypoints", "keypoints_3d", or one of them.
    """

    def __init__(
        self,
        make: Callable[[], Filter],
        *,
        min_score: float = 0.2,
        max_gap: int | None = None,
        lag: int | None = None,
        fields: str | Sequence[str] = ("keypoints", "keypoints_3d"),
    ) -> None:
        first = make()
        if (max_gap is not None and max_gap < 0) or (lag is not None and lag < first.lag):
            raise DataError(
                f"smoothing needs max_gap >= 0 and a lag of at least the filter's {first.lag} "
                f"frames, got {max_gap} and {lag}"
            )
        self.make, self.min_score = make, min_score
        self.fields = (fields,) if isinstance(fields, str) else tuple(fields)
        self.lag = max(first.lag, lag or 0)
        self.max_gap = max(_DEFAULT_GAP, self.lag) if max_gap is None else max_gap
        self.before = max(first.before, self.max_gap)
        self.least = first.least

    def __call__(self, results: Iterator[PoseResult]) -> Iterator[PoseResult]:
        """Smoothed results, `lag` frames late."""
        buffer = _Buffer(self)
        for result in with_ids(results):
            if buffer.video is not None and result.video != buffer.video:
                yield from buffer.rest()
                buffer = _Buffer(self)
            yield from buffer.take(result)
        yield from buffer.rest()


class _Buffer:
    """Frames of one video that are needed still: raw values of those gone, results to come."""

    def __init__(self, stage: SmoothingStage) -> None:
        self.stage = stage
        self.video: str | None = None
        self.waiting: deque[PoseResult] = deque()
        self.raw: deque[dict[str, Any]] = deque()
        self.filters: dict[str, Filter] = {}
        self.seen = 0
        self._last = -np.inf

    def take(self, result: PoseResult) -> Iterator[PoseResult]:
        self.video = result.video
        self.waiting.append(result)
        self.raw.append({**_raw(result, self.stage), "time": self._time_of(result)})
        self.seen += 1
        late = self.stage.lag
        while len(self.waiting) > late and self.seen >= self.stage.least:
            yield self._smoothed()

    def _time_of(self, result: PoseResult) -> float:
        """Seconds, later than of the frame before; still pictures, which have none, are frames."""
        frame_time = 1 / (result.fps or DEFAULT_FPS)
        time = result.frame_index * frame_time if result.time is None else result.time
        self._last = time if time > self._last else self._last + frame_time
        return self._last

    def rest(self) -> Iterator[PoseResult]:
        while self.waiting:
            yield self._smoothed()

    def _smoothed(self) -> PoseResult:
        at = len(self.raw) - len(self.waiting)
        result = self.waiting.popleft()
        times = np.array([frame["time"] for frame in self.raw])
        ids = self.raw[at]["ids"]
        # what could not be read shows nobody, whatever the frames around it do
        inserted = self._absent(at, ids) if result.error is None else ids[:0]
        everybody = np.concatenate((ids, inserted)).astype(np.int64)
        if len(inserted):
            _insert(result, self.raw, at, inserted, times)
        nothing = np.zeros(np.shape(result.instances.keypoints)[:2], bool)
        result.instances.set_field(nothing, "keypoints_filled")
        for name in self.stage.fields:
            if name in result.instances and len(everybody):
                self._smooth_field(result, name, everybody, times, at)
        while len(self.raw) - len(self.waiting) > self.stage.before:
            self.raw.popleft()
        return result

    def _absent(self, at: int, ids: Array) -> Array:
        """Ids of people who are missing here, but seen shortly before and after."""
        around = [
            np.unique(np.concatenate([f["ids"] for f in part]))
            for part in (list(self.raw)[:at], list(self.raw)[at + 1 :])
            if part
        ]
        if len(around) < 2 or not self.stage.lag:
            return np.zeros(0, np.int64)
        both = np.setdiff1d(np.intersect1d(around[0], around[1]), ids)
        there = np.array([np.isin(both, f["ids"]) for f in self.raw])
        places = np.arange(len(there))[:, None]
        last = np.where(there & (places < at), places, -1).max(0, initial=-1)
        following = np.where(there & (places > at), places, len(there)).min(0, initial=len(there))
        return both[(following - last - 1 <= self.stage.max_gap) & (both >= 0)]

    def _smooth_field(
        self, result: PoseResult, name: str, ids: Array, times: Array, at: int
    ) -> None:
        frames = list(self.raw)
        # frames that could not be used have no 3D poses
        frames_with = [f if name in f else _without(frames, name) for f in frames]
        values = gather([(f["ids"], f[name]) for f in frames_with], ids)
        weights = gather([(f["ids"], f[f"{name}:weights"]) for f in frames_with], ids)
        weights = np.nan_to_num(weights)
        known = (weights > 0) & np.isfinite(values).all(-1)
        values = np.where(known[..., None], values, np.nan)
        patched, filled = fill_gaps(
            times, values, known, at, max_gap=self.stage.max_gap, hold=not self.stage.lag
        )
        sizes = np.nanmax(gather([(f["ids"], f[f"{name}:sizes"]) for f in frames_with], ids), 0)
        trust = np.where(known, _weighed(weights, name, frames, ids), 0)
        if self.stage.lag:
            # what was filled in counts a little, so that the curve has no hole there
            values[at], trust[at] = patched, np.where(filled, self.stage.min_score, trust[at])
        filter_ = self.filters.setdefault(name, self.stage.make())
        window = Window(times, values, trust, at, ids, sizes, _frame_time(times, result))
        smooth = filter_(window)
        wanted = np.isfinite(smooth) & (known[at] | filled)[..., None]
        named = np.asarray(result.track_ids)
        rows = np.isin(named, ids)
        # the place among `ids` of each person of the result who has one
        order = np.argsort(ids)[np.searchsorted(np.sort(ids), named[rows])]
        out = np.array(result.instances[name], np.float32)
        out[rows] = np.where(wanted[order], smooth[order], out[rows])
        result.instances.set_field(out, name)
        score = _SCORES.get(name, "")
        if score in result.instances:
            scores = gather([(f["ids"], f[score]) for f in frames_with], ids)[..., None]
            line, _ = fill_gaps(
                times, scores, known, at, max_gap=self.stage.max_gap, hold=not self.stage.lag
            )
            given = np.array(result.instances[score])
            given[rows] = np.where(filled[order], line[order, :, 0], given[rows])
            result.instances.set_field(given, score)
        if name == "keypoints":
            _note_filled(result, rows, filled[order])


def _without(frames: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """What stands for a frame that lacks a field which others have: nobody."""
    whole = next(f for f in frames if name in f)
    keys = ("ids", name, f"{name}:weights", f"{name}:sizes", _SCORES.get(name))
    return {key: whole[key][:0] for key in keys if key in whole}


def _note_filled(result: PoseResult, rows: Array, filled: Array) -> None:
    """Say which keypoints were filled in.

    Args:
        result: changed.
        rows: (N,) bool, of whom the rest speaks: n people.
        filled: (n, K) bool.
    """
    flags = np.zeros((len(rows), filled.shape[1]), bool)
    flags[rows] = filled
    result.instances.set_field(flags, "keypoints_filled")
    if "keypoint_probabilities" in result.instances:
        # those that came with the scores before
        told = np.array(result.instances.keypoint_probabilities)
        told[flags] = np.nan
        result.instances.set_field(told, "keypoint_probabilities")


def _weighed(weights: Array, name: str, frames: list[dict[str, Any]], ids: Array) -> Array:
    """Weights (T, N, K) by variances, where there are some, else as they are.

    Only how variances compare within a person counts, not their size: errors of neighbouring frames
    go together, so what trembles from frame to frame is less than the error.
    """
    key = f"{name}:variances"
    if not any(key in frame for frame in frames):
        return weights
    unknown = (np.full((len(f["ids"]), weights.shape[2]), np.nan) for f in frames)
    told = [(f["ids"], f.get(key, none)) for f, none in zip(frames, unknown, strict=True)]
    variances = gather(told, ids)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.where(variances > 0, variances, np.nan))
    known = np.asarray(np.isfinite(logs))
    # the surest quarter of a person's joints counts in full
    columns = np.moveaxis(logs, 1, 0).reshape(len(ids), -1)
    columns = np.where(np.asarray(known.any((0, 2)))[:, None], columns, 0.0)
    best = np.exp(np.nanquantile(columns, _SURE, axis=1))[None, :, None]
    relative = np.clip(best / np.where(known, variances, np.inf), _LEAST_WEIGHT, 1)
    return np.where(known, relative, weights)


def _raw(result: PoseResult, stage: SmoothingStage) -> dict[str, Any]:
    """What later frames need of this one; a few numbers, no picture."""
    fields = result.instances
    ids = np.asarray(result.track_ids)
    named = ids >= 0
    out: dict[str, Any] = {"ids": ids[named]}
    scores = np.asarray(fields.keypoint_scores, float)
    boxes = np.asarray(fields.bboxes, float)
    out["bboxes"] = boxes[named]
    out |= {s: np.asarray(fields[s], float)[named] for s in _SCORES.values() if s in fields}
    out["bbox_scores"] = np.asarray(fields.bbox_scores, float)[named]
    if "categories" in fields:
        out["categories"] = dict(zip(out["ids"].tolist(), fields.categories[named], strict=True))
    for name in stage.fields:
        if name not in fields:
            continue
        values = np.asarray(fields[name], float)[named]
        if name == "keypoints":
            weights = np.where(scores >= stage.min_score, np.clip(scores, 0.05, 1), 0)[named]
            # a box that is no number counts as one of a pixel: nothing is known of the size
            sides = np.nan_to_num(boxes[:, 2:] - boxes[:, :2]).clip(1)
            sizes = np.sqrt(sides.prod(-1))[named]
            if "keypoint_covariances" in fields:
                spread = np.asarray(fields.keypoint_covariances, float)[named]
                out["keypoints:variances"] = np.trace(spread, axis1=-2, axis2=-1) / 2
        else:
            weights = np.isfinite(values).all(-1).astype(float)
            spread = np.nan_to_num(values)
            sizes = np.linalg.norm(np.ptp(spread, axis=1), axis=-1).clip(1e-6)
        out |= {name: values, f"{name}:weights": weights, f"{name}:sizes": sizes}
    return out


def _insert(result: PoseResult, raw: Any, at: int, ids: Array, times: Array) -> None:
    """Put people in who were missed in this frame; their keypoints follow by smoothing."""
    frames = list(raw)
    fields = result.instances
    extra: dict[str, Array] = {"track_ids": ids}
    kinds: dict[int, int] = {i: k for f in frames for i, k in f.get("categories", {}).items()}
    if kinds:
        extra["categories"] = np.array([kinds[i] for i in ids.tolist()])
        if "categories" not in fields:
            # nobody else is here
            fields.set_field(np.zeros(0, np.int64), "categories")
    for name in ("bboxes", "bbox_scores", "keypoint_scores", "keypoints"):
        width = int(np.prod(np.shape(fields[name])[1:]))
        flat = [(f["ids"], f[name].reshape(len(f["ids"]), width)) for f in frames]
        values = gather(flat, ids)[:, :, None]
        known = np.asarray(np.isfinite(values).all(-1))
        line, _ = fill_gaps(times, values, known, at, max_gap=len(frames), hold=False)
        extra[name] = line.reshape(len(ids), *np.shape(fields[name])[1:])
    joined = InstanceData()
    for name in fields.keys():  # noqa: SIM118 (InstanceData is no dict)
        old = np.asarray(fields[name])
        blank = np.full((len(ids), *old.shape[1:]), np.nan if old.dtype.kind == "f" else 0)
        new = extra.get(name, blank)
        joined.set_field(np.concatenate((old, new.astype(old.dtype))), name)
    result.instances = joined


def _frame_time(times: Array, result: PoseResult) -> float:
    if len(times) > 1:
        return float(np.median(np.diff(times))) or 1 / DEFAULT_FPS
    return 1 / (result.fps or DEFAULT_FPS)
