"""How exactly keypoints can be labelled: the sigmas that OKS divides by, from data.

COCO's definition (https://cocodataset.org/#keypoints-eval): sigma² is the mean of d² / s² over
labels of the same keypoint, d the distance of a label from the true place, s² the area of the
person; OKS then uses k = 2 sigma. For errors that are Gaussian along x and y, d² / s² is
distributed exponentially with the mean sigma², whose median is ln 2 of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poise._arrays import Array

__all__ = ["Sigma", "mean_sigmas", "repeated_distances", "robust_sigmas"]

#: Farther than so many robust sigmas a label is of something else; by chance e^-25 of them are.
_OUTLIER = 5.0
#: Fewer points give a sigma to no better than a tenth.
FEW_POINTS = 50


@dataclass(frozen=True)
class Sigma:
    """The sigma of one keypoint.

    Attributes:
        value: sigma; NaN without points.
        error: standard error of it.
        points: on how many distances it rests.
        outliers: distances that were left out.
    """

    value: float
    error: float
    points: int
    outliers: int = 0

    @property
    def is_rough(self) -> bool:
        """Whether it rests on too few points to be used without a second thought."""
        return self.points < FEW_POINTS


def robust_sigmas(squares: Array) -> list[Sigma]:
    """Sigmas by the median, which does not mind that up to half of the distances are wrong.

    For distances of a model's keypoints, of which some are far off. They hold the model's error
    beside the labels', so that these sigmas are upper bounds.

    Args:
        squares: (N, K) d² / s², NaN where there is no pair.
    """
    return _by_keypoint(squares, _robust_sigma)


def mean_sigmas(squares: Array) -> list[Sigma]:
    """Sigmas by the mean, as COCO's, without labels that are of something else.

    For labels that several people made of the same keypoints.

    Args:
        squares: (N, K) d² / s² of labels from the true place, NaN where there is none.
    """
    return _by_keypoint(squares, _mean_sigma)


def repeated_distances(first: Array, second: Array, areas: Array) -> Array:
    """d² / s² (N, K) of two labels of the same keypoints; NaN where one is not labelled.

    Two labels with independent errors are twice as far apart, squared, as each is from the true
    place; so half of their squared distance is taken.

    Args:
        first: (N, K, 3) x, y, visibility, image space.
        second: (N, K, 3).
        areas: (N,) square pixels.
    """
    squared = np.square(first[..., :2] - second[..., :2]).sum(axis=-1) / 2
    both = (first[..., 2] > 0) & (second[..., 2] > 0) & (areas > 0)[:, None]
    return np.where(both, squared / np.where(areas > 0, areas, 1)[:, None], np.nan)


def _by_keypoint(squares: Array, sigma_of: Callable[[Array], Sigma]) -> list[Sigma]:
    columns = (column[~np.isnan(column)] for column in squares.T)
    return [sigma_of(c) if len(c) else Sigma(math.nan, math.nan, 0) for c in columns]


def _robust_sigma(squares: Array) -> Sigma:
    value = _robust(squares)
    return Sigma(value, value / (2 * math.log(2) * math.sqrt(len(squares))), len(squares))


def _mean_sigma(squares: Array) -> Sigma:
    limit = (_OUTLIER * _robust(squares)) ** 2
    # where most labels are copies of each other the median is 0 and says nothing
    kept = squares[squares <= limit] if limit > 0 else squares
    value = float(np.sqrt(kept.mean()))
    error = value / (2 * math.sqrt(len(kept)))
    return Sigma(value, error, len(kept), len(squares) - len(kept))


def _robust(squares: Array) -> float:
    return float(np.sqrt(np.median(squares) / np.log(2)))
