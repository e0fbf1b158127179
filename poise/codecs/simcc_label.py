"""Keypoints as two 1-D classifications, one per axis (SimCC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.codecs.arrays import Array, is_device_tensor, keypoint_labels_of, to_host
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.post_processing import get_simcc_maximum, simcc_peaks
from poise.codecs.utils.refinement import simcc_log_density, simcc_overshoot
from poise.errors import ConfigError
from poise.registry import KEYPOINT_CODECS

__all__ = ["SimCCLabel"]


@KEYPOINT_CODECS.register_module()
class SimCCLabel(BaseKeypointCodec):
    """Each coordinate as a class among bins finer than pixels.

    SimCC (Li 2022, arXiv:2107.03332), the representation of RTMPose: cheap on any hardware,
    as no 2-D map is ever made.

    Args:
        input_size: (w, h) of the network's input.
        smoothing_type: `gaussian`: labels fall off around the bin; `standard`: one bin, with
            uniform label smoothing.
        sigma: bins; one number, or one for x and one for y.
        simcc_split_ratio: bins per input pixel.
        label_smooth_weight: mass given to the other bins, 0 to 1; `standard` only.
        normalize: divide gaussian labels by their integral.
        use_dark: refine places by distribution-aware decoding.
        decode_visibility: let decoding tell how sure the visibility is as well.
        decode_beta: sharpness of that visibility.
    """

    label_mapping_table = {
        "keypoint_x_labels": "keypoint_x_labels",
        "keypoint_y_labels": "keypoint_y_labels",
        "keypoint_weights": "keypoint_weights",
    }

    def __init__(
        self,
        input_size: tuple[int, int],
        smoothing_type: str = "gaussian",
        sigma: float | Sequence[float] = 6.0,
        simcc_split_ratio: float = 2.0,
        label_smooth_weight: float = 0.0,
        normalize: bool = True,
        use_dark: bool = False,
        decode_visibility: bool = False,
        decode_beta: float = 150.0,
    ) -> None:
        if smoothing_type not in ("gaussian", "standard"):
            raise ConfigError(
                f"SimCCLabel got invalid `smoothing_type` value '{smoothing_type}'. Should be one "
                'of {"gaussian", "standard"}'
            )
        if not 0.0 <= label_smooth_weight <= 1.0:
            raise ConfigError(
                f"`label_smooth_weight` should be in range [0, 1], got {label_smooth_weight}"
            )
        if smoothing_type == "gaussian" and label_smooth_weight > 0:
            raise ConfigError(
                "Attribute `label_smooth_weight` is only used for `standard` mode; got "
                f"{label_smooth_weight} with smoothing_type='gaussian'"
            )
        self.input_size = input_size
        self.smoothing_type = smoothing_type
        self.sigma = np.array([sigma, sigma]) if np.ndim(sigma) == 0 else np.array(sigma)
        self.simcc_split_ratio = simcc_split_ratio
        self.label_smooth_weight = label_smooth_weight
        self.normalize = normalize
        self.use_dark = use_dark
        self.decode_visibility = decode_visibility
        self.decode_beta = decode_beta
        #: axis -> labels of every possible bin; made when first needed
        self._tables: dict[int, Array] = {}

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Labels of one sample.

        Args:
            keypoints: (N, K, 2) float, input space.
            keypoints_visible: (N, K) float.

        Returns:
            `keypoint_x_labels` (N, K, w * ratio) and `keypoint_y_labels` (N, K, h * ratio)
            float32, and `keypoint_weights` (N, K): the visibilities, 0 where the keypoint lies
            outside of the input (with gaussians: by more than three sigma).
        """
        (x, y), weights = self._axis_labels(keypoints, keypoints_visible)
        return {"keypoint_x_labels": x, "keypoint_y_labels": y, "keypoint_weights": weights}

    def _axis_labels(
        self, keypoints: Array, keypoints_visible: Array | None
    ) -> tuple[list[Array], Array]:
        """Labels (N, K, length) of each axis of keypoints (N, K, axes), and weights (N, K)."""
        labels = keypoint_labels_of(keypoints, keypoints_visible)
        bins = np.around(keypoints * self.simcc_split_ratio)
        with np.errstate(invalid="ignore"):
            bins = bins.astype(np.int64)
        lengths = np.around(np.asarray(self.input_size) * self.simcc_split_ratio).astype(int)
        gaussian = self.smoothing_type == "gaussian"
        reach = self.sigma * 3 if gaussian else np.zeros(len(lengths))
        # a gaussian's window ends a bin after the last one it covers
        end = bins + reach + (1 if gaussian else 0)
        outside = ((bins - reach >= lengths) | (end < 0)).any(axis=-1)
        labelled = ~(labels < 0.5)
        weights = labels.copy()
        weights[labelled & outside] = 0
        drawn = labelled & ~outside
        draw = self._gaussian if gaussian else self._standard
        return [
            draw(axis, int(length), bins[..., axis], drawn) for axis, length in enumerate(lengths)
        ], weights

    def _gaussian(self, axis: int, length: int, bins: Array, drawn: Array) -> Array:
        """Labels (N, K, length): windows into one table, since bins are whole numbers."""
        sigma = float(self.sigma[axis])
        center = length + int(np.ceil(3 * sigma)) + 1
        if axis not in self._tables:
            steps = np.arange(2 * center + 1, dtype=np.float32) - center
            bell = np.exp(-(steps**2) / (2 * sigma**2)).astype(np.float32)
            if self.normalize:
                bell = (bell / (sigma * np.sqrt(np.pi * 2))).astype(np.float32)
            self._tables[axis] = np.concatenate([bell, np.zeros(length, dtype=np.float32)])
        # a keypoint that is not drawn takes the zeros at the table's end
        start = np.where(drawn, center - bins, 2 * center + 1)
        windows = np.lib.stride_tricks.sliding_window_view(self._tables[axis], length)
        return np.asarray(windows[start])

    def _standard(self, axis: int, length: int, bins: Array, drawn: Array) -> Array:
        """Labels (N, K, length): one hot, or smoothed by equal parts for the other bins."""
        labels = np.zeros((*bins.shape, length), dtype=np.float32)
        if self.label_smooth_weight > 0:
            labels[drawn] = self.label_smooth_weight / (length - 1)
        n, k = np.nonzero(drawn)
        labels[n, k, bins[n, k]] = 1.0 - self.label_smooth_weight
        return labels

    def decode(self, simcc_x: Any, simcc_y: Any) -> tuple[Array, Any]:
        """Keypoints of one sample.

        Args:
            simcc_x: (K, Wx) or (N, K, Wx).
            simcc_y: (K, Wy) or (N, K, Wy).

        Returns:
            keypoints (N, K, 2) float32 in input space, and scores (N, K); with
            `decode_visibility`, the pair of scores and visibilities (N, K).
        """
        if simcc_x.ndim == 2:
            simcc_x, simcc_y = simcc_x[None], simcc_y[None]
        return self._decode(simcc_x, simcc_y)

    def batch_decode(self, simcc_x: Any, simcc_y: Any) -> tuple[Array, Any]:
        """Decode all samples of a batch at once.

        Args:
            simcc_x: (B, K, Wx) or (B, N, K, Wx), array or tensor on any device.
            simcc_y: (B, K, Wy) or (B, N, K, Wy).

        Returns:
            keypoints (B, N, K, 2) float32 in input space, and scores (B, N, K), N = 1 if there
            is no such axis; with `decode_visibility`, the pair of scores and visibilities.
            Arrays on the host, also for tensors.
        """
        lead = simcc_x.shape[:-2] if simcc_x.ndim == 4 else (simcc_x.shape[0], 1)
        keypoints, scores = self._decode(
            simcc_x.reshape(-1, *simcc_x.shape[-2:]), simcc_y.reshape(-1, *simcc_y.shape[-2:])
        )
        keypoints = keypoints.reshape(*lead, *keypoints.shape[1:])
        if isinstance(scores, tuple):
            return keypoints, tuple(s.reshape(*lead, s.shape[-1]) for s in scores)
        return keypoints, scores.reshape(*lead, scores.shape[-1])

    def _decode(self, simcc_x: Any, simcc_y: Any) -> tuple[Array, Any]:
        """Keypoints (N, K, 2) and scores (N, K) of vectors (N, K, W)."""
        keypoints, scores, (simcc_x, simcc_y) = self._places([simcc_x, simcc_y])
        keypoints /= self.simcc_split_ratio
        if not self.decode_visibility:
            return keypoints, scores
        _, visibility = get_simcc_maximum(
            # one factor after the other: the exponential shows each float32 rounding
            simcc_x * self.decode_beta * float(self.sigma[0]),
            simcc_y * self.decode_beta * float(self.sigma[1]),
            apply_softmax=True,
        )
        return keypoints, (scores, to_host(visibility))

    def _places(self, vectors: Sequence[Any]) -> tuple[Array, Array, list[Any]]:
        """Bins (N, K, axes), scores (N, K), and vectors (N, K, W) as the refinement left them."""
        vectors = list(vectors)
        if self.use_dark or not is_device_tensor(vectors[0]):
            vectors = [to_host(v) for v in vectors]
        locations, values = simcc_peaks(vectors)
        bins, scores = to_host(locations), to_host(values)
        if self.use_dark:
            for axis, simcc in enumerate(vectors):
                # what is read from the vectors later is read from these, as released
                vectors[axis] = simcc_log_density(simcc, self._blur_size(axis))
                bins[..., axis] -= simcc_overshoot(bins[..., axis], vectors[axis])
        return bins, scores, vectors

    def _blur_size(self, axis: int) -> int:
        """Odd kernel whose sigma matches the labels: inverse of OpenCV's rule for sigma."""
        size = int((self.sigma[axis] * 20 - 7) // 3)
        return size - (size % 2 == 0)
