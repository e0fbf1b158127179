"""Gaussian targets in volumes: x, y and depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise.codecs.arrays import Array
from poise.errors import ArgumentError

__all__ = ["generate_3d_gaussian_heatmaps"]


def generate_3d_gaussian_heatmaps(
    heatmap_size: tuple[int, int, int],
    keypoints: Array,
    keypoints_visible: Array,
    sigma: float | Sequence[float] | Array,
    image_size: tuple[int, int],
    heatmap3d_depth_bound: float = 400.0,
    joint_indices: Sequence[int] | None = None,
    max_bound: float = 1.0,
    use_different_joint_weights: bool = False,
    dataset_keypoint_weights: Array | None = None,
) -> tuple[Array, Array]:
    """Volumes with a gaussian per keypoint.

    The targets of InterNet (Moon 2020, arXiv:2008.09309). All keypoints are drawn, visible or
    not; parts of a gaussian that stand out of the volume are pressed onto its border.

    Args:
        heatmap_size: (W, H, D).
        keypoints: (N, K, 3) float: x, y in input space, depth relative to the root.
        keypoints_visible: (N, K) float.
        sigma: voxels; one for all, or one per instance.
        image_size: (w, h) of the input.
        heatmap3d_depth_bound: range of depth that the volume spans, centred on the root.
        joint_indices: keypoints to use; None for all.
        max_bound: height of the gaussians.
        use_different_joint_weights: multiply weights by `dataset_keypoint_weights`.
        dataset_keypoint_weights: float, of the keypoints to use or of all.

    Returns:
        heatmaps (K * D, H, W) float32, and weights (N, K): the visibilities, 0 where the depth
        lies outside of the volume.
    """
    if joint_indices is not None:
        keypoints = keypoints[:, joint_indices]
        keypoints_visible = keypoints_visible[:, joint_indices]
    N, K = keypoints.shape[:2]
    # Python numbers, so that float32 keypoints stay float32 under any numpy
    W, H, D = (int(s) for s in heatmap_size)
    width, height = (int(s) for s in image_size)
    centers = (
        keypoints[..., 0] * W / width,
        keypoints[..., 1] * H / height,
        (keypoints[..., 2] / heatmap3d_depth_bound + 0.5) * D,
    )
    weights = keypoints_visible * (centers[2] >= 0) * (centers[2] < D)
    if use_different_joint_weights:
        if dataset_keypoint_weights is None:
            raise ArgumentError(
                "To use different joint weights, `dataset_keypoint_weights` cannot be None: it is "
                "a (K,) array from the dataset's metainfo"
            )
        if joint_indices is not None and len(dataset_keypoint_weights) != K:
            dataset_keypoint_weights = dataset_keypoint_weights[list(joint_indices)]
        weights = weights * dataset_keypoint_weights
    sigmas = np.broadcast_to(np.asarray(sigma, dtype=np.float64), (N,))
    axes = [_window(c, sigmas, s) for c, s in zip(centers, (W, H, D), strict=True)]
    heatmaps = np.zeros((K, D, H, W), dtype=np.float32)
    _draw(heatmaps, axes)
    return (heatmaps * max_bound).reshape(-1, H, W), weights.astype(keypoints_visible.dtype)


def _window(centers: Array, sigmas: Array, length: int) -> tuple[Array, Array]:
    """Voxels (N, K, S) int64 near `centers` (N, K) along one axis, and their values float32."""
    radius = sigmas * 3
    samples = np.ceil(2 * radius + 1)
    steps = np.arange(samples.max(initial=1), dtype=np.float32)
    # a smaller window repeats its last sample, which changes nothing
    steps = np.minimum(steps, (samples - 1)[:, None]) - radius[:, None]
    voxels = (steps.astype(np.float32)[:, None] + centers[..., None]).round()
    voxels = voxels.clip(0, length - 1)
    values = np.exp(-((voxels - centers[..., None]) ** 2) / (2 * sigmas[:, None, None] ** 2))
    with np.errstate(invalid="ignore"):
        return voxels.astype(np.int64), values.astype(np.float32)


def _draw(heatmaps: Array, axes: list[tuple[Array, Array]]) -> None:
    """Write separable gaussians into volumes (K, D, H, W), the larger value winning."""
    (x, in_x), (y, in_y), (z, in_z) = axes
    K, D, H, W = heatmaps.shape
    planes = (np.arange(K)[:, None] * D + z)[..., :, None, None] * H + y[..., None, :, None]
    index = planes * W + x[..., None, None, :]
    values = in_z[..., :, None, None] * in_y[..., None, :, None] * in_x[..., None, None, :]
    flat = heatmaps.reshape(-1)
    if len(x) == 1:
        # voxels that meet on the border have equal values: any order will do
        flat[index.reshape(-1)] = values.reshape(-1)
    else:
        np.maximum.at(flat, index.reshape(-1), values.reshape(-1))
