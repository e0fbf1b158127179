"""Warping pictures with the same pixels under every OpenCV.

OpenCV 4 samples at coordinates rounded to 1/32 of a pixel; OpenCV 5 does not, and its pictures
differ from 4's by up to five levels in a tenth of the pixels. The released models were trained and
measured with the former, and `remap` still samples so when it is given the rounded coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from poise._arrays import Array

__all__ = ["enlarges", "warp_picture"]

#: Fixed point of OpenCV 4: matrix products carry 10 bits after the point, coordinates 5.
_PRODUCT_SCALE, _CELLS = 1 << 10, 1 << 5
_SHIFT = 5
#: Places that are farther off are outside of every picture, and int16 has no name for their pixels.
_FARTHEST = np.iinfo(np.int16).max * _CELLS
_ROUNDS_BY_ITSELF = int(cv2.__version__.split(".", 1)[0]) < 5


def warp_picture(
    image: Array,
    matrix: Array,
    size: tuple[int, int],
    *,
    out: Array | None = None,
    fill: float | Sequence[float] = 0,
    cubic: bool = False,
) -> Array:
    """Picture under an affine or perspective map, bilinear, outside filled.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        matrix: (2, 3) or (3, 3), from places in `image` to places in the result.
        size: (w, h) of the result.
        out: array of the result's shape that takes it, or None.
        fill: level of what lies outside `image`.
        cubic: cubic interpolation where the picture is enlarged.

    Returns:
        (h, w) or (h, w, C), equal to what OpenCV 4 gives; the fill alone where the map is not
        finite, as of a box without extent.
    """
    if isinstance(fill, (int, float)):
        fill = (fill, fill, fill, fill)
    if not np.isfinite(matrix).all():
        # a finite map that leaves the whole picture outside of the result
        matrix = np.array([[1, 0, size[0] + 1], [0, 1, size[1] + 1]], dtype=np.float64)
    way = cv2.INTER_CUBIC if cubic and enlarges(matrix) else cv2.INTER_LINEAR
    if _ROUNDS_BY_ITSELF:
        warp = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
        return warp(image, matrix, size, out, flags=way, borderValue=fill)
    inverse = np.asarray(matrix, dtype=np.float64)
    if len(matrix) == 2:
        x, y = _affine_places(cv2.invertAffineTransform(inverse), size)
    else:
        x, y = _perspective_places(cv2.invert(inverse)[1], size)
    # x and y of the pixel, two int16 as one int32 of a little-endian processor
    pixels = _full(((y >> _SHIFT) << 16) | ((x >> _SHIFT) & 0xFFFF), size).view(np.int16)
    # few bits are enough for the rest, and quicker
    x, y = x.astype(np.uint16), y.astype(np.uint16)
    cells = _full(((y & (_CELLS - 1)) << _SHIFT) | (x & (_CELLS - 1)), size)
    places = pixels.reshape(*cells.shape, 2)
    return cv2.remap(image, places, cells, way, out, cv2.BORDER_CONSTANT, fill)


def enlarges(matrix: Array) -> bool:
    """Whether an affine map (2, 3) makes a picture larger along both axes.

    Example:
        >>> enlarges(np.array([[2.0, 0, 5], [0, 1, 0]]))
        True
        >>> enlarges(np.array([[2.0, 0, 5], [0, 0.9, 0]]))
        False
    """
    return bool(np.linalg.norm(matrix[:2, :2], axis=1).min() >= 1)


def _full(values: Array, size: tuple[int, int]) -> Array:
    """Values (h, w); one row or one column stands for all."""
    return np.ascontiguousarray(np.broadcast_to(values, (size[1], size[0])))


def _affine_places(inverse: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """X and y in 1/32 pixels of the source, for every pixel of the result.

    Returns:
        Two int32 arrays that broadcast to (h, w); of boxes that are not rotated (1, w) and (h, 1),
        so that most of the work is done once a row and once a column.
    """
    column = np.arange(size[0]) * _PRODUCT_SCALE
    row = np.arange(size[1])
    half_cell = _PRODUCT_SCALE // _CELLS // 2
    shift = (_PRODUCT_SCALE // _CELLS).bit_length() - 1
    places = []
    for a, b, c in inverse:
        along = np.rint(a * column).astype(np.int64)[None]
        down = (np.rint((b * row + c) * _PRODUCT_SCALE).astype(np.int64) + half_cell)[:, None]
        if not along.any():
            along = along[:, :1]
        elif (down == down[0]).all():
            down = down[:1]
        far = abs(along).max() + abs(down).max()
        if far < np.iinfo(np.int32).max:
            # half the bytes to go through
            along, down = along.astype(np.int32), down.astype(np.int32)
        place = along + down
        place >>= shift
        if far >> shift > _FARTHEST:
            place = place.clip(-_FARTHEST, _FARTHEST).astype(np.int32)
        places.append(place)
    return places[0], places[1]


def _perspective_places(inverse: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """X and y (h, w) int32 in 1/32 pixels of the source, for every pixel of the result."""
    column, row = np.arange(size[0]), np.arange(size[1])[:, None]
    *sums, (across, down) = ((a * column, b * row + c) for a, b, c in inverse)
    # of an affine map in the form of a perspective one all pixels lie at one depth
    w = across + down if inverse[2, :2].any() else down[:1]
    scale = np.divide(_CELLS, w, out=np.zeros_like(w), where=w != 0)
    places = []
    for across, down in sums:
        place = across + down
        place *= scale
        place.clip(-_FARTHEST, _FARTHEST, out=place)
        places.append(np.rint(place, out=place).astype(np.int32))
    return places[0], places[1]
