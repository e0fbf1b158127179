"""From people in pictures to the numbers of an adjustment, and how far these are off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera
from poise.inference.multiview.people.adjusting import Observed, State
from poise.inference.multiview.people.body import Body
from poise.inference.multiview.tracks import LEAST_SCORE

__all__ = ["noise_of", "numbered", "observed", "spread_rows", "state_of"]

#: Keypoints of a person in a view that count, and rows of one person with lengths of their own.
_LEAST_KEYPOINTS, _LEAST_ROWS = 6, 20
#: Rows of a camera at least, where there are so many.
_LEAST_SHARE = 40
#: Median of Rayleigh's distribution: of the distance of two coordinates with a deviation of 1.
_RAYLEIGH = 1.1774


def numbered(ids: Array) -> Array:
    """Numbers of people 0, 1 ...; those who are seldom seen share one."""
    _, number, count = np.unique(ids, return_inverse=True, return_counts=True)
    number = np.where(count[number] < _LEAST_ROWS, -1, number)
    return np.unique(number, return_inverse=True)[1]


def observed(
    pixels: Array, scores: Array, people: Array, times: Array, body: Body, noise: float
) -> Observed:
    """Observations; errors are parts of a person's extent in the picture, less of sure ones."""
    there = np.asarray(np.isfinite(pixels).all(-1))
    there &= (there.sum(-1) >= _LEAST_KEYPOINTS)[..., None]
    low = np.where(there[..., None], pixels, np.inf).min(2)
    high = np.where(there[..., None], pixels, -np.inf).max(2)
    seen = np.asarray(there.any(-1))
    extent = np.linalg.norm(np.where(seen[..., None], high - low, 0), axis=-1)
    for own, some in zip(extent, seen, strict=True):
        # somebody who bends down is no smaller
        own[:] = np.maximum(own, np.median(own[some]) / 2 if some.any() else 1)
    spread = noise * extent[..., None] / np.clip(scores, LEAST_SCORE, 1)
    return Observed(pixels, np.where(there, spread, np.inf), people, body.limbs, body.kinds, times)


def spread_rows(seen: Observed, most: int) -> Array:
    """Rows that are adjusted: of each camera some, evenly in time, that another has, too."""
    there = np.asarray(np.isfinite(seen.spread).any(-1))
    shared = there & (there.sum(0) >= 2)
    order = np.argsort(seen.times, kind="stable")
    share = max(most // len(there), _LEAST_SHARE)
    keep = np.zeros(there.shape[1], bool)
    for own in shared:
        rows = order[own[order]]
        pick = np.linspace(0, len(rows) - 1, min(len(rows), share)).round().astype(int)
        keep[rows[pick]] = True
    return np.flatnonzero(keep)


def state_of(cameras: Sequence[Camera], points: Array, people: Array, body: Body) -> State:
    """Start of an adjustment: everybody has the same build."""
    a, b = body.limbs.T
    length = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
    kinds = [length[:, body.kinds == kind] for kind in range(int(body.kinds.max()) + 1)]
    lengths = [float(np.nanmedian(own)) if np.isfinite(own).any() else 1.0 for own in kinds]
    return State(
        np.stack([c.rotation for c in cameras]),
        np.stack([c.translation for c in cameras]),
        np.log([c.matrix[0, 0] for c in cameras]),
        np.tile(np.log(lengths), (int(people.max()) + 1, 1)),
        points,
    )


def noise_of(seen: Observed, state: State, cameras: Sequence[Camera]) -> tuple[float, Array]:
    """Errors in parts of a person's extent (one coordinate's deviation), and (V,) in pixels."""
    away = np.stack([c.project(state.points) for c in cameras]) - seen.pixels
    there = np.isfinite(away).all(-1) & np.isfinite(seen.spread)
    off = np.where(there, np.linalg.norm(away, axis=-1), np.nan)
    pixels = [
        np.median(own[some]) if some.any() else np.nan for own, some in zip(off, there, strict=True)
    ]
    # a point follows its views
    seers = np.isfinite(seen.spread).sum(0)
    follows = np.sqrt(1 - 1.5 / max(float(seers[seers > 1].mean()), 2.0))
    part = np.median(off[there] / seen.spread[there]) / _RAYLEIGH / follows
    return float(part), np.array(pixels)
