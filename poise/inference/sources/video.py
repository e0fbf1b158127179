"""Video files: every frame with its time, in constant memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import DataError, FileMissingError
from poise.inference.machine.devices import codec_threads
from poise.inference.results.pose_result import SourceInfo
from poise.inference.sources.frame import Frame, missing_file

__all__ = ["VIDEO_SUFFIXES", "VideoSource", "decoded_frames", "import_av", "reason_of", "start_of"]

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts")
) | {".wmv", ".flv", ".3gp", ".ogv", ".gif"}
#: Part of the frames that a header may promise in excess; more means that the file was cut off.
_TOLERATED_LOSS = 0.02


def import_av() -> Any:
    """PyAV, which reads and writes videos.

    Raises:
        MissingDependencyError: it is not installed.
    """
    text = "reading and writing videos needs the package av: pip install av"
    av, logging = (needed(name, text) for name in ("av", "av.logging"))
    # what goes wrong comes as exceptions; the rest would be noise on the terminal
    logging.set_level(logging.PANIC)
    return av


class VideoSource:
    """Frames of a video file, or of one behind an http address.

    Frames are turned as the file's rotation says. A frame that cannot be decoded, and an end
    that comes too early, are frames with `error`.

    Args:
        name: how results call it.
        place: path or address.
        relative: path below the folder that was asked for.
        timeout: seconds of silence after which an address is given up.
    """

    def __init__(
        self, name: str, place: Path | str, relative: Path, *, timeout: float = 10.0
    ) -> None:
        path = place if isinstance(place, Path) else None
        self._place, self._timeout = str(place), timeout
        self.info = SourceInfo(name, "video", relative, path)

    def frames(self) -> Iterator[Frame]:
        """Frames in order; the file is opened now, and `info` then knows rate and length."""
        try:
            container, stream = self._open()
        except (DataError, FileMissingError) as error:
            yield Frame(self.info, error=error)
            return
        with container:
            count, end = 0, 0.0
            for frame in decoded_frames(container, stream, lambda: self.info):
                yield frame
                count, end = frame.index + 1, frame.time or end
            if not count:
                none = DataError(f"the video '{self.info.name}' has no frames")
                yield Frame(self.info, error=none)
            elif _is_cut_off(stream, count, end):
                yield Frame(
                    self.info,
                    count,
                    error=DataError(
                        f"'{self.info.name}' ends after {count} of {stream.frames} frames: the "
                        "file is cut off or damaged"
                    ),
                )

    def _open(self) -> tuple[Any, Any]:
        """Container and video stream; fills in `info`."""
        av = import_av()
        missing = missing_file(self.info)
        if missing is not None:
            raise missing
        try:
            container = av.open(
                self._place, timeout=None if self.info.path else (self._timeout, self._timeout)
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(self._why_closed(error)) from error
        if not container.streams.video:
            container.close()
            raise DataError(f"'{self.info.name}' holds no pictures, only sound or data")
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "AUTO", codec_threads()
        rate = stream.average_rate or stream.guessed_rate
        self.info = dataclasses.replace(
            self.info,
            fps=float(rate) if rate else None,
            frames=min(filter(None, (stream.frames, _length(stream))), default=None),
        )
        return container, stream

    def _why_closed(self, error: Exception) -> str:
        """Text for a video that cannot be opened."""
        name, reason = self.info.name, reason_of(error)
        if self.info.path is None:
            return f"cannot fetch the video '{name}' (within {self._timeout:g} s): {reason}"
        size = self.info.path.stat().st_size
        if not size:
            return f"the video '{name}' is an empty file"
        return (
            f"'{name}' ({size} bytes) cannot be opened as a video: {reason}; is it one? A "
            "recording that was broken off lacks its index"
        )


def _length(stream: Any) -> int:
    """Frames by the stream's length and rate; 0 where the file does not tell both."""
    if not stream.duration or not stream.average_rate:
        return 0
    return round(stream.duration * stream.time_base * stream.average_rate)


def _is_cut_off(stream: Any, count: int, end: float) -> bool:
    """Whether so many frames, to so many seconds, are fewer than a stream's header promises."""
    if count >= stream.frames * (1 - _TOLERATED_LOSS) - 1:
        return False
    # files that were trimmed list frames that are not shown, but tell the new length
    length = _length(stream)
    return not length or end * stream.average_rate < length * (1 - _TOLERATED_LOSS) - 1


def decoded_frames(container: Any, stream: Any, info: Any) -> Iterator[Frame]:
    """Decode a stream to its end.

    Args:
        container, stream: of PyAV.
        info: called for the `SourceInfo` of each frame.

    Yields:
        Frames; a packet that cannot be decoded is a frame with `error`, and so is a read error,
        after which nothing more comes.
    """
    av = import_av()
    clock = _Clock(stream)
    to_pixels = _Pixels()
    index = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            said = f"'{info().name}' cannot be read after frame {index - 1}: {reason_of(error)}"
            yield Frame(info(), index, error=DataError(said))
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if isinstance(error, av.EOFError):
                continue
            said = f"frame {index} of '{info().name}' cannot be decoded: {reason_of(error)}"
            yield Frame(info(), index, error=DataError(said))
            index += 1
            continue
        for frame in frames:
            yield Frame(info(), index, clock.time_of(frame, index), to_pixels(frame))
            index += 1


def start_of(stream: Any) -> float | None:
    """Seconds on the file's clock at which a stream of PyAV begins, where known."""
    return None if stream.start_time is None else float(stream.start_time * stream.time_base)


class _Clock:
    """Seconds from the first frame; they go on where those of a joined file begin anew."""

    def __init__(self, stream: Any) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._fps = float(rate) if rate else 25.0
        self._start = start_of(stream)
        self._last: float | None = None

    def time_of(self, frame: Any, index: int) -> float:
        if frame.time is None:
            return index / self._fps
        if self._start is None:
            self._start = frame.time
        time = max(0.0, frame.time - self._start)
        if self._last is not None and time < self._last:
            self._start = frame.time - self._last - 1 / self._fps
            time = self._last + 1 / self._fps
        self._last = time
        return time


class _Pixels:
    """Frame of PyAV -> (H, W, 3) uint8 BGR, upright.

    One converter for the whole stream: what a frame's own has to work out takes as long as the
    conversion.
    """

    def __init__(self) -> None:
        self._converter = import_av().video.reformatter.VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray:
        # bicubic, as OpenCV converts chroma
        bgr = self._converter.reformat(frame, format="bgr24", interpolation="BICUBIC")
        image = bgr.to_ndarray()
        # FFmpeg counts counterclockwise what the viewer has to turn
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def reason_of(error: BaseException) -> str:
    """Short text of an error of PyAV, which repeats the path."""
    if isinstance(error, import_av().ExitError):
        return "nothing came in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
