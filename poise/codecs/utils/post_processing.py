"""Where heatmaps and SimCC vectors are largest, and what else is done to network outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import is_tensor
from poise.codecs.arrays import Array
from poise.codecs.utils.blur import dilate_maps, gaussian_blur, gaussian_blur1d
from poise.errors import DataError

__all__ = [
    "batch_heatmap_nms",
    "gaussian_blur",
    "gaussian_blur1d",
    "get_heatmap_3d_maximum",
    "get_heatmap_maximum",
    "get_simcc_maximum",
    "get_simcc_normalized",
    "simcc_peaks",
]


def get_heatmap_maximum(heatmaps: Any) -> tuple[Any, Any]:
    """Place and value of the largest response of each map.

    Args:
        heatmaps: (K, H, W) or (B, K, H, W) array, or a tensor.

    Returns:
        locations (K, 2) or (B, K, 2) float32 as x, y in output space, and values (K,) or
        (B, K); tensors for a tensor. A map without positive response has the location -1, -1.
    """
    return _maximum(heatmaps, spatial=2)


def get_heatmap_3d_maximum(heatmaps: Any) -> tuple[Any, Any]:
    """As `get_heatmap_maximum` for volumes (K, D, H, W) or (B, K, D, H, W): x, y, z."""
    return _maximum(heatmaps, spatial=3)


def _maximum(heatmaps: Any, *, spatial: int) -> tuple[Any, Any]:
    """Maximum over the last `spatial` axes; locations begin with the last axis."""
    if heatmaps.ndim not in (spatial + 1, spatial + 2):
        wanted = "(K, H, W) or (B, K, H, W)" if spatial == 2 else "(K, D, H, W) or (B, K, D, H, W)"
        raise DataError(f"Invalid shape {tuple(heatmaps.shape)}: expected heatmaps {wanted}")
    if is_tensor(heatmaps):
        from poise.codecs.utils.tensor_ops import maximum

        return maximum(heatmaps, spatial)
    lead, extent = heatmaps.shape[:-spatial], heatmaps.shape[-spatial:]
    rows = heatmaps.reshape(-1, math.prod(extent))
    index, values = _largest(rows)
    places = np.empty((len(rows), spatial), dtype=np.float32)
    for axis, length in enumerate(extent[:0:-1]):
        index, places[:, axis] = np.divmod(index, length)
    places[:, -1] = index
    places[values <= 0.0] = -1
    return places.reshape(*lead, spatial), values.reshape(lead)


def _largest(rows: Array) -> tuple[Array, Array]:
    """Index (M,) and value (M,) of the largest number of each row (M, P)."""
    index = rows.argmax(axis=1)
    return index, rows[np.arange(len(rows)), index]


def get_simcc_maximum(simcc_x: Any, simcc_y: Any, apply_softmax: bool = False) -> tuple[Any, Any]:
    """Place and value of the largest response of SimCC vectors.

    Args:
        simcc_x: (K, Wx) or (N, K, Wx) array, or a tensor.
        simcc_y: (K, Wy) or (N, K, Wy), of the same kind.
        apply_softmax: turn the vectors into probabilities first.

    Returns:
        locations (K, 2) or (N, K, 2) float32 in bins, and values (K,) or (N, K): the smaller
        one of both axes. A keypoint without positive response has the location -1, -1.
    """
    return simcc_peaks([simcc_x, simcc_y], apply_softmax=apply_softmax)


def simcc_peaks(vectors: Sequence[Any], *, apply_softmax: bool = False) -> tuple[Any, Any]:
    """As `get_simcc_maximum` for any number of axes: x, y and what else there is.

    Args:
        vectors: (K, W) or (N, K, W) arrays or tensors, one an axis.
        apply_softmax: turn the vectors into probabilities first.

    Returns:
        locations (K, axes) or (N, K, axes), and values (K,) or (N, K), which are of x and y
        alone.
    """
    shapes = [tuple(v.shape) for v in vectors]
    if len(shapes[0]) not in (2, 3) or len({shape[:-1] for shape in shapes}) > 1:
        raise DataError(
            f"Invalid shape {' and '.join(map(str, shapes))}: expected SimCC vectors (K, W) or "
            "(N, K, W), of equal rank and number for all axes"
        )
    if is_tensor(vectors[0]):
        from poise.codecs.utils.tensor_ops import simcc_maximum

        return simcc_maximum(vectors, apply_softmax=apply_softmax)
    if apply_softmax:
        vectors = [_softmax(v) for v in vectors]
    lead = shapes[0][:-1]
    locations = np.empty((math.prod(lead), len(vectors)), dtype=np.float32)
    peaks = []
    for axis, vector in enumerate(vectors):
        locations[:, axis], peak = _largest(vector.reshape(-1, vector.shape[-1]))
        peaks.append(peak)
    peak_x, peak_y = peaks[:2]
    values = np.where(peak_x > peak_y, peak_y, peak_x)
    locations[values <= 0.0] = -1
    return locations.reshape(*lead, len(vectors)), values.reshape(lead)


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def get_simcc_normalized(batch_pred_simcc: Any, sigma: float | None = None) -> Any:
    """SimCC vectors scaled to at most 1, so that they can be shown or exported as heatmaps.

    Args:
        batch_pred_simcc: (B, K, W) tensor or array.
        sigma: bins; divides by the height of a normal density first.

    Returns:
        The vectors without negative values; those whose maximum exceeds 1 are divided by it.
    """
    scores = batch_pred_simcc
    if sigma is not None:
        scores = scores / (sigma * np.sqrt(np.pi * 2))
    if is_tensor(scores):
        from poise.codecs.utils.tensor_ops import cap_at_one

        return cap_at_one(scores)
    scores = np.maximum(scores, 0)
    return scores / np.maximum(scores.max(axis=-1, keepdims=True), 1)


def batch_heatmap_nms(batch_heatmaps: Any, kernel_size: int = 5) -> Any:
    """Heatmaps (B, K, H, W) with everything but local maxima set to zero.

    Args:
        batch_heatmaps: tensor or array.
        kernel_size: odd width in pixels of the neighbourhood that a maximum rules.
    """
    if not isinstance(kernel_size, int) or kernel_size % 2 != 1:
        raise DataError(f"The kernel_size should be an odd integer, got {kernel_size}")
    if is_tensor(batch_heatmaps):
        from poise.codecs.utils.tensor_ops import suppress_slopes

        return suppress_slopes(batch_heatmaps, kernel_size)
    return batch_heatmaps * (batch_heatmaps == dilate_maps(batch_heatmaps, kernel_size))
