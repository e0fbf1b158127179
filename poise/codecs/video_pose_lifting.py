"""A run of 2D poses -> a 3D pose, normalised by the camera's picture size."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.utils.lifting import (
    LiftingCodec,
    around_root,
    image_extent,
    network_layout,
    target_weights,
)
from poise.errors import ArgumentError
from poise.registry import KEYPOINT_CODECS

__all__ = ["VideoPoseLifting"]


@KEYPOINT_CODECS.register_module()
class VideoPoseLifting(LiftingCodec):
    """Input and target of a temporal lifting network.

    VideoPose3D (Pavllo 2019, arXiv:1811.11742).

    Args:
        num_keypoints: keypoints of the 2D pose.
        zero_center: make targets relative to the root.
        root_index: joint, or joints whose mean is the root.
        remove_root: cut the root joint from the target.
        save_index: tell which joint was cut.
        reshape_keypoints: give the network (K * D, T) instead of (T, K, D).
        concat_vis: append visibilities to the 2D coordinates.
        normalize_camera: give the camera's intrinsics in the same units as the keypoints.
    """

    auxiliary_encode_keys = {"lifting_target", "lifting_target_visible", "camera_param"}

    def __init__(
        self,
        num_keypoints: int,
        zero_center: bool = True,
        root_index: int | list[int] = 0,
        remove_root: bool = False,
        save_index: bool = False,
        reshape_keypoints: bool = True,
        concat_vis: bool = False,
        normalize_camera: bool = False,
    ) -> None:
        self.num_keypoints = num_keypoints
        self.zero_center = zero_center
        self.root_index = [root_index] if isinstance(root_index, int) else root_index
        self.remove_root = remove_root
        self.save_index = save_index
        self.reshape_keypoints = reshape_keypoints
        self.concat_vis = concat_vis
        self.normalize_camera = normalize_camera

    def encode(
        self,
        keypoints: Array,
        keypoints_visible: Array | None = None,
        lifting_target: Array | None = None,
        lifting_target_visible: Array | None = None,
        camera_param: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Network input and target of one sample.

        Args:
            keypoints: (T, K, 2) float, image space.
            keypoints_visible: (T, K) float; None means that all are labelled.
            lifting_target: (T, K, C) float, camera space; None: the keypoints (inference).
            lifting_target_visible: (T, K) float.
            camera_param: `w` and `h` of the picture; `f` and `c` with `normalize_camera`.

        Returns:
            `keypoint_labels` (K * D, T) or (T, K, D), x from -1 to 1; `keypoints_visible`;
            `lifting_target_label` (T, K, C); `lifting_target_weight`; `trajectory_weights`;
            `target_root` (T, C) if zero-centred; `target_root_removed`, and
            `target_root_index` if wanted, where the root was cut; `camera_param` if normalised.

        Raises:
            ArgumentError: the camera lacks what is needed.
            DataError: the target has no root joint.
        """
        visible = keypoint_labels_of(keypoints, keypoints_visible)
        if lifting_target is None:
            lifting_target = keypoints[:1]
        weight, trajectory = target_weights(lifting_target, lifting_target_visible)
        encoded: dict[str, Any] = {}
        label = lifting_target.copy()
        if self.zero_center:
            label, encoded["target_root"] = around_root(lifting_target, self.root_index)
            label, weight, told = self._cut_root(label, weight)
            encoded.update(told)
        w, h = image_extent(camera_param, type(self).__name__)
        middle = np.array([0.5 * w, 0.5 * h], dtype=np.float32)
        half_width = np.array(0.5 * w, dtype=np.float32)
        if self.normalize_camera:
            encoded["camera_param"] = _normalized(camera_param or {}, middle, half_width)
        encoded["keypoint_labels"] = network_layout(
            (keypoints - middle) / half_width,
            visible,
            concat_vis=self.concat_vis,
            flatten=self.reshape_keypoints,
        )
        encoded["keypoints_visible"] = visible
        encoded["lifting_target_label"] = label
        encoded["lifting_target_weight"] = weight
        encoded["trajectory_weights"] = trajectory
        return encoded


def _normalized(camera: dict[str, Any], middle: Array, half_width: Array) -> dict[str, Any]:
    """Copy of a camera with `f` and `c` in units of half the picture's width."""
    if "f" not in camera or "c" not in camera:
        raise ArgumentError(
            "Camera parameter `f` and `c` should be provided with normalize_camera=True; got "
            f"camera_param with {sorted(camera)}"
        )
    camera = deepcopy(camera)
    camera["f"] = camera["f"] / half_width
    camera["c"] = (camera["c"] - middle[:, None]) / half_width
    return camera
