"""What all codecs ask of their arrays: types, sizes, visibility defaults."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import Array, is_tensor
from poise.errors import DataError

__all__ = [
    "Array",
    "is_device_tensor",
    "keypoint_labels_of",
    "one_of_each",
    "size_pair",
]


def is_device_tensor(value: Any) -> bool:
    """Whether `value` is a tensor that numpy cannot look at in place, such as one on a GPU."""
    return is_tensor(value) and value.device.type != "cpu"


def size_pair(size: Any) -> Array:
    """`(width, height)` as an int array; configs give lists, tuples or arrays."""
    return np.asarray(size)


def one_of_each(
    codec: object, keypoints: Array, keypoints_visible: Array | None
) -> tuple[Array, Array]:
    """Keypoints (B, K, D) and visibility (B, K) of a batch (B, 1, K, D) of single people.

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
    return people, keypoint_labels_of(people, visible)


def keypoint_labels_of(keypoints: Array, keypoints_visible: Array | None) -> Array:
    """Visibility (..., K): the given one, or ones (all labelled) where there is none."""
    if keypoints_visible is None:
        return np.ones(keypoints.shape[:-1], dtype=np.float32)
    return keypoints_visible
