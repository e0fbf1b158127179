"""Cameras and streams: frames come whether or not somebody takes them."""

from __future__ import annotations

import dataclasses
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2

from poise.errors import DataError, PoiseError
from poise.inference.results.pose_result import SourceInfo
from poise.inference.sources.frame import Frame, name_of_address
from poise.inference.sources.video import decoded_frames, import_av, reason_of

__all__ = ["CameraSource", "StreamSource", "newest_frames"]

#: OpenCV 5 and 4 have it in different places.
_set_log_level: Any = getattr(cv2.utils, "logging", cv2).setLogLevel
_SILENT = 0


class _LiveSource:
    info: SourceInfo
    _timeout: float
    _read: Callable[[], Iterator[Frame]]

    def frames(self) -> Iterator[Frame]:
        """The newest frame each time one is asked for."""
        yield from newest_frames(self._read, lambda: self.info, self._timeout)


class CameraSource(_LiveSource):
    """A camera of this computer, by its number.

    Args:
        index: 0 is the first camera.
        timeout: seconds of silence after which it is given up.
    """

    def __init__(self, index: int, *, timeout: float = 10.0) -> None:
        self._index, self._timeout = index, timeout
        name = f"camera-{index}"
        self.info = SourceInfo(name, "camera", Path(name))

    def _read(self) -> Iterator[Frame]:
        # what OpenCV writes to the terminal says less than the error below
        level = _set_log_level(_SILENT)
        capture = cv2.VideoCapture(self._index)
        _set_log_level(level)
        try:
            if not capture.isOpened():
                raise DataError(
                    f"camera {self._index} cannot be opened; is it plugged in, free, and may this "
                    "program use it? The first camera is 0"
                )
            fps = capture.get(cv2.CAP_PROP_FPS) or None
            self.info = dataclasses.replace(self.info, fps=fps)
            start, index = time.monotonic(), 0
            while True:
                good, image = capture.read()
                if not good:
                    raise DataError(f"camera {self._index} stopped after frame {index - 1}")
                yield Frame(self.info, index, time.monotonic() - start, image)
                index += 1
        finally:
            capture.release()


class StreamSource(_LiveSource):
    """A stream of the network (rtsp, rtmp, udp, HLS ...).

    Args:
        address: of the stream.
        timeout: seconds of silence after which it is given up.
    """

    def __init__(self, address: str, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        host = re.sub(r"\W+", "-", urlsplit(address).netloc.rpartition("@")[2])
        self.info = SourceInfo(address, "stream", name_of_address(address, host or "stream"))

    def _read(self) -> Iterator[Frame]:
        av = import_av()
        options = {"rtsp_transport": "tcp"} if self.info.name.startswith("rtsp") else {}
        try:
            container = av.open(
                self.info.name, options=options, timeout=(self._timeout, self._timeout)
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(
                f"the stream '{self.info.name}' cannot be opened (within {self._timeout:g} s): "
                f"{reason_of(error)}"
            ) from error
        with container:
            if not container.streams.video:
                raise DataError(f"the stream '{self.info.name}' holds no pictures")
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            self.info = dataclasses.replace(self.info, fps=float(rate) if rate else None)
            yield from decoded_frames(container, stream, lambda: self.info)


def newest_frames(
    read: Callable[[], Iterator[Frame]], info: Callable[[], SourceInfo], timeout: float
) -> Iterator[Frame]:
    """Read in a thread, and give the newest frame each time; those in between are dropped.

    So that what is shown is what happens now, however slow the models are.

    Args:
        read: gives the frames; may raise.
        info: `SourceInfo` for the frame that reports an error.
        timeout: seconds without a frame after which a frame with an error is the last one.
    """
    slot: queue.Queue[Any] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def work() -> None:
        last: Any = None
        try:
            for frame in read():
                if stopped.is_set():
                    return
                _replace(slot, frame)
        except BaseException as error:  # told, or raised again, in the caller's thread
            last = error
        _append(slot, last, stopped)

    thread = threading.Thread(target=work, name="poise-live", daemon=True)
    thread.start()
    index = 0
    try:
        while True:
            try:
                item = slot.get(timeout=timeout)
            except queue.Empty:
                since = f" after frame {index - 1}" if index else ""
                item = DataError(f"'{info().name}' has not answered for {timeout:g} s{since}")
            if item is None:
                return
            if isinstance(item, PoiseError):
                yield Frame(info(), index, error=item)
                return
            if isinstance(item, BaseException):
                raise item
            index = item.index + 1
            yield item
    finally:
        stopped.set()


def _replace(slot: queue.Queue[Any], item: Any) -> None:
    """Put an item in place of the one that waits."""
    while True:
        try:
            slot.put_nowait(item)
            return
        except queue.Full:
            try:
                slot.get_nowait()
            except queue.Empty:
                continue


def _append(slot: queue.Queue[Any], item: Any, stopped: threading.Event) -> None:
    """Put an item behind the one that waits, unless nobody takes it any more."""
    while not stopped.is_set():
        try:
            slot.put(item, timeout=0.2)
            return
        except queue.Full:
            continue
