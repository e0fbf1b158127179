"""What every sink answers to, and the part that sinks with files share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from poise.errors import DataError
from poise.inference.results.pose_result import PoseResult

__all__ = ["FileSink", "FolderSink", "Sink", "SinkOptions", "stem_of"]

#: Stem of the one file for all still pictures of a run.
PICTURES_STEM = "poses"


@dataclasses.dataclass(frozen=True)
class SinkOptions:
    """What a caller may ask of sinks; each takes what concerns it.

    Attributes:
        draw: called with a result, gives the picture (H, W, 3) uint8 BGR that shows the poses.
            None: keypoints, links and boxes as `poise.visualization.draw_instances` draws them.
        layout: of JSON files, "poise" or "mmpose".
        fps: frames a second of videos whose source does not say.
        codec: of videos: "h264", "mpeg4", or "auto", h264 where this build of FFmpeg has it.
    """

    draw: Callable[[PoseResult], Any] | None = None
    layout: str = "poise"
    fps: float = 25.0
    codec: str = "auto"


class Sink(Protocol):
    """Takes results one after the other.

    A class in the table `poise.inference.sinks.SINKS` is called with the folder and the
    `SinkOptions`. What was written before a crash must be readable.
    """

    #: files that were written so far, in order; of frames of a video the folder
    written: list[Path]

    def write(self, result: PoseResult) -> None:
        """Take one result; results of a source come in order, without others between."""

    def close(self) -> None:
        """Finish all files; may be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None: ...


class FolderSink:
    """Base of sinks with files: a folder, and names that do not collide.

    Args:
        folder: made where absent.
        options: see `SinkOptions`.

    Raises:
        DataError: the folder is a file.
    """

    #: end of a file's name, such as ".jsonl"
    suffix: str

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        self.folder, self.options = Path(folder), options or SinkOptions()
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(
                f"cannot write below '{self.folder}': it is a file, and results go into a folder"
            )
        self.written: list[Path] = []
        self._taken: set[Path] = set()
        self._before: tuple[str, int] | None = None

    def write(self, result: PoseResult) -> None:
        """Take one result.

        Raises:
            DataError: the disk is full or not writable.
        """
        with self._explained():
            self._write(result)

    def close(self) -> None:
        """Finish the open file, if there is one.

        Raises:
            DataError: the disk is full or not writable.
        """
        with self._explained():
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"cannot write below '{self.folder}': {error.strerror or error}; what was written "
                "before is kept"
            ) from error

    def _write(self, result: PoseResult) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define `_write`")

    def _finish(self) -> None:
        """Nothing is open between two results, unless a subclass says otherwise."""

    def _goes_on(self, result: PoseResult) -> bool:
        """Whether a result is of the same video as the one before, or of still pictures as it.

        A video that comes again begins anew.
        """
        before, self._before = self._before, (result.video, result.frame_index)
        if before is None or before[0] != result.video:
            return False
        return not result.moves or before[1] < result.frame_index

    def _new_path(self, stem: Path, suffix: str | None = None) -> Path:
        """Path of a new file; a.jpg and a.png of one folder must not write the same one."""
        stem, end = self.folder / stem, self.suffix if suffix is None else suffix
        free, n = stem.with_name(f"{stem.name}{end}"), 2
        while free in self._taken:
            free, n = stem.with_name(f"{stem.name}-{n}{end}"), n + 1
        self._taken.add(free)
        free.parent.mkdir(parents=True, exist_ok=True)
        return free


class FileSink(FolderSink):
    """Base of sinks with one file a video, and one for all still pictures.

    A subclass has `suffix`, and overrides `begin`, `add` and `finish`. Files lie below `folder`
    as the sources lie below the folder that was asked for: `clip.mp4` becomes `clip` + suffix,
    still pictures become `poses` + suffix.
    """

    _handle: Any = None
    _begun = False

    def begin(self, path: Path, result: PoseResult) -> Any:
        """Open the file; what this returns is handed to `add` and `finish`.

        Args:
            path: where it goes; its folder exists.
            result: the first one that goes into it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `begin`")

    def add(self, handle: Any, result: PoseResult) -> None:
        """Write one result into an open file."""
        raise NotImplementedError(f"{type(self).__name__} does not define `add`")

    def finish(self, handle: Any) -> None:
        """Close a file; plain file objects are closed as they are."""
        handle.close()

    def _write(self, result: PoseResult) -> None:
        if not self._goes_on(result) or not self._begun:
            self._finish()
            path = self._new_path(stem_of(result) if result.moves else Path(PICTURES_STEM))
            self._handle, self._begun = self.begin(path, result), True
            self.written.append(path)
        self.add(self._handle, result)

    def _finish(self) -> None:
        if self._begun:
            handle, self._handle, self._begun = self._handle, None, False
            self.finish(handle)


def stem_of(result: PoseResult) -> Path:
    """Path of a result's files below the folder of results, without a suffix."""
    if result.source is None:
        return Path(Path(result.name).stem or "result")
    relative = result.source.relative
    return relative.with_suffix("") if relative.name else Path(Path(result.name).stem or "result")
