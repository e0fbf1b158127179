"""Gaussian blurs, and the largest neighbours, of many maps by one OpenCV call.

Maps are laid one below the other with blank rows between them, as a single tall picture: the
filter then runs once instead of once per keypoint, with the same arithmetic on each map.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from poise.codecs.arrays import Array
from poise.errors import DataError

__all__ = [
    "blur_maps",
    "blur_matrix",
    "dilate_maps",
    "gaussian_blur",
    "gaussian_blur1d",
    "gaussian_taps",
    "modulated_rows",
]


@lru_cache(maxsize=32)
def gaussian_taps(kernel: int) -> Array:
    """The 1-D kernel (kernel,) float32 that OpenCV uses when no sigma is given."""
    taps = cv2.getGaussianKernel(kernel, 0, cv2.CV_32F)[:, 0].astype(np.float32)
    taps.setflags(write=False)
    return taps


def gaussian_blur(heatmaps: Array, kernel: int = 11) -> Array:
    """Smooth each map and restore its maximum; changes `heatmaps` in place.

    The modulation step of DARK (Zhang 2020, section 3.2): a predicted map has several small
    peaks, and the Taylor expansion around the maximum wants one smooth one.

    Args:
        heatmaps: (K, H, W) float32, output space.
        kernel: odd width in pixels; 11 fits targets of sigma 2, 17 those of sigma 3.

    Returns:
        `heatmaps`. A map without any response becomes NaN, as its maximum cannot be restored.
    """
    _check_kernel(kernel)
    peaks = heatmaps.max(axis=(1, 2))
    heatmaps[...] = blur_maps(heatmaps, kernel)
    with np.errstate(invalid="ignore", divide="ignore"):
        heatmaps *= (peaks / heatmaps.max(axis=(1, 2)))[:, None, None]
    return heatmaps


def gaussian_blur1d(simcc: Array, kernel: int = 11) -> Array:
    """As `gaussian_blur` for SimCC vectors (N, K, W) float32; changes `simcc` in place."""
    simcc[...] = modulated_rows(simcc, kernel)
    return simcc


def modulated_rows(simcc: Array, kernel: int) -> Array:
    """SimCC vectors (N, K, W) float, blurred by `kernel` bins and with their maxima, float32."""
    _check_kernel(kernel)
    border, W = kernel // 2, simcc.shape[-1]
    # zeros at the ends, for the reason that `blur_maps` gives
    rows = np.zeros((simcc.size // W, W + 2 * border), dtype=np.float32)
    inner = rows[:, border : border + W]
    inner[...] = simcc.reshape(-1, W)
    peaks = inner.max(axis=-1, keepdims=True)
    if rows.size:
        rows = cv2.GaussianBlur(rows, (kernel, 1), 0, borderType=cv2.BORDER_CONSTANT)
    blurred = rows[:, border : border + W]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: Array = blurred * (peaks / blurred.max(axis=-1, keepdims=True))
    return scaled.reshape(simcc.shape)


def blur_maps(heatmaps: Array, kernel: int, *, mirror: bool = False) -> Array:
    """Blurred copy of maps (K, H, W) float32.

    Args:
        heatmaps: (K, H, W) float.
        kernel: odd width in pixels.
        mirror: what lies outside of a map: its mirror image, or nothing.
    """
    K, H, W = heatmaps.shape
    if heatmaps.size == 0:
        return heatmaps.astype(np.float32)
    border = kernel // 2
    if mirror:
        tall = heatmaps[:, _mirrored(H, border)]
        inner = (slice(border, border + H), slice(0, W))
    else:
        # The frame stands at the sides, too, although OpenCV could add it: sums are rounded
        # differently in the last columns of a picture, and decoders compare neighbours.
        tall = np.zeros((K, H + border, W + 2 * border), dtype=np.float32)
        inner = (slice(0, H), slice(border, border + W))
        tall[:, *inner] = heatmaps
    picture = np.ascontiguousarray(tall, dtype=np.float32).reshape(-1, tall.shape[-1])
    edge = cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT
    blurred = cv2.GaussianBlur(picture, (kernel, kernel), 0, borderType=edge)
    return np.asarray(blurred).reshape(tall.shape)[:, *inner]


@lru_cache(maxsize=64)
def _mirrored(length: int, border: int) -> Array:
    """Which of `length` pixels stands at each place (length + 2 border) of a mirrored line."""
    return np.pad(np.arange(length), border, mode="reflect")


@lru_cache(maxsize=64)
def blur_matrix(length: int, kernel: int, *, mirror: bool = False) -> Array:
    """Matrix (length, length) float32 that blurs a line as `blur_maps` blurs along an axis."""
    border = kernel // 2
    line = np.arange(length)[:, None]
    band = np.zeros((length, length + 2 * border), dtype=np.float32)
    band[line, line + np.arange(kernel)] = gaussian_taps(kernel)
    if not mirror:
        return band[:, border : border + length]
    matrix = np.zeros((length, length), dtype=np.float32)
    np.add.at(matrix.T, _mirrored(length, border), band.T)
    return matrix


def _check_kernel(kernel: int) -> None:
    if kernel % 2 != 1:
        raise DataError(f"a blur kernel has an odd size, got {kernel}; try {kernel + 1}")


def dilate_maps(heatmaps: Array, kernel_size: int) -> Array:
    """Maximum over a square neighbourhood of each pixel of maps (..., H, W) float."""
    H, W = heatmaps.shape[-2:]
    stack = heatmaps.reshape(-1, H, W)
    if stack.size == 0:
        return heatmaps
    border = kernel_size // 2
    # rows between the maps that never win
    tall = np.full((len(stack), H + border, W), -np.inf, dtype=np.float32)
    tall[:, :H] = stack
    square = np.ones((kernel_size, kernel_size), dtype=np.uint8)
    wide = cv2.dilate(tall.reshape(-1, W), square)
    return np.asarray(wide).reshape(tall.shape)[:, :H].reshape(heatmaps.shape)
