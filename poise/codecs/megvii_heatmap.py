"""Keypoints as blurred pixels, the representation of CPN and MSPN."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from poise.codecs.arrays import (
    Array,
    first_sample,
    one_of_each,
    single_instance,
    size_pair,
    to_host,
)
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.blur import blur_maps, gaussian_blur, gaussian_taps
from poise.codecs.utils.gaussian_heatmap import window_cells
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
        visible = None if keypoints_visible is None else keypoints_visible[None]
        return first_sample(self.batch_encode(keypoints[None], visible))

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
        W, H = (int(s) for s in self.heatmap_size)
        B, K = labels.shape
        with np.errstate(invalid="ignore"):
            pixel = (people / self.scale_factor).astype(np.int64)
        within = ((pixel >= 0) & (pixel < (W, H))).all(axis=-1)
        labelled = ~(labels < 0.5)
        weights = np.where(labelled & ~within, labels.dtype.type(0), labels)
        drawn = np.flatnonzero(labelled & within)
        pixel = pixel.reshape(-1, 2)[drawn]
        # off the border a blurred pixel is the outer product of the kernel with itself; near
        # it the mirror image adds to that, in an order of rounding that only the filter knows
        reach = self.kernel_size // 2
        free = ((pixel > reach) & (pixel < (W - 1 - reach, H - 1 - reach))).all(axis=-1)
        inner = pixel[free]
        cells = window_cells(
            inner - reach, inner + (reach + 1), self.kernel_size, drawn[free], B * K, (W, H)
        )
        flat = np.zeros(B * K * H * W + 1, dtype=np.float32)
        flat[cells] = _stamp(self.kernel_size)
        heatmaps = flat[:-1].reshape(B * K, H, W)
        if not free.all():
            heatmaps[drawn[~free]] = self._near_border(pixel[~free], (W, H))
        return {
            "heatmaps": heatmaps.reshape(B, K, H, W),
            "keypoint_weights": weights[:, None],
        }

    def _near_border(self, pixel: Array, size: tuple[int, int]) -> Array:
        """Maps (M, H, W) of pixels (M, 2), blurred by the filter."""
        (x, y), order = pixel.T, np.arange(len(pixel))
        maps = np.zeros((len(pixel), size[1], size[0]), dtype=np.float32)
        maps[order, y, x] = 1
        maps = blur_maps(maps, self.kernel_size, mirror=True)
        return np.asarray(maps / maps[order, y, x][:, None, None] * PEAK)

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


@lru_cache(maxsize=32)
def _stamp(kernel: int) -> Array:
    """A blurred pixel (kernel, kernel) float32, as high as `PEAK`."""
    taps = gaussian_taps(kernel)
    stamp = taps[:, None] * taps
    stamp = stamp / stamp[kernel // 2, kernel // 2] * PEAK
    stamp.setflags(write=False)
    return np.asarray(stamp)
