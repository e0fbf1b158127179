"""Boards that cameras are calibrated with: checkerboards and ChArUco boards."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError, UnknownNameError, nearest

__all__ = ["Board", "Sighting"]

#: Corners of a ChArUco board that must be seen; a pose needs four that are not in a line.
_LEAST_CORNERS = 6


@dataclasses.dataclass(frozen=True)
class Sighting:
    """A board in a picture.

    Attributes:
        ids: (n,) of the corners that are seen, in the order of `Board.points`.
        pixels: (n, 2) image space.
    """

    ids: Array
    pixels: Array


@dataclasses.dataclass(frozen=True)
class Board:
    """A flat pattern of squares.

    Args:
        columns, rows: inner corners, where four squares meet.
        square: side of a square, metres.
        marker: side of the markers of a ChArUco board, metres; None: a plain checkerboard.
        dictionary: of the markers, such as "4X4_50".

    Raises:
        DataError: too few corners, or lengths that cannot be.
        UnknownNameError: another dictionary.
    """

    columns: int
    rows: int
    square: float
    marker: float | None = None
    dictionary: str = "4X4_50"

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 3:
            raise DataError(
                f"a board has 3 x 3 inner corners at least, got {self.columns} x {self.rows}"
            )
        if not 0 < self.square < 5:
            raise DataError(
                f"the side of a square is given in metres, such as 0.03; got {self.square:g}"
            )
        if self.marker is not None:
            if not 0 < self.marker < self.square:
                raise DataError(
                    f"a marker is smaller than its square of {self.square:g} m, got {self.marker:g}"
                )
            _dictionary(self.dictionary)

    @classmethod
    def of(cls, size: str, square: float, **options: Any) -> Board:
        """Board of a text such as "9x6": inner corners along and across."""
        found = re.fullmatch(r"(\d+)\s*[x×,]\s*(\d+)", size.strip().lower())
        if not found:
            raise DataError(f"a board's size is given as 9x6, its inner corners; got '{size}'")
        return cls(int(found[1]), int(found[2]), square, **options)

    @property
    def turns(self) -> bool:
        """Whether it looks the same after half a turn: nobody can tell which way it lies."""
        return self.marker is None and (self.columns + self.rows) % 2 == 0

    @functools.cached_property
    def points(self) -> Array:
        """(columns * rows, 3) metres: x along the columns, y along the rows, z into the board."""
        rows, columns = np.mgrid[: self.rows, : self.columns]
        flat = np.stack((columns, rows, np.zeros_like(rows)), -1).reshape(-1, 3)
        return flat * self.square

    def find(self, image: Array) -> Sighting | None:
        """The board in a picture (H, W, 3) uint8 BGR; None where it is not, or not whole enough."""
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        return self._corners(gray) if self.marker is None else self._marked_corners(gray)

    def _corners(self, gray: Array) -> Sighting | None:
        import cv2

        size = (self.columns, self.rows)
        found, corners = cv2.findChessboardCornersSB(gray, size, None, cv2.CALIB_CB_NORMALIZE_IMAGE)
        if not found:
            return None
        pixels = np.asarray(corners, np.float64).reshape(-1, 2)
        grid = pixels.reshape(self.rows, self.columns, 2)
        # seen from the front, rows follow columns clockwise
        along, across = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
        if along[0] * across[1] - along[1] * across[0] < 0:
            grid = grid[:, ::-1]
        if not self.turns and _is_light(gray, grid):
            grid = grid[::-1, ::-1]
        return Sighting(np.arange(len(pixels)), grid.reshape(-1, 2).copy())

    def _marked_corners(self, gray: Array) -> Sighting | None:
        corners, ids, *_ = self._detector.detectBoard(gray)
        if ids is None or len(ids) < _LEAST_CORNERS:
            return None
        ids = np.asarray(ids).ravel()
        if len(set(ids % self.columns)) < 2 or len(set(ids // self.columns)) < 2:
            return None
        return Sighting(ids, np.asarray(corners, np.float64).reshape(-1, 2))

    @functools.cached_property
    def _detector(self) -> Any:
        import cv2

        return cv2.aruco.CharucoDetector(self.pattern())

    def pattern(self) -> Any:
        """OpenCV's ChArUco board, which has one square more each way than corners."""
        import cv2

        squares = (self.columns + 1, self.rows + 1)
        marker = self.square if self.marker is None else self.marker
        return cv2.aruco.CharucoBoard(squares, self.square, marker, _dictionary(self.dictionary))


def _is_light(gray: Array, grid: Array) -> bool:
    """Whether the square between the first four corners is lighter than the one beside it."""
    own = grid[:2, :2].mean((0, 1))
    beside = grid[:2, 1:3].mean((0, 1))
    (x, y), (u, v) = np.rint(own).astype(int), np.rint(beside).astype(int)
    return bool(gray[y, x] > gray[v, u])


def _dictionary(name: str) -> Any:
    import cv2

    known = [n.removeprefix("DICT_") for n in dir(cv2.aruco) if n.startswith("DICT_")]
    plain = name.upper().removeprefix("DICT_")
    if plain not in known:
        raise UnknownNameError(
            f"there is no dictionary of markers '{name}'{nearest(plain, known)}; such as 4X4_50, "
            "5X5_100, 6X6_250, APRILTAG_36H11"
        )
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{plain}"))
