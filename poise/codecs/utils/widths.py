"""How wide peaks are: the covariances of keypoints that heatmaps and SimCC vectors speak of.

The logarithm of a Gaussian is a parabola whose second derivative is the negative inverse of its
covariance (DARK, Zhang 2020, arXiv:1910.06278, section 3.2). DARK takes that derivative from single
differences; here the parabola is fitted to all pixels near the peak, weighted by the square of
their response (Guo 2011, "A simple algorithm for fitting a Gaussian function", IEEE Signal
Processing Magazine 28(5)), so that noise on low pixels, which the logarithm blows up, counts
little. Of a Gaussian the fit is exact, however wide it is and wherever the map's border cuts it;
moments are neither.

A network that is trained by squared error to equal a Gaussian at a place it is not sure of does
best with the Gaussian smeared over the places it thinks likely: the covariance of its map is that
of the place plus that of the label. `without_label` takes the latter away.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, is_device_tensor
from poise.codecs.utils.post_processing import get_heatmap_maximum
from poise.codecs.utils.refinement import patches_of
from poise.geometry.covariances import scale_covariances

__all__ = [
    "fitting_radius",
    "line_variances",
    "map_covariances",
    "narrowed",
    "peak_covariances",
    "spread_of_maps",
    "without_label",
]

#: Responses are clipped to this part of the peak before the logarithm.
_FLOOR = 1e-3
#: Variance of a place that is rounded to whole pixels, pixels².
_ROUNDING = 1 / 12
#: Keeps the fit defined where fewer than six pixels count.
_RIDGE = 1e-12


def fitting_radius(sigma: float) -> int:
    """Pixels on each side of a peak that the parabola is fitted to, for labels of `sigma`."""
    return max(2, int(np.ceil(1.5 * sigma)))


def map_covariances(
    heatmaps: Any,
    factors: Any,
    *,
    sigma: float,
    deconvolve: bool = True,
    places: tuple[Array, Array] | None = None,
) -> Array:
    """Covariances of the keypoints of single people, in input space.

    Args:
        heatmaps: (B, K, H, W), array or tensor on any device.
        factors: (2,) pixels of the input a pixel of the output, along x and y.
        sigma: of the labels, pixels of the output.
        deconvolve: take the labels' variance away.
        places: x and y of the peaks, (B, K) each; None: the largest responses.

    Returns:
        (B, 1, K, 2, 2) float32, pixels² of the input; NaN where a map has no response.
    """
    if not is_device_tensor(heatmaps):
        heatmaps = as_numpy(heatmaps)
    B, K, H, W = heatmaps.shape
    if places is None:
        peaks = as_numpy(get_heatmap_maximum(heatmaps)[0])
        places = peaks[..., 0], peaks[..., 1]
    x, y = (at.reshape(-1).astype(np.int64) for at in places)
    stack = heatmaps.reshape(B * K, H, W)
    found = peak_covariances(stack, np.arange(B * K), x, y, fitting_radius(sigma))
    if deconvolve:
        found = without_label(found, sigma**2)
    found = scale_covariances(found, factors)
    return np.asarray(found.reshape(B, 1, K, 2, 2), np.float32)


def peak_covariances(heatmaps: Any, maps: Array, x: Array, y: Array, radius: int) -> Array:
    """Covariances of the peaks at places of maps, by a fitted parabola.

    Args:
        heatmaps: (K, H, W), array or tensor.
        maps: (M,) int64, the map of each place.
        x: (M,) int64, pixels of the output.
        y: (M,) int64.
        radius: see `fitting_radius`.

    Returns:
        (M, 2, 2) float64, pixels² of the output. Never more than the mean variance over both axes
        of a place that may be anywhere on the map, which is what flat maps give; NaN where the map
        has no response there, or one that is not finite.
    """
    H, W = (int(side) for side in heatmaps.shape[-2:])
    values = patches_of(heatmaps, maps, x, y, radius).astype(np.float64)
    steps = np.arange(-radius, radius + 1)
    inside_x, inside_y = ((at[:, None] + steps) for at in (x, y))
    inside = ((inside_y >= 0) & (inside_y < H))[:, :, None] & ((inside_x >= 0) & (inside_x < W))[
        :, None, :
    ]
    peaks = values[:, radius, radius]
    known = np.asarray(np.isfinite(values).all((1, 2)) & (peaks > 0))
    values = np.where(known[:, None, None], values, 1) / np.where(known, peaks, 1)[:, None, None]
    responses = np.clip(values, _FLOOR, None).reshape(len(values), len(steps) ** 2)
    weights = np.where(inside.reshape(responses.shape), responses**2, 0)
    terms, products = _terms(radius)
    coefficients = _fitted(weights, np.log(responses), terms, products)
    xx, xy, yy = -2 * coefficients[:, 3], -coefficients[:, 4], -2 * coefficients[:, 5]
    precision = np.stack((np.stack((xx, xy), -1), np.stack((xy, yy), -1)), -2)
    axes, turn = np.linalg.eigh(precision)
    widest = (W**2 + H**2) / 24
    return _recomposed(np.where(known[:, None], 1 / np.maximum(axes, 1 / widest), np.nan), turn)


def line_variances(logarithms: Array, places: Array, radius: int) -> Array:
    """The same along one axis: variances of the peaks of distributions.

    Args:
        logarithms: (..., W) float, natural logarithms of distributions, up to a constant.
        places: (...) int64, bins of their maxima.
        radius: bins on each side that count.

    Returns:
        (...) float64, bins², at most W² / 12; NaN where a logarithm near the peak is not finite.
    """
    W = logarithms.shape[-1]
    steps = np.arange(-radius, radius + 1)
    bins = places[..., None] + steps
    inside = (bins >= 0) & (bins < W)
    values = np.take_along_axis(logarithms, bins.clip(0, W - 1), -1).astype(np.float64)
    values = values.reshape(-1, len(steps))
    known = np.asarray(np.isfinite(values).all(-1))
    heights = np.where(known[:, None], values - values[:, radius, None], 0)
    heights = heights.clip(np.log(_FLOOR), None)
    weights = np.where(inside.reshape(heights.shape), np.exp(2 * heights), 0)
    terms = np.stack((np.ones(len(steps)), steps, steps**2), -1)
    products = np.einsum("pi,pj->pij", terms, terms).reshape(len(steps), -1)
    curvature = -2 * _fitted(weights, heights, terms, products)[:, 2]
    variances = np.where(known, 1 / np.maximum(curvature, 12 / W**2), np.nan)
    return np.asarray(variances.reshape(places.shape))


def spread_of_maps(heatmaps: Array) -> Array:
    """Second central moments (..., 2, 2) of whole maps (..., H, W), pixels² of the output.

    Of maps that are distributions; NaN where a map does not sum to a finite number above 0.
    """
    maps = np.asarray(heatmaps, np.float64)
    H, W = maps.shape[-2:]
    along_x, along_y = maps.sum(-2), maps.sum(-1)
    total = along_x.sum(-1)
    known = np.isfinite(total) & (total > 0)
    total = np.where(known, total, np.nan)
    column, row = np.arange(W), np.arange(H)
    mean_x, mean_y = along_x @ column / total, along_y @ row / total
    xx = along_x @ column**2 / total - mean_x**2
    yy = along_y @ row**2 / total - mean_y**2
    xy = (maps @ column * row).sum(-1) / total - mean_x * mean_y
    return np.stack((np.stack((xx, xy), -1), np.stack((xy, yy), -1)), -2)


def without_label(covariances: Array, label: float) -> Array:
    """Covariances (M, 2, 2) of maps without the variance of their labels, pixels².

    Along each axis of the ellipse the variance becomes d / 2 + sqrt(d² / 4 + r²), with its
    distance d from the label's and r = 1 / 12, the variance of rounding to a pixel: the
    difference where that is large; where a peak is no wider than the label, or narrower, as noise
    may make it, a small number that still tells wider from narrower ones.
    """
    known = np.asarray(np.isfinite(covariances).all((1, 2)))
    axes, turn = np.linalg.eigh(np.where(known[:, None, None], covariances, 0))
    axes = narrowed(axes, label)
    return _recomposed(np.where(known[:, None], axes, np.nan), turn)


def narrowed(variances: Array, label: Any) -> Array:
    """Variances of any shape without those of their labels; see `without_label`."""
    beyond = (variances - label) / 2
    return np.asarray(beyond + np.sqrt(beyond**2 + _ROUNDING**2))


def _fitted(weights: Array, values: Array, terms: Array, products: Array) -> Array:
    """Coefficients (M, T) of weighted least squares of values (M, P) by terms (P, T)."""
    count = terms.shape[1]
    normal = (weights @ products).reshape(-1, count, count)
    normal += _RIDGE * np.eye(count)
    return np.asarray(np.linalg.solve(normal, ((weights * values) @ terms)[..., None])[..., 0])


@lru_cache(maxsize=16)
def _terms(radius: int) -> tuple[Array, Array]:
    """1, x, y, x², xy, y² (P, 6) of the pixels of a window, and their products (P, 36)."""
    steps = np.arange(-radius, radius + 1.0)
    y, x = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    terms = np.stack((np.ones_like(x), x, y, x * x, x * y, y * y), -1)
    products = np.einsum("pi,pj->pij", terms, terms).reshape(len(x), -1)
    return terms, products


def _recomposed(axes: Array, turn: Array) -> Array:
    """Matrices (M, 2, 2) of eigenvalues (M, 2) and eigenvectors (M, 2, 2)."""
    return np.asarray((turn * axes[:, None, :]) @ np.swapaxes(turn, 1, 2))
