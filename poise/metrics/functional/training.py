"""Accuracies that heads log while training, from what the network puts out.

Arrays may be numpy or torch. Of tensors only the positions of the maxima leave the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import Array, as_numpy
from poise.metrics.functional.distances import keypoint_pck_accuracy

__all__ = ["multilabel_classification_accuracy", "pose_pck_accuracy", "simcc_pck_accuracy"]


def pose_pck_accuracy(
    output: Any, target: Any, mask: Any, thr: float = 0.05, normalize: Array | None = None
) -> tuple[Array | None, float, int]:
    """PCK between the maxima of predicted and target heatmaps.

    Args:
        output: (N, K, H, W) predicted heatmaps.
        target: (N, K, H, W) target heatmaps; a keypoint whose maximum is not above 0 stands at
            (-1, -1).
        mask: (N, K) bool.
        thr: in units of `normalize`.
        normalize: (N, 2) lengths along x and y. The default is (H, W), in this order, as the
            published training logs have it.

    Returns:
        accuracy (K,) (None if K is 0), their mean, and the number of keypoints that exist.
    """
    n, k, height, width = output.shape
    if k == 0:
        return None, 0, 0
    if normalize is None:
        normalize = np.tile(np.array([[height, width]]), (n, 1))
    places = [_heatmap_peaks(maps) for maps in (output, target)]
    return keypoint_pck_accuracy(places[0], places[1], as_numpy(mask), thr, normalize)


def simcc_pck_accuracy(
    output: tuple[Any, Any],
    target: tuple[Any, Any],
    simcc_split_ratio: float,
    mask: Any,
    thr: float = 0.05,
    normalize: Array | None = None,
) -> tuple[Array, float, int]:
    """PCK between the maxima of predicted and target SimCC vectors.

    Args:
        output: (N, K, W * ratio) and (N, K, H * ratio) predictions along x and y.
        target: the same for the targets.
        simcc_split_ratio: bins per pixel of the input.
        mask: (N, K) bool.
        thr: in units of `normalize`.
        normalize: (N, 2) lengths along x and y. The default is (H, W), in this order, as the
            published training logs have it.

    Returns:
        accuracy (K,), their mean, and the number of keypoints that exist.
    """
    if normalize is None:
        width, height = (int(axis.shape[-1] / simcc_split_ratio) for axis in output)
        normalize = np.tile(np.array([[height, width]]), (output[0].shape[0], 1))
    places = [_simcc_peaks(*axes) / np.float32(simcc_split_ratio) for axes in (output, target)]
    return keypoint_pck_accuracy(places[0], places[1], as_numpy(mask), thr, normalize)


def multilabel_classification_accuracy(
    pred: Array, gt: Array, mask: Array, thr: float = 0.5
) -> float:
    """Share of samples whose labels are all right, among those whose labels are all known.

    Args:
        pred: (N, L) predicted probabilities.
        gt: (N, L) true labels, 0 or 1.
        mask: (N, 1), (N, L) or (N,): above 0 where the label is known.
        thr: a probability above this says 1.

    Returns:
        0 where no sample is known.
    """
    known = (mask > 0).reshape(len(mask), -1).all(axis=1)
    right = np.asarray((((pred - thr) * (gt - thr)) > 0)[known].all(axis=1))
    return float(right.mean()) if len(right) else 0.0


def _peak(values: Any) -> tuple[Array, Array]:
    """Position and value of the maximum along the last axis."""
    if isinstance(values, np.ndarray):
        return values.argmax(-1), values.max(-1)
    best, place = values.detach().max(-1)
    return as_numpy(place), as_numpy(best.float())


def _heatmap_peaks(maps: Any) -> Array:
    """(N, K, 2) float32 x, y of the maxima of (N, K, H, W); -1 where the maximum is <= 0."""
    width = maps.shape[-1]
    place, best = _peak(maps.reshape(*maps.shape[:2], -1))
    xy = np.stack((place % width, place // width), axis=-1).astype(np.float32)
    xy[best <= 0] = -1
    return xy


def _simcc_peaks(along_x: Any, along_y: Any) -> Array:
    """(N, K, 2) float32 bins of the maxima; -1 where the lower of both maxima is <= 0."""
    (x, best_x), (y, best_y) = _peak(along_x), _peak(along_y)
    xy = np.stack((x, y), axis=-1).astype(np.float32)
    xy[np.minimum(best_x, best_y) <= 0] = -1
    return xy
