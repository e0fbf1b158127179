"""Gaussian target heatmaps, drawn for all instances and keypoints at once.

Each keypoint costs a window of three sigma; all windows are computed as one array and written
into the maps by one indexed store. What of a window lies off its map goes to a spare cell behind
all maps, which is cheaper than to leave it out. Distances are float32 and added before the
exponential, as in the reference: the product of two profiles would be cheaper still, but differs
in the last bit, which sub-pixel decoding of a flat map turns into visible distances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from poise.codecs.arrays import Array
from poise.errors import DataError

__all__ = [
    "Gaussians",
    "generate_gaussian_heatmaps",
    "generate_instance_heatmaps",
    "generate_udp_gaussian_heatmaps",
    "generate_unbiased_gaussian_heatmaps",
    "window_cells",
]

#: A keypoint with less visibility than this is not labelled: no target, weight unchanged.
LABELLED = 0.5

Sigma = float | Sequence[float] | Array


def generate_gaussian_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: Sigma,
) -> tuple[Array, Array]:
    """Heatmaps with a gaussian at the pixel nearest to each keypoint; its peak is exactly 1.

    The targets of Simple Baselines (Xiao 2018, arXiv:1804.06208). Several instances share the
    map of a keypoint kind, which then holds the maximum of their gaussians.

    Args:
        heatmap_size: (W, H).
        keypoints: (N, K, 2) float, output space.
        keypoints_visible: (N, K) float.
        sigma: pixels; one for all, or one per instance (N,).

    Returns:
        heatmaps (K, H, W) float32, and weights (N, K): the visibilities, 0 where the gaussian
        lies outside of the map.
    """
    gaussians = Gaussians.around(heatmap_size, keypoints, keypoints_visible, sigma)
    return gaussians.shared_maps(), gaussians.weights


def generate_udp_gaussian_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: Sigma,
) -> tuple[Array, Array]:
    """Heatmaps with a gaussian centred on the exact, sub-pixel place of each keypoint.

    Unbiased data processing (Huang 2020, arXiv:1911.07524); windows are cut as in
    `generate_gaussian_heatmaps`, whose arguments and results it shares.
    """
    gaussians = Gaussians.around(heatmap_size, keypoints, keypoints_visible, sigma, subpixel=True)
    return gaussians.shared_maps(), gaussians.weights


def generate_instance_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: Sigma,
    *,
    subpixel: bool = False,
) -> tuple[Array, Array]:
    """As `generate_gaussian_heatmaps`, with maps of its own for each instance.

    Args:
        heatmap_size: (W, H).
        keypoints: (N, K, 2) float, output space.
        keypoints_visible: (N, K) float.
        sigma: pixels; one for all, or one per instance (N,).
        subpixel: centre the gaussians as `generate_udp_gaussian_heatmaps` does.

    Returns:
        heatmaps (N, K, H, W) float32, and weights (N, K).
    """
    gaussians = Gaussians.around(
        heatmap_size, keypoints, keypoints_visible, sigma, subpixel=subpixel
    )
    return gaussians.own_maps(), gaussians.weights


def generate_unbiased_gaussian_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: float,
    *,
    own_maps: bool = False,
) -> tuple[Array, Array]:
    """Heatmaps with sub-pixel gaussians over the whole map, not cut at three sigma.

    The targets of DARK (Zhang 2020, arXiv:1910.06278). Arguments and results as in
    `generate_gaussian_heatmaps`, with one sigma for all; with `own_maps` the results of
    `generate_instance_heatmaps`.
    """
    W, H = heatmap_size
    radius = sigma * 3
    size = np.array([W, H])
    # NaN fails both comparisons and so counts as outside
    reached = ((keypoints - radius < size) & (keypoints + radius + 1 >= 0)).all(axis=-1)
    labelled = ~(keypoints_visible < LABELLED)
    across, down = (
        (np.arange(length, dtype=np.float32) - keypoints[..., axis, None]) ** 2
        for axis, length in enumerate((W, H))
    )
    maps = _bell(across[..., None, :], down[..., :, None], 2 * sigma**2)
    drawn = labelled & reached
    if not drawn.all():
        maps[~drawn] = 0
    weights = _weights(keypoints_visible, labelled & ~reached)
    if own_maps:
        return maps, weights
    return (maps[0] if len(maps) == 1 else maps.max(axis=0, initial=0)), weights


@dataclass(eq=False)
class Gaussians:
    """Truncated gaussians of N people's K keypoints, ready to be drawn into maps.

    Attributes:
        size: (W, H) of the maps.
        weights: (N, K) visibilities, 0 where the gaussian lies outside of the map.
        drawn: (M,) int64, the keypoint that each of the M windows belongs to, counted over all
            people: those that are labelled and reach the map.
        first, end: (M, 2) int64, the windows' first pixels, and one past their last ones.
        values: (M, S, S) float32, or (S, S) where all windows are alike.
    """

    size: tuple[int, int]
    weights: Array
    drawn: Array
    first: Array
    end: Array
    values: Array

    @classmethod
    def around(
        cls,
        heatmap_size: tuple[int, int],
        keypoints: Array,
        keypoints_visible: Array,
        sigma: Sigma,
        *,
        subpixel: bool = False,
    ) -> Gaussians:
        """Those of keypoints; arguments as those of `generate_instance_heatmaps`.

        Rounding follows the released training code to the letter, since targets must not change:
        centres and borders are truncated toward zero, and a window's samples are counted from its
        own corner, so with a fractional radius the peak can stand a pixel beside its keypoint.
        """
        N, K = keypoints.shape[:2]
        W, H = int(heatmap_size[0]), int(heatmap_size[1])
        size = np.array((W, H))
        widths = _per_instance(sigma, N)
        with np.errstate(invalid="ignore"):  # NaN coordinates truncate to a far place
            center = (keypoints + 0.5).astype(np.int64)
        first, end, samples = _borders(center, widths * 3)
        reached = (first < size) & (end >= 0)
        reached = reached[..., 0] & reached[..., 1]
        labelled = ~(keypoints_visible < LABELLED)
        drawn = np.flatnonzero(labelled & reached)
        offset = _drawn_only(keypoints - center, drawn) if subpixel else None
        return cls(
            size=(W, H),
            weights=_weights(keypoints_visible, labelled & ~reached),
            drawn=drawn,
            first=_drawn_only(first, drawn),
            end=np.minimum(_drawn_only(end, drawn), size),
            values=_values(widths, samples, offset, drawn // K if np.ndim(widths) else None),
        )

    def shared_maps(self) -> Array:
        """Maps (K, H, W) float32 that hold the largest gaussian of all people at each pixel."""
        N, K = self.weights.shape
        maps, cells = self._blank_maps(self.drawn % K, K)
        if N == 1:
            maps[cells] = self.values
        else:
            # one long index: numpy takes a fast way for that alone
            values = np.broadcast_to(self.values, cells.shape)
            np.maximum.at(maps, cells.ravel(), values.ravel())
        return maps[:-1].reshape(K, *self.size[::-1])

    def own_maps(self) -> Array:
        """Maps (N, K, H, W) float32 of each person alone."""
        maps, cells = self._blank_maps(self.drawn, self.weights.size)
        maps[cells] = self.values
        return maps[:-1].reshape(*self.weights.shape, *self.size[::-1])

    def of(self, people: Array, kinds: int) -> Gaussians:
        """Those of some people (P,) int64, in this order and nobody twice.

        Args:
            people: (P,) int64.
            kinds: the first so many keypoints of each.
        """
        place = np.full(self.weights.shape, -1)
        place[people, :kinds] = np.arange(len(people) * kinds).reshape(-1, kinds)
        drawn = place.ravel()[self.drawn]
        rows = slice(None) if (drawn >= 0).all() else np.flatnonzero(drawn >= 0)
        return replace(
            self,
            weights=self.weights[people, :kinds],
            drawn=drawn[rows],
            first=self.first[rows],
            end=self.end[rows],
            values=self.values[rows] if self.values.ndim == 3 else self.values,
        )

    def _blank_maps(self, maps: Array, count: int) -> tuple[Array, Array]:
        """`count` flat maps of zeros and a spare cell, and where the windows' pixels are there.

        Args:
            maps: (M,) int64, the map that each window is drawn into.
            count: number of maps.
        """
        W, H = self.size
        samples = self.values.shape[-1]
        cells = window_cells(self.first, self.end, samples, maps, count, self.size)
        return np.zeros(count * H * W + 1, dtype=np.float32), cells


def _drawn_only(places: Array, drawn: Array) -> Array:
    """Rows `drawn` (M,) of places (N, K, 2), as (M, 2)."""
    rows = places.reshape(-1, 2)
    return rows if len(rows) == len(drawn) else rows[drawn]


def _values(widths: Any, samples: int, offset: Array | None, person: Array | None) -> Array:
    """Gaussians (M, S, S), or (S, S) where all windows have the same.

    Args:
        widths: sigmas, one or (N, 1, 1).
        samples: S.
        offset: (M, 2) from the windows' middle pixels to their peaks; None for no offset.
        person: (M,) whose sigma a window has, where there are several.
    """
    if person is not None:
        widths = widths[person, 0, 0]
    peak = np.floor(widths * 6 + 1) // 2
    spread = 2 * widths**2
    if person is None and offset is None:
        return _stamp(samples, float(peak), spread)
    if person is not None:
        peak, spread = peak[:, None], spread[:, None, None]
    if offset is not None:
        peak = peak + offset
    distance = np.arange(samples, dtype=np.float32) - peak.astype(np.float32)[..., None]
    squares = distance**2
    return _bell(squares[:, 0, None, :], squares[:, -1, :, None], spread)


def _borders(center: Array, radius: Any) -> tuple[Array, Array, int]:
    """First pixels and ends (N, K, 2) of windows, and how many samples the largest has."""
    if isinstance(radius, float) and radius.is_integer():
        whole = int(radius)
        return center - whole, center + (whole + 1), 2 * whole + 1
    samples = math.ceil(np.max(radius, initial=0) * 2 + 1)
    return (center - radius).astype(np.int64), (center + radius + 1).astype(np.int64), samples


def window_cells(
    first: Array, end: Array, samples: int, maps: Array, count: int, size: tuple[int, int]
) -> Array:
    """Where the pixels of square windows stand in an array of maps.

    Args:
        first: (M, 2) int64, x and y of the windows' first pixels, which may lie off the map.
        end: (M, 2) int64, one past their last pixels: 0 or more, at most the map's size.
        samples: side S of the windows.
        maps: (M,) int64, the map of each.
        count: number of maps.
        size: (W, H) of the maps.

    Returns:
        (M, S, S) int64, flat index of each pixel; `count * H * W`, the cell behind the maps,
        for what lies off the map or past the end.
    """
    W, H = size
    spare = count * H * W
    pixel = first[..., None] + np.arange(samples)
    # without a sign, what is below zero is past the end
    inside = pixel.view(np.uint64) < end.view(np.uint64)[..., None]
    steps = np.where(inside, pixel * np.array(((1,), (W,))), spare)
    lines = steps[:, 1] + (maps * (H * W))[:, None]
    cells = lines[:, :, None] + steps[:, 0, None, :]
    return np.asarray(np.minimum(cells, spare, out=cells))


@lru_cache(maxsize=32)
def _stamp(samples: int, peak: float, spread: float) -> Array:
    """The gaussian (S, S) float32 of all keypoints of one sigma."""
    squares = (np.arange(samples, dtype=np.float32) - np.float32(peak)) ** 2
    stamp = _bell(squares, squares[:, None], spread)
    stamp.setflags(write=False)
    return stamp


def _bell(across: Array, down: Array, spread: Any) -> Array:
    """exp(-(across + down) / spread) of squared distances, in the precision of the reference."""
    # the sign goes to the smaller arrays, which changes no bit of the sum
    squares = (np.negative(across) - down).astype(np.float32, copy=False)
    squares /= np.asarray(spread, dtype=np.float32)
    return np.asarray(np.exp(squares, out=squares))


def _per_instance(sigma: Sigma, instances: int) -> Any:
    """One sigma for all as a float, else (N, 1, 1) float64."""
    values = np.asarray(sigma, dtype=np.float64)
    if values.ndim == 0:
        return float(values)
    if len(values) < instances:
        raise DataError(
            f"sigma has {len(values)} values for {instances} instances: expected one number, or "
            "one per instance"
        )
    return values[:instances, None, None]


def _weights(keypoints_visible: Array, missed: Array) -> Array:
    """Visibilities with 0 where a labelled keypoint has no target."""
    return np.where(missed, keypoints_visible.dtype.type(0), keypoints_visible)
