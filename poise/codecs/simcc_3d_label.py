"""Keypoints in three dimensions as three 1-D classifications, one per axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.codecs.arrays import Array
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.simcc_label import SimCCLabel, leading_axes
from poise.errors import DataError
from poise.registry import KEYPOINT_CODECS

__all__ = ["DEFAULT_FOCAL", "SimCC3DLabel"]

#: metres from the camera to the root where a sample has no depth: mean of the training sets
MEAN_ROOT_DEPTH = 5.14388
#: focal lengths in pixels where a sample has no camera: Human3.6M's first camera
DEFAULT_FOCAL = (1145.04940459, 1143.78109572)
#: metres before and behind the root that the bins of depth span: largest of the training sets
DEPTH_REACH = 2.1744869


@KEYPOINT_CODECS.register_module()
class SimCC3DLabel(SimCCLabel):
    """Each coordinate as a class among bins, with depth from the root as the third axis.

    RTMW3D (Jiang 2024, arXiv 2407.08634, section 3.4): pictures with and without depth train
    together, since samples without depth have zero weight on that axis alone.

    Args:
        input_size: (w, h, d) of the network's input; d bins of depth before the split.
        sigma: bins; one number, or one for each of x, y and z.
        simcc_split_ratio: bins per input pixel.
        normalize: divide labels by their integral.
        use_dark: refine places by distribution-aware decoding.
        root_index: keypoint that depth is counted from; of several, their mean.
        z_range: metres before and behind the root that the bins of depth span.
    """

    auxiliary_encode_keys = {"keypoints_3d"}
    label_mapping_table = {
        **SimCCLabel.label_mapping_table,
        "keypoint_z_labels": "keypoint_z_labels",
        "weight_z": "weight_z",
        "with_z_label": "with_z_label",
    }
    instance_mapping_table = {
        "bbox": "bboxes",
        "bbox_score": "bbox_scores",
        "bbox_scale": "bbox_scales",
        "lifting_target": "lifting_target",
        "lifting_target_visible": "lifting_target_visible",
        "camera_param": "camera_params",
        "root_z": "root_z",
    }

    def __init__(
        self,
        input_size: tuple[int, int, int],
        sigma: float | Sequence[float] = 6.0,
        simcc_split_ratio: float = 2.0,
        normalize: bool = True,
        use_dark: bool = False,
        root_index: int | Sequence[int] = 0,
        z_range: float | None = None,
    ) -> None:
        each = (sigma,) * 3 if isinstance(sigma, (int, float)) else sigma
        super().__init__(
            input_size,  # type: ignore[arg-type]  # a third number is all that differs
            sigma=each,
            simcc_split_ratio=simcc_split_ratio,
            normalize=normalize,
            use_dark=use_dark,
        )
        self.root_index = [root_index] if isinstance(root_index, int) else list(root_index)
        self.root_z = [MEAN_ROOT_DEPTH]
        self.depth_size = int(input_size[2])
        self.z_range = DEPTH_REACH if z_range is None else z_range

    def encode(  # type: ignore[override]  # depth comes second, as in MMPose
        self,
        keypoints: Array,
        keypoints_3d: Array | None = None,
        keypoints_visible: Array | None = None,
    ) -> dict[str, Any]:
        """Labels of one sample, with or without depth.

        Args:
            keypoints: (N, K, 2) float, input space; 0-dimensional where there are none, as
                `TopdownAffine` leaves it: the labels are placeholders then.
            keypoints_3d: (N, K, 3) float in camera space, metres; None without depth.
            keypoints_visible: (N, K) float.

        Returns:
            `keypoint_x_labels` (N, K, w * ratio), `keypoint_y_labels` (N, K, h * ratio) and
            `keypoint_z_labels` (N, K, d * ratio) float32; `keypoint_weights` and `weight_z`
            (N, K), the latter 0 without depth; `with_z_label`, one bool; `lifting_target`, the
            keypoints in camera space or None; `root_z`, metres from camera to root.

        Raises:
            DataError: keypoints in 2D and 3D of different numbers.
        """
        if np.ndim(keypoints) == 0:
            nothing = np.zeros(1, dtype=np.float32)
            return self._encoded([nothing] * 3, np.ones(1), weight_z=np.zeros(1))
        N, K = keypoints.shape[:2]
        if keypoints_3d is None:
            # any place inside of the range does, since its weight is zero
            depth = np.ones((N, K, 1), dtype=np.float32)
            labels, weights = self._axis_labels(
                np.concatenate([keypoints, depth], axis=-1), keypoints_visible
            )
            return self._encoded(labels, weights, weight_z=np.zeros_like(weights))
        if keypoints_3d.shape != (N, K, 3):
            raise DataError(
                f"SimCC3DLabel got keypoints {keypoints.shape} but keypoints_3d "
                f"{keypoints_3d.shape}; expected ({N}, {K}, 3)"
            )
        root = keypoints_3d[:, self.root_index, 2].mean(axis=1)
        from_root = keypoints_3d[..., 2] - root[:, None]
        depth = (from_root / self.z_range + 1) * (self.depth_size / 2)
        labels, weights = self._axis_labels(
            np.concatenate([keypoints, depth[..., None]], axis=-1), keypoints_visible
        )
        return {
            **self._encoded(labels, weights, weight_z=weights),
            "lifting_target": keypoints_3d.copy(),
            "root_z": root,
            "with_z_label": [True],
        }

    # sample by sample: some have depth and others not
    batch_encode = BaseKeypointCodec.batch_encode

    def _encoded(self, labels: list[Array], weights: Array, *, weight_z: Array) -> dict[str, Any]:
        """What `encode` returns for a sample without depth."""
        return {
            **{f"keypoint_{axis}_labels": v for axis, v in zip("xyz", labels, strict=True)},
            "lifting_target": [None],
            "root_z": self.root_z,
            "keypoint_weights": weights,
            "weight_z": weight_z,
            "with_z_label": [False],
        }

    def decode(  # type: ignore[override]  # one axis and one result more, as in MMPose
        self, x: Any, y: Any, z: Any
    ) -> tuple[Array, Array, Array]:
        """Keypoints of one sample.

        Args:
            x: (K, Wx) or (N, K, Wx).
            y: (K, Wy) or (N, K, Wy).
            z: (K, Wz) or (N, K, Wz).

        Returns:
            keypoints (N, K, 3) float32: x and y in input space, z in metres from the root;
            the same before z is scaled to metres, in bins over `simcc_split_ratio`; scores
            (N, K).
        """
        if x.ndim == 2:
            x, y, z = x[None], y[None], z[None]
        bins, scores, _ = self._places([x, y, z])
        bins /= self.simcc_split_ratio
        keypoints = bins.copy()
        keypoints[..., 2] = (bins[..., 2] / (self.depth_size / 2) - 1) * self.z_range
        return keypoints, bins, scores

    def batch_decode(  # type: ignore[override]  # as `decode`
        self, x: Any, y: Any, z: Any
    ) -> tuple[Array, Array, Array]:
        """Decode all samples of a batch at once.

        Args:
            x: (B, K, Wx) or (B, N, K, Wx), array or tensor on any device.
            y: (B, K, Wy) or (B, N, K, Wy).
            z: (B, K, Wz) or (B, N, K, Wz).

        Returns:
            As `decode`, each with a leading B; N = 1 if there is no such axis.
        """
        lead = leading_axes(x, y, z)
        decoded = self.decode(*(axis.reshape(-1, *axis.shape[-2:]) for axis in (x, y, z)))
        keypoints, bins, scores = (part.reshape(*lead, *part.shape[1:]) for part in decoded)
        return keypoints, bins, scores

    def batch_decode_covariance(
        self, x: Any, y: Any, z: Any = None, *, beta: float | None = None
    ) -> Array:
        """Covariances of x and y, as those of `SimCCLabel`; depth has a unit of its own."""
        return super().batch_decode_covariance(x, y, beta=beta)
