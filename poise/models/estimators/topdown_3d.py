"""Estimator of one person's 3D keypoints in a crop: the keypoints go to camera space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.codecs.simcc_3d_label import DEFAULT_FOCAL
from poise.errors import one_of
from poise.models.estimators.outputs import to_image_space
from poise.models.estimators.topdown import TopdownPoseEstimator
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["TopdownPoseEstimator3D"]

MODES = ("2d", "3d", "vis")


@MODELS.register_module()
class TopdownPoseEstimator3D(TopdownPoseEstimator):
    """RTMW3D's estimator; takes the arguments of `TopdownPoseEstimator`.

    `test_cfg["mode"]` says what `keypoints` are: "3d" (the default) camera space, "2d" image
    space, "vis" the bins of the distributions. `transformed_keypoints` are always in image
    space.
    """

    def leave_input_space(self, instances: InstanceData, sample: Any) -> None:
        """Bring the keypoints of a person to the space that `mode` names.

        Args:
            instances: `keypoints` (N, K, 3), x and y in input space, z in metres from the root;
                `keypoints_simcc`; gets `transformed_keypoints` (N, K, 2), image space.
            sample: tells where the crop was taken; `gt_instances.root_z` is the depth of the root.

        Raises:
            ConfigError: another mode.
        """
        mode = one_of(self.test_cfg.get("mode", "3d"), MODES, "test_cfg.mode")
        in_image = to_image_space(instances.keypoints[..., :2], sample.metainfo)
        if mode == "3d":
            instances.keypoints = self._camera_space(instances, in_image, sample)
        else:
            instances.keypoints = in_image if mode == "2d" else instances.keypoints_simcc
        instances.transformed_keypoints = in_image

    @staticmethod
    def _camera_space(instances: InstanceData, in_image: np.ndarray, sample: Any) -> np.ndarray:
        """Keypoints (N, K, 3) of the pinhole camera that took the picture."""
        camera: Mapping[str, Any] = {
            "f": DEFAULT_FOCAL,
            "c": np.asarray(sample.metainfo["ori_shape"]) / 2,
        }
        known = sample.gt_instances.get("camera_params", None)
        if known is not None:
            camera = known[0]
        depth = (instances.keypoints[..., 2] + sample.gt_instances.root_z)[..., None]
        xy = (in_image - np.asarray(camera["c"])) / np.asarray(camera["f"]) * depth
        return np.concatenate([xy, depth], axis=-1)
