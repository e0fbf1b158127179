"""Angles between vectors, axes of bodies, and how angles change over time.

All angles are degrees; NaN in gives NaN out.
"""

from __future__ import annotations

import numpy as np

from poise._arrays import Array

__all__ = ["angle_between", "angle_rates", "body_axes", "continuous_angles", "turn_between"]

#: Frames that are worked on at once, so that they stay in the processor's cache.
_BLOCK = 2048


def angle_between(first: Array, second: Array) -> Array:
    """Angles (...) from 0 to 180 between vectors (..., D); NaN where one has no length.

    By half-angle tangents of unit vectors (Kahan 2006), which is exact near 0 and 180 degrees, too.

    Example:
        >>> float(angle_between(np.array([1.0, 0, 0]), np.array([0, 0, 2.0])))
        90.0
    """
    a, b = _unit(first), _unit(second)
    difference, total = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    return np.degrees(2 * np.arctan2(difference, total))


def turn_between(first: Array, second: Array) -> Array:
    """Angles (...) in (-180, 180] from vectors (..., 2) to others, counterclockwise.

    The second axis points up; NaN where a vector has no length.

    Example:
        >>> float(turn_between(np.array([0.0, -1]), np.array([1.0, 0])))
        90.0
    """
    (ax, ay), (bx, by) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    cross, dot = ax * by - ay * bx, ax * bx + ay * by
    return np.where((cross == 0) & (dot == 0), np.nan, np.degrees(np.arctan2(cross, dot)))[()]


def body_axes(right: Array, up: Array, *, keep: str) -> Array:
    """Right-handed axes (..., 3, 3) of bodies: rows forward, up, right (x, y, z of Wu et al. 2002).

    Args:
        right: (..., 3) to the person's right.
        up: (..., 3) along the body.
        keep: "right" or "up": the one that is not turned to stand square to the other.
    """
    held, other = (_unit(right), up) if keep == "right" else (_unit(up), right)
    other = _unit(other - (other * held).sum(-1, keepdims=True) * held)
    z, y = (held, other) if keep == "right" else (other, held)
    return np.stack(np.broadcast_arrays(np.cross(y, z), y, z), -2)


def continuous_angles(angles: Array) -> Array:
    """Angles (T, ...) that go on beyond 180 degrees rather than jump, also across NaN.

    The median of each series is within 180 degrees of 0.
    """
    known = np.isfinite(angles)
    last = np.maximum.accumulate(
        np.where(known, np.arange(len(angles)).reshape(-1, *[1] * (angles.ndim - 1)), 0), axis=0
    )
    held = np.nan_to_num(np.take_along_axis(angles, last, 0))
    # before the first known value there is nothing to go on from
    begins = np.take_along_axis(held, known.argmax(0)[None], 0)
    held = np.where(np.maximum.accumulate(known, axis=0), held, begins)
    whole = np.where(known, np.unwrap(held, axis=0, period=360), np.nan)
    middle = np.ma.median(np.ma.masked_invalid(whole), axis=0)
    return whole - 360 * np.round(np.ma.filled(middle, 0.0) / 360)


def angle_rates(angles: Array, times: Array, *, window: int) -> Array:
    """Degrees a second: the slope of the parabola fitted to the frames around each frame.

    The derivative of Savitzky and Golay (1964), also where frames are missing or their times are
    uneven; at the ends the window stays within the series.

    Args:
        angles: (T, A), continuous.
        times: (T,) seconds, rising.
        window: frames, odd.

    Returns:
        (T, A); NaN where the angle is, or fewer than three of the window are known.
    """
    if len(angles) < 3:
        return np.full(angles.shape, np.nan)
    parts = [
        _slopes(angles, times, np.arange(t, min(t + _BLOCK, len(angles))), window)
        for t in range(0, len(angles), _BLOCK)
    ]
    return np.concatenate(parts)


def _slopes(angles: Array, times: Array, at: Array, window: int) -> Array:
    """Slopes at some frames, by the normal equations of parabolas with the origin in each frame."""
    window = min(window, len(angles))
    low = np.clip(at - window // 2, 0, len(angles) - window)
    # times of the order of 1 keep the equations well conditioned
    unit = np.median(np.diff(times)) * (window // 2)
    weight, moment = (
        np.zeros((5, len(at), angles.shape[1])),
        np.zeros((3, len(at), angles.shape[1])),
    )
    for step in range(window):
        place = low + step
        powers = (((times[place] - times[at]) / unit)[:, None] ** np.arange(5)).T[..., None]
        values = angles[place]
        weight += powers * np.isfinite(values)
        moment += powers[:3] * np.nan_to_num(values)
    a, b, c, d, e = weight
    p, q, r = moment
    area = a * (c * e - d * d) - b * (b * e - c * d) + c * (b * d - c * c)
    top = a * (q * e - d * r) - p * (b * e - d * c) + c * (b * r - q * c)
    enough = np.isfinite(angles[at]) & (a > 2)
    return np.where(enough, top / np.where(enough, area, 1.0), np.nan) / unit


def _unit(vectors: Array) -> Array:
    """Vectors (..., D) of length 1; NaN where they have none."""
    size = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(size > 0, size, np.nan)
