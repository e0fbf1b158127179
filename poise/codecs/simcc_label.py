"""Keypoints as two 1-D classifications, one per axis (SimCC)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, is_device_tensor, keypoint_labels_of
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.blur import modulated_rows
from poise.codecs.utils.post_processing import get_simcc_maximum, simcc_peaks
from poise.codecs.utils.refinement import log_of_clipped, simcc_overshoot
from poise.codecs.utils.widths import fitting_radius, line_variances, narrowed
from poise.errors import ConfigError, DataError
from poise.registry import KEYPOINT_CODECS

__all__ = ["SimCCLabel", "leading_axes"]

#: Factor of labels before the softmax of the loss, and of what most models predict.
RTMPOSE_BETA = 10.0


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
        self.input_size: Sequence[int] = input_size
        self.smoothing_type = smoothing_type
        self.sigma = np.array([sigma, sigma]) if np.ndim(sigma) == 0 else np.array(sigma)
        self.simcc_split_ratio = simcc_split_ratio
        self.label_smooth_weight = label_smooth_weight
        self.normalize = normalize
        self.use_dark = use_dark
        self.decode_visibility = decode_visibility
        self.decode_beta = decode_beta

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

    def batch_encode(  # type: ignore[override]
        self, keypoints: Array, keypoints_visible: Array | None = None
    ) -> dict[str, Array]:
        """Labels of a batch.

        Args:
            keypoints: (B, N, K, 2) float, input space.
            keypoints_visible: (B, N, K) float.

        Returns:
            `keypoint_x_labels` (B, N, K, Wx), `keypoint_y_labels` (B, N, K, Wy) and
            `keypoint_weights` (B, N, K).
        """
        return self.encode(keypoints, keypoints_visible)

    def _axis_labels(
        self, keypoints: Array, keypoints_visible: Array | None
    ) -> tuple[list[Array], Array]:
        """Labels (..., K, length) of each axis of keypoints (..., K, axes), and weights."""
        labels = keypoint_labels_of(keypoints, keypoints_visible, axes=len(self.input_size))
        bins = np.rint(keypoints * self.simcc_split_ratio)
        with np.errstate(invalid="ignore"):
            bins = bins.astype(np.int64)
        lengths = [round(float(size) * self.simcc_split_ratio) for size in self.input_size]
        gaussian = self.smoothing_type == "gaussian"
        reach = self.sigma * 3 if gaussian else np.zeros(len(lengths))
        # a gaussian's window ends a bin after the last one it covers
        inside = (bins - reach < lengths) & (bins + reach + (1 if gaussian else 0) >= 0)
        inside = np.logical_and.reduce(inside, axis=-1)
        labelled = ~(labels < 0.5)
        drawn = labelled & inside
        draw = self._gaussian if gaussian else self._standard
        axes = [draw(axis, length, bins[..., axis], drawn) for axis, length in enumerate(lengths)]
        return axes, np.where(labelled & ~inside, labels.dtype.type(0), labels)

    def _gaussian(self, axis: int, length: int, bins: Array, drawn: Array) -> Array:
        """Labels (..., K, length): windows into one table, since bins are whole numbers."""
        windows = _bell_windows(float(self.sigma[axis]), length, self.normalize)
        # the last window is the zeros at the end of the table
        return np.asarray(windows[np.where(drawn, len(windows) // 2 - 1 - bins, -1)])

    def _standard(self, axis: int, length: int, bins: Array, drawn: Array) -> Array:
        """Labels (..., K, length): one hot, or smoothed by equal parts for the other bins."""
        labels = np.zeros((*bins.shape, length), dtype=np.float32)
        if self.label_smooth_weight > 0:
            labels[drawn] = self.label_smooth_weight / (length - 1)
        where = np.nonzero(drawn)
        labels[*where, bins[where]] = 1.0 - self.label_smooth_weight
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
        lead = leading_axes(simcc_x, simcc_y)
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
        return keypoints, (scores, as_numpy(visibility))

    def _places(self, vectors: Sequence[Any]) -> tuple[Array, Array, list[Any]]:
        """Bins (N, K, axes), scores (N, K), and vectors (N, K, W) as the refinement left them."""
        vectors = list(vectors)
        if self.use_dark or not is_device_tensor(vectors[0]):
            vectors = [as_numpy(v) for v in vectors]
        locations, values = simcc_peaks(vectors)
        bins, scores = as_numpy(locations), as_numpy(values)
        if self.use_dark:
            for axis, simcc in enumerate(vectors):
                density = modulated_rows(simcc, self._blur_size(axis))
                bins[..., axis] -= simcc_overshoot(bins[..., axis], density)
                if self.decode_visibility:
                    # visibility is read from what the refinement left, as released
                    vectors[axis] = log_of_clipped(density)
        return bins, scores, vectors

    def batch_decode_covariance(
        self, simcc_x: Any, simcc_y: Any, *, beta: float | None = None
    ) -> Array:
        """Covariances of the distributions over x and y, without that of the labels.

        The loss reads an axis as softmax(beta y). A parabola fitted to beta y near its maximum has
        the second derivative -1 / v, with the variance v of place and label together; the label's
        is what the same fit gives of the label itself: about sigma² / 10 for labels with a peak
        of 1, of which the loss takes softmax(10 label), and sigma² for normalised ones. x and y
        are independent in this representation, so the ellipses stand upright.

        Args:
            simcc_x: (B, K, Wx) or (B, N, K, Wx), array or tensor on any device.
            simcc_y: (B, K, Wy) or (B, N, K, Wy).
            beta: of the loss, `KLDiscretLoss(beta=...)`; heads tell theirs. None: 10 for labels
                with a peak of 1, as RTMPose has it, 1 for normalised ones, as SimCC has it.

        Returns:
            (B, N, K, 2, 2) float32, pixels² of the input, N = 1 if there is no such axis; NaN
            where one of the axes has no response.
        """
        beta = beta or (1.0 if self._learns_logarithms else RTMPOSE_BETA)
        lead = leading_axes(simcc_x, simcc_y)
        variances = [
            self._variances(axis, as_numpy(vectors), beta)
            for axis, vectors in enumerate((simcc_x, simcc_y))
        ]
        out = np.zeros((*variances[0].shape, 2, 2), np.float32)
        out[..., 0, 0], out[..., 1, 1] = variances
        out[~np.isfinite(out).all((-2, -1))] = np.nan
        return out.reshape(*lead, *out.shape[-3:])

    @property
    def _learns_logarithms(self) -> bool:
        """Whether labels sum to 1, so that the vectors are logarithms of distributions."""
        return self.normalize or self.smoothing_type == "standard"

    def _variances(self, axis: int, vectors: Array, beta: float) -> Array:
        """Variances (..., K) of vectors (..., K, W) of an axis, pixels² of the input."""
        sigma = float(self.sigma[axis]) if self.smoothing_type == "gaussian" else 0.0
        radius = fitting_radius(sigma)
        bins = vectors.argmax(-1)
        peaks = np.take_along_axis(vectors, bins[..., None], -1)[..., 0]
        variances = line_variances(vectors * np.float32(beta), bins, radius)
        label = sigma**2 if self._learns_logarithms else _label_variance(sigma, radius)
        variances = narrowed(variances, label) / self.simcc_split_ratio**2
        return np.where(peaks > 0, variances, np.nan)

    def _blur_size(self, axis: int) -> int:
        """Odd kernel whose sigma matches the labels: inverse of OpenCV's rule for sigma."""
        size = int((self.sigma[axis] * 20 - 7) // 3)
        return size - (size % 2 == 0)


def leading_axes(*vectors: Any) -> tuple[int, int]:
    """B and N of a batch of vectors (B, K, W) or (B, N, K, W); N = 1 if there is no such axis."""
    shapes = [tuple(v.shape) for v in vectors]
    if len(shapes[0]) not in (3, 4) or len({shape[:-1] for shape in shapes}) > 1:
        raise DataError(
            f"expected batches of SimCC vectors (B, K, W) or (B, N, K, W), alike but for W, got "
            f"{' and '.join(map(str, shapes))}"
        )
    return shapes[0][:2] if len(shapes[0]) == 4 else (shapes[0][0], 1)


@lru_cache(maxsize=32)
def _label_variance(sigma: float, radius: int) -> float:
    """Variance in bins² that the fit gives of what the loss makes of a label with a peak of 1."""
    steps = np.arange(-4 * radius, 4 * radius + 1)
    label = RTMPOSE_BETA * np.exp(-(steps**2) / (2 * sigma**2))
    return float(line_variances(label, np.array(4 * radius), radius))


@lru_cache(maxsize=32)
def _bell_windows(sigma: float, length: int, normalize: bool) -> Array:
    """Labels (2 R + 2, length) float32 of every bin that reaches the vector, as one table's views.

    Row `R - bin` is a gaussian at `bin`; the last row is zeros.
    """
    reach = length + int(np.ceil(3 * sigma)) + 1
    steps = np.arange(2 * reach + 1, dtype=np.float32) - reach
    bell = np.exp(-(steps**2) / (2 * sigma**2)).astype(np.float32)
    if normalize:
        # a float64 factor would make numpy 2 divide in float64, and round otherwise
        bell /= np.float32(sigma * np.sqrt(np.pi * 2))
    table = np.concatenate([bell, np.zeros(length, dtype=np.float32)])
    return np.lib.stride_tricks.sliding_window_view(table, length)
