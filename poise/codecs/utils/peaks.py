"""The largest pixels of blurred maps, by products of matrices.

Those round unlike OpenCV's filter. Where two pixels are so nearly equal that rounding could
decide, the filter blurs the whole map, so that plateaus and flat maps give the pixel that they
give in the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from poise.codecs.arrays import Array
from poise.codecs.utils.blur import blur_maps, blur_matrix, gaussian_blur, gaussian_taps

__all__ = ["largest_of_blurred", "peaks_of_modulated"]

#: Rounding moves a blurred pixel by less than this part of the largest one that pixels without a
#: sign would give: some 2 * 23 sums of a relative error of 2 ** -24 each.
DOUBT = 4e-6
#: Maps that are looked at together: so many of 48 x 64 pixels stay in a processor's cache.
CHUNK = 384
#: Rounding moves a sum of squares by less than this part of it.
ROUNDED = 1e-5
#: Pixels of a line that are blurred by one product: a narrow kernel leaves wide ones mostly zero.
BLOCK = 16


def peaks_of_modulated(heatmaps: Array, kernel: int) -> tuple[Array, Array, Array]:
    """Largest pixel, its value and its slope, of each map that `gaussian_blur` makes.

    Args:
        heatmaps: (K, H, W) float, output space; not changed.
        kernel: odd width in pixels.

    Returns:
        pixel (K,) int64, flat; values (K,) float32; slopes (K, 2) float32, whose signs are those
        of the right neighbour minus the left one, and of the lower minus the upper one, where
        the pixel has all four.
    """
    ways = (
        partial(_in_window, rest_of=_rest_by_norm),
        partial(_in_window, rest_of=_rest_by_largest),
        _in_modulated_product,
        _in_modulated,
    )
    pixel, values, slopes = _settle(heatmaps, *(partial(way, kernel=kernel) for way in ways))
    return pixel, values, slopes


def largest_of_blurred(heatmaps: Array, kernel: int) -> tuple[Array, Array]:
    """Largest pixel of each map that `blur_maps` makes with mirror images outside of the maps.

    Args:
        heatmaps: (K, H, W) float.
        kernel: odd width in pixels.

    Returns:
        pixel (K,) int64, flat, and values (K,) float32.
    """
    ways = (_in_mirrored_product, _in_mirrored)
    pixel, values = _settle(heatmaps, *(partial(way, kernel=kernel) for way in ways))
    return pixel, values


def _settle(heatmaps: Array, way: Callable[[Array], tuple[Array, ...]], *others: Any) -> Any:
    """What `way` finds for maps (K, H, W), and the next one where that is not proved.

    Each way answers with arrays (K, ...), the last of which says where the others are proved.
    """
    # what overflows, or is no number, is not proved
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            way(np.ascontiguousarray(heatmaps[start : start + CHUNK], dtype=np.float32))
            for start in range(0, max(len(heatmaps), 1), CHUNK)
        ]
    *found, proved = (np.concatenate(column) for column in zip(*parts, strict=True))
    hard = np.flatnonzero(~proved)
    if len(hard):
        for known, sure in zip(found, _settle(heatmaps[hard], *others), strict=True):
            known[hard] = sure
    return found


def _in_window(maps: Array, kernel: int, rest_of: Callable[..., Array]) -> tuple[Array, ...]:
    """Look for the peaks in windows around the maxima of the maps.

    What is near the maximum gives a pixel outside of the window less than it gives some pixel
    inside, by a factor that the kernel alone decides. What the rest of the map gives any pixel is
    at most what `rest_of` says.
    """
    H, W = maps.shape[1:]
    start, peaks = _largest(maps)
    y, x = np.divmod(start, W)
    across, down = _windows(W, kernel), _windows(H, kernel)
    shape = down.blur.shape[2], across.blur.shape[2]
    wide = _parts(maps, down.source[y], across.source[x], shape)
    blurred = (down.blur[y] @ wide) @ across.blur[x].swapaxes(1, 2)
    best, largest, second = _two_largest(blurred)
    row, column = np.divmod(best, blurred.shape[2])
    slopes = _slopes(blurred, column, row)

    lines, columns = down.near[y], across.near[x]
    near = _parts(maps, lines[:, 0], columns[:, 0], (lines.shape[1], columns.shape[1]))
    rest = rest_of(maps, near, lines, columns, kernel=kernel)
    low = _depth(near) + rest
    share = np.maximum(across.share[x], down.share[y])
    doubt = DOUBT * (largest + 2 * low)
    proved = largest > share * (largest + low) + rest + doubt
    proved &= _clear(largest, second, slopes, doubt)
    # a pixel at the window's edge has a neighbour that was not looked at
    for at, side in zip((row, column), blurred.shape[1:], strict=True):
        proved &= (at > 0) & (at < side - 1)
    return (down.first[y] + row) * W + across.first[x] + column, peaks, slopes, proved


def _rest_by_norm(maps: Array, near: Array, *_places: Array, kernel: int) -> Array:
    """The norm of the rest times the kernel's (Cauchy-Schwarz): sure of maps with little noise."""
    squares = _squared_norms(_rows(maps)) * (1 + ROUNDED) - _squared_norms(_rows(near))
    kernel_norm = float((gaussian_taps(kernel) ** 2).sum())
    return np.asarray(np.sqrt(np.maximum(squares, 0)) * kernel_norm)


def _rest_by_largest(maps: Array, _near: Array, lines: Array, columns: Array, **_: int) -> Array:
    """What is furthest from zero in the rest: takes longer, and is as sure of large maps."""
    others = maps.copy()
    order = np.arange(len(maps))[:, None, None]
    others[order, lines[:, :, None], columns[:, None, :]] = 0
    rows = _rows(others)
    return np.asarray(np.maximum(rows.max(axis=1), -rows.min(axis=1)))


def _in_modulated_product(maps: Array, kernel: int) -> tuple[Array, ...]:
    blurred = _blur_by_products(maps, kernel, mirror=False)
    pixel, largest, second = _two_largest(blurred)
    y, x = np.divmod(pixel, maps.shape[2])
    slopes, peaks = _slopes(blurred, x, y), _rows(maps).max(axis=1)
    doubt = DOUBT * (largest + 2 * _depth(maps))
    return pixel, peaks, slopes, _clear(largest, second, slopes, doubt) & (largest > doubt)


def _in_modulated(maps: Array, kernel: int) -> tuple[Array, ...]:
    blurred = gaussian_blur(maps.copy(), kernel)
    pixel, values = _largest(blurred)
    y, x = np.divmod(pixel, maps.shape[2])
    return pixel, values, _slopes(blurred, x, y), np.ones(len(maps), dtype=bool)


def _in_mirrored_product(maps: Array, kernel: int) -> tuple[Array, ...]:
    pixel, largest, second = _two_largest(_blur_by_products(maps, kernel, mirror=True))
    doubt = DOUBT * (largest + 2 * _depth(maps))
    return pixel, largest, (largest - second > doubt) & (abs(largest) > doubt)


def _in_mirrored(maps: Array, kernel: int) -> tuple[Array, ...]:
    return (*_largest(blur_maps(maps, kernel, mirror=True)), np.ones(len(maps), dtype=bool))


def _clear(largest: Array, second: Array, slopes: Array, doubt: Array) -> Array:
    """Where rounding does not decide which pixel is the largest and what its slopes' signs are."""
    # asked this way round, NaN is not clear
    return (largest - second > doubt) & (abs(slopes) > doubt[:, None]).all(axis=1)


def _rows(maps: Array) -> Array:
    """Maps (K, H, W) as rows (K, H * W), also where there are none."""
    return maps.reshape(len(maps), maps.shape[1] * maps.shape[2])


def _largest(maps: Array) -> tuple[Array, Array]:
    """Flat pixel (K,) and value (K,) of the largest of maps (K, H, W)."""
    flat = _rows(maps)
    pixel = flat.argmax(axis=1)
    return pixel, flat[np.arange(len(maps)), pixel]


def _two_largest(maps: Array) -> tuple[Array, Array, Array]:
    """As `_largest`, and the value (K,) of the second one."""
    pixel, largest = _largest(maps)
    flat, order = _rows(maps), np.arange(len(maps))
    flat[order, pixel] = -np.inf
    second = flat.max(axis=1)
    flat[order, pixel] = largest
    return pixel, largest, second


def _parts(maps: Array, top: Array, left: Array, shape: tuple[int, int]) -> Array:
    """Parts (K, h, w) of maps (K, H, W), one of each, from a pixel on."""
    return sliding_window_view(maps, shape, axis=(1, 2))[np.arange(len(maps)), top, left]


def _squared_norms(rows: Array) -> Array:
    """Sums (K,) of the squares of rows (K, N)."""
    return np.asarray((rows[:, None] @ rows[:, :, None])[:, 0, 0])


def _depth(maps: Array) -> Array:
    """How far below zero (K,) maps (K, H, W) reach."""
    return np.maximum(-_rows(maps).min(axis=1), 0)


def _slopes(maps: Array, x: Array, y: Array) -> Array:
    """Right minus left and lower minus upper neighbour (K, 2); off the map the pixel's own."""
    order, (H, W) = np.arange(len(maps)), maps.shape[1:]
    right, left = np.minimum(x + 1, W - 1), np.maximum(x - 1, 0)
    below, above = np.minimum(y + 1, H - 1), np.maximum(y - 1, 0)
    return np.stack(
        [
            maps[order, y, right] - maps[order, y, left],
            maps[order, below, x] - maps[order, above, x],
        ],
        axis=-1,
    )


class _Windows(NamedTuple):
    """Windows of an axis, one around each pixel, moved to lie on the map.

    near: (L, N) pixels in its middle, beyond which a map is expected to be low. first: (L,) its
    first pixel. source: (L,) first of the P that it is blurred from. blur: (L, S, P) what blurs
    them. share: (L,) what a pixel outside of the window gets of the near ones, as a part of what
    the nearest of these gets.
    """

    near: Array
    first: Array
    source: Array
    blur: Array
    share: Array


@lru_cache(maxsize=32)
def _windows(length: int, kernel: int) -> _Windows:
    matrix = blur_matrix(length, kernel)
    # peaks are as wide as the kernel, and the further off the window's end, the less it shares
    close = min(max(kernel * 3 // 4 | 1, 9), length)
    side = min(close + 2 * max(round(kernel / 5), 2), length)
    wide = min(side + kernel - 1, length)
    first = np.clip(np.arange(length) - side // 2, 0, length - side)
    near = np.clip(np.arange(length) - close // 2, 0, length - close)
    near = near[:, None] + np.arange(close)
    source = np.clip(first - kernel // 2, 0, length - wide)
    blur = np.stack(
        [matrix[f : f + side, s : s + wide] for f, s in zip(first, source, strict=True)]
    )
    share = np.zeros(length, dtype=np.float32)
    for middle, (begin, columns) in enumerate(zip(first.tolist(), near, strict=True)):
        outside = np.r_[0:begin, begin + side : length]
        nearest = matrix[np.clip(outside, columns[0], columns[-1])][:, columns]
        gets = matrix[outside][:, columns]
        # where the nearest one gets nothing, one further away gets nothing either
        share[middle] = np.divide(gets, nearest, where=gets > 0, out=gets).max(initial=0)
    return _Windows(near, first, source, blur, share)


def _blur_by_products(maps: Array, kernel: int, *, mirror: bool) -> Array:
    """What `blur_maps` makes of maps (K, H, W) float32, but for rounding."""
    K, H, W = maps.shape
    lines, across = maps.reshape(K * H, W), np.empty((K * H, W), dtype=np.float32)
    for pixels, source, blur in _blocks(W, kernel, mirror=mirror):
        np.matmul(lines[:, source], blur.T, out=across[:, pixels])
    columns, blurred = across.reshape(K, H, W), np.empty((K, H, W), dtype=np.float32)
    for pixels, source, blur in _blocks(H, kernel, mirror=mirror):
        np.matmul(blur, columns[:, source], out=blurred[:, pixels])
    return blurred


@lru_cache(maxsize=32)
def _blocks(length: int, kernel: int, *, mirror: bool) -> list[tuple[slice, slice, Array]]:
    """Parts of a line: their pixels, those that they are blurred from, and what blurs them."""
    matrix, border = blur_matrix(length, kernel, mirror=mirror), kernel // 2
    starts = range(0, length, BLOCK)
    pixels = [slice(i, min(i + BLOCK, length)) for i in starts]
    sources = [slice(max(i - border, 0), min(i + BLOCK + border, length)) for i in starts]
    return [(p, s, matrix[p, s].copy()) for p, s in zip(pixels, sources, strict=True)]
