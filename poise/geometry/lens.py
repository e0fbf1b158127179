"""Lenses: how points of the plane z = 1 shift on their way to the picture, and back.

The models are OpenCV's: Brown-Conrady with a rational radial part and thin prisms, and the
equidistant fisheye (Kannala and Brandt, PAMI 2006). Points are (..., 2) in units of the focal
length, which is what "normalised" means here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from poise._arrays import Array

__all__ = ["brown_conrady", "distort", "distortion_slope", "lens_reach", "undistort"]

#: Newton's steps at most, and the error at which they end, in focal lengths: below 1e-6 pixels.
_STEPS, _ENOUGH = 30, 1e-10
#: Error that still counts as found: a thousandth of a pixel at a focal length of 1000.
_FOUND = 1e-6
#: Step of the central difference; its error is the square of it.
_SLOPE_STEP = 1e-5


def brown_conrady(xy: Array, radial: Array, tangential: Array) -> Array:
    """Where a lens puts normalised points.

    Args:
        xy: (..., 2).
        radial: (3,) or (6,) coefficients; the last three divide.
        tangential: (2,).
    """
    r2 = (xy**2).sum(-1, keepdims=True)
    wide = r2.astype(np.float64)
    powers = np.concatenate((wide, wide**2, wide * wide**2), -1)
    scale = 1 + (powers * radial[:3]).sum(-1, keepdims=True)
    if radial.size == 6:
        scale = scale / (1 + (powers * radial[3:]).sum(-1, keepdims=True))
    shift = 2 * (xy * tangential[::-1]).sum(-1, keepdims=True)
    return xy * (scale + shift) + r2 * tangential[::-1]


def distort(xy: Array, coefficients: Array, *, fisheye: bool = False) -> Array:
    """Where a lens puts normalised points (..., 2).

    Args:
        xy: (..., 2).
        coefficients: in OpenCV's order: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]], of a fisheye
            k1 k2 k3 k4; empty for an ideal pinhole.
        fisheye: which of the two models.
    """
    return _model(coefficients, fisheye)(xy)


def undistort(xy: Array, coefficients: Array, *, fisheye: bool = False) -> Array:
    """Normalised points that a lens puts at `xy`: the inverse of `distort`.

    Newton's method; a point that no ray of the lens's valid part reaches is NaN.

    Args:
        xy: (..., 2).
        coefficients: as for `distort`.
        fisheye: which of the two models.
    """
    if not np.any(coefficients) and not fisheye:
        return np.array(xy, np.float64)
    if fisheye:
        return _fisheye_inverse(np.asarray(xy, np.float64), coefficients)
    lens = _model(coefficients, fisheye)
    wanted = np.asarray(xy, np.float64)
    found = wanted.copy()
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            error = lens(found) - wanted
            if not (np.abs(error) > _ENOUGH).any():
                break
            found = found - _solved(_slope(lens, found), error)
        near = np.abs(lens(found) - wanted).max(-1, initial=0) < _FOUND
        # beyond the reach a second solution waits, seen by no real ray
        near &= np.linalg.norm(found, axis=-1) < lens_reach(coefficients)
    return np.where(near[..., None], found, np.nan)


def lens_reach(coefficients: Array, *, fisheye: bool = False) -> float:
    """Distance from the axis, in the plane z = 1, at which a lens folds the picture over itself.

    The polynomials of a lens are fitted to what it shows; farther out they turn back, and points
    that no real lens shows would come to lie in the picture.

    Args:
        coefficients: as for `distort`.
        fisheye: which of the two models.

    Returns:
        Infinity for a lens that does not.
    """
    if fisheye:
        orders = 2 * np.arange(len(coefficients)) + 3
        slope = np.polynomial.Polynomial([1, *orders * coefficients])
        angle = np.sqrt(_least_root(slope))
        return float(np.tan(angle)) if angle < np.pi / 2 else np.inf
    whole = np.zeros(12)
    whole[: len(coefficients)] = coefficients
    # r n(r²) / d(r²)
    square = np.polynomial.Polynomial([0, 1])
    n, d = (np.polynomial.Polynomial([1, *whole[index]]) for index in ([0, 1, 4], [5, 6, 7]))
    slope = (n + 2 * square * n.deriv()) * d - 2 * square * n * d.deriv()
    return float(np.sqrt(min(_least_root(slope), _least_root(d))))


def _least_root(polynomial: np.polynomial.Polynomial) -> float:
    """The least real root above 0; infinity without any."""
    roots = polynomial.trim().roots()
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
    return float(real.min(initial=np.inf))


def distortion_slope(xy: Array, coefficients: Array, *, fisheye: bool = False) -> Array:
    """(..., 2, 2) derivative of `distort` at normalised points (..., 2)."""
    if not np.any(coefficients) and not fisheye:
        return np.broadcast_to(np.eye(2), (*xy.shape, 2))
    return _slope(_model(coefficients, fisheye), xy)


def _model(coefficients: Array, fisheye: bool) -> Callable[[Array], Array]:
    if not np.any(coefficients) and not fisheye:
        return lambda xy: np.array(xy, np.float64)
    if fisheye:
        return lambda xy: _fisheye(xy, coefficients)
    whole = np.zeros(12)
    whole[: len(coefficients)] = coefficients
    radial, tangential, prism = whole[[0, 1, 4, 5, 6, 7]], whole[2:4], whole[8:]
    if not radial[3:].any():
        radial = radial[:3]

    def lens(xy: Array) -> Array:
        bent = brown_conrady(xy, radial, tangential)
        if not prism.any():
            return bent
        r2 = (xy**2).sum(-1, keepdims=True)
        return bent + r2 * prism[[0, 2]] + r2**2 * prism[[1, 3]]

    return lens


def _slope(lens: Callable[[Array], Array], xy: Array) -> Array:
    step = _SLOPE_STEP * np.eye(2)
    columns = [(lens(xy + s) - lens(xy - s)) / (2 * _SLOPE_STEP) for s in step]
    return np.stack(columns, -1)


def _solved(matrix: Array, right: Array) -> Array:
    """Solutions (..., 2) of two equations each."""
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    x, y = right[..., 0], right[..., 1]
    return np.stack((d * x - b * y, a * y - c * x), -1) / (a * d - b * c)[..., None]


def _fisheye(xy: Array, coefficients: Array) -> Array:
    r = np.sqrt((xy**2).sum(-1, keepdims=True))
    angle = np.arctan(r)
    bent, _ = _fisheye_angle(angle, coefficients)
    return xy * np.where(r > 0, bent / np.where(r > 0, r, 1), 1)


def _fisheye_angle(angle: Array, coefficients: Array) -> tuple[Array, Array]:
    """Angle behind the lens, and its derivative."""
    whole = np.zeros(5)
    whole[0], whole[1 : 1 + len(coefficients)] = 1, coefficients
    square, orders = angle**2, 2 * np.arange(5) + 1
    value, slope = np.polyval(whole[::-1], square), np.polyval((whole * orders)[::-1], square)
    return angle * value, slope


def _fisheye_inverse(xy: Array, coefficients: Array) -> Array:
    bent = np.sqrt((xy**2).sum(-1, keepdims=True))
    angle = bent.copy()
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            value, slope = _fisheye_angle(angle, coefficients)
            if not (np.abs(value - bent) > _ENOUGH).any():
                break
            angle = angle - (value - bent) / slope
        value, slope = _fisheye_angle(angle, coefficients)
        # rays from the side and from behind have no place in the plane z = 1
        good = (np.abs(value - bent) < _FOUND) & (slope > 0) & (angle >= 0) & (angle < np.pi / 2)
        scale = np.where(bent > 0, np.tan(angle) / np.where(bent > 0, bent, 1), 1)
    return np.where(good, xy * scale, np.nan)
