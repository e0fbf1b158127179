"""Keypoints as gaussian heatmaps, the representation of Simple Baselines, HRNet and DARK."""

from __future__ import annotations

from typing import Any

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, check_maps, is_device_tensor, one_of_each, scale_between
from poise.codecs.base import OnePersonCodec
from poise.codecs.utils.gaussian_heatmap import (
    generate_instance_heatmaps,
    generate_unbiased_gaussian_heatmaps,
)
from poise.codecs.utils.post_processing import get_heatmap_maximum
from poise.codecs.utils.refinement import refine_keypoints, refine_keypoints_dark
from poise.codecs.utils.widths import map_covariances
from poise.registry import KEYPOINT_CODECS

__all__ = ["MSRAHeatmap"]


@KEYPOINT_CODECS.register_module()
class MSRAHeatmap(OnePersonCodec):
    """One gaussian heatmap per keypoint, at the nearest pixel or, unbiased, at its exact place.

    Simple Baselines (Xiao 2018, arXiv:1804.06208); `unbiased` is DARK (Zhang 2020,
    arXiv:1910.06278).

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its output.
        sigma: of the gaussians, pixels of the output.
        unbiased: encode sub-pixel places and decode by DARK's Taylor expansion.
        blur_kernel_size: of DARK's blur, odd; sigma = 0.3 ((size - 1) / 2 - 1) + 0.8, so 11
            fits sigma 2 and 17 fits sigma 3.
    """

    label_mapping_table = {"keypoint_weights": "keypoint_weights"}
    field_mapping_table = {"heatmaps": "heatmaps"}

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float,
        unbiased: bool = False,
        blur_kernel_size: int = 11,
    ) -> None:
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.sigma = sigma
        self.unbiased = unbiased
        self.blur_kernel_size = blur_kernel_size
        self.scale_factor = scale_between(input_size, heatmap_size)

    def batch_encode(  # type: ignore[override]
        self, keypoints: Array, keypoints_visible: Array | None = None
    ) -> dict[str, Array]:
        """Heatmaps of a batch of single people.

        Args:
            keypoints: (B, 1, K, 2) float, input space.
            keypoints_visible: (B, 1, K) float.

        Returns:
            `heatmaps` (B, K, H, W) float32 and `keypoint_weights` (B, 1, K).
        """
        people, labels = one_of_each(self, keypoints, keypoints_visible)
        places = people / self.scale_factor
        if self.unbiased:
            heatmaps, weights = generate_unbiased_gaussian_heatmaps(
                self.heatmap_size, places, labels, self.sigma, own_maps=True
            )
        else:
            heatmaps, weights = generate_instance_heatmaps(
                self.heatmap_size, places, labels, self.sigma
            )
        return {"heatmaps": heatmaps, "keypoint_weights": weights[:, None]}

    def batch_decode(self, batch_encoded: Any) -> tuple[Array, Array]:
        """Decode all samples of a batch at once.

        Args:
            batch_encoded: heatmaps (B, K, H, W), array or tensor on any device.

        Returns:
            keypoints (B, 1, K, 2) float32 in input space, and scores (B, 1, K): the maxima.
            Arrays on the host, also for tensors.
        """
        check_maps(self, batch_encoded)
        if not is_device_tensor(batch_encoded):
            batch_encoded = as_numpy(batch_encoded)
        B, K, H, W = batch_encoded.shape
        # to the refinement a batch is one sample with B * K keypoints
        stack = batch_encoded.reshape(B * K, H, W)
        locations, scores = get_heatmap_maximum(stack)
        keypoints = as_numpy(locations)[None]
        if self.unbiased:
            keypoints = refine_keypoints_dark(keypoints, stack, self.blur_kernel_size)
        else:
            keypoints = refine_keypoints(keypoints, stack)
        keypoints = keypoints.reshape(B, 1, K, 2) * self.scale_factor
        return keypoints, as_numpy(scores).reshape(B, 1, K)

    def batch_decode_covariance(self, batch_encoded: Any) -> Array:
        """Covariances of the gaussians at the maxima, without that of the labels.

        See `poise.codecs.utils.widths` for the formulae.

        Args:
            batch_encoded: heatmaps (B, K, H, W), array or tensor on any device.

        Returns:
            (B, 1, K, 2, 2) float32, pixels² of the input; NaN where a map has no response.
        """
        return map_covariances(batch_encoded, self.scale_factor, sigma=self.sigma)
