"""Keypoints as numbers that are read off a heatmap by integration (DSNT)."""

from __future__ import annotations

from typing import Any

from poise.codecs.arrays import Array
from poise.codecs.base import OnePersonCodec
from poise.codecs.msra_heatmap import MSRAHeatmap
from poise.codecs.regression_label import RegressionLabel
from poise.registry import KEYPOINT_CODECS

__all__ = ["IntegralRegressionLabel"]

#: Keeps the division defined for a heatmap without any response.
EMPTY_SUM = 1e-24


@KEYPOINT_CODECS.register_module()
class IntegralRegressionLabel(OnePersonCodec):
    """Coordinates and, beside them, a heatmap that regularises the network.

    DSNT (Nibali 2018, arXiv:1801.07372).

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its heatmaps.
        sigma: of the gaussians, pixels of the heatmaps.
        unbiased: as in `MSRAHeatmap`.
        blur_kernel_size: as in `MSRAHeatmap`.
        normalize: make each heatmap sum to 1.
    """

    label_mapping_table = RegressionLabel.label_mapping_table
    field_mapping_table = MSRAHeatmap.field_mapping_table

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float,
        unbiased: bool = False,
        blur_kernel_size: int = 11,
        normalize: bool = True,
    ) -> None:
        self.heatmap_codec = MSRAHeatmap(
            input_size, heatmap_size, sigma, unbiased, blur_kernel_size
        )
        self.keypoint_codec = RegressionLabel(input_size)
        self.normalize = normalize

    def batch_encode(  # type: ignore[override]
        self, keypoints: Array, keypoints_visible: Array | None = None
    ) -> dict[str, Array]:
        """Labels and heatmaps of a batch of single people.

        Args:
            keypoints: (B, 1, K, 2) float, input space.
            keypoints_visible: (B, 1, K) float.

        Returns:
            `keypoint_labels` (B, 1, K, 2), `heatmaps` (B, K, H, W) and `keypoint_weights`
            (B, 1, K), float32.
        """
        heatmaps = self.heatmap_codec.batch_encode(keypoints, keypoints_visible)["heatmaps"]
        if self.normalize:
            heatmaps /= heatmaps.sum(axis=(2, 3), keepdims=True) + EMPTY_SUM
        return {
            "heatmaps": heatmaps,
            **self.keypoint_codec.batch_encode(keypoints, keypoints_visible),
        }

    def decode(self, encoded: Any) -> tuple[Array, Array]:
        """Keypoints and scores of coordinates (N, K, 2 or 4); see `RegressionLabel.decode`."""
        return self.keypoint_codec.decode(encoded)

    def batch_decode(self, batch_encoded: Any) -> tuple[Array, Array]:
        """Decode a batch of coordinates; see `RegressionLabel.batch_decode`."""
        return self.keypoint_codec.batch_decode(batch_encoded)

    def batch_decode_covariance(self, batch_encoded: Any, heatmaps: Any = None) -> Array:
        """As that of `RegressionLabel`.

        Nothing is taken away: that the heatmaps of DSNT are trained to have a width shows in all
        of them alike.
        """
        return self.keypoint_codec.batch_decode_covariance(batch_encoded, heatmaps)
