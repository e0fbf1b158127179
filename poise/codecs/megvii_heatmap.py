"""Keypoints as blurred pixels, the representation of CPN and MSPN."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, check_maps, one_of_each, scale_between
from poise.codecs.base import OnePersonCodec
from poise.codecs.utils.blur import blur_maps
from poise.codecs.utils.gaussian_heatmap import window_cells
from poise.codecs.utils.peaks import peaks_of_modulated
from poise.codecs.utils.refinement import patches_of
from poise.codecs.utils.widths import map_covariances
from poise.registry import KEYPOINT_CODECS

__all__ = ["MegviiHeatmap"]

#: Targets are as high as a white pixel.
PEAK = 255.0


@KEYPOINT_CODECS.register_module()
class MegviiHeatmap(OnePersonCodec):
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
        self.scale_factor = scale_between(input_size, heatmap_size)

    def batch_encode(  # type: ignore[override]
        self, keypoints: Array, keypoints_visible: Array | None = None
    ) -> dict[str, Array]:
        """Heatmaps of a batch of single people.

        Args:
            keypoints: (B, 1, K, 2) float, input space.
            keypoints_visible: (B, 1, K) float.

        Returns:
            `heatmaps` (B, K, H, W) float32 and `keypoint_weights` (B, 1, K): the visibilities,
            0 where the keypoint lies outside of the map.
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
        reach = self.kernel_size // 2
        cells = window_cells(
            pixel - reach,
            np.minimum(pixel + (reach + 1), (W, H)),
            self.kernel_size,
            drawn,
            B * K,
            (W, H),
        )
        stamps, column, row = _stamps(self.kernel_size, W, H)
        flat = np.zeros(B * K * H * W + 1, dtype=np.float32)
        flat[cells] = stamps[row[pixel[:, 1]], column[pixel[:, 0]]]
        return {
            "heatmaps": flat[:-1].reshape(B, K, H, W),
            "keypoint_weights": weights[:, None],
        }

    def batch_decode(self, batch_encoded: Any) -> tuple[Array, Array]:
        """Decode all samples of a batch at once.

        Args:
            batch_encoded: heatmaps (B, K, H, W), array or tensor.

        Returns:
            keypoints (B, 1, K, 2) float32 in input space, and scores (B, 1, K).
        """
        check_maps(self, batch_encoded)
        batch = as_numpy(batch_encoded)
        B, K, H, W = batch.shape
        pixel, peaks, slopes = peaks_of_modulated(batch.reshape(B * K, H, W), self.kernel_size)
        y, x = np.divmod(pixel, W)
        places = np.stack([x, y], axis=-1).astype(np.float32)
        # a quarter pixel toward the larger neighbour, and to the pixel's centre
        inner = ((places > 1) & (places < [W - 1, H - 1])).all(axis=-1)
        places[inner] += np.sign(slopes[inner]) * 0.25 + 0.5
        places[peaks <= 0] = -1
        keypoints = places.reshape(B, 1, K, 2) * self.scale_factor
        return keypoints, (peaks / PEAK + 0.5).reshape(B, 1, K)

    def batch_decode_covariance(self, batch_encoded: Any) -> Array:
        """Covariances of the peaks at the maxima, without that of the labels.

        Labels are as wide as the blur: sigma = 0.3 ((size - 1) / 2 - 1) + 0.8, OpenCV's rule. See
        `poise.codecs.utils.widths` for the formulae.

        Args:
            batch_encoded: heatmaps (B, K, H, W), array or tensor.

        Returns:
            (B, 1, K, 2, 2) float32, pixels² of the input; NaN where a map has no response.
        """
        sigma = 0.3 * ((self.kernel_size - 1) / 2 - 1) + 0.8
        return map_covariances(batch_encoded, self.scale_factor, sigma=sigma)


@lru_cache(maxsize=8)
def _stamps(kernel: int, width: int, height: int) -> tuple[Array, Array, Array]:
    """Blurred pixels, as high as `PEAK`, and which of them belongs to a column and row.

    Away from the border all are alike; near it the pixel's mirror image adds to it, in an order
    of rounding that only the filter knows.

    Returns:
        stamps (Y, X, kernel, kernel) float32; for each column (width,) the second index and for
        each row (height,) the first one.
    """
    reach = kernel // 2
    (xs, column), (ys, row) = (
        np.unique(
            np.where((at > reach) & (at < at[-1] - reach), reach + 1, at), return_inverse=True
        )
        for at in (np.arange(width), np.arange(height))
    )
    y, x = (grid.ravel() for grid in np.meshgrid(ys, xs, indexing="ij"))
    order = np.arange(len(y))
    maps = np.zeros((len(y), height, width), dtype=np.float32)
    maps[order, y, x] = 1
    maps = blur_maps(maps, kernel, mirror=True)
    stamps = patches_of(maps / maps[order, y, x][:, None, None] * PEAK, order, x, y, reach)
    stamps.setflags(write=False)
    return stamps.reshape(len(ys), len(xs), kernel, kernel), column, row
