"""Drawn videos: time stamps of the source, its sound copied."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.errors import ConfigError, DataError
from poise.inference.machine.devices import codec_threads
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.sinks.base import FileSink, SinkOptions
from poise.inference.sinks.drawing import Drawer
from poise.inference.sources.video import import_av, start_of

__all__ = ["CODECS", "VideoSink"]

#: No frames that refer to later ones: they would shift all times in a file written in pieces.
#: codec -> (FFmpeg's encoder, its options). Quick settings: nobody should wait for the encoder
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "crf": "23", "bf": "0"}),
    # as many bits as the finest step that is allowed takes: libavcodec has no constant quality here
    "mpeg4": ("mpeg4", {"b": "2000000000", "qmin": "4", "bf": "0"}),
}
#: A file that ends too early can be played up to there; a finished one is an ordinary MP4.
_CONTAINER_OPTIONS = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
#: Ticks a second: milliseconds and most frame rates are whole numbers of them. MPEG-4 takes no more
#: than 65535.
_TICKS = 60_000
#: Frames between two whole pictures; after a crash at most so many are lost.
_KEY_FRAMES = 50
#: Seconds of silence after which the sound of a video behind an address is left out.
_PATIENCE = 10.0


class VideoSink(FileSink):
    """`NAME_pose.mp4` of a video; of still pictures one video, a second each.

    Frames keep their times, also where they are unequal; those that could not be read are left
    out. Sound is copied as it is, where MP4 can hold it.

    Raises:
        ConfigError: `options.codec` is unknown, or this FFmpeg lacks it.
    """

    suffix = "_pose.mp4"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        self._draw = self.options.draw or Drawer()
        self._av = import_av()
        self._encoder, self._settings = _encoder(self.options.codec, self._av)

    def begin(self, path: Path, result: PoseResult) -> _Film | None:
        """Open the file when the first picture comes that has pixels."""
        self._path = path
        return None

    def add(self, handle: _Film | None, result: PoseResult) -> None:
        """Encode one frame, and the sound up to it."""
        if result.image is None:
            return
        try:
            if handle is None:
                handle = self._handle = self._open(result)
            handle.add(self._draw(result), result)
        except self._av.FFmpegError as error:
            raise DataError(f"cannot write the video '{self._path}': {error}") from error

    def finish(self, handle: _Film | None) -> None:
        """Write what is left, and the index."""
        if handle is None:
            self.written.remove(self._path)
            return
        try:
            handle.close()
        except self._av.FFmpegError as error:
            raise DataError(f"cannot finish the video '{self._path}': {error}") from error

    def _open(self, result: PoseResult) -> _Film:
        # of the drawn picture: 3D poses stand beside the frame
        height, width = self._draw(result).shape[:2]
        fps = (result.fps if result.time is not None else 1.0) or self.options.fps
        container = self._av.open(str(self._path), "w", options=dict(_CONTAINER_OPTIONS))
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(self._encoder, rate=rate, options=dict(self._settings))
        # 4:2:0 needs even sides
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.gop_size = _KEY_FRAMES
        stream.codec_context.thread_count = codec_threads()
        sound = None
        if result.source is not None and result.source.kind == "video":
            sound = _Sound.of(result.source, container, self._av)
        return _Film(container, stream, fps, sound, self._av)


class _Film:
    """An open video file."""

    def __init__(self, container: Any, stream: Any, fps: float, sound: Any, av: Any) -> None:
        self._container, self._stream, self._fps = container, stream, fps
        self._sound, self._av = sound, av
        self._size = (stream.width, stream.height)
        # without a copy where PyAV finds the planes: it takes each to begin with a row
        frames = av.VideoFrame
        self._frame_of = frames.from_ndarray if stream.height % 4 else frames.from_numpy_buffer
        self._frames = 0
        self._last = -1

    def add(self, picture: np.ndarray, result: PoseResult) -> None:
        time = self._frames / self._fps if result.time is None else result.time
        self._frames += 1
        # times that stand still or go back, as damaged files have them, would end the encoder
        self._last = max(round(time * _TICKS), self._last + 1)
        pixels = np.ascontiguousarray(_fitted(picture, self._size))
        # OpenCV converts in half the time of FFmpeg
        planes = cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420)
        frame = self._frame_of(planes, format="yuv420p")
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        if self._sound is not None:
            self._sound.write_until(time)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            if self._sound is not None:
                self._sound.write_until(self._last / _TICKS + 1 / self._fps)
        finally:
            self._container.close()
            if self._sound is not None:
                self._sound.close()


class _Sound:
    """Sound of the source, copied packet by packet into the new file."""

    def __init__(self, source: Any, stream: Any, target: Any) -> None:
        self._source, self._target = source, target
        self._stream = target.add_stream_from_template(stream)
        self._packets: Iterator[Any] = source.demux(stream)
        self._waiting: Any = None
        # times of frames count from the first one, whatever the file's clock says
        self._start = start_of(source.streams.video[0]) or 0.0

    @classmethod
    def of(cls, info: SourceInfo, target: Any, av: Any) -> _Sound | None:
        """None where the source has no sound, or none that the new file can hold."""
        timeout = None if info.path else (_PATIENCE, _PATIENCE)
        try:
            source = av.open(str(info.path or info.name), timeout=timeout)
        except (av.FFmpegError, OSError, ValueError):
            return None
        if source.streams.audio and source.streams.video:
            try:
                return cls(source, source.streams.audio[0], target)
            except (OSError, ValueError):
                # a codec that MP4 does not take
                pass
        source.close()
        return None

    def write_until(self, seconds: float) -> None:
        """Copy the packets that belong before a time."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = None
            if packet.dts is None:
                continue
            if float(packet.dts * packet.time_base) - self._start > seconds:
                self._waiting = packet
                return
            shift = round(self._start / packet.time_base)
            packet.dts -= shift
            if packet.dts < 0:
                # what a codec needs before the beginning would move all pictures
                continue
            packet.pts = packet.dts if packet.pts is None else packet.pts - shift
            packet.stream = self._stream
            self._target.mux(packet)

    def close(self) -> None:
        self._source.close()


def _encoder(name: str, av: Any) -> tuple[str, dict[str, str]]:
    available = [key for key, (encoder, _) in CODECS.items() if encoder in av.codecs_available]
    if name == "auto" and available:
        return CODECS[available[0]]
    if name not in available:
        raise ConfigError(
            f"the video codec '{name}' is not available; this FFmpeg has: {', '.join(available)}"
        )
    return CODECS[name]


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Picture on a ground of the video's size, shrunk where it is larger."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(1.0, size[0] / width, size[1] / height)
    if scale < 1:
        shrunk = (max(1, int(width * scale)), max(1, int(height * scale)))
        picture = cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA)
    out = np.zeros((size[1], size[0], 3), np.uint8)
    out[: picture.shape[0], : picture.shape[1]] = picture
    return out
