"""Constant-velocity Kalman filters, one for each of many independent coordinates at once.

A coordinate has a position and a speed; its acceleration is white noise. The two by two
covariance is kept as its three different numbers, so a step is a handful of array operations
whatever the number of coordinates. See Bar-Shalom, Li, Kirubarajan (2001), section 6.2.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import Array

__all__ = ["correct_motion", "predict_motion", "smooth_motion", "start_motion"]


def start_motion(measured: Array, variance: Any, speed_variance: Any) -> tuple[Array, Array]:
    """State of coordinates seen for the first time, at rest.

    Args:
        measured: (...) positions.
        variance: of the measurement, unit²; broadcast to (...).
        speed_variance: of the unknown speed, unit²/time².

    Returns:
        mean (..., 2): position, speed; covariance (..., 3): of position, of both, of speed.
    """
    shape = np.shape(measured)
    mean = np.stack((np.asarray(measured, np.float64), np.zeros(shape)), -1)
    spread = (np.broadcast_to(v, shape) for v in (variance, 0.0, speed_variance))
    return mean, np.stack([np.asarray(v, np.float64) for v in spread], -1)


def predict_motion(mean: Array, cov: Array, step: Any, noise: Any) -> tuple[Array, Array]:
    """State after some time.

    Args:
        mean: (..., 2).
        cov: (..., 3).
        step: time that passes; broadcast to (...).
        noise: spectral density of the acceleration, unit²/time³; broadcast to (...).

    Returns:
        mean (..., 2) and covariance (..., 3).
    """
    step, noise = np.asarray(step, np.float64), np.asarray(noise, np.float64)
    place, both, speed = np.moveaxis(cov, -1, 0)
    moved = np.stack((mean[..., 0] + step * mean[..., 1], mean[..., 1]), -1)
    return moved, np.stack(
        (
            place + 2 * step * both + step**2 * speed + noise * step**3 / 3,
            both + step * speed + noise * step**2 / 2,
            speed + noise * step,
        ),
        -1,
    )


def correct_motion(mean: Array, cov: Array, measured: Array, variance: Any) -> tuple[Array, Array]:
    """State once positions were measured; NaN leaves a coordinate as it was predicted.

    Args:
        mean: (..., 2).
        cov: (..., 3).
        measured: (...) positions.
        variance: of the measurement, unit²; broadcast to (...).

    Returns:
        mean (..., 2) and covariance (..., 3).
    """
    place, both, speed = np.moveaxis(cov, -1, 0)
    known = np.isfinite(measured)
    total = place + variance
    gain_place = np.where(known, place / total, 0)
    gain_speed = np.where(known, both / total, 0)
    surprise = np.where(known, measured - mean[..., 0], 0)
    corrected = np.stack(
        (mean[..., 0] + gain_place * surprise, mean[..., 1] + gain_speed * surprise), -1
    )
    return corrected, np.stack(
        ((1 - gain_place) * place, (1 - gain_place) * both, speed - gain_speed * both), -1
    )


def smooth_motion(means: Array, covs: Array, steps: Array, noise: Any) -> Array:
    """What a series of filtered states was, once the later ones are known.

    The backward pass of Rauch, Tung and Striebel (1965).

    Args:
        means: (T, ..., 2) after each correction.
        covs: (T, ..., 3).
        steps: (T - 1,) times between.
        noise: as in `predict_motion`.

    Returns:
        means (T, ..., 2).
    """
    smoothed = np.array(means, np.float64)
    for t in range(len(smoothed) - 2, -1, -1):
        ahead, spread = predict_motion(means[t], covs[t], steps[t], noise)
        place, both, speed = np.moveaxis(covs[t], -1, 0)
        # C = P F' (F P F' + Q)^-1, written out for two by two
        cross = place + steps[t] * both, both, both + steps[t] * speed, speed
        a, b, d = np.moveaxis(spread, -1, 0)
        area = np.maximum(a * d - b * b, np.finfo(np.float64).tiny)
        gain = (
            (cross[0] * d - cross[1] * b) / area,
            (cross[1] * a - cross[0] * b) / area,
            (cross[2] * d - cross[3] * b) / area,
            (cross[3] * a - cross[2] * b) / area,
        )
        change = smoothed[t + 1] - ahead
        smoothed[t, ..., 0] += gain[0] * change[..., 0] + gain[1] * change[..., 1]
        smoothed[t, ..., 1] += gain[2] * change[..., 0] + gain[3] * change[..., 1]
    return smoothed
