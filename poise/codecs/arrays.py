"""What all codecs ask of their arrays: types, sizes, visibility defaults."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import Array, is_tensor
from poise.errors import DataError

__all__ = [
    "Array",
    "check_maps",
    "is_device_tensor",
    "keypoint_labels_of",
    "one_of_each",
    "scale_between",
]


def is_device_tensor(value: Any) -> bool:
    """Whether `value` is a tensor that numpy cannot look at in place, such as one on a GPU."""
    return is_tensor(value) and value.device.type != "cpu"


def scale_between(input_size: Any, heatmap_size: Any, less: int = 0) -> Array:
    """Pixels of the input a pixel of the output, (2,) float32 along x and y.

    Args:
        input_size: (w, h).
        heatmap_size: (W, H).
        less: 1 where lengths are measured between pixel centres (Huang 2020, eq. 4).
    """
    scale = (np.asarray(input_size) - less) / (np.asarray(heatmap_size) - less)
    return np.asarray(scale, np.float32)


def check_maps(codec: object, batch: Any) -> None:
    """Raise DataError unless `batch` is a batch of maps, (B, C, H, W)."""
    if batch.ndim != 4:
        raise DataError(
            f"{type(codec).__name__}.batch_decode takes heatmaps (B, C, H, W), got "
            f"{tuple(batch.shape)}; of one sample decode() does"
        )


def one_of_each(
    codec: object, keypoints: Array, keypoints_visible: Array | None
) -> tuple[Array, Array]:
    """Keypoints (B, K, 2) and visibility (B, K) of a batch (B, 1, K, 2) of single people.

    Raises:
        DataError: for another shape; a visibility that is not given is one.
    """
    if keypoints.ndim != 4 or keypoints.shape[1] != 1:
        raise DataError(
            f"{type(codec).__name__}.batch_encode encodes one person per sample: expected "
            f"keypoints of shape (B, 1, K, D), got {keypoints.shape}"
        )
    people = keypoints[:, 0]
    visible = None if keypoints_visible is None else keypoints_visible[:, 0]
    return people, keypoint_labels_of(people, visible, axes=2)


def keypoint_labels_of(
    keypoints: Array, keypoints_visible: Array | None, *, axes: int | None = None
) -> Array:
    """Visibility (..., K): the given one, or ones (all labelled) where there is none.

    Args:
        keypoints: (..., K, D).
        keypoints_visible: (..., K), or with an axis more.
        axes: D, where only that many do.

    Raises:
        DataError: the two do not fit, or keypoints have other axes.
    """
    if axes is not None and (keypoints.ndim < 3 or keypoints.shape[-1] != axes):
        raise DataError(f"expected keypoints (N, K, {axes}), got {keypoints.shape}")
    if keypoints_visible is None:
        return np.ones(keypoints.shape[:-1], dtype=np.float32)
    if keypoints_visible.shape[: keypoints.ndim - 1] != keypoints.shape[:-1]:
        raise DataError(
            f"keypoints_visible {keypoints_visible.shape} do not fit keypoints {keypoints.shape}; "
            f"expected {keypoints.shape[:-1]}"
        )
    return keypoints_visible
