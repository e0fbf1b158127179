"""One 2D pose -> one 3D pose, normalised by statistics of the dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.utils.lifting import (
    LiftingCodec,
    around_root,
    network_layout,
    target_weights,
)
from poise.errors import ConfigError, DataError
from poise.registry import KEYPOINT_CODECS

__all__ = ["ImagePoseLifting"]


@KEYPOINT_CODECS.register_module()
class ImagePoseLifting(LiftingCodec):
    """Input and target of a lifting network that sees single pictures.

    A simple yet effective baseline for 3D pose (Martinez 2017, arXiv:1705.03098).

    Args:
        num_keypoints: keypoints of the 2D pose.
        root_index: joint, or joints whose mean is the root that targets are relative to.
        remove_root: cut the root joint from the target.
        save_index: tell which joint was cut.
        reshape_keypoints: give the network (K * D, N) instead of (N, K, D).
        concat_vis: append visibilities to the 2D coordinates.
        keypoints_mean: (K, D) of the 2D poses, with `keypoints_std`.
        keypoints_std: (K, D).
        target_mean: (K, C) of the targets, K less 1 without the root; with `target_std`.
        target_std: (K, C).
        additional_encode_keys: further items of `results` that `encode` is given.
    """

    auxiliary_encode_keys = {"lifting_target", "lifting_target_visible"}

    def __init__(
        self,
        num_keypoints: int,
        root_index: int | list[int] = 0,
        remove_root: bool = False,
        save_index: bool = False,
        reshape_keypoints: bool = True,
        concat_vis: bool = False,
        keypoints_mean: Array | None = None,
        keypoints_std: Array | None = None,
        target_mean: Array | None = None,
        target_std: Array | None = None,
        additional_encode_keys: list[str] | None = None,
    ) -> None:
        self.num_keypoints = num_keypoints
        self.root_index = [root_index] if isinstance(root_index, int) else root_index
        self.remove_root = remove_root
        self.save_index = save_index
        self.reshape_keypoints = reshape_keypoints
        self.concat_vis = concat_vis
        joints = num_keypoints - 1 if remove_root else num_keypoints
        self.keypoints_mean, self.keypoints_std = _statistics(
            "keypoints", num_keypoints, keypoints_mean, keypoints_std
        )
        self.target_mean, self.target_std = _statistics("target", joints, target_mean, target_std)
        if additional_encode_keys is not None:
            # of this codec alone: the class's set serves all others
            self.auxiliary_encode_keys = {  # type: ignore[misc]
                *self.auxiliary_encode_keys,
                *additional_encode_keys,
            }

    def encode(
        self,
        keypoints: Array,
        keypoints_visible: Array | None = None,
        lifting_target: Array | None = None,
        lifting_target_visible: Array | None = None,
    ) -> dict[str, Any]:
        """Network input and target of one sample.

        Args:
            keypoints: (N, K, D) float, input space.
            keypoints_visible: (N, K) float; None means that all are labelled.
            lifting_target: (T, K, C) float; None: the keypoints themselves (inference).
            lifting_target_visible: (T, K) float.

        Returns:
            `keypoint_labels` (K * D, N) or (N, K, D), `keypoint_labels_visible`,
            `lifting_target_label` (T, K, C) relative to the root, `lifting_target_weight`,
            `trajectory_weights`, `target_root` (T, C); `keypoints_mean`, `keypoints_std`,
            `target_mean`, `target_std` where set; `target_root_removed`, and
            `target_root_index` if wanted, where the root was cut.

        Raises:
            DataError: shapes do not fit the statistics or the root.
        """
        visible = keypoint_labels_of(keypoints, keypoints_visible)
        if lifting_target is None:
            lifting_target = keypoints[:1]
        weight, trajectory = target_weights(lifting_target, lifting_target_visible)
        label, root = around_root(lifting_target, self.root_index, dtype=np.float32)
        label, weight, encoded = self._cut_root(label, weight)
        inputs = keypoints.copy()
        if self.keypoints_mean is not None and self.keypoints_std is not None:
            _same_shape("keypoints", self.keypoints_mean.shape[1:], keypoints.shape[1:])
            inputs = (inputs - self.keypoints_mean) / self.keypoints_std
            encoded["keypoints_mean"] = self.keypoints_mean.copy()
            encoded["keypoints_std"] = self.keypoints_std.copy()
        if self.target_mean is not None and self.target_std is not None:
            _same_shape("target", self.target_mean.shape, label.shape)
            label = (label - self.target_mean) / self.target_std
            encoded["target_mean"] = self.target_mean.copy()
            encoded["target_std"] = self.target_std.copy()
        encoded["keypoint_labels"] = network_layout(
            inputs, visible, concat_vis=self.concat_vis, flatten=self.reshape_keypoints
        )
        encoded["keypoint_labels_visible"] = visible
        encoded["lifting_target_label"] = label
        encoded["lifting_target_weight"] = weight
        encoded["trajectory_weights"] = trajectory
        encoded["target_root"] = root
        return encoded

    def decode(self, encoded: Any, target_root: Array | None = None) -> tuple[Array, Array]:
        """As `LiftingCodec.decode`; statistics of the targets are undone first."""
        pose = as_numpy(encoded)
        if self.target_mean is not None and self.target_std is not None:
            _same_shape("target", self.target_mean.shape, pose.shape)
            pose = pose * self.target_std + self.target_mean
        return super().decode(pose, target_root)


def _statistics(
    name: str, joints: int, mean: Array | None, std: Array | None
) -> tuple[Array | None, Array | None]:
    """Mean and deviation as (1, K, D) float32."""
    if mean is None:
        return None, None
    if std is None:
        raise ConfigError(f"{name}_std is None, but {name}_mean is given: both are needed")
    pair = [np.array(v, dtype=np.float32).reshape(1, joints, -1) for v in (mean, std)]
    if pair[0].shape != pair[1].shape:
        raise ConfigError(f"{name}_mean.shape {pair[0].shape} != {name}_std.shape {pair[1].shape}")
    return pair[0], pair[1]


def _same_shape(name: str, expected: tuple[int, ...], got: tuple[int, ...]) -> None:
    if expected != got:
        raise DataError(
            f"self.{name}_mean.shape {expected} != shape {got} of what it normalises: the "
            "statistics belong to another dataset or keypoint order"
        )
