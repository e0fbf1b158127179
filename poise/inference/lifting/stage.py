"""Lifting as a stage between the pipeline and the files."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from poise._arguments import check_options
from poise._arrays import Array
from poise.errors import ArgumentError, ConfigError, one_of
from poise.inference.lifting.networks import ExportedLifter, LifterNetwork, TorchLifter
from poise.inference.lifting.poses import (
    SPACE_3D,
    average_place,
    conversion_to,
    lifter_item,
    moved_to,
    upright,
)
from poise.inference.results.pose_result import PoseResult
from poise.inference.tracking.stage import with_ids
from poise.runtimes import is_exported_name
from poise.structures import convert_keypoints

__all__ = ["LiftingStage", "build_lifter", "is_lifter"]

_LOG = logging.getLogger(__name__)

WINDOWS = ("centred", "online")
#: 2D skeletons that a lifter of another name takes as they are.
_SAME_KEYPOINTS = {("coco_wholebody", "h3wb")}
#: Frames whose windows go through the network together, where all are known.
_FRAMES_AT_ONCE = 16
#: Of networks that lift every frame of a clip: frames before and after those that are kept.
_CLIP_CONTEXT, _CLIP_KEPT = 27, 27


class LiftingStage:
    """Adds `keypoints_3d` (N, K3, 3) float32 and `keypoint_scores_3d` (N, K3) to the people.

    Each person is moved to the average box of the lifter's training data first, as MMPose's
    inferencer does. Networks that look at several frames need ids; where results have none, the
    tracker runs first.

    Args:
        model: a built lifter, with `cfg` and `dataset_meta`, or a `LifterNetwork`.
        window: "centred": frames before and after, as the network was trained; results come
            late by half its window. "online": results come at once, and the last frame stands
            for those to come, as in MMPose's inferencer.
        normalize: move each person to the average box.
        rebase: put each person's lowest keypoint at the height 0.

    Attributes:
        lag: frames by which results come late (the pictures wait, too).

    Raises:
        ConfigError: the model is no lifter.
    """

    def __init__(
        self, model: Any, *, window: str = "centred", normalize: bool = True, rebase: bool = True
    ) -> None:
        one_of(window, WINDOWS, "window")
        network = model if hasattr(model, "lifted") else TorchLifter(_checked(model))
        self.network: LifterNetwork = network
        self.normalize, self.rebase = normalize, rebase
        self.metainfo: Mapping[str, Any] = network.metainfo
        length, step, causal, clips = network.window
        # networks such as MotionBERT give a pose for every frame of a clip
        self.clips = clips and window == "centred"
        self.before = length - 1 if causal else (length - 1) // 2
        self.after = 0 if causal else self.before
        self.step = step
        self.live = window == "online" or (length == 1 and not self.clips)
        self.kept = 1 if self.live else _FRAMES_AT_ONCE
        future = self.after * step
        if self.clips:
            self.kept, future = _CLIP_KEPT, _CLIP_CONTEXT
        self.future = 0 if self.live else future
        self.past = _CLIP_CONTEXT if self.clips else self.before * step
        self.lag = self.future + self.kept - 1
        self.needs_ids = length > 1 or self.clips
        self._told: set[str] = set()

    def __call__(self, results: Iterator[PoseResult]) -> Iterator[PoseResult]:
        """Results with 3D keypoints, `lag` frames late."""
        waiting: deque[PoseResult] = deque()
        frames: deque[tuple[Array, Array]] = deque()
        video: str | None = None
        for result in with_ids(results) if self.needs_ids else results:
            if video is not None and result.video != video:
                yield from self._rest(waiting, frames)
                frames.clear()
            video = result.video
            waiting.append(result)
            frames.append(self._prepared(result))
            if len(waiting) >= self.future + self.kept:
                yield from self._done(waiting, frames, self.kept)
            while len(frames) - len(waiting) > self.past:
                frames.popleft()
        yield from self._rest(waiting, frames)

    # ------------------------------------------------------------------ steps

    def _prepared(self, result: PoseResult) -> tuple[Array, Array]:
        """Ids (N,) and keypoints (N, K3, 2) of a frame; scores are kept with the result."""
        fields = result.instances
        points = np.asarray(fields.keypoints, np.float32)[..., :2]
        scores = np.asarray(fields.keypoint_scores, np.float32)
        points, scores = self._converted(points, scores, result.schema)
        result.instances.set_field(scores, "keypoint_scores_3d")
        if self.normalize and len(points):
            place = average_place(self.metainfo, [fields.bboxes])
            points = moved_to(points, fields.bboxes, place)
        ids = result.track_ids
        ids = np.full(len(points), -1) if ids is None else np.asarray(ids)
        # somebody without an id is nobody's past or future
        return np.where(ids < 0, -1, ids), points.astype(np.float32)

    def _converted(self, points: Array, scores: Array, source: str) -> tuple[Array, Array]:
        target = str(self.metainfo.get("dataset_name", ""))
        if source == target or (source, target) in _SAME_KEYPOINTS:
            return points, scores
        mapping = conversion_to("coco_wholebody" if target == "h3wb" else target, source)
        derived = [joint.name for joint in mapping.joints if joint.kind == "derived"]
        if derived and source not in self._told:
            self._told.add(source)
            _LOG.warning(
                "%s has no %s; they are made of the keypoints around them",
                source,
                ", ".join(derived),
            )
        return convert_keypoints(points, scores, mapping=mapping)

    def _rest(
        self, waiting: deque[PoseResult], frames: deque[tuple[Array, Array]]
    ) -> Iterator[PoseResult]:
        """What waits at the end of a video, in the same portions as before."""
        while waiting:
            yield from self._done(waiting, frames, min(self.kept, len(waiting)))

    def _done(
        self, waiting: deque[PoseResult], frames: deque[tuple[Array, Array]], count: int
    ) -> Iterator[PoseResult]:
        """Lift the first `count` waiting results and give them."""
        chosen = [waiting.popleft() for _ in range(count)]
        first = len(frames) - len(waiting) - count
        if self.clips:
            poses = self._lifted_clip(chosen, list(frames), first)
        else:
            poses = self._lifted_windows(chosen, list(frames), first)
        for result, people in zip(chosen, poses, strict=True):
            joints = int(self.metainfo["num_keypoints"])
            stacked = np.stack(people) if people else np.zeros((0, joints, 3), np.float32)
            turned = upright(stacked, rebase=self.rebase) if people else stacked
            result.instances.set_field(turned.astype(np.float32), "keypoints_3d")
            result.metainfo_3d, result.space_3d = self.metainfo, SPACE_3D
            yield result

    def _lifted_windows(
        self, chosen: list[PoseResult], frames: list[tuple[Array, Array]], first: int
    ) -> list[list[Array]]:
        """Poses (K3, 3) of each person of each frame, by one window a person."""
        reach = np.arange(-self.before, self.after + 1) * self.step
        items, counts = [], []
        for n, result in enumerate(chosen):
            places = np.clip(first + n + reach, 0, len(frames) - 1)
            ids, own = frames[first + n]
            counts.append(len(ids))
            for row, identity in enumerate(ids.tolist()):
                track = _followed(frames, places, self.before, identity, own[row])
                items.append(lifter_item(track, self.metainfo, _size_of(result)))
        poses = iter(self.network.lifted(items))
        return [[next(poses)[0] for _ in range(count)] for count in counts]

    def _lifted_clip(
        self, chosen: list[PoseResult], frames: list[tuple[Array, Array]], first: int
    ) -> list[list[Array]]:
        """Poses of several frames of each person from one clip around them."""
        low = max(first - _CLIP_CONTEXT, 0)
        high = min(first + len(chosen) + _CLIP_CONTEXT, len(frames))
        places = np.arange(low, high)
        people: dict[int, Array] = {}
        for ids, own in frames[first : first + len(chosen)]:
            for row, identity in enumerate(ids.tolist()):
                people.setdefault(identity, own[row])
        people.pop(-1, None)
        size = _size_of(chosen[0])
        items = [
            lifter_item(_held(frames, places, i), self.metainfo, size, targets=len(places))
            for i in people
        ]
        clips = dict(zip(people, self.network.lifted(items), strict=True))
        out = []
        for n in range(len(chosen)):
            ids, own = frames[first + n]
            lone = [
                lifter_item(own[row][None], self.metainfo, size)
                for row in np.flatnonzero(ids < 0).tolist()
            ]
            alone = iter(self.network.lifted(lone))
            out.append(
                [clips[i][first + n - low] if i >= 0 else next(alone)[0] for i in ids.tolist()]
            )
        return out


def _followed(
    frames: list[tuple[Array, Array]], places: Array, target: int, identity: int, own: Array
) -> Array:
    """(T, K, 2) of one person in some frames; where the track breaks off, its end stands."""
    found: list[Array | None] = [None] * len(places)
    found[target] = own
    for way in (range(target - 1, -1, -1), range(target + 1, len(places))):
        last, broken = own, identity < 0
        for t in way:
            here = None if broken else _of(frames[places[t]], identity)
            broken = here is None
            last = last if here is None else here
            found[t] = last
    return np.stack([f for f in found if f is not None])


def _held(frames: list[tuple[Array, Array]], places: Array, identity: int) -> Array:
    """(T, K, 2) of one person; in frames without the person the nearest earlier one stands."""
    found = [_of(frames[place], identity) for place in places.tolist()]
    first = next(f for f in found if f is not None)
    last = first
    out = []
    for here in found:
        last = last if here is None else here
        out.append(last)
    return np.stack(out)


def _of(frame: tuple[Array, Array], identity: int) -> Array | None:
    rows = np.flatnonzero(frame[0] == identity)
    return frame[1][rows[0]] if len(rows) else None


def _size_of(result: PoseResult) -> tuple[int, int]:
    """(width, height) of the picture; without it, what the poses need."""
    if min(result.size) > 0:
        return result.size
    far = np.asarray(result.bboxes).reshape(-1, 4)[:, 2:].max(0, initial=1)
    return int(np.ceil(far.max())), int(np.ceil(far.max()))


def is_lifter(model: Any) -> bool:
    """Whether a model lifts 2D poses, rather than looking at pictures."""
    from poise.models.estimators import PoseLifter

    return isinstance(model, PoseLifter)


def _checked(model: Any) -> Any:
    if not is_lifter(model):
        raise ConfigError(
            f"lift= takes a model that lifts 2D poses to 3D, got a {type(model).__name__}; "
            "poise zoo list --task 'body 3d' shows them"
        )
    return model


def build_lifter(spec: Any, device: Any = "cpu") -> Any:
    """The lifting stage that `spec` asks for.

    Args:
        spec: the name or config of a lifter; a file of `poise.export.export_model`; a dict with
            `model`, and perhaps `weights`, `window`, `normalize`, `rebase`; a built lifter; or a
            stage (a callable that is no network), which is returned as it is.
        device: torch device of the network.

    Raises:
        ConfigError: the model is no lifter.
        ArgumentError: an unknown key.
    """
    if callable(spec) and not hasattr(spec, "state_dict"):
        return spec
    options = dict(spec) if isinstance(spec, Mapping) and "model" in spec else {"model": spec}
    if "type" in options:
        # a whole config in the form of a dict
        options = {"model": spec}
    check_options(options, ("model", "weights", "window", "normalize", "rebase"), "lift=")
    model, weights = options.pop("model"), options.pop("weights", None)
    if isinstance(model, (str, os.PathLike)) and is_exported_name(model):
        if weights is not None:
            raise ArgumentError(f"the lifter '{model}' has its weights inside; leave out {weights}")
        return LiftingStage(ExportedLifter(model), **options)
    if not hasattr(model, "state_dict"):
        from poise.models.build import load_model

        model = load_model(model, weights, device=device)
    return LiftingStage(model.to(device).eval(), **options)
