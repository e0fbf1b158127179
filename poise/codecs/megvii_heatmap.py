"""Keypoints as blurred pixels, the representation of CPN and MSPN."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.codecs.arrays import Array, keypoint_labels_of, single_instance, size_pair, to_host
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.blur import blur_maps, gaussian_blur, gaussian_taps
from poise.codecs.utils.post_processing import get_heatmap_maximum
from poise.codecs.utils.refinement import patches_of
from poise.registry import KEYPOINT_CODECS

__all__ = ["MegviiHeatmap"]

#: Targets are as high as a white pixel.
PEAK = 255.0


@KEYPOINT_CODECS.register_module()
class MegviiHeatmap(BaseKeypointCodec):
    """One map per keypoint: a single pixel, blurred, with a peak of 255.

    CPN (Chen 2018, arXiv:1711.07319), MSPN (Li 2019, arXiv:1901.00148).

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its output.
        kernel_size: of the blur, odd, pixels of the output.
    """

    label_mapping_table = {"keypoint_weights": "keypoint_weights"}
    field_mapping_table = {"heatmaps": "heatmaps"}

    def __init__(
        self, input_size: tuple[int, int], heatmap_size: tuple[int, int], kernel_size: int
    ) -> None:
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.kernel_size = kernel_size
        scale = size_pair(input_size) / size_pair(heatmap_size)
        self.scale_factor = scale.astype(np.float32)

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Heatmaps of one person.

        Args:
            keypoints: (1, K, 2) float, input space.
            keypoints_visible: (1, K) float.

        Returns:
            `heatmaps` (K, H, W) float32 and `keypoint_weights` (1, K): the visibilities, 0
            where the keypoint lies outside of the map.

        Raises:
            DataError: (a ValueError) for several people.
        """
        single_instance(self, keypoints)
        labels = keypoint_labels_of(keypoints, keypoints_visible)
        W, H = (int(s) for s in self.heatmap_size)
        with np.errstate(invalid="ignore"):
            pixel = (keypoints / self.scale_factor).astype(np.int64)
        outside = ((pixel < 0) | (pixel >= [W, H])).any(axis=-1)
        labelled = ~(labels < 0.5)
        weights = labels.copy()
        weights[labelled & outside] = 0
        drawn = np.flatnonzero((labelled & ~outside)[0])
        x, y = pixel[0, drawn].T
        heatmaps = np.zeros((keypoints.shape[1], H, W), dtype=np.float32)
        heatmaps[drawn, y, x] = 1
        blurred = self._blur_pixels(heatmaps[drawn], x, y)
        peaks = blurred[np.arange(len(drawn)), y, x]
        heatmaps[drawn] = blurred / peaks[:, None, None] * PEAK
        return {"heatmaps": heatmaps, "keypoint_weights": weights}

    def _blur_pixels(self, heatmaps: Array, x: Array, y: Array) -> Array:
        """Blurred maps (M, H, W) that each hold a single one, at x (M,), y (M,)."""
        H, W = heatmaps.shape[1:]
        reach = self.kernel_size // 2
        # off the border a blurred pixel is the outer product of the kernel with itself; near
        # it the mirror image adds to that, in an order of rounding that only the filter knows
        free = (x > reach) & (x < W - 1 - reach) & (y > reach) & (y < H - 1 - reach)
        blurred = np.empty_like(heatmaps)
        blurred[~free] = blur_maps(heatmaps[~free], self.kernel_size, mirror=True)
        taps = np.concatenate([gaussian_taps(self.kernel_size), np.zeros(1, dtype=np.float32)])
        across, down = (
            # the appended zero stands for everything out of reach
            taps[np.where(abs(d) <= reach, d + reach, self.kernel_size)]
            for d in (np.arange(W) - x[free, None], np.arange(H) - y[free, None])
        )
        blurred[free] = down[:, :, None] * across[:, None, :]
        return blurred

    def decode(self, encoded: Any) -> tuple[Array, Array]:
        """Keypoints (1, K, 2) in input space and scores (1, K) of heatmaps (K, H, W)."""
        keypoints, scores = self.batch_decode(encoded[None])
        return keypoints[0], scores[0]

    def batch_decode(self, batch_encoded: Any) -> tuple[Array, Array]:
        """Decode all samples of a batch at once.

        Args:
            batch_encoded: heatmaps (B, K, H, W), array or tensor.

        Returns:
            keypoints (B, 1, K, 2) float32 in input space, and scores (B, 1, K).
        """
        batch = to_host(batch_encoded)
        B, K, H, W = batch.shape
        blurred = gaussian_blur(batch.reshape(B * K, H, W).copy(), self.kernel_size)
        places, peaks = get_heatmap_maximum(blurred)
        x, y = places.astype(np.int64).T
        cross = patches_of(blurred, np.arange(B * K), x, y, 1)
        slope = np.stack(
            [cross[:, 1, 2] - cross[:, 1, 0], cross[:, 2, 1] - cross[:, 0, 1]], axis=-1
        )
        # a quarter pixel toward the larger neighbour, and to the pixel's centre
        inner = ((places > 1) & (places < [W - 1, H - 1])).all(axis=-1)
        places[inner] += np.sign(slope[inner]) * 0.25 + 0.5
        keypoints = places.reshape(B, 1, K, 2) * self.scale_factor
        return keypoints, (peaks / PEAK + 0.5).reshape(B, 1, K)
