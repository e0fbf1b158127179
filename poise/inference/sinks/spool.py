"""Base of sinks whose format can only be written when everything is known.

How many people there are, or how many frames, stands at the beginning of such files. So the
numbers wait in a file beside them, which a run that breaks off leaves behind; memory does not grow
with the video. A run that must lose nothing also saves `jsonl`.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._files import write_whole
from poise._words import counted
from poise.errors import DataError
from poise.inference.lifting.poses import right_handed
from poise.inference.networks.direct3d import SPACE_HANDS
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FileSink
from poise.structures import keypoint_names

__all__ = ["Motion", "MotionSink", "PersonSink", "right_handed", "y_up"]


@dataclasses.dataclass
class Motion:
    """The ways of all people of a video.

    Attributes:
        records: (M,) a row a person and frame: `frame` int64, `time` float64, `id` int64, `score`
            float64, `points` (K, D + 1) float32: coordinates, then the score.
        names: of the K keypoints.
        links: pairs of keypoint indices.
        fps: frames a second.
        title: name of the video.
        space: of 3D coordinates, in words; None for pixels.
    """

    records: Array
    names: list[str]
    links: list[tuple[int, int]]
    fps: float
    title: str
    space: str | None

    @property
    def ids(self) -> list[int]:
        """Ids of the people, sorted."""
        return list(self._places)

    @functools.cached_property
    def _places(self) -> dict[int, Array]:
        """Id -> places of the person's rows: found once, as there may be hundreds of people."""
        order = np.argsort(self.records["id"], kind="stable")
        ids, first = np.unique(self.records["id"][order], return_index=True)
        return dict(zip(ids.tolist(), np.split(order, first[1:]), strict=True))

    def rows(self, identity: int) -> Array:
        """Records of one of `ids`."""
        return self.records[self._places[identity]]

    @property
    def span(self) -> tuple[int, int]:
        """First frame, and the one after the last."""
        if not len(self.records):
            return 0, 0
        return int(self.records["frame"].min()), int(self.records["frame"].max()) + 1

    def track(self, identity: int) -> tuple[int, Array, Array]:
        """One of `ids`: first frame, coordinates (T, K, D) and scores (T, K) float32.

        NaN and 0 in frames without the person.
        """
        rows = self.rows(identity)
        first, end = int(rows["frame"].min()), int(rows["frame"].max()) + 1
        points = np.full((end - first, *rows["points"].shape[1:]), np.nan, np.float32)
        points[rows["frame"] - first] = rows["points"]
        return first, points[..., :-1], np.nan_to_num(points[..., -1])


def y_up(points: Array) -> Array:
    """(..., 3) of x right, y away, z up -> x right, y up, z towards the viewer."""
    return points[..., [0, 2, 1]] * np.array([1, 1, -1], points.dtype)


class MotionSink(FileSink):
    """Base: gathers the people of a video, and hands them to `save` at its end.

    People without tracking are taken as the same person where they stand at the same place in the
    list; with tracking, those without an id are left out.
    """

    #: whether the format is one of 3D poses
    needs_3d = False
    #: whether 3D poses in pixels are of use, too
    any_unit = False

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """Write the files of a video; returns them."""
        raise NotImplementedError(f"{type(self).__name__} does not define `save`")

    def begin(self, path: Path, result: PoseResult) -> Any:
        """Open the file in which the numbers wait."""
        self._motion: Motion | None = None
        self._path = path
        waiting = path.with_name(f".{path.name}.waiting")
        return waiting.open("w+b")

    def add(self, handle: Any, result: PoseResult) -> None:
        """Keep the people of a frame.

        Raises:
            DataError: 2D poses for a format of 3D poses; another number of keypoints than before.
        """
        if result.error is not None:
            return
        if self._motion is None:
            self._motion = self._opened(result)
        count = len(result)
        points, scores = self._points(result)
        ids = np.arange(count) if result.track_ids is None else np.asarray(result.track_ids)
        rows = np.zeros(count, self._motion.records.dtype)
        if count and points.shape[1] != len(self._motion.names):
            raise DataError(
                f"{result.where} has {counted(points.shape[1], 'keypoint')}, those before "
                f"{len(self._motion.names)}; save runs of different models in different folders"
            )
        # pictures in a row have no numbers of their own
        number = result.frame_index if result.moves else self._count
        self._count += 1
        rows["frame"] = number
        rows["time"] = number / self._motion.fps if result.time is None else result.time
        rows["id"], rows["score"] = ids, result.bbox_scores
        rows["points"] = np.concatenate((points, scores[..., None]), -1)
        handle.write(rows[ids >= 0].tobytes())

    def finish(self, handle: Any) -> None:
        """Write the format's files, and remove the one in which the numbers waited."""
        motion, self._motion = self._motion, None
        if self._path in self.written:
            self.written.remove(self._path)
        waiting = Path(handle.name)
        try:
            handle.flush()
            if motion is not None and waiting.stat().st_size:
                motion.records = np.memmap(waiting, motion.records.dtype, "r")
                self.written += self.save(self._path, motion)
        finally:
            handle.close()
            # Windows removes no file that is still looked into
            del motion
            waiting.unlink()

    def _points(self, result: PoseResult) -> tuple[Array, Array]:
        if not self.needs_3d:
            return np.asarray(result.keypoints)[..., :2], np.asarray(result.keypoint_scores)
        points = result.keypoints_3d
        if points is None:
            raise DataError(
                f"{self.suffix} files hold 3D poses, and {result.where} has 2D poses only; lift "
                "them with lift=MODEL (--lift MODEL)"
            )
        if result.space_3d == SPACE_HANDS and not self.any_unit:
            raise DataError(
                f"{self.suffix} files hold lengths, and this model of hands gives pixels and "
                "millimetres; --save html shows them"
            )
        scores = result.instances.get("keypoint_scores_3d")
        return points, np.ones(points.shape[:2]) if scores is None else np.asarray(scores)

    def _opened(self, result: PoseResult) -> Motion:
        self._points(result)
        meta = result.metainfo_3d if self.needs_3d and result.metainfo_3d else result.metainfo
        names = keypoint_names(meta)
        dimensions = 3 if self.needs_3d else 2
        self._count = 0
        dtype = np.dtype(
            [
                ("frame", np.int64),
                ("time", np.float64),
                ("id", np.int64),
                ("score", np.float64),
                ("points", np.float32, (len(names), dimensions + 1)),
            ]
        )
        return Motion(
            records=np.zeros(0, dtype),
            names=names,
            links=[tuple(link) for link in meta.get("skeleton_links", ())],
            fps=result.fps or self.options.fps,
            title=_title(result) if result.moves else "",
            space=result.space_3d if self.needs_3d else None,
        )


def _title(result: PoseResult) -> str:
    """Name of the video; of files that have another one, such as those of several cameras, that."""
    file = "" if result.source is None else result.source.relative.name
    return result.name if Path(file).stem in ("", Path(result.name).stem) else file


class PersonSink(MotionSink):
    """Base of formats of one person's 3D poses: `NAME` + suffix, or `NAME_ID` of several."""

    needs_3d = True

    def encode(self, name: str, motion: Motion, identity: int) -> bytes:
        """Content of a person's file of a name."""
        raise NotImplementedError(f"{type(self).__name__} does not define `encode`")

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """A file a person."""
        people = motion.ids
        paths = [path] if len(people) == 1 else [_of_person(path, i) for i in people]
        for target, identity in zip(paths, people, strict=True):
            write_whole(target, self.encode(target.name, motion, identity))
        return paths


def _of_person(path: Path, identity: int) -> Path:
    return path.with_name(f"{path.stem}_{identity}{path.suffix}")
