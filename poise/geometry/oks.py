"""Object keypoint similarity between predicted poses, and the two suppressions built on it.

OKS is the mean over keypoints of exp(-d² / (2 s² k²)): d the distance, s² the area of the
object, k the keypoint's constant (twice its sigma). See https://cocodataset.org/#keypoints-eval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = [
    "COCO_SIGMAS",
    "expected_oks",
    "greedy_keep",
    "oks_iou",
    "oks_matrix",
    "oks_nms",
    "soft_keep",
    "soft_oks_nms",
]

# fmt: off
COCO_SIGMAS = np.array([
    0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72,
    0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89,
]) / 10.0
# fmt: on

_EPS = np.spacing(1)
# rows of a suppression matrix that are made at a time, to bound memory
_BLOCK = 256


def oks_matrix(
    keypoints: Array,
    others: Array,
    areas: Array,
    other_areas: Array,
    sigmas: Array | None = None,
    vis_thr: float | None = None,
) -> Array:
    """OKS of each pose with each other pose; the area is the mean of both.

    Args:
        keypoints: (M, K, 3): x, y in pixels of one space, score.
        others: (N, K, 3).
        areas: (M,) square pixels.
        other_areas: (N,).
        sigmas: (K,); COCO's if None.
        vis_thr: count only keypoints whose score is above this in both poses.

    Returns:
        (M, N) float32; 0 where no keypoint counts.

    Raises:
        DataError: another number of sigmas than keypoints.
    """
    sigmas = COCO_SIGMAS if sigmas is None else np.asarray(sigmas)
    _check_sigmas(sigmas, keypoints.shape[1])
    distance = ((keypoints[:, None, :, :2] - others[None, :, :, :2]) ** 2).sum(-1)
    area = (areas[:, None] + other_areas[None]) / 2 + _EPS
    similarity = np.exp(-distance / (2 * sigmas) ** 2 / area[..., None] / 2)
    if vis_thr is None:
        return similarity.mean(-1).astype(np.float32)
    counted = (keypoints[:, None, :, 2] > vis_thr) & (others[None, :, :, 2] > vis_thr)
    total = np.where(counted, similarity, 0).sum(-1)
    return (total / np.maximum(counted.sum(-1), 1)).astype(np.float32)


def oks_iou(
    g: Array,
    d: Array,
    a_g: float,
    a_d: Array,
    sigmas: Array | None = None,
    vis_thr: float | None = None,
) -> Array:
    """OKS (N,) float32 of one pose with N others.

    Args:
        g: (K * 3,) x, y, score of the pose, flat.
        d: (N, K * 3) of the others.
        a_g: area of the pose in square pixels.
        a_d: (N,) areas of the others.
        sigmas: (K,); COCO's if None.
        vis_thr: count only keypoints whose score is above this in both poses.
    """
    poses = np.asarray(d).reshape(len(d), -1, 3) if len(d) else np.zeros((0, len(g) // 3, 3))
    one = np.asarray(g).reshape(1, -1, 3)
    return oks_matrix(one, poses, np.asarray([a_g]), np.asarray(a_d), sigmas, vis_thr)[0]


def expected_oks(covariances: Array, areas: Array, sigmas: Array) -> Array:
    """What OKS with the truth is to be expected of poses whose places are so sure.

    For normal errors of covariance C a keypoint's exp(-d² / (2 s² k²)) is det(I + C / (s² k²)) **
    -1/2 in the mean. Heavy tails, such as of swapped sides, make the true mean smaller.

    Args:
        covariances: (N, K, 2, 2) square pixels; keypoints with NaN do not count.
        areas: (N,) square pixels.
        sigmas: (K,).

    Returns:
        (N,) float64 in 0..1; NaN without an area, or where no keypoint counts.

    Raises:
        DataError: another number of sigmas than keypoints.

    Example:
        >>> sure = np.broadcast_to(np.eye(2), (1, 17, 2, 2))
        >>> expected_oks(sure, np.array([100.0**2]), COCO_SIGMAS).round(3)
        array([0.988])
    """
    covariances, sigmas = np.asarray(covariances, np.float64), np.asarray(sigmas)
    _check_sigmas(sigmas, covariances.shape[1])
    unit = np.where(areas > 0, areas, np.nan)[:, None] * (2 * sigmas) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.eye(2) + covariances / unit[..., None, None]
        similarity = np.linalg.det(spread) ** -0.5
        known = np.isfinite(similarity)
        total = np.where(known, similarity, 0).sum(axis=1)
        return np.asarray(total / known.sum(axis=1))


def oks_nms(
    kpts_db: Sequence[dict[str, Any]],
    thr: float,
    sigmas: Array | None = None,
    vis_thr: float | None = None,
    score_per_joint: bool = False,
) -> Array:
    """Indices of the poses to keep: the best first, none with OKS above `thr` to a better one.

    Args:
        kpts_db: poses of one picture: 'keypoints' (K, 3), 'score', 'area'.
        thr: poses whose OKS to a kept pose exceeds this are dropped.
        sigmas: (K,); COCO's if None.
        vis_thr: count only keypoints whose score is above this in both poses.
        score_per_joint: 'score' is (K,) and its mean ranks the pose.
    """
    if not kpts_db:
        return np.zeros(0, np.intp)
    scores, poses, areas = _columns(kpts_db, score_per_joint)
    order = scores.argsort()[::-1]
    poses, areas = poses[order], areas[order]

    def too_close(rows: slice) -> Array:
        return ~(oks_matrix(poses[rows], poses, areas[rows], areas, sigmas, vis_thr) <= thr)

    return order[greedy_keep(len(order), too_close)]


def soft_oks_nms(
    kpts_db: Sequence[dict[str, Any]],
    thr: float,
    max_dets: int = 20,
    sigmas: Array | None = None,
    vis_thr: float | None = None,
    score_per_joint: bool = False,
) -> Array:
    """Indices of up to `max_dets` poses, best first, where near poses lose score.

    A pose is not dropped but its score falls by exp(-OKS² / thr) for each better pose taken
    (Soft-NMS, Bodla et al., ICCV 2017, with OKS for IoU).

    Args:
        kpts_db: poses of one picture: 'keypoints' (K, 3), 'score', 'area'.
        thr: width of the decay.
        max_dets: how many poses to keep at most.
        sigmas: (K,); COCO's if None.
        vis_thr: count only keypoints whose score is above this in both poses.
        score_per_joint: 'score' is (K,) and its mean ranks the pose.
    """
    if not kpts_db:
        return np.zeros(0, np.intp)
    scores, poses, areas = _columns(kpts_db, score_per_joint)
    overlap = oks_matrix(poses, poses, areas, areas, sigmas, vis_thr)
    return soft_keep(scores, overlap, thr, max_dets)


def soft_keep(scores: Array, overlap: Array, thr: float, max_dets: int) -> Array:
    """Positions of up to `max_dets` candidates, best first, by scores that overlap decays.

    Args:
        scores: (N,).
        overlap: (N, N) in 0..1.
        thr: width of the decay.
        max_dets: how many to take at most.
    """
    decay = np.exp(-(overlap**2) / thr)
    order = scores.argsort()[::-1]
    scores = scores[order]
    keep: list[int] = []
    while len(order) and len(keep) < max_dets:
        best, order = order[0], order[1:]
        keep.append(best)
        scores = scores[1:] * decay[best, order]
        rank = scores.argsort()[::-1]
        order, scores = order[rank], scores[rank]
    return np.array(keep, np.intp)


def greedy_keep(count: int, too_close: Callable[[slice], Array]) -> Array:
    """Positions of candidates, sorted best first, that no better kept one is too close to.

    Args:
        count: number of candidates.
        too_close: gives for a slice of candidates the (rows, count) mask of those that they
            rule out.
    """
    alive = np.ones(count, bool)
    for start in range(0, count, _BLOCK):
        mask = too_close(slice(start, min(start + _BLOCK, count)))
        for offset, row in enumerate(mask):
            if alive[start + offset]:
                alive[start + offset + 1 :] &= ~row[start + offset + 1 :]
    return np.nonzero(alive)[0]


def _check_sigmas(sigmas: Array, keypoints: int) -> None:
    if len(sigmas) != keypoints:
        raise DataError(
            f"there are {len(sigmas)} sigmas for {keypoints} keypoints; pass the sigmas"
            " of the dataset"
        )


def _columns(
    kpts_db: Sequence[dict[str, Any]], score_per_joint: bool
) -> tuple[Array, Array, Array]:
    """Scores (N,), poses (N, K, 3), areas (N,) of a list of poses."""
    scores = [pose["score"].mean() if score_per_joint else pose["score"] for pose in kpts_db]
    poses = np.array([np.asarray(pose["keypoints"]).reshape(-1, 3) for pose in kpts_db])
    return np.array(scores), poses, np.array([pose["area"] for pose in kpts_db])
