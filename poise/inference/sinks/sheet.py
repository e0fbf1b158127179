"""Contact sheet: what a run found, on one page."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from poise._files import write_whole
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FileSink, SinkOptions
from poise.inference.sinks.drawing import Drawer
from poise.visualization.files import encoded
from poise.visualization.sheets import contact_sheet

__all__ = ["ContactSheet"]

#: Pictures on a sheet, at most; and the side of each, pixels.
_MOST, _SIDE = 48, 240
_COLUMNS = 6


class ContactSheet(FileSink):
    """`NAME_sheet.jpg`: up to 48 small drawn pictures, evenly spread over the source.

    Memory does not grow with the source: when the sheet is full, every other picture goes, and
    half as many of those to come are kept.
    """

    suffix = "_sheet.jpg"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        self._draw = self.options.draw or Drawer()
        self._tiles: list[np.ndarray] = []
        self._captions: list[str] = []
        self._step = self._seen = 0

    def begin(self, path: Path, result: PoseResult) -> Path:
        """Empty sheet."""
        self._tiles, self._captions, self._step, self._seen = [], [], 1, 0
        return path

    def add(self, handle: Path, result: PoseResult) -> None:
        """Keep the picture if it is its turn."""
        if result.image is None:
            return
        if self._seen % self._step == 0:
            if len(self._tiles) == _MOST:
                self._tiles, self._captions = self._tiles[::2], self._captions[::2]
                self._step *= 2
            # the number of the last one may no longer be a multiple of the new step
            if self._seen % self._step == 0:
                self._add(result)
        self._seen += 1

    def _add(self, result: PoseResult) -> None:
        picture = self._draw(result)
        scale = min(1.0, _SIDE / max(picture.shape[:2]))
        # kept small: a sheet of large pictures would need their memory until the end
        size = [max(1, round(scale * side)) for side in picture.shape[1::-1]]
        self._tiles.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        stem = Path(result.name).name
        self._captions.append(stem if result.time is None else f"{result.time:.2f} s")

    def finish(self, handle: Path) -> None:
        """Write the sheet; nothing where no picture could be used."""
        if not self._tiles:
            self.written.remove(handle)
            return
        sheet = contact_sheet(self._tiles, self._captions, columns=_COLUMNS, tile=(_SIDE, _SIDE))
        write_whole(handle, encoded(sheet, ".jpg", str(handle)))
