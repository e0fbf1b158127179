"""Two by two covariances of keypoints: through affine maps, as ellipses, as distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = [
    "ellipse_outlines",
    "ellipse_radius",
    "mahalanobis_distances",
    "scale_covariances",
    "warp_covariances",
]


def warp_covariances(covariances: Any, matrix: Any) -> Array:
    """Covariances after an affine map x -> A x + t: A C A^T.

    Args:
        covariances: (..., 2, 2), unit².
        matrix: (2, 2), (2, 3) or a batch (..., 2, 2 or 3) that broadcasts; the move does not count.

    Returns:
        (..., 2, 2), of the wider float type of both.

    Example:
        >>> warp_covariances(np.eye(2), np.array([[2.0, 0.0, 5.0], [0.0, 3.0, 5.0]])).tolist()
        [[4.0, 0.0], [0.0, 9.0]]
    """
    linear = np.asarray(matrix)[..., :2, :2]
    return np.asarray(linear @ np.asarray(covariances) @ np.swapaxes(linear, -1, -2))


def scale_covariances(covariances: Any, factors: Any) -> Array:
    """Covariances (..., 2, 2) where x and y are multiplied by factors (2,) or (..., 2)."""
    factors = np.asarray(factors)
    return np.asarray(covariances) * (factors[..., :, None] * factors[..., None, :])


def mahalanobis_distances(offsets: Any, covariances: Any) -> Array:
    """Lengths of offsets in units of their deviation: sqrt(d^T C^-1 d).

    Args:
        offsets: (..., 2).
        covariances: (..., 2, 2), positive definite.

    Returns:
        (...) float64; NaN where a number is not finite or a covariance has no inverse.

    Example:
        >>> mahalanobis_distances([3.0, 0.0], np.diag([4.0, 1.0])).item()
        1.5
    """
    dx, dy = np.moveaxis(np.asarray(offsets, np.float64), -1, 0)
    cov = np.asarray(covariances, np.float64)
    xx, xy, yy = cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.asarray(xx * yy - xy**2)
        area = np.where((area > 0) & (xx > 0), area, np.nan)
        return np.asarray(np.sqrt((dx**2 * yy - 2 * dx * dy * xy + dy**2 * xx) / area))


def ellipse_radius(level: float) -> float:
    """Deviations within which a share `level` of a two-dimensional normal distribution lies.

    sqrt(-2 ln(1 - level)), since the squared distance has the chi-squared distribution of two
    degrees of freedom.

    Raises:
        DataError: a level that is not between 0 and 1.

    Example:
        >>> round(ellipse_radius(0.5), 4), round(ellipse_radius(0.95), 4)
        (1.1774, 2.4477)
    """
    if not 0 < level < 1:
        raise DataError(f"a level is a share between 0 and 1, such as 0.95; got {level}")
    return float(np.sqrt(-2 * np.log1p(-level)))


def ellipse_outlines(centers: Any, covariances: Any, radius: float, corners: int = 32) -> Array:
    """Outlines of the ellipses `mahalanobis_distances(x - center, C) = radius`, as polygons.

    Args:
        centers: (..., 2).
        covariances: (..., 2, 2), positive definite.
        radius: in deviations.
        corners: of each polygon.

    Returns:
        (..., corners, 2) float64; NaN where a covariance is not positive or not finite.
    """
    cov = np.asarray(covariances, np.float64)
    xx, xy, yy = cov[..., 0, 0], cov[..., 0, 1], cov[..., 1, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        # Cholesky's factor, written out: C = L L^T, so L maps the unit circle onto the ellipse
        across = np.sqrt(xx)
        slant = xy / across
        down = np.sqrt(yy - slant**2)
    turn = np.arange(corners) * (2 * np.pi / corners)
    cos, sin = radius * np.cos(turn), radius * np.sin(turn)
    x = across[..., None] * cos
    y = slant[..., None] * cos + down[..., None] * sin
    return np.asarray(np.asarray(centers)[..., None, :] + np.stack((x, y), -1))
