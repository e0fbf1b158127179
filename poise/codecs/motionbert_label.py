"""A run of 2D poses -> a run of 3D poses in image coordinates (MotionBERT)."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.camera_image_projection import camera_to_image_coord
from poise.codecs.utils.lifting import LiftingCodec, image_extent, network_layout, target_weights
from poise.errors import ArgumentError, ConfigError, DataError
from poise.registry import KEYPOINT_CODECS

__all__ = ["MotionBERTLabel"]

#: Factor from image to camera coordinates where the camera is unknown.
UNKNOWN_CAMERA_FACTOR = 4.0
PER_THOUSAND = 1000.0


@KEYPOINT_CODECS.register_module()
class MotionBERTLabel(BaseKeypointCodec):
    """Input and target of MotionBERT: x, y and depth in one unit, relative to the root.

    MotionBERT (Zhu 2023, arXiv:2210.06551).

    Args:
        num_keypoints: keypoints of the pose.
        root_index: joint that poses are relative to.
        remove_root: kept for configs; has no effect in this codec.
        save_index: as `remove_root`.
        concat_vis: append visibilities to the 2D coordinates.
        rootrel: let decoding put the first joint at the origin before anything else.
        mode: `train`: targets in the input's normalised units; `test`: in camera units.
    """

    auxiliary_encode_keys = {
        "lifting_target",
        "lifting_target_visible",
        "camera_param",
        "factor",
    }
    instance_mapping_table = LiftingCodec.instance_mapping_table
    label_mapping_table = LiftingCodec.label_mapping_table

    def __init__(
        self,
        num_keypoints: int,
        root_index: int = 0,
        remove_root: bool = False,
        save_index: bool = False,
        concat_vis: bool = False,
        rootrel: bool = False,
        mode: str = "test",
    ) -> None:
        if mode.lower() not in ("train", "test"):
            raise ConfigError(f'Unsupported mode {mode}, mode should be one of ("train", "test").')
        self.num_keypoints = num_keypoints
        self.root_index = root_index
        self.remove_root = remove_root
        self.save_index = save_index
        self.concat_vis = concat_vis
        self.rootrel = rootrel
        self.mode = mode.lower()

    def encode(
        self,
        keypoints: Array,
        keypoints_visible: Array | None = None,
        lifting_target: Array | None = None,
        lifting_target_visible: Array | None = None,
        camera_param: dict[str, Any] | None = None,
        factor: Array | None = None,
    ) -> dict[str, Any]:
        """Network input and target of one sample.

        Args:
            keypoints: (T, K, 2) float, image space.
            keypoints_visible: (T, K) float; None means that all are labelled.
            lifting_target: (T, K, 3) float, camera space.
            lifting_target_visible: (T, K) float.
            camera_param: `w` and `h` of the picture; with `f` and `c` the target is projected.
            factor: (T,) or (T, 1) from image to camera units; computed if None or zero.

        Returns:
            `keypoint_labels` (T, K, 2 or 3), x from -1 to 1; `keypoint_labels_visible`;
            `lifting_target_label` and `lifting_target` (T, K, 3), relative to the root;
            `lifting_target_weight`, `lifting_target_visible` (T, K); `factor` (T, 1).

        Raises:
            ArgumentError: target or picture size are missing.
        """
        if lifting_target is None:
            raise ArgumentError(
                "MotionBERTLabel.encode needs `lifting_target`, the 3D poses in camera space"
            )
        w, h = image_extent(camera_param, type(self).__name__)
        visible = keypoint_labels_of(keypoints, keypoints_visible)
        if lifting_target_visible is None:
            lifting_target_visible = np.ones(lifting_target.shape[:-1], dtype=np.float32)
        weight, _ = target_weights(lifting_target, lifting_target_visible)
        inputs = network_layout(keypoints, visible, concat_vis=False, flatten=False).copy()
        inputs[..., :2] = inputs[..., :2] / w * 2 - [1, h / w]
        label, factor = self._target(lifting_target, camera_param or {}, factor, len(inputs))
        return {
            "keypoint_labels": network_layout(
                inputs, visible, concat_vis=self.concat_vis, flatten=False
            ),
            "keypoint_labels_visible": visible,
            "lifting_target_label": label,
            "lifting_target_weight": weight,
            "lifting_target": label,
            "lifting_target_visible": lifting_target_visible,
            "factor": factor,
        }

    def _target(
        self, target: Array, camera: dict[str, Any], factor: Array | None, frames: int
    ) -> tuple[Array, Array]:
        """Target (T, K, 3) relative to the root in the mode's unit, and the factor (T, 1)."""
        computed = np.full(frames, UNKNOWN_CAMERA_FACTOR, dtype=np.float32)
        if "f" in camera and "c" in camera:
            target, computed = camera_to_image_coord(self.root_index, target, camera)
        else:
            target = target.copy()
        if self.mode == "train":
            w, h = camera["w"] / PER_THOUSAND, camera["h"] / PER_THOUSAND
            target[..., :2] = target[..., :2] / w * 2 - [1, h / w]
            target[..., 2] = target[..., 2] / w * 2
        target = self._relative(target)
        if factor is None or factor[0] == 0:
            factor = computed
        if factor.ndim == 1:
            factor = factor[:, None]
        if self.mode == "test":
            target *= factor[..., None]
        return target, factor

    def _relative(self, poses: Array) -> Array:
        return poses - poses[..., self.root_index : self.root_index + 1, :]

    def decode(
        self,
        encoded: Any,
        w: Array | None = None,
        h: Array | None = None,
        factor: Array | None = None,
    ) -> tuple[Array, Array]:
        """3D poses of one sample.

        Args:
            encoded: (N, K, 3) predicted poses.
            w: (N,) or (N, 1) widths of the pictures, pixels; None leaves normalised units.
            h: heights, of the same shape.
            factor: (N,) or (N, 1), of clips (B, T, 1), from image to camera units; None leaves
                image units.

        Returns:
            keypoints (N, K, 3) relative to the root, divided by 1000 (metres for a camera in
            millimetres), and scores (N, K), all 1.

        Raises:
            DataError: shapes do not fit.
        """
        poses = as_numpy(encoded).copy()
        if self.rootrel:
            poses[..., 0, :] = 0
        if w is not None and w.size > 0:
            w, h = _per_frame("w", w, len(poses)), _per_frame("h", h, len(poses))
            shift = np.stack([np.ones(len(w)), (h / w)[:, 0]], axis=-1)[:, None]
            poses[..., :2] = (poses[..., :2] + shift) * w[:, None] / 2
            poses[..., 2:] = poses[..., 2:] * w[:, None] / 2
        if factor is not None and factor.size > 0:
            # of several clips at once, (B, T, 1): one factor a frame of each
            whole = factor.ndim > 2 and len(factor) == len(poses)
            poses *= (factor if whole else _per_frame("factor", factor, len(poses)))[..., None]
        poses = self._relative(poses) / PER_THOUSAND
        return poses, np.ones(poses.shape[:-1], dtype=np.float32)


def _per_frame(name: str, values: Array | None, frames: int) -> Array:
    """Values as (N, 1)."""
    if values is None or values.ndim not in (1, 2) or values.shape[0] != frames:
        got = None if values is None else values.shape
        raise DataError(
            f"{name} should have the same batch size as the poses, ({frames},) or ({frames}, 1), "
            f"but got {got}"
        )
    return values.reshape(frames, -1)
