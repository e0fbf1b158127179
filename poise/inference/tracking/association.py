"""How alike a detection and a track are, and who goes with whom; all pairs at once."""

from __future__ import annotations

import numpy as np

from poise._arrays import Array
from poise.geometry import bbox_overlaps
from poise.inference.tracking.people import People

__all__ = ["assign", "camera_shift", "likeness", "surprise"]

#: Shift of the camera: people count as standing still within this part of their size.
_STILL_PART = 0.12
#: How many people more must fit a shift than fit none, for the shift to be believed.
_SHIFT_GAIN = 0.6
#: Comparisons of a shift's judgement: so many proposals are judged, times people, times tracks.
_MOST_COMPARISONS = 4_000_000
#: Sizes of one person differ by at most this factor from frame to frame, as a logarithm.
_LOG_SIZE_LIMIT = 0.5
#: Standard deviations that a growth by the factor e counts as.
_GROWTH_COST = 8.0


def likeness(found: People, known: People, sigmas: Array) -> Array:
    """(N, M) in 0..1: mean of the pose's similarity (OKS) and the overlap of the boxes.

    The keypoints that count are those which are sure on both sides; without any, or without
    boxes (3D), the other measure decides alone.

    Args:
        found: N people of this frame.
        known: M people where they are expected.
        sigmas: (K,) tolerance of each keypoint, already widened for movement.
    """
    poses, counted = _pose_likeness(found, known, sigmas)
    if found.boxes is None or known.boxes is None:
        return np.where(counted, poses, 0.0)
    overlap = np.asarray(bbox_overlaps(found.boxes, known.boxes), np.float64)
    return np.where(counted, (poses + overlap) / 2, overlap)


def _pose_likeness(found: People, known: People, sigmas: Array) -> tuple[Array, Array]:
    """OKS (N, M) in two or three dimensions, and (N, M) whether any keypoint counts."""
    apart = found.keypoints[:, None] - known.keypoints[None]
    both = found.sure[:, None] & known.sure[None]
    area = (found.areas[:, None] + known.areas[None]) / 2
    distance = np.where(both, (apart * apart).sum(-1), 0)
    near = np.exp(-distance / (8 * sigmas**2 * np.maximum(area, 1e-12)[..., None]))
    count = both.sum(-1)
    return np.where(both, near, 0).sum(-1) / np.maximum(count, 1), count > 0


def surprise(found: People, expected: Array, variance: Array, sizes: Array) -> Array:
    """(N, M) distance of detections from where tracks may be, in standard deviations.

    Infinite where the sizes do not fit together.

    Args:
        found: N people.
        expected: (M, D) centres.
        variance: (M, D) of the centres, space unit².
        sizes: (M, D) of the tracks.
    """
    apart = found.centers[:, None] - expected[None]
    distance = np.sqrt((apart**2 / variance[None]).sum(-1))
    growth = np.abs(np.log(found.sizes[:, None] / sizes[None])).max(-1)
    return np.where(growth < _LOG_SIZE_LIMIT, distance + _GROWTH_COST * growth, np.inf)


def assign(gain: Array, least: float) -> tuple[Array, Array]:
    """Pairs (rows, columns) with the greatest sum of gains, each gain above `least`."""
    # for trackers alone: it takes a third of a second to import
    from scipy.optimize import linear_sum_assignment

    if not gain.size:
        return np.zeros(0, int), np.zeros(0, int)
    # pairs that cannot be must not push others aside
    rows, columns = linear_sum_assignment(np.where(gain > least, gain, 0), maximize=True)
    keep = gain[rows, columns] > least
    return rows[keep], columns[keep]


def camera_shift(found: People, centers: Array, sizes: Array) -> Array:
    """(D,) by which everybody moved at once, since the camera did; zero where in doubt.

    Every pair of a detection and a track proposes a shift; the one that most tracks agree with
    wins, if clearly more of them agree with it than with standing still. In crowds only those
    proposals are judged that most others are near to.

    Args:
        found: N people.
        centers: (M, D) where the tracks were expected.
        sizes: (M, D) of the tracks.
    """
    still = np.zeros(centers.shape[1])
    # with one person, a step of the camera and a step of the person look the same
    if min(len(found.centers), len(centers)) < 2:
        return still
    apart = found.centers[:, None] - centers[None]
    tolerance = _STILL_PART * sizes.max(-1)
    fits = (np.abs(np.log(found.sizes[:, None] / sizes[None])) < _LOG_SIZE_LIMIT).all(-1)
    proposals = apart[fits]
    most = _MOST_COMPARISONS // fits.size
    if len(proposals) > most:
        cells = np.rint(proposals / np.median(tolerance))
        _, cell, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
        proposals = proposals[np.argsort(-count[cell.reshape(-1)], kind="stable")[:most]]
    proposals = np.concatenate((still[None], proposals))
    residual = ((apart[None] - proposals[:, None, None]) ** 2).sum(-1)
    support = np.where(fits, np.exp(-residual / (2 * tolerance**2)), 0).max(1).sum(-1)
    best = int(support.argmax())
    return proposals[best] if support[best] > support[0] + _SHIFT_GAIN else still
