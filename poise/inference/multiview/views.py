"""What each camera of several sees: numbers of all its frames, without pictures."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._words import counted, numbered
from poise.errors import ArgumentError, DataError, nearest, one_of
from poise.geometry.camera_model import Camera
from poise.inference.results.pose_result import PoseResult
from poise.inference.tracking.tracker import NO_TRACK

__all__ = [
    "DEFAULT_FPS",
    "PERSONS",
    "Seen",
    "View",
    "check_together",
    "check_words",
    "clock_notes",
    "distinct_names",
    "gather_view",
    "leading",
    "match_cameras",
    "named_view",
    "told_offsets",
]

#: Frames a second where nothing says it.
DEFAULT_FPS = 25.0
#: Rates that differ by more than this part are those of different clocks.
_SAME_RATE = 0.01


@dataclasses.dataclass(frozen=True)
class Seen:
    """The N people of a frame, image space.

    Attributes:
        keypoints: (N, K, 2) pixels.
        scores: (N, K), cut at 0 and 1.
        boxes: (N, 4) xyxy pixels.
        ids: (N,) of the tracker, or None.
        covariances: (N, K, 2, 2) pixels², or None.
    """

    keypoints: Array
    scores: Array
    boxes: Array
    ids: Array | None
    covariances: Array | None


@dataclasses.dataclass
class View:
    """One camera's part.

    Attributes:
        name: of the video or file.
        camera: that took it.
        frames: number of a frame -> its people.
        metainfo: parsed schema of the keypoints.
        fps: frames a second, where known.
        errors: frames that could not be used.
        size: (width, height) of the pictures, where known.
        times: number of a frame -> seconds, where known.
    """

    name: str
    camera: Camera
    frames: dict[int, Seen]
    metainfo: Mapping[str, Any]
    fps: float | None
    errors: int = 0
    size: tuple[int, int] | None = None
    times: dict[int, float] = dataclasses.field(default_factory=dict)

    @property
    def num_keypoints(self) -> int:
        """K."""
        return int(self.metainfo["num_keypoints"])

    @property
    def span(self) -> str:
        """First and last frame, in words."""
        if self.frames:
            return f"{min(self.frames)}-{max(self.frames)}"
        return f"none ({counted(self.errors, 'frame')} cannot be used)"

    @property
    def has_covariances(self) -> bool:
        """Whether every person has covariances."""
        people = [seen for seen in self.frames.values() if len(seen.keypoints)]
        return bool(people) and all(seen.covariances is not None for seen in people)


def gather_view(name: str, results: Iterable[PoseResult], camera: Camera) -> View:
    """Numbers of all results of one camera.

    Args:
        name: how texts call it.
        results: of one video, or of still pictures that follow one another.
        camera: that took it.

    Raises:
        DataError: no results; results of several videos or of several models.
    """
    view: View | None = None
    source = None
    for number, result in enumerate(results):
        if view is None:
            view = View(name, camera, {}, result.metainfo, result.fps)
            source = result.name if result.moves else None
        if result.moves and result.name != source:
            raise DataError(
                f"{name} holds {source} and {result.name}; give each camera's video by itself"
            )
        if result.schema != view.metainfo.get("dataset_name", "") or (
            len(result) and result.keypoints.shape[1] != view.num_keypoints
        ):
            raise DataError(f"{name}: {result.where} has other keypoints than the frames before")
        if min(result.size) > 0:
            if view.size not in (None, result.size):
                raise DataError(
                    f"{name}: {result.where} has {result.size[0]} x {result.size[1]} pixels, those "
                    f"before {view.size[0]} x {view.size[1]}; one calibration is of one size"
                )
            view.size = result.size
        if result.error is not None:
            view.errors += 1
            continue
        # still pictures have no numbers of their own
        index = result.frame_index if result.moves else number
        if index in view.frames:
            raise DataError(f"{name} has frame {index} twice")
        view.frames[index] = _seen(result)
        if result.time is not None:
            view.times[index] = result.time
    if view is None:
        raise DataError(f"{name} holds no results")
    return view


def _seen(result: PoseResult) -> Seen:
    fields = result.instances
    scores = np.nan_to_num(np.asarray(fields.keypoint_scores, np.float64)).clip(0, 1)
    covariances = fields.get("keypoint_covariances")
    return Seen(
        np.asarray(fields.keypoints, np.float64)[..., :2],
        scores,
        np.asarray(fields.bboxes, np.float64),
        None if result.track_ids is None else np.asarray(result.track_ids),
        None if covariances is None else np.asarray(covariances, np.float64),
    )


def check_together(views: list[View]) -> None:
    """See that all views have the same keypoints and the same clock.

    Raises:
        DataError: they do not.
    """
    first = views[0]
    for view in views[1:]:
        schemas = [v.metainfo.get("dataset_name", "") for v in (first, view)]
        if schemas[0] != schemas[1] or first.num_keypoints != view.num_keypoints:
            raise DataError(
                f"all views need the same keypoints: {first.name} has {first.num_keypoints} of "
                f"'{schemas[0]}', {view.name} {view.num_keypoints} of '{schemas[1]}'"
            )
        if first.fps and view.fps and abs(first.fps - view.fps) > _SAME_RATE * first.fps:
            raise DataError(
                f"{first.name} has {first.fps:g} frames a second, {view.name} {view.fps:g}; "
                "convert them to one rate, such as ffmpeg -i IN -r 25 OUT"
            )


def match_cameras(names: list[str], cameras: list[Camera]) -> tuple[list[Camera], str]:
    """The camera of each input, and how they were matched, in words.

    By name where each file, or its folder, is called like a camera; else by their order.

    Args:
        names: paths of the inputs.
        cameras: of the calibration.

    Raises:
        DataError: neither is possible, or one contradicts the other.
    """
    distinct_names([camera.name for camera in cameras])
    known = {camera.name: camera for camera in cameras}
    for called in (lambda path: path.stem, lambda path: path.parent.name):
        keys = [called(Path(name)) for name in names]
        if len(set(keys)) == len(keys) and all(key in known for key in keys):
            return [known[key] for key in keys], "by name"
    for number, name in enumerate(names[: len(cameras)]):
        for key in (Path(name).stem, Path(name).parent.name):
            if key in known and cameras[number].name != key:
                raise DataError(
                    f"'{name}' is called like the camera '{key}', and by the order it would be of "
                    f"'{cameras[number].name}', since not all are called like cameras "
                    f"({', '.join(known)}); call all of them so, or none"
                )
    if len(names) != len(cameras):
        raise DataError(
            f"{counted(len(names), 'view')} and {counted(len(cameras), 'camera')} "
            f"({', '.join(known)}): call the files, or their folders, like the cameras; got "
            f"{', '.join(Path(n).stem for n in names)}"
        )
    return cameras, "by their order"


def named_view(views: list[View], name: str) -> int:
    """Number of the view of a file's or a camera's name.

    Raises:
        DataError: there is none.
    """
    for number, view in enumerate(views):
        if name in (view.name, Path(view.name).name, Path(view.name).stem, view.camera.name):
            return number
    names = [view.camera.name for view in views]
    raise DataError(
        f"there is no camera or view '{name}'; there are {', '.join(names)}{nearest(name, names)}"
    )


def clock_notes(views: Sequence[View], offsets: Sequence[int]) -> list[str]:
    """What to say of clocks that are uneven or drift apart, and of frames that nobody else has."""
    notes, rates = [], []
    if not any(view.fps for view in views):
        notes.append(f"nothing says the frames a second: taken for {DEFAULT_FPS:g}")
    for view in views:
        rates.append(view.fps or 0.0)
        if len(view.times) > 2:
            frames, times = np.array(sorted(view.times.items())).T
            step, start = np.polyfit(frames, times, 1)
            away = float(np.abs(times - step * frames - start).max())
            rates[-1] = 1 / step if step > 0 else 0.0
            if away > step > 0:
                notes.append(
                    f"{view.name}: frames are not evenly spaced in time (up to {1000 * away:.0f} "
                    "ms off), so those of one number may not be of one moment; give each video one "
                    "rate first, such as ffmpeg -i IN -r 25 OUT"
                )
    for view, rate in zip(views[1:], rates[1:], strict=True):
        drift = len(view.frames) * abs(rate / rates[0] - 1) if rate and rates[0] else 0.0
        if drift > 1:
            notes.append(
                f"{view.name} has {rate:.2f} frames a second, {views[0].name} {rates[0]:.2f}: they "
                f"drift apart by {counted(round(drift), 'frame')}; convert them to one rate"
            )
    own = [{t - offset for t in view.frames} for view, offset in zip(views, offsets, strict=True)]
    clock = Counter(t for frames in own for t in frames)
    alone = sum(n == 1 for n in clock.values())
    if alone:
        notes.append(f"left out: {numbered(alone, 'frames that only one camera has')}")
    early = sum(n > 1 and t < 0 for t, n in clock.items())
    if early:
        notes.append(
            f"left out: {counted(early, 'frame')} before the first one of {views[0].name}; give a "
            "camera that began with the others as the first"
        )
    return notes


def distinct_names(names: Sequence[str]) -> Sequence[str]:
    """The names of cameras, as they are.

    Raises:
        DataError: one is there twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"two cameras are called '{twice[0]}' (inputs give them their names); rename one"
        )
    return names


def check_words(person: str, offsets: Any) -> None:
    """See that `person` and `offsets` are such as `triangulate` describes.

    Raises:
        ArgumentError: they are not.
    """
    one_of(person, PERSONS, "person=", ArgumentError)
    if isinstance(offsets, str) and offsets != "auto":
        raise ArgumentError(f"offsets= is a dict of view -> frames, or 'auto'; got {offsets!r}")


def told_offsets(views: list[View], given: Mapping[str, int] | str | None) -> list[int]:
    """Frames of each view against the first; of a word, and of views that are not named, 0.

    Raises:
        DataError: a name that no view has, or a part of a frame.
    """
    frames = [0] * len(views)
    for name, value in ({} if isinstance(given, str) else given or {}).items():
        if not isinstance(value, (int, np.integer)):
            raise DataError(f"the offset of '{name}' is a whole number of frames, got {value!r}")
        frames[named_view(views, name)] = int(value)
    return [frame - frames[0] for frame in frames]


def leading(view: View, by: str) -> dict[int, int]:
    """Frame -> index of the one person that is meant, in frames where somebody is.

    Of people with ids the one that has most of it over the whole video; in frames without that
    person, whoever has most there.

    Args:
        view: of one camera.
        by: "confident" (sum of the scores) or "largest" (area of the box).
    """
    worth_of = _WORTH[by]
    values = {t: worth_of(seen) for t, seen in view.frames.items() if len(seen.keypoints)}
    total: dict[int, float] = {}
    for t, worth in values.items():
        ids = view.frames[t].ids
        if ids is not None:
            for identity, value in zip(ids.tolist(), worth.tolist(), strict=True):
                total[identity] = total.get(identity, 0.0) + value
    total.pop(NO_TRACK, None)
    leader = max(total, key=lambda i: total[i]) if total else None
    chosen = {}
    for t, worth in values.items():
        ids = view.frames[t].ids
        own = np.zeros(0, int) if ids is None or leader is None else np.flatnonzero(ids == leader)
        chosen[t] = int(own[0]) if len(own) else int(worth.argmax())
    return chosen


def _areas(seen: Seen) -> Array:
    """(N,) square pixels of the boxes."""
    sides = np.nan_to_num(seen.boxes[:, 2:] - seen.boxes[:, :2]).clip(0)
    return sides.prod(-1)


#: Way to say who of several people is meant -> the value that the person has most of.
_WORTH: dict[str, Callable[[Seen], Array]] = {
    "confident": lambda seen: seen.scores.sum(-1),
    "largest": _areas,
}
#: What `person=` takes.
PERSONS = ("all", *_WORTH)
