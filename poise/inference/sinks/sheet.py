"""Contact sheet: what a run found, on one page."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from poise.errors import DataError
from poise.inference.results import PoseResult
from poise.inference.sinks.base import FileSink, SinkOptions, write_whole
from poise.inference.sinks.drawing import Drawer

__all__ = ["ContactSheet", "tile_pictures"]

#: Pictures on a sheet, at most; and the side of each, pixels.
_MOST, _SIDE = 48, 240
_COLUMNS = 6
_GROUND = 32


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
        self._step = self._seen = 0

    def begin(self, path: Path, result: PoseResult) -> Path:
        """Empty sheet."""
        self._tiles, self._step, self._seen = [], 1, 0
        return path

    def add(self, handle: Path, result: PoseResult) -> None:
        """Keep the picture if it is its turn."""
        if result.image is None:
            return
        if self._seen % self._step == 0:
            if len(self._tiles) == _MOST:
                self._tiles, self._step = self._tiles[::2], self._step * 2
            # the number of the last one may no longer be a multiple of the new step
            if self._seen % self._step == 0:
                self._tiles.append(_tile(self._draw(result), str(result.frame_index)))
        self._seen += 1

    def finish(self, handle: Path) -> None:
        """Write the sheet; nothing where no picture could be used.

        Raises:
            DataError: OpenCV could not encode it.
        """
        if not self._tiles:
            self.written.remove(handle)
            return
        ok, data = cv2.imencode(".jpg", tile_pictures(self._tiles))
        if not ok:
            raise DataError(f"OpenCV could not encode the contact sheet '{handle}'")
        write_whole(handle, data.tobytes())


def tile_pictures(tiles: list[np.ndarray], columns: int = _COLUMNS) -> np.ndarray:
    """One picture of many.

    Args:
        tiles: pictures (S, S, 3) uint8 of one size.
        columns: beside one another, at most.

    Returns:
        (H, W, 3) uint8.
    """
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    sheet = np.full((rows * height, columns * width, 3), _GROUND, np.uint8)
    for n, tile in enumerate(tiles):
        y, x = n // columns * height, n % columns * width
        sheet[y : y + height, x : x + width] = tile
    return sheet


def _tile(picture: np.ndarray, label: str) -> np.ndarray:
    """Picture shrunk into a square, its number in the corner."""
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    small = cv2.resize(
        picture,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    tile = np.full((_SIDE, _SIDE, 3), _GROUND, np.uint8)
    y, x = (_SIDE - small.shape[0]) // 2, (_SIDE - small.shape[1]) // 2
    tile[y : y + small.shape[0], x : x + small.shape[1]] = small
    cv2.putText(tile, label, (6, _SIDE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return tile
