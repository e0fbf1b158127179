"""From people in pictures to the numbers of an adjustment, and what is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera
from poise.inference.multiview.people.adjusting import Observed, State
from poise.inference.multiview.people.body import Body
from poise.inference.multiview.people.tracks import LEAST_SCORE

__all__ = ["noise_of", "numbered", "observed", "spread_rows", "state_of", "without_mixed"]

#: Keypoints of a person in a view that count, and rows of one person with lengths of their own.
_LEAST_KEYPOINTS, _LEAST_ROWS = 6, 20
#: Rows of a camera at least, where there are so many.
_LEAST_SHARE = 40
#: A view's person is mixed up where the other side lies so much nearer, in parts, and the own so
#: many deviations away; errors are cut at so many.
_MIXED, _OFF, _MOST_OFF = 0.5, 3.0, 20.0
#: Median of Rayleigh's distribution: of the distance of two coordinates with a deviation of 1.
_RAYLEIGH = 1.1774


def numbered(ids: Array) -> Array:
    """Numbers of people 0, 1 ...; those who are seldom seen share one."""
    known, number, count = np.unique(ids, return_inverse=True, return_counts=True)
    del known
    rare = count < _LEAST_ROWS
    number = np.where(rare[number], -1, number)
    return np.unique(number, return_inverse=True)[1]


def observed(
    pixels: Array, scores: Array, people: Array, times: Array, body: Body, noise: float
) -> Observed:
    """Observations; errors are parts of a person's extent in the picture, less of sure ones."""
    there = np.asarray(np.isfinite(pixels).all(-1))
    with np.errstate(all="ignore"):
        low = np.where(there[..., None], pixels, np.inf).min(2)
        high = np.where(there[..., None], pixels, -np.inf).max(2)
        extent = np.linalg.norm(high - low, axis=-1)
    few = there.sum(-1) < _LEAST_KEYPOINTS
    extent = np.where(few, np.nan, extent)
    typical = np.nanmedian(extent, axis=1, keepdims=True)
    extent = np.maximum(extent, typical / 2)
    spread = noise * extent[..., None] / np.clip(scores, LEAST_SCORE, 1)
    spread = np.where(there & ~few[..., None] & np.isfinite(spread), spread, np.inf)
    return Observed(pixels, spread, people, body.limbs, body.kinds, times)


def spread_rows(seen: Observed, most: int) -> Array:
    """Rows that are adjusted: of each camera some, evenly in time, that another has, too."""
    there = np.isfinite(seen.spread).sum(-1) >= _LEAST_KEYPOINTS
    shared = there & (there.sum(0) >= 2)
    order = np.argsort(seen.times, kind="stable")
    share = max(most // len(there), _LEAST_SHARE)
    keep = np.zeros(there.shape[1], bool)
    for own in shared:
        rows = order[own[order]]
        if len(rows):
            keep[rows[np.linspace(0, len(rows) - 1, min(len(rows), share)).round().astype(int)]] = (
                True
            )
    return np.flatnonzero(keep)


def state_of(cameras: Sequence[Camera], points: Array, people: Array, body: Body) -> State:
    """Start of an adjustment."""
    a, b = body.limbs.T
    length = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
    count = int(people.max()) + 1
    kinds = int(body.kinds.max()) + 1
    lengths = np.zeros((count, kinds))
    for kind in range(kinds):
        own = length[:, body.kinds == kind]
        every = np.nanmedian(own) if np.isfinite(own).any() else 0.3
        for p in range(count):
            some = own[people == p]
            value = np.nanmedian(some) if np.isfinite(some).any() else every
            lengths[p, kind] = np.log(max(value, 1e-3))
    return State(
        np.stack([c.rotation for c in cameras]),
        np.stack([c.translation for c in cameras]),
        np.log([c.matrix[0, 0] for c in cameras]),
        lengths,
        points,
    )


def without_mixed(
    seen: Observed, points: Array, cameras: Sequence[Camera], body: Body
) -> tuple[Observed, Array]:
    """Leave out people of a view whose left and right are exchanged; how many those are."""
    spread = seen.spread.copy()
    counts = np.zeros(len(cameras), int)
    if len(cameras) < 3:
        return seen, counts
    for v, camera in enumerate(cameras):
        places = camera.project(points)
        own, other = (
            np.nan_to_num(np.linalg.norm(p - seen.pixels[v], axis=-1) / spread[v], nan=np.nan)
            for p in (places, places[:, body.swap])
        )
        sided = body.swap != np.arange(len(body.swap))
        own, other = (_mean(np.minimum(e[:, sided], _MOST_OFF)) for e in (own, other))
        bad = (other < _MIXED * own) & (own > _OFF)
        spread[v, bad] = np.inf
        counts[v] = int(bad.sum())
    return dataclasses.replace(seen, spread=spread), counts


def _mean(values: Array) -> Array:
    """(R,) mean of the numbers among (R, K); NaN where there are none."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def noise_of(seen: Observed, state: State, cameras: Sequence[Camera]) -> tuple[float, Array]:
    """Errors in parts of a person's extent (one coordinate's deviation), and (V,) in pixels."""
    parts, pixels = [], []
    for v, camera in enumerate(cameras):
        away = np.linalg.norm(camera.project(state.points) - seen.pixels[v], axis=-1)
        there = np.isfinite(away) & np.isfinite(seen.spread[v])
        pixels.append(float(np.median(away[there])) if there.any() else np.nan)
        parts.append(away[there] / seen.spread[v][there])
    # the median of Rayleigh's distribution; a point follows its views
    seers = np.isfinite(seen.spread).sum(0)
    follows = np.sqrt(1 - 1.5 / max(float(seers[seers > 1].mean()), 2.0))
    return float(np.median(np.concatenate(parts)) / _RAYLEIGH / follows), np.array(pixels)
