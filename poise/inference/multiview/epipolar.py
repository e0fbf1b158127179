"""Two views of one person: how cameras stand to one another, and by how many frames they differ.

The essential matrix comes from five points (Nister, PAMI 2004) drawn over all moments, which OpenCV
does; offsets, where not even focal lengths are known, from how well any fundamental matrix explains
both views (eight points in Hartley's normalisation, PAMI 1997, weights after Cauchy).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera

__all__ = ["Relation", "any_misfit", "essential_of", "relation", "sampson"]

#: Correspondences that are used at most.
_MOST_POINTS = 1500
#: Rounds of weights.
_ROUNDS = 4


@dataclasses.dataclass(frozen=True)
class Relation:
    """From one camera to another.

    Attributes:
        turn, shift: (3, 3), (3,) of length 1.
        essential: (3, 3).
        angle: median angle between the rays of points that agree, radians.
        part: of the points that agree.
    """

    turn: Array
    shift: Array
    essential: Array
    angle: float
    part: float


def relation(a: Array, b: Array, limit: float) -> Relation | None:
    """How two cameras stand, from points (N, 2), (N, 2) of their planes z = 1.

    Args:
        a, b: of the same keypoints.
        limit: distance from an epipolar line, in the planes, that counts as noise.
    """
    import cv2

    pick = np.linspace(0, len(a) - 1, min(len(a), _MOST_POINTS)).round().astype(int)
    eye = np.eye(3)
    found, _ = cv2.findEssentialMat(
        a[pick], b[pick], eye, method=cv2.USAC_ACCURATE, prob=0.9999, threshold=limit
    )
    if found is None or found.shape != (3, 3) or not np.isfinite(found).all():
        return None
    near = np.asarray(sampson(found, a, b) < limit)
    if near.sum() < 8:
        return None
    _, turn, shift, _ = cv2.recoverPose(found, a[near], b[near], eye)
    rays, others = _plane(a[near]) @ turn.T, _plane(b[near])
    cosine = (rays * others).sum(1) / np.linalg.norm(rays, axis=1) / np.linalg.norm(others, axis=1)
    angle = float(np.median(np.arccos(np.clip(cosine, -1, 1))))
    return Relation(turn, np.ravel(shift), found, angle, float(near.mean()))


def essential_of(first: Camera, second: Camera) -> Array:
    """(3, 3) essential matrix of two cameras that are known."""
    turn = second.rotation @ first.rotation.T
    return np.cross(np.eye(3), second.translation - turn @ first.translation) @ turn


def _plane(points: Array) -> Array:
    """(..., 3) points (..., 2) with z = 1."""
    return np.concatenate((points, np.ones((*points.shape[:-1], 1))), -1)


def sampson(matrix: Array, a: Array, b: Array) -> Array:
    """(...) distances of points (..., 2) from what a fundamental matrix (3, 3) allows."""
    p, q = _plane(a), _plane(b)
    lines, back = p @ matrix.T, q @ matrix
    bottom = (lines[..., :2] ** 2).sum(-1) + (back[..., :2] ** 2).sum(-1)
    return np.abs((q * lines).sum(-1)) / np.sqrt(np.maximum(bottom, 1e-300))


def any_misfit(p: Array, q: Array) -> float:
    """Pixels by which points (N, 2), (N, 2) contradict any two cameras.

    The mean of Sampson errors that are cut at three times the median, at the best matrix.
    """
    scale = (np.std(p) + np.std(q)) / 2
    p, q = (p - p.mean(0)) / scale, (q - q.mean(0)) / scale
    rows = (_plane(q)[:, :, None] * _plane(p)[:, None]).reshape(-1, 9)
    weight = error = np.ones(len(p))
    for _ in range(_ROUNDS):
        scaled = rows * weight[:, None]
        matrix = np.linalg.eigh(scaled.T @ scaled)[1][:, 0].reshape(3, 3)
        left, stretch, right = np.linalg.svd(matrix)
        matrix = left[:, :2] * stretch[:2] @ right[:2]
        error = sampson(matrix, p, q)
        weight = 1 / np.sqrt(1 + (error / (2 * np.median(error) + 1e-12)) ** 2)
    return float(np.minimum(error, 3 * np.median(error)).mean() * scale)
