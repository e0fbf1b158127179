"""Drawn pictures."""

from __future__ import annotations

from pathlib import Path

import cv2

from poise._files import write_whole
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FolderSink, SinkOptions, stem_of
from poise.inference.sinks.drawing import Drawer
from poise.visualization.files import encoded

__all__ = ["ImageSink", "PictureFiles"]

_JPEG_QUALITY = 92
#: Digits of frame numbers in file names: a day at 60 frames a second has seven.
_FRAME_DIGITS = 7


class PictureFiles(FolderSink):
    """Base of sinks with a file for each picture, and a folder of such for a video."""

    _frames: Path | None = None

    def content(self, result: PoseResult) -> bytes | None:
        """What the file holds; None: no file."""
        raise NotImplementedError(f"{type(self).__name__} does not define `content`")

    def _write(self, result: PoseResult) -> None:
        if not self._goes_on(result):
            self._frames = None
        data = self.content(result)
        if data is None:
            return
        if result.moves:
            # names of frames are not kept: those of a long video would fill the memory
            if self._frames is None:
                self._frames = self._new_path(stem_of(result), "")
                self._frames.mkdir(exist_ok=True)
                self.written.append(self._frames)
            path = self._frames / f"{result.frame_index:0{_FRAME_DIGITS}}{self.suffix}"
        else:
            path = self._new_path(stem_of(result))
            self.written.append(path)
        write_whole(path, data)


class ImageSink(PictureFiles):
    """`NAME_pose.jpg` of each picture that could be read; of videos `NAME/0000012_pose.jpg`."""

    suffix = "_pose.jpg"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        self._draw = self.options.draw or Drawer()

    def content(self, result: PoseResult) -> bytes | None:
        """JPEG of the drawn picture.

        Raises:
            DataError: a picture that JPEG cannot hold.
        """
        if result.image is None:
            return None
        settings = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
        return encoded(self._draw(result), ".jpg", result.where, settings)
