"""Gaussian target heatmaps, drawn for all instances and keypoints at once.

Each keypoint costs a window of three sigma; all windows are computed as one array and written
into the maps by one indexed store. Distances are float32 and added before the exponential, as in
the reference: the product of two profiles would be cheaper still, but differs in the last bit,
which sub-pixel decoding of a flat map turns into visible distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.codecs.arrays import Array
from poise.errors import DataError

__all__ = [
    "generate_gaussian_heatmaps",
    "generate_instance_heatmaps",
    "generate_udp_gaussian_heatmaps",
    "generate_unbiased_gaussian_heatmaps",
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
    windows = _Windows(heatmap_size, keypoints, keypoints_visible, sigma)
    heatmaps = _blank(keypoints.shape[1], heatmap_size)
    windows.draw(heatmaps, shared=keypoints.shape[0] > 1)
    return heatmaps, windows.weights


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
    windows = _Windows(heatmap_size, keypoints, keypoints_visible, sigma, subpixel=True)
    heatmaps = _blank(keypoints.shape[1], heatmap_size)
    windows.draw(heatmaps, shared=keypoints.shape[0] > 1)
    return heatmaps, windows.weights


def generate_instance_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: Sigma,
) -> tuple[Array, Array]:
    """As `generate_gaussian_heatmaps`, with maps of its own for each instance.

    Returns:
        heatmaps (N, K, H, W) float32, and weights (N, K).
    """
    windows = _Windows(heatmap_size, keypoints, keypoints_visible, sigma)
    N, K = keypoints.shape[:2]
    heatmaps = _blank(N * K, heatmap_size)
    windows.draw(heatmaps, shared=False)
    return heatmaps.reshape(N, K, *heatmaps.shape[1:]), windows.weights


def generate_unbiased_gaussian_heatmaps(
    heatmap_size: tuple[int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: float,
) -> tuple[Array, Array]:
    """Heatmaps with sub-pixel gaussians over the whole map, not cut at three sigma.

    The targets of DARK (Zhang 2020, arXiv:1910.06278). Arguments and results as in
    `generate_gaussian_heatmaps`, with one sigma for all.
    """
    W, H = heatmap_size
    radius = sigma * 3
    size = np.array([W, H])
    # NaN fails both comparisons and so counts as outside
    outside = ~((keypoints - radius < size) & (keypoints + radius + 1 >= 0)).all(axis=-1)
    labelled = ~(keypoints_visible < LABELLED)
    weights = _weights(keypoints_visible, labelled & outside)
    drawn = labelled & ~outside
    squares = [
        (np.arange(length, dtype=np.float32) - keypoints[..., axis, None]) ** 2
        for axis, length in enumerate((W, H))
    ]
    maps = _bell(squares[0][..., None, :] + squares[1][..., :, None], 2 * sigma**2)
    maps[~drawn] = 0
    if keypoints.shape[0] == 1:
        return maps[0], weights
    return maps.max(axis=0, initial=0), weights


def _bell(squares: Array, spread: Any) -> Array:
    """exp(-squares / spread) in the precision and order of the reference."""
    squares = squares.astype(np.float32, copy=False)
    np.negative(squares, out=squares)
    squares /= np.asarray(spread, dtype=np.float32)
    return np.asarray(np.exp(squares, out=squares))


class _Windows:
    """Placement of truncated gaussians: where each begins and ends, and which are drawn.

    Rounding follows the released training code to the letter, since targets must not change:
    centres and borders are truncated toward zero, and a window's samples are counted from its
    own corner, so with a fractional radius the peak can stand a pixel beside its keypoint.
    """

    def __init__(
        self,
        heatmap_size: tuple[int, int],
        keypoints: Array,
        keypoints_visible: Array,
        sigma: Sigma,
        subpixel: bool = False,
    ) -> None:
        self.size = np.array([int(s) for s in heatmap_size])
        self.instances = keypoints.shape[0]
        self.sigma = _per_instance(sigma, self.instances)
        radius = self.sigma * 3
        with np.errstate(invalid="ignore"):  # NaN coordinates truncate to a far place
            center = (keypoints + 0.5).astype(np.int64)
        self.first = (center - radius[:, None, None]).astype(np.int64)
        self.end = (center + radius[:, None, None] + 1).astype(np.int64)
        outside = ((self.first >= self.size) | (self.end < 0)).any(axis=-1)
        labelled = ~(keypoints_visible < LABELLED)
        self.drawn = labelled & ~outside
        self.weights = _weights(keypoints_visible, labelled & outside)
        length = 2 * radius + 1
        self.samples = np.ceil(length).astype(np.int64)
        peak = np.floor(length / 2)[:, None, None]
        self.peak = peak + (keypoints - center) if subpixel else np.broadcast_to(peak, center.shape)

    def draw(self, heatmaps: Array, *, shared: bool) -> None:
        """Write the windows into `heatmaps`.

        Args:
            heatmaps: (K, H, W) float32 zeros; (N * K, H, W) to give instances their own maps.
            shared: whether windows may meet in a map, so that the larger value has to win.
        """
        n, k = np.nonzero(self.drawn)
        if len(n) == 0:
            return
        W, H = self.size.tolist()
        # (M, S): a common number of samples; the surplus of smaller windows is masked
        steps = np.arange(self.samples[n].max())
        pixel = self.first[n, k, :, None] + steps
        inside = (
            (pixel >= 0)
            & (pixel < self.size[:, None])
            & (pixel < self.end[n, k, :, None])
            & (steps < self.samples[n, None, None])
        )
        distance = steps.astype(np.float32) - self.peak[n, k, :, None].astype(np.float32)
        squares = distance**2
        maps = k if heatmaps.shape[0] == self.drawn.shape[1] else n * self.drawn.shape[1] + k
        index = (maps[:, None] * H + pixel[:, 1])[:, :, None] * W + pixel[:, 0][:, None, :]
        chosen = inside[:, 1, :, None] & inside[:, 0, None, :]
        gaussians = _bell(
            squares[:, 0, None, :] + squares[:, 1, :, None], 2 * self.sigma[n, None, None] ** 2
        )
        flat = heatmaps.reshape(-1)
        if shared:
            np.maximum.at(flat, index[chosen], gaussians[chosen])
        else:
            flat[index[chosen]] = gaussians[chosen]


def _per_instance(sigma: Sigma, instances: int) -> Array:
    """Sigma as (N,) float64."""
    values = np.asarray(sigma, dtype=np.float64)
    if values.ndim == 0:
        return np.full(instances, float(values))
    if len(values) < instances:
        raise DataError(
            f"sigma has {len(values)} values for {instances} instances: expected one number, or "
            "one per instance"
        )
    return values[:instances]


def _weights(keypoints_visible: Array, missed: Array) -> Array:
    """Visibilities with 0 where a labelled keypoint has no target."""
    weights = keypoints_visible.copy()
    weights[missed] = 0
    return weights


def _blank(maps: int, heatmap_size: tuple[int, int]) -> Array:
    W, H = heatmap_size
    return np.zeros((maps, int(H), int(W)), dtype=np.float32)
