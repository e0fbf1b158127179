"""Keypoints: mirroring with their left-right swap, and those that leave the picture.

Shapes: keypoints (..., K, D), visibility (..., K) or (..., K, 1|2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.errors import DataError, one_of
from poise.geometry.boxes import FLIPPED_AXES

__all__ = ["flip_keypoints", "flip_keypoints_custom_center", "keypoint_clip_border"]


def flip_keypoints(
    keypoints: Array,
    keypoints_visible: Array | None,
    image_size: tuple[int, int],
    flip_indices: Sequence[int],
    direction: str = "horizontal",
) -> tuple[Array, Array | None]:
    """Mirror keypoints with their picture; left and right change names.

    Args:
        keypoints: (..., K, D) in the space of the picture; D >= 2, depth stays.
        keypoints_visible: (..., K) or (..., K, 1|2), or None where it is not known.
        image_size: (width, height) in pixels; pixel centres are mirrored.
        flip_indices: for each keypoint the one on the other side.
        direction: 'horizontal', 'vertical' or 'diagonal'. Diagonal is a half turn, in which
            left stays left, so nothing is swapped.

    Returns:
        New arrays of the input's shapes and types.

    Raises:
        DataError: unknown direction, or visibility that does not fit the keypoints.
    """
    one_of(direction, FLIPPED_AXES, "flip direction", DataError)
    axis = keypoints.ndim - 2
    visible_shape = None if keypoints_visible is None else keypoints_visible.shape
    if visible_shape is not None and visible_shape[: axis + 1] != keypoints.shape[:-1]:
        raise DataError(
            f"keypoints_visible must begin with the shape {keypoints.shape[:-1]} of keypoints"
            f" {keypoints.shape}, got {visible_shape}"
        )
    if direction == "diagonal":
        flipped = keypoints.copy()
    else:
        flipped = keypoints.take(flip_indices, axis=axis)
        if keypoints_visible is not None:
            keypoints_visible = keypoints_visible.take(flip_indices, axis=axis)
    for xy in FLIPPED_AXES[direction]:
        flipped[..., xy] = image_size[xy] - 1 - flipped[..., xy]
    return flipped, keypoints_visible


def flip_keypoints_custom_center(
    keypoints: Array,
    keypoints_visible: Array,
    flip_indices: Sequence[int],
    center_mode: str = "static",
    center_x: float = 0.5,
    center_index: int | Sequence[int] = 0,
) -> tuple[Array, Array]:
    """Mirror poses about a vertical line of their own, for pose lifting.

    Args:
        keypoints: (..., K, D).
        keypoints_visible: (..., K).
        flip_indices: for each keypoint the one on the other side.
        center_mode: 'static' mirrors about `center_x`, 'root' about the mean x of the joints
            `center_index`.
        center_x: x of the mirror line, in the space of the keypoints.
        center_index: one joint or several.

    Returns:
        New arrays of the input's shapes.

    Raises:
        DataError: unknown mode, fewer axes than two, another number of keypoints than
            `flip_indices`, or a root joint that does not exist.
    """
    if keypoints.ndim < 2:
        raise DataError(f"keypoints have the shape (..., K, D), got {keypoints.shape}")
    if len(flip_indices) != keypoints.shape[-2]:
        raise DataError(
            f"flip_indices has {len(flip_indices)} entries, but keypoints of the shape "
            f"{keypoints.shape} have {keypoints.shape[-2]}; labels of a codec are flipped as "
            "(T, K, D) with all keypoints: reshape_keypoints=False and remove_root=False"
        )
    line: float | Array = center_x
    if one_of(center_mode, ("static", "root"), "center_mode", DataError) == "root":
        roots = np.atleast_1d(center_index)
        if roots.max() >= keypoints.shape[-2]:
            raise DataError(
                f"center_index {roots.max()} is not among the {keypoints.shape[-2]} keypoints"
            )
        line = keypoints[..., roots, 0].mean(axis=-1, keepdims=True)
    flipped = keypoints.take(flip_indices, axis=-2)
    flipped[..., 0] = line * 2 - flipped[..., 0]
    return flipped, keypoints_visible.take(flip_indices, axis=-1)


def keypoint_clip_border(
    keypoints: Array, keypoints_visible: Array, shape: tuple[int, int]
) -> tuple[Array, Array]:
    """Make keypoints outside the picture invisible, **in place**; coordinates stay.

    Args:
        keypoints: (..., K, D), image space.
        keypoints_visible: (..., K), or (..., K, 2) whose first channel is the visibility and
            whose second is the training weight.
        shape: (width, height) in pixels; both borders are inclusive.

    Returns:
        The two arrays that came in.
    """
    xy = keypoints[..., :2]
    outside = ((xy < 0) | (xy > np.asarray(shape[:2]))).any(axis=-1)
    if keypoints_visible.ndim == keypoints.ndim:
        keypoints_visible[..., 0][outside] = 0
    else:
        keypoints_visible[outside] = 0
    return keypoints, keypoints_visible
