"""Centre, box and size of people, from their visible keypoints."""

from __future__ import annotations

import numpy as np

from poise.codecs.arrays import Array
from poise.errors import DataError

__all__ = ["get_diagonal_lengths", "get_instance_bbox", "get_instance_root"]


def get_instance_root(
    keypoints: Array, keypoints_visible: Array | None = None, root_type: str = "kpt_center"
) -> tuple[Array, Array]:
    """The point that stands for each person.

    Args:
        keypoints: (N, K, 2) float.
        keypoints_visible: (N, K) float; None means that all are visible.
        root_type: `kpt_center`, the mean of the visible keypoints, or `bbox_center`, the
            middle of the box around them.

    Returns:
        roots (N, 2) float32, and their visibility (N,) float32: 1, or 0 for a person without
        visible keypoints.

    Raises:
        DataError: (a ValueError) for another `root_type`.
    """
    if root_type not in ("kpt_center", "bbox_center"):
        raise DataError(
            f"the value of `root_type` must be 'kpt_center' or 'bbox_center', but got '{root_type}'"
        )
    seen = _seen(keypoints, keypoints_visible)
    if root_type == "kpt_center":
        count = np.maximum(seen.sum(axis=1), 1)
        middle = np.where(seen[..., None], keypoints, 0).sum(axis=1) / count[:, None]
    else:
        low, high = _extent(keypoints, seen)
        middle = (high + low) / 2.0
    return middle.astype(np.float32), np.asarray(seen.any(axis=1), dtype=np.float32)


def get_instance_bbox(keypoints: Array, keypoints_visible: Array | None = None) -> Array:
    """Boxes (N, 4) float32 xyxy around visible keypoints; zeros for people without any."""
    extent = _extent(keypoints, _seen(keypoints, keypoints_visible))
    return np.concatenate(extent, axis=-1).astype(np.float32)


def get_diagonal_lengths(keypoints: Array, keypoints_visible: Array | None = None) -> Array:
    """Diagonals (N,) float32 of the boxes around visible keypoints."""
    low, high = np.split(get_instance_bbox(keypoints, keypoints_visible), 2, axis=-1)
    return np.asarray(np.sqrt(np.power(high - low, 2).sum(axis=1)))


def _seen(keypoints: Array, keypoints_visible: Array | None) -> Array:
    """Which keypoints (N, K) count."""
    if keypoints_visible is None:
        return np.ones(keypoints.shape[:2], dtype=bool)
    return np.asarray(keypoints_visible > 0)


def _extent(keypoints: Array, seen: Array) -> tuple[Array, Array]:
    """Smallest and largest coordinates (N, 2) of the seen keypoints; zeros where none is."""
    keypoints = keypoints.astype(np.result_type(keypoints, np.float32), copy=False)
    mask = np.broadcast_to(seen[..., None], keypoints.shape)
    low = keypoints.min(axis=1, where=mask, initial=np.inf)
    high = keypoints.max(axis=1, where=mask, initial=-np.inf)
    found = np.asarray(seen.any(axis=1))[:, None]
    return np.where(found, low, 0), np.where(found, high, 0)
