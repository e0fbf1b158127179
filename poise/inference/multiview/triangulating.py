"""`triangulate`: videos or saved predictions of several cameras -> poses in metres."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError, one_of
from poise.geometry.camera_model import Camera
from poise.inference.multiview.camera_files import read_cameras
from poise.inference.multiview.reconstruction import Limits, reconstruct
from poise.inference.multiview.summary import Summary
from poise.inference.multiview.timing import offsets_by_rays
from poise.inference.multiview.views import (
    View,
    check_together,
    check_words,
    clock_notes,
    gather_view,
    match_cameras,
    told_offsets,
)
from poise.inference.results.pose_result import PoseResult
from poise.inference.results.reading import read_results
from poise.inference.stages import build_stages, chain_stages
from poise.schemas import conversions
from poise.structures import parse_pose_metainfo
from poise.structures.conversion import convert_keypoints

__all__ = ["UP_AXES", "Reconstruction", "triangulate"]

#: Axis of the cameras' world that points up -> rotation that makes it z.
UP_AXES = {
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "-x": ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
}
#: Pixels by which a keypoint may be off, in pictures whose longer side is not above this.
_MAX_ERROR, _USUAL_SIDE = 15.0, 1920
#: Part of a picture's side within which no lens has its axis.
_OFF = 0.25


@dataclasses.dataclass
class Reconstruction:
    """Poses in space, frame by frame.

    Attributes:
        results: a result a frame. `keypoints_3d` (N, K, 3) metres, NaN where there is no point;
            `keypoints` (N, K, 2) as the first camera would see them. `instances` also has
            `keypoint_errors` (N, K) mean pixels over the cameras that were used, and
            `keypoint_views` (N, K), how many those are.
        summary: what became of the keypoints.
        cameras: of each view, in the space of the poses.
    """

    results: list[PoseResult]
    summary: Summary
    cameras: list[Camera]

    def __iter__(self) -> Iterator[PoseResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> PoseResult:
        return self.results[index]


def triangulate(
    views: Sequence[Any],
    cameras: Any,
    *,
    unit: str | None = None,
    up: str = "z",
    offsets: Mapping[str, int] | str | None = None,
    person: str = "all",
    min_score: float = 0.3,
    min_views: int = 2,
    max_error: float | None = None,
    smooth: Any = None,
    skeleton: str | None = None,
    inferencer: Any = None,
    names: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
    **predict: Any,
) -> Reconstruction:
    """Poses in metres from what several calibrated cameras see at the same time.

    Each keypoint is placed where the rays of all cameras that see it surely meet (DLT weighted by
    the scores, or by `keypoint_covariances` where all views have them, then Gauss-Newton on the
    reprojection error); cameras that see it elsewhere than the others are left out of it. People
    are told apart across cameras by their poses, and over time by their way through space.

    Args:
        views: of each camera a video, a file of `poise predict --save jsonl`, or an iterable of
            `PoseResult`.
        cameras: a calibration file (`poise.inference.multiview.read_cameras`) or a list of
            `poise.geometry.Camera`. Files that are called like cameras, or lie in folders that
            are, go with them; else the order counts.
        unit: of the calibration file: "m", "cm" or "mm"; None: what it says, else metres.
        up: axis of the cameras' world that points up: "z", "-z", "y", "-y", "x", "-x". Poses are
            turned so that it is z.
        offsets: view or camera -> frames: its frame t + offset shows what frame t of the first
            view shows. "auto" finds them by the movement. None: all begin together.
        person: "all"; or one person, in each view the most "confident" or the "largest".
        min_score: keypoints with a lower score are not used.
        min_views: cameras that must see a keypoint, and a person.
        max_error: pixels; farther from the projected point, a camera's keypoint is left out. None:
            15, in pictures larger than 1920 pixels as many more.
        smooth: a smoother, such as "savgol", which also fills gaps (`poise.inference.smoothing`).
        skeleton: schema that `keypoints_3d` shall have, such as "h36m" (with a pelvis and a spine,
            which animation wants); None: that of the views.
        inferencer: looks at videos; None: `poise.Inferencer()`.
        names: of the views, where they are iterables.
        progress: called with 1 after each frame in which people were told apart.
        **predict: further options of `Inferencer.predict`.

    Raises:
        DataError: fewer than two views; views and cameras that do not fit; different keypoints
            or rates; offsets that cannot be found.
        ArgumentError: a word that is none of the choices.

    Example:
        found = poise.triangulate(["left.mp4", "right.mp4"], "cameras.toml", smooth="savgol")
        print(found.summary.text())
        places = found[0].keypoints_3d        # (N, K, 3) metres, z up
    """
    one_of(up, UP_AXES, "up=", ArgumentError)
    check_words(person, offsets)
    # what is wrong with these is told before videos are looked at for minutes
    stages = build_stages(smooth=smooth)
    if skeleton is not None:
        conversions.find(skeleton, skeleton)
    if isinstance(views, (str, os.PathLike)) or len(views) < 2:
        raise DataError("poses in space need at least two views, a video or file of each camera")
    given = read_cameras(cameras, unit=unit) if _is_path(cameras) else list(cameras)
    most = _MAX_ERROR if max_error is None else max_error
    limits = _checked_limits(Limits(min_score, min_views, most), len(views))
    titles = _titles(views, names)
    matched, how = match_cameras(titles, given)
    notes = [f"views and cameras matched {how}"]
    gathered: list[View] = []
    for title, item, camera in zip(titles, views, matched, strict=True):
        if not gathered and inferencer is None and _needs_model(views):
            from poise.inference.inferencer import Inferencer

            inferencer = Inferencer()
        results = _results_of(item, inferencer, predict)
        view = gather_view(title, results, camera.moved(np.array(UP_AXES[up], float)))
        notes += _fit_size(view)
        gathered.append(view)
    check_together(gathered)
    if max_error is None:
        sides = [max(view.size or (0,)) for view in gathered]
        each = _MAX_ERROR * np.maximum(np.array(sides) / _USUAL_SIDE, 1)
        limits = dataclasses.replace(limits, max_error=each)
    frames = told_offsets(gathered, offsets)
    if offsets == "auto":
        frames, said = offsets_by_rays(gathered, person)
        notes += said
    results, summary = reconstruct(
        gathered, offsets=frames, person=person, limits=limits, progress=progress
    )
    if not results:
        spans = ", ".join(f"{view.name} {view.span}" for view in gathered)
        raise DataError(
            f"no two views have frames at the same time; do the offsets fit? Frames: {spans}"
        )
    summary.notes = notes + clock_notes(gathered, frames)
    smoothed = list(chain_stages(iter(results), stages))
    if skeleton is not None:
        summary.notes += _give_skeleton(smoothed, skeleton)
    return Reconstruction(smoothed, summary, [view.camera for view in gathered])


def _checked_limits(limits: Limits, views: int) -> Limits:
    if not 2 <= limits.min_views <= views:
        raise DataError(f"min_views is 2 to the number of views, {views}; got {limits.min_views}")
    if not limits.max_error > 0 or not 0 <= limits.min_score <= 1:
        raise DataError(
            "max_error is a number of pixels above 0 and min_score lies in 0..1, got "
            f"{limits.max_error} and {limits.min_score}"
        )
    return limits


def _is_path(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike))


def _is_predictions(item: Any) -> bool:
    return _is_path(item) and Path(item).suffix.lower() == ".jsonl"


def _needs_model(views: Sequence[Any]) -> bool:
    return any(_is_path(item) and not _is_predictions(item) for item in views)


def _titles(views: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(views):
            raise DataError(f"{len(views)} views take as many names, got {len(names)}")
        return [str(name) for name in names]
    return [os.fspath(v) if _is_path(v) else f"view-{i}" for i, v in enumerate(views)]


def _results_of(item: Any, inferencer: Any, options: Mapping[str, Any]) -> Iterable[PoseResult]:
    if _is_predictions(item):
        return read_results(item)
    if _is_path(item):
        return inferencer.predict(os.fspath(item), **{"track": True, **options})
    return item


def _fit_size(view: View) -> list[str]:
    """Make the camera fit the size of the pictures; notes about it."""
    camera, size = view.camera, view.size
    view.camera = camera.fitted(size)
    if size is None or camera.size == size:
        return []
    pictures = f"{view.name}: pictures of {size[0]} x {size[1]}"
    if camera.size is not None:
        own = f"{camera.size[0]} x {camera.size[1]}"
        return [f"{pictures}, the camera was calibrated with {own}; its matrix is scaled"]
    x, y = camera.matrix[:2, 2]
    if _OFF < x / size[0] < 1 - _OFF and _OFF < y / size[1] < 1 - _OFF:
        return []
    axis = f"the camera's axis is at ({x:.0f}, {y:.0f})"
    return [f"{pictures}, and {axis}; was it calibrated with pictures of another size?"]


def _give_skeleton(results: Sequence[PoseResult], target: str) -> list[str]:
    """Turn `keypoints_3d` into those of another schema, in place; what to say about it.

    Joints between others are made in space, where their middle is the middle; in pictures it is
    not.

    Args:
        results: of one schema, with `keypoints_3d` of the same.
        target: name of a schema, or path of a metadata file.

    Raises:
        UnknownNameError: there is no such schema.
        DataError: the two have nothing in common.
    """
    mapping = conversions.find(results[0].schema, target)
    known = target if target.endswith((".py", ".json")) else f"configs/_base_/datasets/{target}.py"
    metainfo = parse_pose_metainfo({"from_file": known})
    for result in results:
        fields = result.instances
        points, scores = convert_keypoints(
            fields.keypoints_3d, fields.keypoint_scores_3d, mapping=mapping, fill=np.nan
        )
        fields.set_field(points, "keypoints_3d")
        fields.set_field(scores, "keypoint_scores_3d")
        result.metainfo_3d = metainfo
    kinds = {
        kind: ", ".join(joint.name for joint in group)
        for kind, group in itertools.groupby(
            sorted(mapping.joints, key=lambda joint: joint.kind), lambda joint: joint.kind
        )
    }
    said = {"derived": "made of keypoints around them", "missing": "nothing gives"}
    return [f"{target}: {text}: {kinds[kind]}" for kind, text in said.items() if kind in kinds]
