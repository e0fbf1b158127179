"""Keypoints as heatmaps under unbiased data processing (UDP)."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, check_maps, is_device_tensor, one_of_each, scale_between
from poise.codecs.base import OnePersonCodec
from poise.codecs.utils.gaussian_heatmap import generate_instance_heatmaps
from poise.codecs.utils.offset_heatmap import generate_instance_offset_heatmaps
from poise.codecs.utils.peaks import largest_of_blurred
from poise.codecs.utils.post_processing import get_heatmap_maximum
from poise.codecs.utils.refinement import refine_udp_batch
from poise.codecs.utils.widths import map_covariances
from poise.errors import ConfigError
from poise.registry import KEYPOINT_CODECS

__all__ = ["UDPHeatmap"]


@KEYPOINT_CODECS.register_module()
class UDPHeatmap(OnePersonCodec):
    """Sub-pixel heatmaps, with lengths measured between pixel centres.

    UDP (Huang 2020, arXiv:1911.07524): resizing then maps the corners' centres onto each
    other, and flipping and decoding leave no bias.

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its output.
        heatmap_type: `gaussian`: a gaussian per keypoint; `combined`: a disk per keypoint and
            the offsets to its centre, three maps each.
        sigma: of the gaussians, pixels of the output.
        radius_factor: radius of the disks as a part of the output's longer side.
        blur_kernel_size: of the decoder's blur, odd.
    """

    label_mapping_table = {"keypoint_weights": "keypoint_weights"}
    field_mapping_table = {"heatmaps": "heatmaps"}

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        heatmap_type: str = "gaussian",
        sigma: float = 2.0,
        radius_factor: float = 0.0546875,
        blur_kernel_size: int = 11,
    ) -> None:
        if heatmap_type not in ("gaussian", "combined"):
            raise ConfigError(
                f"UDPHeatmap got invalid `heatmap_type` value '{heatmap_type}'. Should be one of "
                '{"gaussian", "combined"}'
            )
        if heatmap_type == "combined":
            self.no_covariances = "maps of heatmap_type='combined' hold disks of a fixed radius"
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.heatmap_type = heatmap_type
        self.sigma = sigma
        self.radius_factor = radius_factor
        self.blur_kernel_size = blur_kernel_size
        self.scale_factor = scale_between(input_size, heatmap_size, less=1)

    def batch_encode(  # type: ignore[override]
        self, keypoints: Array, keypoints_visible: Array | None = None
    ) -> dict[str, Array]:
        """Heatmaps of a batch of single people.

        Args:
            keypoints: (B, 1, K, 2) float, input space.
            keypoints_visible: (B, 1, K) float.

        Returns:
            `heatmaps` (B, K, H, W) float32, or (B, 3 K, H, W) if combined, and
            `keypoint_weights` (B, 1, K).
        """
        people, labels = one_of_each(self, keypoints, keypoints_visible)
        places = people / self.scale_factor
        if self.heatmap_type == "gaussian":
            heatmaps, weights = generate_instance_heatmaps(
                self.heatmap_size, places, labels, self.sigma, subpixel=True
            )
        else:
            heatmaps, weights = generate_instance_offset_heatmaps(
                self.heatmap_size, places, labels, self.radius_factor
            )
        return {"heatmaps": heatmaps, "keypoint_weights": weights[:, None]}

    def batch_decode(self, batch_encoded: Any) -> tuple[Array, Array]:
        """Decode all samples of a batch at once.

        Args:
            batch_encoded: heatmaps (B, K, H, W), or (B, 3 K, H, W) if combined; array or
                tensor on any device.

        Returns:
            keypoints (B, 1, K, 2) float64 in input space, and scores (B, 1, K): the maxima.
            Arrays on the host, also for tensors. A gaussian map without any response gives
            NaN.
        """
        check_maps(self, batch_encoded)
        if self.heatmap_type == "gaussian":
            keypoints, scores = self._decode_gaussian(batch_encoded)
        else:
            keypoints, scores = self._decode_combined(as_numpy(batch_encoded))
        last = np.asarray(self.heatmap_size) - 1
        # by the input's size, not size - 1: as the released models were evaluated
        keypoints = keypoints / last * np.asarray(self.input_size)
        return keypoints[:, None], scores[:, None]

    def _decode_gaussian(self, heatmaps: Any) -> tuple[Array, Array]:
        """Places (B, K, 2) float32 in output space and maxima (B, K)."""
        if not is_device_tensor(heatmaps):
            heatmaps = as_numpy(heatmaps)
        locations, scores = get_heatmap_maximum(heatmaps)
        places, peaks = as_numpy(locations), as_numpy(scores)
        places -= refine_udp_batch(places[:, None], heatmaps, self.blur_kernel_size, peaks)[:, 0]
        return places, peaks

    def _decode_combined(self, heatmaps: Array) -> tuple[Array, Array]:
        """Places (B, K, 2) float32 in output space and maxima (B, K) of blurred disks."""
        B, C, H, W = heatmaps.shape
        K = C // 3
        parts = heatmaps.reshape(B * K, 3, H, W)
        pixel, scores = largest_of_blurred(parts[:, 0], 2 * self.blur_kernel_size + 1)
        y, x = np.where(scores <= 0, -1, np.divmod(pixel, W))
        # a place off the map, at -1, counts backward from the next map's end as released
        sample, kind = np.divmod(np.arange(B * K), K)
        kind, pixel = np.divmod((kind * (W * H) + y * W + x) % (K * W * H), W * H)
        offsets = parts.reshape(B * K, 3, H * W)[sample * K + kind, 1:, pixel]
        radius = self.radius_factor * max(W, H)
        places = np.stack([x, y], axis=-1).astype(np.float32) + offsets * radius
        return places.astype(np.float32).reshape(B, K, 2), scores.reshape(B, K)

    def batch_decode_covariance(self, batch_encoded: Any) -> Array:
        """Covariances of the gaussians at the maxima, without that of the labels.

        See `poise.codecs.utils.widths` for the formulae.

        Args:
            batch_encoded: heatmaps (B, K, H, W), array or tensor on any device.

        Returns:
            (B, 1, K, 2, 2) float32, pixels² of the input; NaN where a map has no response.

        Raises:
            ConfigError: a combined codec, whose maps hold disks.
        """
        if self.heatmap_type != "gaussian":
            self.refuse_covariances()
        factors = np.asarray(self.input_size) / (np.asarray(self.heatmap_size) - 1)
        return map_covariances(batch_encoded, factors, sigma=self.sigma)

    @property
    def support_covariances(self) -> bool:
        """Only gaussians tell."""
        return self.heatmap_type == "gaussian" and super().support_covariances
