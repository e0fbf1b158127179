"""From the largest pixel of a heatmap to a sub-pixel place.

The blur that the DARK methods ask for is computed only at the few pixels that the Taylor
expansion reads: patches around the maxima are gathered and contracted with the kernel. Blurring
the maps as a whole, as is usual, gives the same numbers ten times slower. Whole maps are blurred
after all where the clipping of small responses makes the scale of the blurred map matter, and
where a maximum is so flat that the least difference in rounding would show.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, is_device_tensor
from poise.codecs.utils.blur import gaussian_blur, gaussian_taps, modulated_rows

__all__ = [
    "log_of_clipped",
    "patches_of",
    "refine_keypoints",
    "refine_keypoints_dark",
    "refine_keypoints_dark_udp",
    "refine_simcc_dark",
    "refine_udp_batch",
    "simcc_overshoot",
    "udp_log_density",
]

#: Responses are clipped to these limits before the logarithm (DARK; its UDP and SimCC forms).
DARK_FLOOR = 1e-10
UDP_FLOOR, UDP_CEILING = 1e-3, 50.0
QUARTER_PIXEL = 0.25
#: A maximum so flat that errors grow by more than this is worked out from whole maps, in the
#: order of operations that reference results were made with.
TRUSTED = 30.0


def refine_keypoints(keypoints: Array, heatmaps: Any) -> Array:
    """Move maxima a quarter pixel toward the larger neighbour; changes `keypoints` in place.

    The heuristic of stacked hourglasses (Newell 2016, section 3.2).

    Args:
        keypoints: (N, K, 2) float32, output space, whole pixels.
        heatmaps: (K, H, W).

    Returns:
        `keypoints`.
    """
    N, K = keypoints.shape[:2]
    H, W = heatmaps.shape[1:]
    x, y = _pixels(keypoints)
    right, left, below, above = _neighbours(heatmaps, np.arange(N * K) % K, x, y)
    # the first column and row count as border although they have a neighbour on either side
    near_x = (x > 1) & (x < W - 1) & (y > 0) & (y < H)
    near_y = (y > 1) & (y < H - 1) & (x > 0) & (x < W)
    steps = np.zeros((N * K, 2), dtype=keypoints.dtype)
    np.sign(right - left, out=steps[:, 0], where=near_x, casting="same_kind")
    np.sign(below - above, out=steps[:, 1], where=near_y, casting="same_kind")
    keypoints[..., :2] += (steps * QUARTER_PIXEL).reshape(N, K, 2)
    return keypoints


def _neighbours(heatmaps: Any, maps: Array, x: Array, y: Array) -> tuple[Array, ...]:
    """Values (M,) right, left, below and above of places of maps (K, H, W).

    A neighbour off the map is read anywhere: the caller leaves such places out.
    """
    if is_device_tensor(heatmaps):
        cross = patches_of(heatmaps, maps, x, y, 1)
        return cross[:, 1, 2], cross[:, 1, 0], cross[:, 2, 1], cross[:, 0, 1]
    H, W = heatmaps.shape[1:]
    flat = as_numpy(heatmaps).reshape(-1)
    place = maps * (H * W) + y * W + x
    return tuple(flat.take(place + step, mode="wrap") for step in (1, -1, W, -W))


def refine_keypoints_dark(keypoints: Array, heatmaps: Any, blur_kernel_size: int) -> Array:
    """Move maxima by distribution-aware decoding; changes `keypoints` in place.

    DARK (Zhang 2020, arXiv:1910.06278, eq. 3-9): the logarithm of a gaussian is a parabola,
    whose top follows from first and second differences. Maxima less than two pixels from the
    border stay.

    Args:
        keypoints: (N, K, 2) float32, output space, whole pixels.
        heatmaps: (K, H, W); unlike in MMPose, not changed.
        blur_kernel_size: odd width in pixels.

    Returns:
        `keypoints`.
    """
    K = keypoints.shape[1]
    H, W = heatmaps.shape[1:]
    x, y = _pixels(keypoints)
    chosen = np.flatnonzero((x > 1) & (x < W - 2) & (y > 1) & (y < H - 2))
    maps, x, y = chosen % K, x[chosen], y[chosen]
    values = _blurred_patches(heatmaps, maps, x, y, 2, blur_kernel_size)
    step, doubt = _dark_step(values)
    hard = np.flatnonzero((values[:, _DARK_CELLS] < DARK_FLOOR).any(axis=-1) | doubt)
    if len(hard):
        step[hard] = _dark_step(
            _whole_map_patches(heatmaps, maps[hard], x[hard], y[hard], blur_kernel_size)
        )[0]
    flat = keypoints.reshape(-1, keypoints.shape[-1])
    flat[chosen, :2] += step
    if not np.shares_memory(flat, keypoints):
        keypoints[...] = flat.reshape(keypoints.shape)
    return keypoints


def refine_keypoints_dark_udp(keypoints: Array, heatmaps: Any, blur_kernel_size: int) -> Array:
    """Distribution-aware decoding as UDP does it; changes `keypoints` in place.

    UDP (Huang 2020, arXiv:1911.07524): one-pixel second differences, and no exception at the
    border, whose pixels are repeated outward.

    Args:
        keypoints: (N, K, 2) float32, output space, whole pixels.
        heatmaps: (K, H, W); unlike in MMPose, not changed.
        blur_kernel_size: odd width in pixels.

    Returns:
        `keypoints`. NaN where a map has no response at all.
    """
    keypoints -= refine_udp_batch(keypoints[None], heatmaps[None], blur_kernel_size)[0]
    return keypoints


def refine_udp_batch(
    keypoints: Array, heatmaps: Any, blur_kernel_size: int, peaks: Array | None = None
) -> Array:
    """How far the maxima (B, N, K, 2) of heatmaps (B, K, H, W) overshoot their true place.

    `peaks` (B, K) are the largest values of the maps, where they are known.
    """
    B, N, K = keypoints.shape[:3]
    H, W = heatmaps.shape[-2:]
    x, y = _pixels(keypoints)
    sample, kind = np.divmod(np.arange(B * N * K), N * K)
    maps = sample * K + kind % K
    stack = heatmaps.reshape(B * K, H, W)
    near = _blurred_patches(stack, maps, x, y, 1, blur_kernel_size)
    # the border repeats outward: a neighbour off the map is the border pixel itself. A place
    # off the map reads nothing here: it is taken from whole maps below
    for first, last, side in ((x < 1, x >= W - 1, near.swapaxes(1, 2)), (y < 1, y >= H - 1, near)):
        if first.any():
            side[first, 0] = side[first, 1]
        if last.any():
            side[last, 2] = side[last, 1]
    cells = near.reshape(-1, 9)[:, _UDP_CELLS]
    step, doubt = _udp_step(cells)
    # Restoring the maximum multiplies a map by a factor >= 1 that leaves its maximum as it
    # was, and a factor cancels in differences of logarithms: it matters only to the clipping.
    peaks = _peaks(stack) if peaks is None else peaks.reshape(-1)
    plain = (cells.min(axis=-1) >= UDP_FLOOR) & (peaks[maps] <= UDP_CEILING) & (x >= 0) & (y >= 0)
    hard = np.flatnonzero(~plain | doubt)
    if len(hard):
        exact = _whole_map_cells(
            heatmaps, sample[hard], kind[hard] % K, x[hard], y[hard], blur_kernel_size
        )
        step[hard] = _udp_step(exact)[0]
    return step.reshape(keypoints.shape)


#: Cells of a flat 3x3 patch, in the order that `_newton_step` reads: the centre, right, below,
#: below right, above left, left, above.
_UDP_CELLS = np.array([4, 5, 7, 8, 0, 3, 1])
#: Cells of a 5x5 patch that DARK's differences read.
_DARK_CELLS = np.zeros((5, 5), dtype=bool)
_DARK_CELLS[2, :] = _DARK_CELLS[:, 2] = _DARK_CELLS[1:4, 1:4] = True


def _dark_step(values: Array) -> tuple[Array, Array]:
    """DARK's offsets (M, 2) from patches (M, 5, 5), and where they are in doubt (M,)."""
    logs = np.log(np.maximum(values, DARK_FLOOR))
    # first differences in float32, second ones in float64, as in the reference's scalars
    wide = logs.astype(np.float64)
    dx = 0.5 * (logs[:, 2, 3] - logs[:, 2, 1]).astype(np.float64)
    dy = 0.5 * (logs[:, 3, 2] - logs[:, 1, 2]).astype(np.float64)
    dxx = 0.25 * (wide[:, 2, 4] - 2 * wide[:, 2, 2] + wide[:, 2, 0])
    dyy = 0.25 * (wide[:, 4, 2] - 2 * wide[:, 2, 2] + wide[:, 0, 2])
    dxy = logs[:, 3, 3] - logs[:, 1, 3] - logs[:, 3, 1] + logs[:, 1, 1]
    dxy = 0.25 * dxy.astype(np.float64)
    step, doubt = _solve(dx, dy, dxx, dxy, dyy)
    flat = dxx * dyy - dxy**2 == 0
    step[flat] = 0
    return -step, doubt | flat


def _udp_step(cells: Array) -> tuple[Array, Array]:
    """UDP's overshoots (M, 2) from the cells (M, 7), and where they are in doubt (M,)."""
    logs = np.log(np.clip(cells, UDP_FLOOR, UDP_CEILING))
    here, right, below, diagonal, opposite, left, above = logs.T
    dx, dy = 0.5 * (right - left), 0.5 * (below - above)
    # a flat neighbourhood has a zero Hessian: the smallest float keeps it invertible
    tiny = float(np.finfo(np.float32).eps)
    dxx = (right - 2 * here + left).astype(np.float64) + tiny
    dyy = (below - 2 * here + above).astype(np.float64) + tiny
    dxy = 0.5 * (diagonal - right - below + here + here - left - above + opposite)
    return _solve(dx, dy, dxx, dxy.astype(np.float64), dyy)


def _solve(dx: Array, dy: Array, dxx: Array, dxy: Array, dyy: Array) -> tuple[Array, Array]:
    """Hessian^-1 gradient (M, 2), and where rounding errors would grow beyond `TRUSTED` (M,)."""
    det = dxx * dyy - dxy**2
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], axis=-1) / det[:, None]
        largest = np.maximum(abs(dxx), np.maximum(abs(dyy), abs(dxy))) / abs(det)
        growth = largest * (1 + abs(step).max(axis=-1))
    return step, ~(growth < TRUSTED)


def _whole_map_cells(
    heatmaps: Any, sample: Array, kind: Array, x: Array, y: Array, kernel: int
) -> Array:
    """The cells (M, 7) around places of maps that are blurred and rescaled as a whole.

    A map without response has its maximum at -1, -1. There the released decoder reads across
    the border into the map before it; it is part of the reference numbers, so it is kept: the
    padded maps of a sample are addressed as one vector that closes upon itself.
    """
    wanted, sample = np.unique(sample, return_inverse=True)
    maps = as_numpy(heatmaps[wanted.tolist()])
    S, K, H, W = maps.shape
    whole = gaussian_blur(maps.reshape(S * K, H, W).astype(np.float32), kernel)
    padded = np.pad(whole, ((0, 0), (1, 1), (1, 1)), mode="edge").reshape(S, -1)
    line = W + 2
    offsets = np.array([0, 1, line, line + 1, -line - 1, -1, -line])
    start = kind * (H + 2) * line + (y + 1) * line + x + 1
    index = (start[:, None] + offsets) % padded.shape[1]
    return np.asarray(padded[sample[:, None], index])


def udp_log_density(heatmaps: Array, blur_kernel_size: int) -> Array:
    """Logarithm (K, H, W) of the blurred, clipped heatmaps."""
    return log_of_clipped(gaussian_blur(heatmaps.astype(np.float32), blur_kernel_size))


def _whole_map_patches(heatmaps: Any, maps: Array, x: Array, y: Array, kernel: int) -> Array:
    """Patches (M, 5, 5) of maps that are blurred and rescaled as a whole."""
    wanted, maps = np.unique(maps, return_inverse=True)
    whole = gaussian_blur(as_numpy(heatmaps[wanted.tolist()]).astype(np.float32), kernel)
    return patches_of(whole, maps, x, y, 2)


def _pixels(keypoints: Array) -> tuple[Array, Array]:
    """X (M,) and y (M,) int64 of keypoints (..., 2)."""
    with np.errstate(invalid="ignore"):
        whole = keypoints[..., :2].reshape(-1, 2).astype(np.int64)
    return whole[:, 0], whole[:, 1]


def _peaks(heatmaps: Any) -> Array:
    """Largest value (K,) of each map."""
    if is_device_tensor(heatmaps):
        return as_numpy(heatmaps.amax(dim=(1, 2)))
    return np.asarray(as_numpy(heatmaps).reshape(len(heatmaps), -1).max(axis=1))


def patches_of(heatmaps: Any, maps: Array, x: Array, y: Array, radius: int) -> Array:
    """Squares (M, S, S) around places of maps (K, H, W); zero outside of the map."""
    if is_device_tensor(heatmaps):
        import torch

        from poise.codecs.utils import tensor_ops

        places = torch.from_numpy(np.stack([x, y], axis=-1)).to(heatmaps.device)
        index = torch.from_numpy(maps).to(heatmaps.device)
        return as_numpy(tensor_ops.patches(heatmaps, index, places, radius))
    heatmaps = as_numpy(heatmaps)
    H, W = heatmaps.shape[-2:]
    steps = np.arange(-radius, radius + 1)
    x, y = x[:, None] + steps, y[:, None] + steps
    column = np.minimum(np.maximum(x, 0), W - 1)
    line = np.minimum(np.maximum(y, 0), H - 1)
    rows = (maps[:, None] * H + line) * W
    squares = heatmaps.reshape(-1)[rows[:, :, None] + column[:, None, :]]
    inside_x, inside_y = x == column, y == line
    if not (inside_x.all() and inside_y.all()):
        squares[~(inside_y[:, :, None] & inside_x[:, None, :])] = 0
    return np.asarray(squares)


def _blurred_patches(
    heatmaps: Any, maps: Array, x: Array, y: Array, radius: int, kernel: int
) -> Array:
    """Squares (M, S, S) of the blurred maps, by contracting patches with the kernel."""
    squares = patches_of(heatmaps, maps, x, y, radius + kernel // 2)
    band = _band(2 * radius + 1, kernel)
    return np.asarray(band @ (squares.astype(np.float32, copy=False) @ band.T))


@lru_cache(maxsize=32)
def _band(side: int, kernel: int) -> Array:
    """Matrix (side, side + kernel - 1) that blurs vectors, as long as it is wide."""
    band = np.zeros((side, side + kernel - 1), dtype=np.float32)
    for i in range(side):
        band[i, i : i + kernel] = gaussian_taps(kernel)
    return band


def refine_simcc_dark(keypoints: Array, simcc: Array, blur_kernel_size: int) -> Array:
    """Distribution-aware decoding of one SimCC axis; changes `keypoints` in place.

    Args:
        keypoints: (N, K) float32, bins of this axis.
        simcc: (N, K, W) float; unlike in MMPose, not changed.
        blur_kernel_size: odd width in bins.

    Returns:
        `keypoints`.
    """
    keypoints -= simcc_overshoot(keypoints, modulated_rows(simcc, blur_kernel_size))
    return keypoints


def log_of_clipped(density: Array) -> Array:
    """Logarithm of blurred responses, clipped as UDP does."""
    return np.asarray(np.log(np.clip(density, UDP_FLOOR, UDP_CEILING)))


def simcc_overshoot(places: Array, density: Array) -> Array:
    """Overshoot (N, K) of `places` from two-bin differences of the logarithm of `density`.

    Only the bins around the places are looked at; beyond the ends, the last one repeats.
    """
    W = density.shape[-1]
    bins = (places + 2.5).astype(np.int64)[..., None] + np.arange(-2, 3)
    # a vector without response has the place -1: index -1 then reads the far end, as released
    bins = np.where(bins < 0, bins + W + 4, bins) - 2
    cells = np.take_along_axis(density, np.minimum(np.maximum(bins, 0), W - 1), axis=-1)
    cells = log_of_clipped(cells)
    slope = 0.5 * (cells[..., 3] - cells[..., 1])
    curvature = 1e-9 + 0.25 * (cells[..., 4] - 2 * cells[..., 2] + cells[..., 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(slope / curvature)
