"""Frames of a video by their number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from poise.errors import DataError, FileMissingError

__all__ = ["VideoReader"]


class VideoReader:
    """A video as a sequence of frames, (H, W, 3) uint8 BGR.

    `poise.inference.sources` reads the same files with time stamps, rotation and sound.

    Args:
        filename: of the video.

    Raises:
        FileMissingError: no such file.
        DataError: no video that OpenCV can open.

    Example:
        video = VideoReader("clip.mp4")
        first, last = video[0], video[-1]
        for frame in video: ...
    """

    def __init__(self, filename: str | Path, cache_capacity: int = 10) -> None:
        if not str(filename).startswith(("http://", "https://")) and not Path(filename).is_file():
            raise FileMissingError(f"there is no video '{filename}' (looked in {Path.cwd()})")
        self.vcap = cv2.VideoCapture(str(filename))
        if not self.vcap.isOpened():
            raise DataError(f"'{filename}' is no video that OpenCV can open")
        self.width = int(self.vcap.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self.vcap.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.fps = self.vcap.get(cv2.CAP_PROP_FPS)
        self.frame_cnt = int(self.vcap.get(cv2.CAP_PROP_FRAME_COUNT))
        self.fourcc = self.vcap.get(cv2.CAP_PROP_FOURCC)
        self.position = 0

    @property
    def resolution(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height

    def read(self) -> np.ndarray | None:
        """The next frame; None at the end."""
        done, frame = self.vcap.read()
        self.position += bool(done)
        return frame if done else None

    def get_frame(self, frame_id: int) -> np.ndarray | None:
        """Frame of a number; None where the file has less than it says.

        Raises:
            IndexError: a number beyond the video's.
        """
        if not 0 <= frame_id < self.frame_cnt:
            raise IndexError(f"frame {frame_id} of a video with {self.frame_cnt} frames")
        if frame_id != self.position:
            self.vcap.set(cv2.CAP_PROP_POS_FRAMES, frame_id)
            self.position = frame_id
        return self.read()

    def current_frame(self) -> np.ndarray | None:
        """The frame that was read last; None before the first."""
        return self.get_frame(self.position - 1) if self.position else None

    def __len__(self) -> int:
        return self.frame_cnt

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray | None] | None:
        if isinstance(index, slice):
            return [self.get_frame(i) for i in range(*index.indices(self.frame_cnt))]
        return self.get_frame(index + self.frame_cnt if index < 0 else index)

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.position:
            self.vcap.set(cv2.CAP_PROP_POS_FRAMES, 0)
            self.position = 0
        while (frame := self.read()) is not None:
            yield frame

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *details: object) -> None:
        self.vcap.release()
