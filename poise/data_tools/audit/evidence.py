"""How far a model can be trusted against these labels, measured on the labels themselves.

Most labels are right. So how often a model's keypoint with a certain score agrees with the label
says how often such a keypoint is right, and how far right labels scatter around it. A label that
disagrees is weighed against that: with a model that is often wrong, no label is called wrong with
certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "AGREES",
    "OUTSIDE",
    "PRIOR",
    "Trust",
    "agreement_by_score",
    "far_outside",
    "measure_trust",
    "surest",
    "tail",
]

#: share of labels with each kind of fault, before anything is known
PRIOR = 0.01
#: degrees of freedom of the scatter: right labels have tails, too
FREEDOM = 4.0
#: labels within so many spreads agree with the model
AGREES = 5.0
#: the median of the length of a vector with two Gaussian parts of spread 1
_MEDIAN_LENGTH = 1.1774
#: no two people click closer than that; parts of the person's size
LEAST_SPREAD = 0.005
#: a keypoint is outside of its box from here on; parts of the longer side
OUTSIDE = 0.05
#: so many scores share a bin at least
_PER_BIN = 40
_BINS = 50


@dataclass(frozen=True)
class Trust:
    """What is known of a model's keypoints.

    Attributes:
        spread: (K,) scatter of right labels, in parts of the person's size.
        right: (N, K) how often a keypoint with this score agrees with its label, 0 to 1.
    """

    spread: np.ndarray
    right: np.ndarray

    def density(self, distance: np.ndarray) -> np.ndarray:
        """Density of a right label at a distance, per square of the person's size.

        Args:
            distance: (..., K) in parts of the person's size.
        """
        square = (distance / self.spread) ** 2
        scatter = (1 + square / FREEDOM) ** -(FREEDOM / 2 + 1) / (2 * np.pi * self.spread**2)
        return np.nan_to_num(scatter)


def measure_trust(
    distance: np.ndarray, turned: np.ndarray, scores: np.ndarray, known: np.ndarray
) -> Trust:
    """Trust in a model from how it agrees with the labels.

    A keypoint is trusted by its score, by how often this kind of keypoint agrees, and by how many
    others of the person do: where most do not, the model is lost, or looks at somebody else.

    Args:
        distance: (N, K) from label to prediction, in parts of the person's size.
        turned: (N, K) the same to the prediction of the other side; NaN without one.
        scores: (N, K) of the predictions.
        known: (N, K) bool, both are there.
    """
    spread = np.full(distance.shape[1], LEAST_SPREAD)
    columns = [k for k in range(len(spread)) if known[:, k].any()]
    # over keypoints, not people
    for k in columns:
        rows = known[:, k]
        best = rows & (scores[:, k] >= np.median(scores[rows, k]))
        spread[k] = max(float(np.median(distance[best, k])) / _MEDIAN_LENGTH, LEAST_SPREAD)
    agrees = known & (distance < AGREES * spread)
    # a person whose sides are exchanged in the label has a good pose all the same
    mirrored = known & (np.where(np.isnan(turned), distance, turned) < AGREES * spread)
    company = np.maximum(_others(agrees, known), _others(mirrored, known))
    # score, company and keypoint in one figure, so that all keypoints are judged together
    evidence = company.copy()
    for k in columns:
        rows = known[:, k]
        place = np.argsort(np.argsort(scores[rows, k])) / rows.sum()
        evidence[rows, k] += place + agrees[rows, k].mean()
    right = np.zeros(distance.shape)
    right[known] = agreement_by_score(evidence[known], agrees[known])
    return Trust(spread, right)


def _others(agrees: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N, K) share of a person's other keypoints that agree."""
    others = agrees.sum(axis=1, keepdims=True) - agrees
    count = known.sum(axis=1, keepdims=True) - known
    return others / np.maximum(count, 1)


def agreement_by_score(scores: np.ndarray, agrees: np.ndarray) -> np.ndarray:
    """(M,) share of what agrees among those with a like score; never falls with the score.

    Args:
        scores: (M,). agrees: (M,) bool.

    Example:
        >>> shares = agreement_by_score(np.repeat([0.1, 0.9], 100), np.repeat([False, True], 100))
        >>> shares[[0, -1]].round(2).tolist()
        [0.01, 0.99]
    """
    order = np.argsort(scores, kind="stable")
    bins = max(1, min(_BINS, len(scores) // _PER_BIN))
    number = np.arange(len(scores)) * bins // max(len(scores), 1)
    hits = np.bincount(number, agrees[order], minlength=bins)
    # half a case more of each kind, so that a few prove nothing
    shares = (hits + 1 / 2) / (np.bincount(number, minlength=bins) + 1)
    result = np.empty(len(scores))
    result[order] = np.maximum.accumulate(shares)[number]
    return result


def surest(sure: np.ndarray, least: float) -> np.ndarray:
    """Places of what belongs into one finding: half as sure as the surest, and as `least`.

    Example:
        >>> surest(np.array([0.9, 0.3, 0.5]), 0.1).tolist()
        [0, 2]
    """
    return np.flatnonzero(sure >= max(least, sure.max() / 2))


def far_outside(far: np.ndarray, prior: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How surely a box is at fault, by how far keypoints are outside of it and of other boxes.

    Args:
        far: (N, K) parts of the longer side.
        prior: share of boxes that are wrong, before anything is known.

    Returns:
        (N,) how sure, (N,) how far the farthest keypoint is, and (N,) share of boxes that have one
        as far.
    """
    worst = far.max(axis=1)
    share = (len(worst) - np.searchsorted(np.sort(worst), worst)) / len(worst)
    return np.where(worst > OUTSIDE, prior / (prior + share), 0), worst, share


def tail(spreads: np.ndarray) -> np.ndarray:
    """Share of right values that lie above so many spreads, with tails as `FREEDOM` says.

    Example:
        >>> tail(np.array([0.0, 3.0, 8.0])).round(4).tolist()
        [0.5, 0.02, 0.0007]
    """
    from scipy.special import stdtr

    return stdtr(FREEDOM, -np.asarray(spreads, np.float64))
