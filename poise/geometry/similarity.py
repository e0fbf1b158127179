"""Alignment of predicted 3D poses with the true ones, before their distance is measured."""

from __future__ import annotations

import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = ["align_by_scale", "compute_similarity_transform"]


def compute_similarity_transform(source_points: Array, target_points: Array) -> Array:
    """Source points moved, rotated (not mirrored) and scaled to lie closest to the targets.

    The orthogonal Procrustes problem, solved by the singular values of the covariance
    (Umeyama, PAMI 1991). Any number of poses at once.

    Args:
        source_points: (..., K, D); D is 3 for poses.
        target_points: (..., K, D).

    Returns:
        (..., K, D), of the source's float type. A source whose points all coincide has no
        scale and lands on the mean of the targets; NaN for poses with a number that is not finite.

    Raises:
        DataError: the shapes differ.
    """
    if source_points.shape != target_points.shape or source_points.ndim < 2:
        raise DataError(
            "source and target points need the same shape (..., K, D), got"
            f" {source_points.shape} and {target_points.shape}"
        )
    source = source_points.astype(np.float64)
    target = target_points.astype(np.float64)
    target_mean = target.mean(axis=-2, keepdims=True)
    source = source - source.mean(axis=-2, keepdims=True)
    target = target - target_mean

    covariance = np.swapaxes(source, -1, -2) @ target
    finite = np.isfinite(covariance).all(axis=(-2, -1), keepdims=True)
    left, stretch, right = np.linalg.svd(np.where(finite, covariance, 0))
    # a mirror image may fit better, but a body has its left and right
    sign = np.sign(np.linalg.det(left @ right))
    left[..., -1] *= sign[..., None]
    stretch[..., -1] *= sign
    spread = (source**2).sum(axis=(-2, -1))
    scale = stretch.sum(axis=-1) / np.where(spread > 0, spread, 1)
    aligned = scale[..., None, None] * (source @ (left @ right)) + target_mean
    aligned = np.where(finite, aligned, np.nan)
    return aligned.astype(np.result_type(source_points, np.float32), copy=False)


def align_by_scale(source_points: Array, target_points: Array) -> Array:
    """Source points times the one factor per pose that brings them closest to the targets.

    Args:
        source_points: (N, K, D), relative to a root.
        target_points: (N, K, D), relative to the same root.

    Returns:
        (N, K, D); a pose whose points are all at the root stays there.
    """
    norm = np.einsum("nkd,nkd->n", source_points, source_points)
    along = np.einsum("nkd,nkd->n", source_points, target_points)
    return source_points * (along / np.where(norm == 0, 1, norm))[:, None, None]
