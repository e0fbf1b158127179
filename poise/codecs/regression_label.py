"""Keypoints as numbers: coordinates divided by the input's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.widths import spread_of_maps
from poise.errors import ConfigError, DataError
from poise.geometry.covariances import scale_covariances
from poise.registry import KEYPOINT_CODECS

__all__ = ["RegressionLabel"]


@KEYPOINT_CODECS.register_module()
class RegressionLabel(BaseKeypointCodec):
    """Coordinates from 0 to 1, for networks that regress them (DeepPose, RLE).

    Args:
        input_size: (w, h) of the network's input.
    """

    label_mapping_table = {
        "keypoint_labels": "keypoint_labels",
        "keypoint_weights": "keypoint_weights",
    }

    def __init__(self, input_size: tuple[int, int]) -> None:
        self.input_size = input_size

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Labels of one sample.

        Args:
            keypoints: (N, K, 2) float, input space.
            keypoints_visible: (N, K) float.

        Returns:
            `keypoint_labels` (N, K, 2) float32, relative to the input's size, and
            `keypoint_weights` (N, K) float32: 1 for labelled keypoints within the input.
        """
        size = np.asarray(self.input_size)
        labelled = keypoint_labels_of(keypoints, keypoints_visible, axes=2) > 0.5
        within = ((keypoints >= 0) & (keypoints <= size - 1)).all(axis=-1)
        return {
            "keypoint_labels": (keypoints / size).astype(np.float32),
            "keypoint_weights": (within & labelled).astype(np.float32),
        }

    def batch_encode(  # type: ignore[override]
        self, keypoints: Array, keypoints_visible: Array | None = None
    ) -> dict[str, Array]:
        """Labels of a batch.

        Args:
            keypoints: (B, N, K, 2) float, input space.
            keypoints_visible: (B, N, K) float.

        Returns:
            `keypoint_labels` (B, N, K, 2) and `keypoint_weights` (B, N, K), float32.
        """
        return self.encode(keypoints, keypoints_visible)

    def decode(self, encoded: Any) -> tuple[Array, Array]:
        """Keypoints of one sample.

        Args:
            encoded: (N, K, 2) coordinates relative to the input's size, or (N, K, 4) with the
                sigmas of both, as RLE predicts them.

        Returns:
            keypoints (N, K, 2) float64 in input space, and scores (N, K): 1 minus the mean
            sigma, or 1.

        Raises:
            DataError: (a ValueError) for another last dimension.
        """
        encoded = as_numpy(encoded)
        if encoded.shape[-1] not in (2, 4):
            raise DataError(
                f"Keypoint dimension should be 2 or 4 (with sigma), but got {encoded.shape[-1]} "
                f"in an array of shape {encoded.shape}"
            )
        if encoded.shape[-1] == 4:
            scores = (1 - encoded[..., 2:]).mean(axis=-1)
        else:
            scores = np.ones(encoded.shape[:-1], dtype=np.float32)
        return encoded[..., :2] * np.asarray(self.input_size), scores

    def batch_decode(self, batch_encoded: Any) -> tuple[Array, Array]:
        """Decode all samples of a batch at once.

        Args:
            batch_encoded: (B, K, D) or (B, N, K, D), array or tensor, D as in `decode`.

        Returns:
            keypoints (B, N, K, 2) and scores (B, N, K), N = 1 if there is no such axis.
        """
        keypoints, scores = self.decode(batch_encoded)
        if keypoints.ndim == 3:
            return keypoints[:, None], scores[:, None]
        return keypoints, scores

    def batch_decode_covariance(self, batch_encoded: Any, heatmaps: Any = None) -> Array:
        """Covariances of the densities that RLE predicts, or of the heatmaps that were integrated.

        RLE: 2 sigma² along each axis. A keypoint's density is a Laplacian of scale sigma, times
        what the flow makes of it (Li 2021, arXiv:2107.11291); the variance of a Laplacian is twice
        its scale squared. Heatmaps: their second central moments, E[x x^T] - E[x] E[x]^T.

        Args:
            batch_encoded: (B, K, 4) or (B, N, K, 4), array or tensor: coordinates and sigmas,
                relative to the input's size. With heatmaps it does not count.
            heatmaps: (B, K, H, W), array or tensor, not negative: what the coordinates are means
                of; heads that integrate give them.

        Returns:
            (B, N, K, 2, 2) float32, pixels² of the input, N = 1 if there is no such axis; NaN
            where a sigma is not finite, or a heatmap sums to nothing.

        Raises:
            ConfigError: neither sigmas nor heatmaps.
        """
        if heatmaps is not None:
            maps = as_numpy(heatmaps)
            factors = np.asarray(self.input_size) / np.array(maps.shape[:1:-1])
            moments = scale_covariances(spread_of_maps(maps), factors)
            return np.asarray(moments[:, None], np.float32)
        encoded = as_numpy(batch_encoded)
        if encoded.shape[-1] != 4:
            raise ConfigError(
                "RegressionLabel has no covariances of coordinates alone; heads that predict "
                "sigmas beside them (RLEHead), or that integrate heatmaps, have. Got an array of "
                f"shape {encoded.shape}"
            )
        encoded = encoded if encoded.ndim == 4 else encoded[:, None]
        sigmas = encoded[..., 2:] * np.asarray(self.input_size)
        variances = np.asarray(2 * sigmas**2, np.float32)
        covariances = variances[..., None] * np.eye(2, dtype=np.float32)
        covariances[~np.isfinite(variances).all(-1)] = np.nan
        return np.asarray(covariances)
