"""How far predicted keypoints are from the annotated ones.

Shapes: pred and gt (N, K, D), mask (N, K) bool: which keypoints count. Coordinates are in one
space of the caller's choice, usually image space.
"""

from __future__ import annotations

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.similarity import align_by_scale, compute_similarity_transform

__all__ = [
    "aligned",
    "keypoint_auc",
    "keypoint_epe",
    "keypoint_mpjpe",
    "keypoint_nme",
    "keypoint_pck_accuracy",
    "normalized_distances",
]


def normalized_distances(
    pred: Array, gt: Array, mask: Array, norm_factor: Array
) -> tuple[Array, Array]:
    """Distances in units of a length per instance and axis.

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        mask: (N, K) bool.
        norm_factor: (N, D). An instance with a zero has no size and does not count; a negative
            number (unknown) makes the distance along that axis vanish.

    Returns:
        distances (N, K) float32, and which of them count (N, K) bool.
    """
    _same_shape(pred, gt, mask)
    norm_factor = np.asarray(norm_factor)
    norm_factor = norm_factor.astype(np.result_type(norm_factor, np.float32), copy=False)
    counted = mask.astype(bool) & (norm_factor != 0).all(axis=1)[:, None]
    length = np.where(norm_factor > 0, norm_factor, norm_factor.dtype.type(1e6))
    # numbers without a sign would wrap around
    offset = np.subtract(pred, gt, dtype=np.result_type(pred, gt, np.float32))
    squares = np.square(offset / length[:, None])
    # by axis: a sum over two or three neighbours takes ten times as long
    distances = np.sqrt(sum(np.moveaxis(squares, -1, 0)))
    return distances.astype(np.float32, copy=False), counted


def keypoint_pck_accuracy(
    pred: Array, gt: Array, mask: Array, thr: float, norm_factor: Array
) -> tuple[Array, float, int]:
    """Percentage of correct keypoints: those nearer than `thr` lengths, per keypoint and overall.

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        mask: (N, K) bool.
        thr: in units of `norm_factor`; 0.05 to 0.5 are usual.
        norm_factor: (N, D) lengths, such as the box or head size.

    Returns:
        accuracy (K,) in 0..1 with -1 where no instance has the keypoint, the mean over the
        keypoints that exist (0 if none), and their number.
    """
    distances, counted = normalized_distances(pred, gt, mask, norm_factor)
    return _fractions(distances < float(thr), counted)


def keypoint_auc(
    pred: Array, gt: Array, mask: Array, norm_factor: float, num_thrs: int = 20
) -> float:
    """Area under the PCK curve over the thresholds 0, 1/n, ... (n - 1)/n.

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        mask: (N, K) bool.
        norm_factor: one length for all, in pixels.
        num_thrs: number of thresholds n.
    """
    norm = np.full((pred.shape[0], pred.shape[2]), norm_factor)
    distances, counted = normalized_distances(pred, gt, mask, norm)
    curve = [_fractions(distances < i / num_thrs, counted)[1] for i in range(num_thrs)]
    return float(np.mean(curve))


def keypoint_nme(pred: Array, gt: Array, mask: Array, normalize_factor: Array) -> float:
    """Normalised mean error: mean distance in units of a length per instance.

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        mask: (N, K) bool.
        normalize_factor: (N, D) lengths, such as the distance between the eyes.
    """
    distances, counted = normalized_distances(pred, gt, mask, normalize_factor)
    return float(distances[counted].sum(dtype=np.float64) / max(1, counted.sum()))


def keypoint_epe(pred: Array, gt: Array, mask: Array) -> float:
    """End-point error: mean distance in pixels (or the unit of the input).

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        mask: (N, K) bool.
    """
    return keypoint_nme(pred, gt, mask, np.ones(pred.shape[::2], np.float32))


def keypoint_mpjpe(pred: Array, gt: Array, mask: Array, alignment: str = "none") -> float:
    """Mean per-joint position error, perhaps after alignment with the truth.

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        mask: (N, K) bool.
        alignment: 'none' (MPJPE), 'scale' (N-MPJPE) or 'procrustes' (P-MPJPE).

    Raises:
        DataError: unknown alignment, or no keypoint counts.
    """
    _same_shape(pred, gt, mask)
    if not mask.any():
        raise DataError("no keypoint is visible: the mean error of nothing is not defined")
    errors = np.linalg.norm(aligned(pred, gt, alignment) - gt, axis=-1)
    return float(errors[mask.astype(bool)].mean(dtype=np.float64))


def aligned(pred: Array, gt: Array, alignment: str) -> Array:
    """Predicted poses (N, K, D) brought to the true ones (N, K, D), one by one.

    Args:
        pred: (N, K, D).
        gt: (N, K, D).
        alignment: 'none', 'scale' or 'procrustes', as in `keypoint_mpjpe`.

    Raises:
        DataError: unknown alignment; NaN, which 'procrustes' cannot align.
    """
    if alignment == "procrustes":
        if not (np.isfinite(pred).all() and np.isfinite(gt).all()):
            raise DataError(
                "NaN or infinity in the predicted or true poses, so they cannot be aligned by "
                "'procrustes' (P-MPJPE, P-PCK, P-AUC); look at what the model puts out"
            )
        return compute_similarity_transform(pred, gt)
    if alignment == "scale":
        return align_by_scale(pred, gt)
    if alignment != "none":
        raise DataError(f"alignment is 'none', 'scale' or 'procrustes', got {alignment!r}")
    return pred


def _fractions(correct: Array, counted: Array) -> tuple[Array, float, int]:
    """Share of correct ones per keypoint (-1 where none counts), their mean, their number."""
    total = counted.sum(axis=0)
    exists = total > 0
    accuracy = np.where(exists, (correct & counted).sum(axis=0) / np.maximum(total, 1), -1.0)
    number = int(exists.sum())
    return accuracy, float(accuracy[exists].mean()) if number else 0.0, number


def _same_shape(pred: Array, gt: Array, mask: Array) -> None:
    if pred.ndim != 3 or pred.shape != gt.shape or mask.shape != pred.shape[:2]:
        raise DataError(
            "pred and gt have the shape (N, K, D) and mask (N, K), got"
            f" {pred.shape}, {gt.shape} and {mask.shape}"
        )
