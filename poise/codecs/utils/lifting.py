"""What the 2D-to-3D codecs share: weights, root centring, layout for the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array
from poise.codecs.base import BaseKeypointCodec
from poise.errors import ArgumentError, DataError

__all__ = [
    "LiftingCodec",
    "around_root",
    "image_extent",
    "network_layout",
    "target_weights",
    "without_joint",
]


class LiftingCodec(BaseKeypointCodec):
    """A codec of poses around a root, which may be cut from the target.

    Attributes:
        root_index: joints whose mean is the root.
        remove_root: cut the root joint from the target; only where it is a single one.
        save_index: tell which joint was cut.
    """

    instance_mapping_table = {
        "lifting_target": "lifting_target",
        "lifting_target_visible": "lifting_target_visible",
    }
    label_mapping_table = {
        "trajectory_weights": "trajectory_weights",
        "lifting_target_label": "lifting_target_label",
        "lifting_target_weight": "lifting_target_weight",
    }

    root_index: Sequence[int]
    remove_root: bool
    save_index: bool

    @property
    def _cuts_root(self) -> bool:
        return self.remove_root and len(self.root_index) == 1

    def _cut_root(self, target: Array, weight: Array) -> tuple[Array, Array, dict[str, Any]]:
        """Target (T, K, C) and weight (T, K) without the root, and what is told about that."""
        if not self._cuts_root:
            return target, weight, {}
        told: dict[str, Any] = {"target_root_removed": True}
        if self.save_index:
            told["target_root_index"] = self.root_index[0]
        return *without_joint(target, weight, self.root_index[0]), told

    def decode(self, encoded: Any, target_root: Array | None = None) -> tuple[Array, Array]:
        """3D pose of one sample.

        Args:
            encoded: (N, K, C) predicted pose.
            target_root: (N, C) or (C,): where to put the root; None keeps the pose relative.

        Returns:
            keypoints (N, K, C) in the target's unit, with the root if it was cut and its place
            is known, and scores (N, K), all 1.
        """
        pose = as_numpy(encoded).copy()
        if target_root is not None and target_root.size:
            pose = pose + target_root
            if self._cuts_root:
                pose = np.insert(pose, list(self.root_index), target_root, axis=1)
        return pose, np.ones(pose.shape[:-1], dtype=np.float32)


def target_weights(target: Array, visible: Array | None) -> tuple[Array, Array]:
    """Weight and trajectory weight of a lifting target.

    Args:
        target: (T, K, C) float.
        visible: (T, K) float, or None if unknown.

    Returns:
        weight (T, K) float32 of 0 and 1, and trajectory weight: the weight, or if the visibility
        is unknown the inverse of `target[:, 2]`, as released.
    """
    if visible is None:
        ones = np.ones(target.shape[:-1], dtype=np.float32)
        with np.errstate(divide="ignore"):
            return ones, 1 / target[:, 2]
    weight = (visible > 0.5).astype(np.float32)
    return weight, weight


def around_root(target: Array, root_index: Sequence[int], dtype: Any = None) -> tuple[Array, Array]:
    """Target (..., K, C) relative to its root, and the root (..., C): a mean of joints.

    Raises:
        DataError: the target has no such joint.
    """
    if target.ndim < 2 or target.shape[-2] <= max(root_index):
        raise DataError(
            f"Got invalid joint shape {target.shape}: expected (..., K, C) with more than "
            f"{max(root_index)} joints for root_index={list(root_index)}"
        )
    root = np.mean(target[..., list(root_index), :], axis=-2, dtype=dtype)
    return target - root[..., None, :], root


def without_joint(target: Array, weight: Array, joint: int) -> tuple[Array, Array]:
    """Target (..., K, C) and weight (T, K) or (T, K, 1) without one joint."""
    if weight.ndim not in (2, 3):
        raise DataError(
            f"Got invalid lifting target weights shape {weight.shape}: expected (T, K) or (T, K, 1)"
        )
    axis = -2 if weight.ndim == 3 else -1
    return np.delete(target, joint, axis=-2), np.delete(weight, joint, axis=axis)


def network_layout(keypoints: Array, visible: Array, *, concat_vis: bool, flatten: bool) -> Array:
    """Keypoints as the lifting network reads them.

    Args:
        keypoints: (T, K, D) or (K, D) float.
        visible: (T, K) or (T, K, 1) float.
        concat_vis: append the visibility to the coordinates.
        flatten: bring time last: (K * D, T).
    """
    if keypoints.ndim not in (2, 3):
        raise DataError(
            f"Got invalid keypoint labels shape {keypoints.shape}: expected (K, D) or (T, K, D)"
        )
    keypoints = keypoints.reshape(-1, *keypoints.shape[-2:])
    if concat_vis:
        visible = visible[..., None] if visible.ndim == 2 else visible
        keypoints = np.concatenate((keypoints, visible), axis=2)
    if flatten:
        return keypoints.transpose(1, 2, 0).reshape(-1, len(keypoints))
    return keypoints


def image_extent(camera_param: Mapping[str, Any] | None, codec: str) -> tuple[float, float]:
    """Width and height of the camera's pictures, pixels.

    Raises:
        ArgumentError: they are missing.
    """
    camera = camera_param or {}
    if "w" not in camera or "h" not in camera:
        raise ArgumentError(
            f"Camera parameter `w` and `h` should be provided: {codec} normalises keypoints by the "
            f"picture's size; got camera_param with {sorted(camera) or 'nothing'}"
        )
    return camera["w"], camera["h"]
