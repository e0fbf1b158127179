"""Triangulation: points of space from their pixels in several calibrated pictures.

All keypoints of all people and frames at once; loops go over cameras only. The start is the
linear method (DLT, Hartley and Zisserman 2004, section 12.2, in its inhomogeneous form), with
rows weighted by the views' scores (Iskakov 2019, "algebraic triangulation") or by the inverse of
their covariances; a few Gauss-Newton steps on the reprojection error follow. Views that disagree
are found by trying every pair of views as a hypothesis and counting who agrees with it, which is
RANSAC without the chance; the cost of a hypothesis is MSAC's (Torr and Zisserman 2000).
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera

__all__ = ["Triangulated", "Triangulation", "triangulate_points"]

#: Part of the largest possible determinant below which rays count as parallel.
_PARALLEL = 1e-14
#: Points that are handled at once: the arrays of one part stay within some tens of megabytes.
_POINTS_AT_ONCE = 50_000


class Triangulated(enum.IntEnum):
    """What became of a point."""

    #: it has coordinates
    FOUND = 0
    #: fewer views than `min_views` saw it
    TOO_FEW_VIEWS = 1
    #: no `min_views` views agree on a place in front of them
    VIEWS_DISAGREE = 2


@dataclasses.dataclass(frozen=True)
class Triangulation:
    """Points of space and how well the views agree on them.

    Attributes:
        points: (..., 3) float64 metres, in the world of the cameras; NaN where there is none.
        errors: (V, ...) pixels between a view's keypoint and the projected point, also of views
            that were left out; NaN where the view or the point is missing.
        used: (V, ...) bool: the views that a point was computed from.
        rejected: (V, ...) bool: views that saw the keypoint, and elsewhere than the others.
        status: (...) int8, see `Triangulated`.
        covariances: (..., 3, 3) metres² that follow from the covariances of the keypoints, or from
            a standard deviation of 1 pixel over the score.
    """

    points: Array
    errors: Array
    used: Array
    rejected: Array
    status: Array
    covariances: Array


def triangulate_points(
    pixels: Any,
    cameras: Sequence[Camera],
    *,
    scores: Any = None,
    covariances: Any = None,
    min_score: float = 0.0,
    min_views: int = 2,
    max_error: float | Sequence[float] | Array | None = None,
    steps: int = 3,
) -> Triangulation:
    """Points of space from what V cameras see of them.

    Args:
        pixels: (V, ..., 2) image space; NaN where a view does not see a point.
        cameras: V of them.
        scores: (V, ...) weights of a point's coordinates in its equations; None: all the same.
        covariances: (V, ..., 2, 2) pixels²; instead of the scores as weights.
        min_score: views with a lower score of a point do not count for it.
        min_views: fewest views of a point, at least 2.
        max_error: pixels, or of each view. Where a view's keypoint lies farther from the projected
            point, views are left out, as few as possible. None: all views are believed.
        steps: of Gauss-Newton after the linear solution; 0 leaves that.

    Raises:
        DataError: shapes that do not fit together, fewer than two cameras, or limits that are
            none.
    """
    points, shape = _checked(pixels, cameras, min_views)
    limit = None
    if max_error is not None:
        limit = np.broadcast_to(np.asarray(max_error, float), len(cameras))[:, None]
        if not (limit > 0).all():
            raise DataError(f"max_error is a number of pixels above 0, or None; got {max_error}")
    weights = _weights(scores, shape)
    info = None if covariances is None else _inverse(covariances, shape)
    parts = []
    for low in range(0, max(points.shape[1], 1), _POINTS_AT_ONCE):
        part = slice(low, low + _POINTS_AT_ONCE)
        rays = _Rays.of(
            points[:, part],
            cameras,
            weights[:, part],
            None if info is None else info[..., part],
            min_score,
        )
        parts.append(_solve(rays, min_views, limit, steps))
    columns = zip(*parts, strict=True)
    joined = [np.concatenate(c, axis) for axis, c in zip(_AXES, columns, strict=True)]
    whole = shape[1:]
    places, errors, used, rejected, status, spread = joined
    return Triangulation(
        places.reshape(*whole, 3),
        errors.reshape(shape),
        used.reshape(shape),
        rejected.reshape(shape),
        status.reshape(whole),
        spread.reshape(*whole, 3, 3),
    )


#: Axis of the points in what `_solve` gives.
_AXES = (0, 1, 1, 1, 0, 0)
#: Rows and columns of the six different numbers of a symmetric matrix of three.
_ROW, _COLUMN = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]


@dataclasses.dataclass(frozen=True)
class _Rays:
    """M points in V views; coordinates come first, since long rows of numbers are quick.

    Attributes:
        cameras: V of them.
        pixels: (V, M, 2).
        flat: (V, 2, M) undistorted, in the plane z = 1 of each camera.
        info: (V, 3, M) inverse covariance of `flat`: its xx, xy and yy.
        weights: (V, M) scores, by which views that disagree are judged.
        there: (V, M) bool: the view sees the point.
    """

    cameras: Sequence[Camera]
    pixels: Array
    flat: Array
    info: Array
    weights: Array
    there: Array

    @classmethod
    def of(
        cls,
        pixels: Array,
        cameras: Sequence[Camera],
        weights: Array,
        info: Array | None,
        min_score: float,
    ) -> _Rays:
        flat = np.stack([c.undistort(p) for c, p in zip(cameras, pixels, strict=True)])
        there = np.isfinite(flat).all(-1) & (weights >= min_score) & (weights > 0)
        if info is None:
            info = np.stack((weights**2, np.zeros_like(weights), weights**2), 1)
        else:
            there &= np.isfinite(info).all(1)
        flat = np.where(there[..., None], flat, 0)
        slopes = np.stack([c.pixel_slope(f) for c, f in zip(cameras, flat, strict=True)])
        info = _in_plane(np.where(there[:, None], info, 0), slopes)
        flat = np.moveaxis(flat, -1, 1).copy()
        return cls(cameras, pixels, flat, info, np.where(there, weights, 0), there)

    def part(self, index: Array) -> _Rays:
        """Some of the points."""
        return _Rays(
            self.cameras,
            self.pixels[:, index],
            self.flat[..., index],
            self.info[..., index],
            self.weights[:, index],
            self.there[:, index],
        )

    def errors(self, places: Array) -> Array:
        """(V, M) pixels from the projections; infinite for a camera that has the point behind."""
        seen = np.stack([camera.project(places.T) for camera in self.cameras])
        away = np.sqrt(((seen - self.pixels) ** 2).sum(-1))
        away = np.where(np.isnan(seen).any(-1), np.inf, away)
        return np.where(self.there & np.isfinite(places).all(0), away, np.nan)


def _in_plane(info: Array, slopes: Array) -> Array:
    """Inverse covariances (V, 3, M) of pixels as those of the plane z = 1: S' W S."""
    a, b, d = np.moveaxis(info, 1, 0)
    p, q, r, s = slopes.reshape(*slopes.shape[:2], 4).transpose(2, 0, 1)
    left, right = (a * p + b * r, b * p + d * r), (a * q + b * s, b * q + d * s)
    return np.stack(
        (p * left[0] + r * left[1], p * right[0] + r * right[1], q * right[0] + s * right[1]), 1
    )


def _solve(
    rays: _Rays, min_views: int, limit: Array | None, steps: int
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """What `Triangulation` holds, of M points; `limit` (V, 1) pixels."""
    enough = rays.there.sum(0) >= min_views
    used = rays.there & enough
    places, spread = _placed(rays, used, steps)
    errors = rays.errors(places)
    doubtful = enough & _any_worse(errors, used, limit)
    if doubtful.any() and limit is not None:
        index = np.flatnonzero(doubtful)
        some = rays.part(index)
        chosen = _agreeing(some, min_views, limit)
        places[:, index], spread[index] = _placed(some, chosen, steps)
        errors[:, index], used[:, index] = some.errors(places[:, index]), chosen
    # what the steps made worse, and what lies behind a camera that sees it
    bad = enough & (_any_worse(errors, used, limit) | (used.sum(0) < min_views))
    bad |= enough & ~np.isfinite(places).all(0)
    places[:, bad | ~enough], spread[bad | ~enough] = np.nan, np.nan
    rejected = rays.there & enough & ~used & ~bad
    status = np.full(len(bad), Triangulated.FOUND, np.int8)
    status[~enough] = Triangulated.TOO_FEW_VIEWS
    status[bad] = Triangulated.VIEWS_DISAGREE
    found = np.isfinite(places).all(0)
    errors = np.where(found & np.isfinite(errors), errors, np.nan)
    return places.T, errors, used & found, rejected, status, spread


def _any_worse(errors: Array, used: Array, limit: Array | None) -> Array:
    # infinite errors, of points behind a camera, are worse than no limit at all
    worse = np.isinf(errors) if limit is None else (errors > limit) | np.isinf(errors)
    return np.asarray((worse & used).any(0))


def _placed(rays: _Rays, used: Array, steps: int) -> tuple[Array, Array]:
    """Points (3, M) of the used views (V, M), and their covariances (M, 3, 3)."""
    info = np.where(used[:, None], rays.info, 0)
    places = _linear(rays, info)
    cost, normal, step = _step(rays, info, places)
    for _ in range(steps):
        moved = places + step
        next_cost, next_normal, next_step = _step(rays, info, moved)
        better = next_cost < cost
        places = np.where(better, moved, places)
        cost = np.where(better, next_cost, cost)
        normal = np.where(better, next_normal, normal)
        step = np.where(better, next_step, 0)
    adjoint, determinant = _adjoint(normal)
    with np.errstate(all="ignore"):
        spread = (adjoint / determinant)[[0, 1, 2, 1, 3, 4, 2, 4, 5]]
    return places, np.moveaxis(spread, 0, -1).reshape(-1, 3, 3)


def _linear(rays: _Rays, info: Array) -> Array:
    """(3, M) that fulfil x P3 = P1, y P3 = P2 of all views as well as can be."""
    sums = _Sums(info.shape[-1])
    for camera, (x, y), weight in zip(rays.cameras, rays.flat, info, strict=True):
        (first, second, third), shift = camera.rotation[..., None], camera.translation
        sums.add(
            (x * third - first, y * third - second),
            (shift[0] - x * shift[2], shift[1] - y * shift[2]),
            weight,
        )
    return sums.solved()


def _step(rays: _Rays, info: Array, places: Array) -> tuple[Array, Array, Array]:
    """Of Gauss-Newton at points (3, M): cost (M,), normal matrix (6, M), step (3, M)."""
    sums = _Sums(info.shape[-1])
    cost = np.zeros(info.shape[-1])
    with np.errstate(all="ignore"):
        for camera, flat, weight in zip(rays.cameras, rays.flat, info, strict=True):
            first, second, third = camera.rotation[..., None]
            x, y, depth = camera.rotation @ places + camera.translation[:, None]
            x, y = x / depth, y / depth
            off = flat[0] - x, flat[1] - y
            sums.add(((first - x * third) / depth, (second - y * third) / depth), off, weight)
            a, b, d = weight
            cost += a * off[0] ** 2 + 2 * b * off[0] * off[1] + d * off[1] ** 2
        return cost, sums.normal, sums.solved()


class _Sums:
    """Normal equations of M points, to which each camera adds two rows a point."""

    def __init__(self, count: int) -> None:
        self.normal, self.right = np.zeros((6, count)), np.zeros((3, count))

    def add(self, rows: tuple[Array, Array], values: tuple[Array, Array], weight: Array) -> None:
        """Rows (3, M), values (M,), weight (3, M): xx, xy and yy."""
        (first, second), (a, b, d) = rows, weight
        one, two = a * first + b * second, b * first + d * second
        self.normal += first[_ROW] * one[_COLUMN] + second[_ROW] * two[_COLUMN]
        self.right += one * values[0] + two * values[1]

    def solved(self) -> Array:
        """Solutions (3, M); NaN where the rays are parallel."""
        (a, b, c, d, e, f), determinant = _adjoint(self.normal)
        x, y, z = self.right
        with np.errstate(all="ignore"):
            solution = np.stack(
                (a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z)
            )
            return solution / determinant


def _adjoint(normal: Array) -> tuple[Array, Array]:
    """Adjoints (6, M) and determinants (M,) of symmetric matrices; NaN for a singular one."""
    a, b, c, d, e, f = normal
    adjoint = np.stack(
        (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    )
    determinant = a * adjoint[0] + b * adjoint[1] + c * adjoint[2]
    largest = ((a + d + f) / 3) ** 3
    return adjoint, np.where(determinant > _PARALLEL * largest, determinant, np.nan)


def _agreeing(rays: _Rays, min_views: int, limit: Array) -> Array:
    """(V, M) bool: the views that agree with the pair of views that most agree with.

    No view where fewer than `min_views` agree with any pair.
    """
    best = np.full(rays.there.shape[1], np.inf)
    chosen = np.zeros(rays.there.shape, bool)
    for pair in itertools.combinations(range(len(rays.cameras)), 2):
        used = np.zeros_like(rays.there)
        used[list(pair)] = rays.there[list(pair)].all(0)
        places = _linear(rays, np.where(used[:, None], rays.info, 0))
        errors = np.nan_to_num(rays.errors(places), nan=np.inf)
        agree = errors <= limit
        loss = (rays.weights * np.minimum(errors / limit, 1) ** 2).sum(0)
        # two views that do not agree with one another say nothing
        sound = agree[list(pair)].all(0) & (agree.sum(0) >= min_views)
        better = sound & (loss < best)
        best = np.where(better, loss, best)
        chosen = np.where(better, agree, chosen)
    return chosen


def _checked(
    pixels: Any, cameras: Sequence[Camera], min_views: int
) -> tuple[Array, tuple[int, ...]]:
    """Pixels as (V, M, 2), and the shape (V, ...)."""
    points = np.asarray(pixels, np.float64)
    if len(cameras) < 2:
        raise DataError(f"triangulation takes at least two cameras, got {len(cameras)}")
    if points.ndim < 2 or points.shape[-1] != 2 or len(points) != len(cameras):
        raise DataError(
            f"pixels of {len(cameras)} cameras have the shape ({len(cameras)}, ..., 2), got "
            f"{points.shape}"
        )
    if not 2 <= min_views <= len(cameras):
        raise DataError(
            f"min_views must be 2 to the number of cameras, {len(cameras)}; got {min_views}"
        )
    return points.reshape(len(points), -1, 2), points.shape[:-1]


def _weights(scores: Any, shape: tuple[int, ...]) -> Array:
    if scores is None:
        return np.ones((shape[0], int(np.prod(shape[1:]))))
    weights = np.asarray(scores, np.float64)
    if weights.shape != shape:
        raise DataError(f"scores of these pixels have the shape {shape}, got {weights.shape}")
    # a score that is no number is one of nothing
    return np.nan_to_num(weights.reshape(shape[0], -1), nan=0.0).clip(0)


def _inverse(covariances: Any, shape: tuple[int, ...]) -> Array:
    """(V, 3, M) inverses: their xx, xy and yy; NaN where a matrix is no covariance."""
    matrix = np.asarray(covariances, np.float64)
    if matrix.shape != (*shape, 2, 2):
        raise DataError(
            f"covariances of these pixels have the shape {(*shape, 2, 2)}, got {matrix.shape}"
        )
    matrix = matrix.reshape(shape[0], -1, 2, 2)
    a, d = matrix[..., 0, 0], matrix[..., 1, 1]
    b = (matrix[..., 0, 1] + matrix[..., 1, 0]) / 2
    area = a * d - b * b
    good = (area > 0) & (a > 0)
    with np.errstate(all="ignore"):
        return np.stack((d, -b, a), 1) / np.where(good, area, np.nan)[:, None]
