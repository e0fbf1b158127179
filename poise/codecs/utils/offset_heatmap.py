"""Dense vector targets: from each pixel to a keypoint, or to the keypoints of its person."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from poise.codecs.arrays import Array

__all__ = [
    "generate_displacement_heatmap",
    "generate_instance_offset_heatmaps",
    "generate_offset_heatmap",
]


def generate_offset_heatmap(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    radius_factor: float,
) -> tuple[Array, Array]:
    """Three maps per keypoint: a disk around it, and the x and y offsets to it.

    The combined targets of UDP (Huang 2020, section 3.3). Offsets are in units of the disk's
    radius and stand at every pixel, also outside of the disk.

    Args:
        heatmap_size: (W, H).
        keypoints: (N, K, 2) float, output space.
        keypoints_visible: (N, K) float.
        radius_factor: radius of the disk as a part of the longer side.

    Returns:
        heatmaps (3 K, H, W) float32 in the order disk, x, y of each keypoint, and weights
        (N, K), which are the visibilities. Of several instances the last labelled one wins.
    """
    N, K = keypoints.shape[:2]
    labelled = ~(keypoints_visible < 0.5)
    if N == 1:
        centers, drawn = keypoints[0], labelled[0]
    else:
        winner = N - 1 - labelled[::-1].argmax(axis=0) if N else np.zeros(K, dtype=np.int64)
        drawn = labelled.any(axis=0)
        centers = keypoints[winner, np.arange(K)] if N else np.zeros((K, 2), keypoints.dtype)
    heatmaps = _offset_maps(heatmap_size, centers, drawn, radius_factor)
    return heatmaps.reshape(-1, *heatmaps.shape[2:]), keypoints_visible.copy()


def generate_instance_offset_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    radius_factor: float,
) -> tuple[Array, Array]:
    """As `generate_offset_heatmap`, with maps of its own for each instance.

    Returns:
        heatmaps (N, 3 K, H, W) float32, and weights (N, K).
    """
    N, K = keypoints.shape[:2]
    drawn = ~(keypoints_visible < 0.5)
    maps = _offset_maps(heatmap_size, keypoints.reshape(-1, 2), drawn.ravel(), radius_factor)
    return maps.reshape(N, 3 * K, *maps.shape[2:]), keypoints_visible.copy()


def _offset_maps(
    heatmap_size: tuple[int, int], centers: Array, drawn: Array, radius_factor: float
) -> Array:
    """Disk and offsets (M, 3, H, W) float32 of centers (M, 2); zeros where not drawn (M,)."""
    W, H = int(heatmap_size[0]), int(heatmap_size[1])
    radius = radius_factor * max(W, H)
    pixels, steps, last = _grid(W, H, radius)
    (shown,) = drawn.nonzero()
    rows: Any = slice(None) if len(shown) == len(centers) else shown
    middles = centers[rows].astype(np.float64)
    offsets = ((middles[:, :, None] - pixels) / radius).astype(np.float32)
    # memory that comes zeroed, and is written once, is most of what this costs
    heatmaps = np.zeros((len(centers), 3, H, W), dtype=np.float32)
    heatmaps[rows, 1] = offsets[:, 0, None, :W]
    heatmaps[rows, 2] = offsets[:, 1, :H, None]
    # the disk is worked out where it can be: in a square that holds it
    middles = middles.T.copy()
    with np.errstate(invalid="ignore"):  # NaN coordinates truncate to a far place
        square = middles.astype(np.int64) + steps
    # a pixel off the map stands for the one at the border, which then is written twice
    square = np.minimum(np.maximum(square, 0), last)
    lines = square[:, 1] * W + shown * (3 * H * W)
    cells = lines[:, None] + square[:, 0]
    far = middles - square
    far /= radius
    far *= far
    heatmaps.reshape(-1)[cells] = far[:, 0] + far[:, None, 1] <= 1
    return heatmaps


@lru_cache(maxsize=32)
def _grid(W: int, H: int, radius: float) -> tuple[Array, Array, Array]:
    """Pixels of the longer side, steps (S, 1, 1) over a disk, and the last pixels (2, 1)."""
    reach = math.ceil(radius)
    steps = np.arange(-reach, reach + 1)[:, None, None]
    return np.arange(max(W, H), dtype=np.float64), steps, np.array(((W - 1,), (H - 1,)))


def generate_displacement_heatmap(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    roots: Array,
    roots_visible: Array,
    diagonal_lengths: Array,
    radius: float,
) -> tuple[Array, Array]:
    """Vectors from the pixels around each person's root to the person's keypoints.

    The targets of single-stage pose machines (Nie 2019, arXiv:1908.09220). Where the roots of
    two people are near, the smaller person keeps its pixels.

    Args:
        heatmap_size: (W, H).
        keypoints: (N, K, 2) float, output space.
        keypoints_visible: (N, K) float.
        roots: (N, 2) float, output space.
        roots_visible: (N,) float; people below 1 are left out.
        diagonal_lengths: (N,) float, pixels: how large each person is.
        radius: pixels around a root that learn its vectors.

    Returns:
        displacements (2 K, H, W) float32 in the order x, y of each keypoint, and weights of
        the same shape: the inverse of the person's size.
    """
    K = keypoints.shape[1]
    W, H = heatmap_size
    displacements = np.zeros((K, 2, H, W), dtype=np.float32)
    weights = np.zeros((K, 2, H, W), dtype=np.float32)
    sizes = np.zeros((H, W), dtype=np.float32)
    on_map = ((keypoints >= 0) & (keypoints < [W, H])).all(axis=-1) & ~(keypoints_visible < 1)
    rooted = ((roots >= 0) & (roots < [W, H])).all(axis=-1) & ~(roots_visible < 1)
    # who owns a pixel depends on who came before: the one loop over people that is needed
    for n in np.flatnonzero(rooted & on_map.any(axis=1)).tolist():
        root = roots[n].astype(np.float64)
        low = np.maximum((root - radius).astype(np.int64), 0)
        high = np.minimum((root + radius).astype(np.int64), [W, H])
        if (high <= low).any():
            continue
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        kinds = np.flatnonzero(on_map[n])
        size = diagonal_lengths[n]
        held = displacements[kinds][:, :, *window]
        taken = (held != 0).any(axis=1) & (size > sizes[window])
        # Once a person gets one keypoint's pixel, the pixel counts as its own and it gets the
        # pixels of all later keypoints too.
        won = np.logical_or.accumulate(~taken, axis=0)
        target = np.empty(held.shape, dtype=np.float32)
        target[:, 0] = (keypoints[n, kinds, 0, None] - np.arange(low[0], high[0]))[:, None, :]
        target[:, 1] = (keypoints[n, kinds, 1, None] - np.arange(low[1], high[1]))[:, :, None]
        displacements[kinds, :, *window] = np.where(won[:, None], target, held)
        weight = weights[kinds][:, :, *window]
        weights[kinds, :, *window] = np.where(won[:, None], 1 / size, weight)
        sizes[window][won[-1]] = size
    return displacements.reshape(K * 2, H, W), weights.reshape(K * 2, H, W)
