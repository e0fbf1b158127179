"""Tracking as a stage between the pipeline and the files."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from poise._arguments import check_options
from poise.errors import ConfigError, DataError, nearest
from poise.geometry import bbox_overlaps
from poise.inference.results.pose_result import PoseResult
from poise.inference.tracking.tracker import PoseTracker

__all__ = ["Follow", "TrackingStage", "build_tracker", "with_ids"]

#: Frames for which somebody who is followed is remembered while unseen.
_FOLLOW_BUFFER = 300
#: Least overlap of the box that says whom to follow.
_FOLLOW_OVERLAP = 0.2


@dataclasses.dataclass
class Follow:
    """Whom to follow.

    Attributes:
        who: an id, a point (x, y), or a box (x1, y1, x2, y2), pixels of the picture.
        frame: number of the frame in which the point or box shows the person; from there on the
            first frame in which somebody is there is taken.
    """

    who: Any
    frame: int = 0

    def __post_init__(self) -> None:
        try:
            numbers = np.asarray(self.who, float).reshape(-1)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if len(numbers) not in (1, 2, 4) or not np.isfinite(numbers).all():
            raise DataError(
                f"follow= takes an id, a point (x, y) or a box (x1, y1, x2, y2), got {self.who!r}"
            )

    def find(self, result: PoseResult) -> int | None:
        """Id of the person in this frame; None where nobody fits."""
        ids = result.track_ids
        if ids is None or not len(ids) or result.frame_index < self.frame:
            return None
        numbers = np.asarray(self.who, float).reshape(-1)
        if len(numbers) == 1:
            return int(numbers[0])
        boxes = np.asarray(result.bboxes, float)
        if len(numbers) == 4:
            fit = np.asarray(bbox_overlaps(boxes, numbers[None]), float)[:, 0]
            fit[fit < _FOLLOW_OVERLAP] = -np.inf
        else:
            # inside the box; of several the one whose middle is nearest
            inside = ((numbers >= boxes[:, :2]) & (numbers <= boxes[:, 2:])).all(1)
            away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - numbers, axis=1)
            fit = np.where(inside, -away, -np.inf)
        fit[ids < 0] = -np.inf
        best = int(fit.argmax())
        return int(ids[best]) if np.isfinite(fit[best]) else None


class TrackingStage:
    """Adds `track_ids` (N,) int64 to the results of each video; -1 is somebody without a track.

    Still pictures that follow one another count as one video. Of models that also give depth,
    the place in the picture is what people are followed by.

    Args:
        follow: keep one person only: see `Follow`; a plain id, point or box stands for the
            first frame.
        **options: see `PoseTracker`; the keypoints' sigmas are those of the schema.

    Raises:
        ArgumentError: an option that the tracker has not.
    """

    def __init__(self, *, follow: Any = None, **options: Any) -> None:
        self.follow = follow if isinstance(follow, Follow) or follow is None else _follow(follow)
        if self.follow is not None:
            options.setdefault("buffer", _FOLLOW_BUFFER)
        check_options(options, inspect.signature(PoseTracker).parameters, "a tracker")
        self.options = options
        # wrong values are told before the first frame is read
        PoseTracker(**options)

    def __call__(self, results: Iterator[PoseResult]) -> Iterator[PoseResult]:
        """Results with ids, each as soon as it comes."""
        tracker: PoseTracker | None = None
        source, last, target = None, 0, None
        for result in results:
            key = result.video
            if tracker is None or key != source:
                sigmas = np.asarray(result.metainfo.get("sigmas", ()), float)
                tracker = PoseTracker(**{"sigmas": sigmas, **self.options})
                source, last, target = key, result.frame_index - 1, None
            step = max(result.frame_index - last, 1)
            last = result.frame_index
            own = result.instances
            points = np.asarray(own.keypoints)[..., :2]
            ids = tracker.update(
                points, own.keypoint_scores, own.bboxes, own.bbox_scores, step=step
            )
            result.instances.set_field(ids, "track_ids")
            if self.follow is not None:
                target = self.follow.find(result) if target is None else target
                wanted = np.full(len(result), False) if target is None else ids == target
                result.instances = result.instances[wanted]
            yield result


def with_ids(results: Iterator[PoseResult]) -> Iterator[PoseResult]:
    """Results with ids: those that people have, or a tracker's from where somebody has none."""
    for result in results:
        if result.track_ids is None:
            if len(result):
                yield from TrackingStage()(itertools.chain([result], results))
                return
            # nobody tells nothing: files have no ids where nobody is
            result.instances.set_field(np.zeros(0, np.int64), "track_ids")
        yield result


def _follow(spec: Any) -> Follow:
    if isinstance(spec, Mapping):
        extra = set(spec) - {"who", "frame"}
        if extra or "who" not in spec:
            raise DataError(f"follow= takes 'who' and 'frame', got {sorted(spec)}")
        return Follow(**spec)
    return Follow(spec)


def build_tracker(spec: Any = True) -> Any:
    """The tracking stage that `spec` asks for.

    Args:
        spec: True or "poise": the defaults; a dict: options of `PoseTracker` and `follow`; a
            stage (a callable) is returned as it is; the name of a tracker of the package
            `trackers` ("bytetrack", "ocsort", "sort") takes that one, which looks at boxes only.

    Raises:
        ConfigError: another name.
        MissingDependencyError: the package `trackers` is not installed.
    """
    from poise.inference.tracking.libraries import LIBRARY_TRACKERS, LibraryTrackingStage

    if callable(spec):
        return spec
    options = dict(spec) if isinstance(spec, Mapping) else {}
    name = options.pop("type", "poise") if isinstance(spec, Mapping) else spec
    if name is True or name == "poise":
        return TrackingStage(**options)
    if isinstance(name, str) and name in LIBRARY_TRACKERS:
        return LibraryTrackingStage(name, **options)
    choices = ("poise", *LIBRARY_TRACKERS)
    hint = nearest(str(name), choices)
    raise ConfigError(f"track= takes True, {', '.join(choices)} or a dict, got {name!r}{hint}")
