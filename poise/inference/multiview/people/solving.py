"""From tracks of all cameras to cameras: a pair, then the others, then all of it adjusted.

Puwein et al. (ACCV 2014) and Takahashi et al. (CVPRW 2018) calibrate by people in the same way: the
joints of one moment after the other are the corners of a board that is moved about.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.geometry.triangulation import triangulate_points
from poise.inference.multiview.people.adjusting import Observed, Settings, State, adjust
from poise.inference.multiview.people.body import ADULT_HEIGHT, Body, median_height
from poise.inference.multiview.people.starting import Pair, Placed, join_camera, relate, start_pair, swapped
from poise.inference.multiview.people.tracks import LEAST_SCORE, Track, extent_of
from poise.inference.multiview.reconstruction import Limits, Matched, matched_people
from poise.inference.multiview.views import View

__all__ = ["Solution", "all_pairs", "solve"]

#: Parts of a person's extent that count as noise, in the beginning, and when people are matched.
_NOISE, _ROUGH, _NEAR = 0.02, 0.06, 0.04
#: Part of agreeing keypoints below which the other side is tried, and how many more it must give.
_DOUBTFUL, _CLEARLY = 0.7, 1.25
#: Focal lengths that are tried first, times the guess.
_FACTORS = (0.65, 0.8, 1.0, 1.25, 1.55)
#: Rows of a first pair, and of all.
_PAIR_ROWS, _ROWS = 120, 400
#: Moments at which people are matched at most.
_MOMENTS = 500
#: Rounds of matching people and adjusting.
_ROUNDS = 3
#: Keypoints of a person in a view that count, and rows of one person with lengths of their own.
_LEAST_KEYPOINTS, _LEAST_ROWS = 6, 20
#: A view's person whose other side lies this much nearer is one whose sides were mixed up.
_MIXED = 0.5


@dataclasses.dataclass(frozen=True)
class Solution:
    """Cameras in the world of the first, about in metres.

    Attributes:
        cameras: V, without lens and centre.
        seen, state, settings: of the last adjustment.
        matched: people of all moments.
        noise: pixels, median over the cameras.
        errors: (V,) median pixels between keypoints and projected ones.
        mixed: (V,) people whose left and right were exchanged, among `rows`.
        rows: (V,) people that each camera was adjusted by.
        swapped: cameras whose left and right are exchanged throughout.
    """

    cameras: list[Camera]
    seen: Observed
    state: State
    settings: Settings
    matched: Matched
    errors: Array
    mixed: Array
    rows: Array
    pair: Pair


def solve(
    views: Sequence[View],
    tracks: Sequence[Sequence[Track]],
    offsets: Sequence[int],
    body: Body,
    settings: Settings,
    pairs: Mapping[tuple[int, int], Pair],
    *,
    person: str,
) -> Solution:
    """Cameras of plain views.

    Args:
        views: V of them (`plain_view`).
        tracks: of each.
        offsets: of each, frames.
        body: their keypoints.
        settings: what is known of focal lengths.
        pairs: of `all_pairs`.
        person: "all" or how one is chosen.

    Raises:
        DataError: cameras that see too little in common.
    """
    (a, b), pair = max(pairs.items(), key=lambda item: item[1].worth)
    focals, state, placed = _first_pair(views, tracks, offsets, body, settings, (a, b), pair)
    cameras = [_with_focal(view.camera, f) for view, f in zip(views, focals, strict=True)]
    known = {v: _moved(cameras[v], state, n) for n, v in enumerate((a, b))}
    _join_all(cameras, known, tracks, offsets, placed)
    start = _in_first([known[v] for v in range(len(views))])
    return _refined(views, offsets, body, settings, start, person, pair)


def all_pairs(
    views: Sequence[View],
    tracks: Sequence[Sequence[Track]],
    offsets: Sequence[int],
    settings: Settings,
    body: Body,
) -> dict[tuple[int, int], Pair]:
    """The cameras that see the same people, perhaps with left and right exchanged.

    Raises:
        DataError: some camera has nothing in common with the others.
    """
    focals = np.exp(settings.guess)
    pairs = {}
    for a, b in itertools.combinations(range(len(views)), 2):
        if not tracks[a] or not tracks[b]:
            continue
        limit = _NOISE * (extent_of(tracks[a]) + extent_of(tracks[b])) / 2
        lag, both = offsets[b] - offsets[a], (focals[a], focals[b])
        found = relate(tracks[a], tracks[b], lag, both, limit)
        if found is None or found.part < _DOUBTFUL:
            other = relate(tracks[a], swapped(tracks[b], body.swap), lag, both, limit)
            if other is not None and (found is None or other.count > _CLEARLY * found.count):
                found = dataclasses.replace(other, swapped=True)
        if found is not None and found.matches:
            pairs[a, b] = found
    if not pairs:
        raise DataError("nothing in common")
    return pairs


def _first_pair(
    views: Sequence[View],
    tracks: Sequence[Sequence[Track]],
    offsets: Sequence[int],
    body: Body,
    settings: Settings,
    which: tuple[int, int],
    pair: Pair,
) -> tuple[Array, State, Placed]:
    """Focal lengths of all, the pair's adjusted state, and its people, by the best factor."""
    a, b = which
    lag = offsets[b] - offsets[a]
    extent = (extent_of(tracks[a]) + extent_of(tracks[b])) / 2
    free = settings.groups >= 0
    best = None
    for factor in _FACTORS if free[[a, b]].any() else (1.0,):
        focals = np.exp(settings.guess) * np.where(free, factor, 1)
        found = relate(tracks[a], tracks[b], lag, (focals[a], focals[b]), _NOISE * extent)
        if found is None or not found.matches:
            continue
        cameras = (
            _with_focal(views[a].camera, focals[a]),
            dataclasses.replace(
                _with_focal(views[b].camera, focals[b]),
                rotation=found.relation.turn, translation=found.relation.shift,
            ),
        )  # fmt: skip
        pixels, placed = start_pair(tracks[a], tracks[b], found, lag, cameras, 3 * _NOISE * extent)
        own = Settings(
            np.where(free[[a, b]], 0, -1), np.full(2, -1), settings.guess[[a, b]], settings.doubt
        )
        scores = np.isfinite(pixels).all(-1).astype(float)
        seen = _observed(pixels, scores, placed.people, placed.frames, body, _NOISE)
        rows = _spread_rows(seen, _PAIR_ROWS)
        cameras, points = _scaled(cameras, placed.points, body)
        state = state_of(cameras, points[rows], seen.people[rows], body)
        state, cost = adjust(seen.part(rows), state, own, steps=25)
        if best is None or cost < best[0]:
            focals = np.exp(settings.guess) * np.where(free, np.exp(state.focals - settings.guess[[a, b]])[free[[a, b]]].mean() if free[[a, b]].any() else 1, 1)
            focals[[a, b]] = np.exp(state.focals)
            done = [_moved(_with_focal(c, np.exp(f)), state, n) for n, (c, f) in enumerate(zip(cameras, state.focals))]
            limit = 3 * _NOISE * extent
            again = triangulate_points(pixels, done, max_error=limit)
            frames = placed.frames - offsets[a]
            best = cost, focals, state, Placed(frames, placed.people, again.points)
    if best is None:
        raise DataError("no first pair")
    return best[1:]


def _with_focal(camera: Camera, focal: float) -> Camera:
    return dataclasses.replace(camera, matrix=np.diag([focal, focal, 1.0]))


def _moved(camera: Camera, state: State, number: int) -> Camera:
    """The camera where the state has it."""
    turn, shift = state.turns[number], state.shifts[number]
    own = _with_focal(camera, float(np.exp(state.focals[number])))
    return dataclasses.replace(own, rotation=turn, translation=shift)


def _join_all(
    cameras: Sequence[Camera],
    known: dict[int, Camera],
    tracks: Sequence[Sequence[Track]],
    offsets: Sequence[int],
    placed: Placed,
) -> None:
    """Place all cameras, each by the people that those before it place."""
    while len(known) < len(cameras):
        found = {}
        for v in range(len(cameras)):
            if v not in known:
                limit = _NOISE * extent_of(tracks[v])
                joined = join_camera(cameras[v], tracks[v], offsets[v], placed, limit)
                if joined is not None:
                    found[v] = joined
        if not found:
            raise DataError("cameras not connected")
        best = max(found, key=lambda v: found[v][1])
        known[best] = found[best][0]


def _in_first(cameras: Sequence[Camera]) -> list[Camera]:
    """The cameras in the world of the first."""
    turn, shift = cameras[0].rotation, cameras[0].translation
    out = []
    for camera in cameras:
        rotation = camera.rotation @ turn.T
        out.append(dataclasses.replace(camera, rotation=rotation, translation=camera.translation - rotation @ shift))
    return out


def _scaled(cameras: Sequence[Camera], points: Array, body: Body) -> tuple[list[Camera], Array]:
    """Cameras and points so that people are as tall as an adult."""
    height = median_height(body, points)
    if not np.isfinite(height) or height <= 0:
        raise DataError("no height")
    factor = ADULT_HEIGHT / height
    return [dataclasses.replace(c, translation=c.translation * factor) for c in cameras], points * factor


def _refined(
    views: Sequence[View],
    offsets: Sequence[int],
    body: Body,
    settings: Settings,
    cameras: list[Camera],
    person: str,
    pair: Pair,
) -> Solution:
    """Match people over all cameras, adjust, and again."""
    noise, limit = _NOISE, _ROUGH
    views = _thinned(views, offsets)
    mixed = np.zeros(len(views), int)
    for step in range(_ROUNDS):
        plain = [dataclasses.replace(view, camera=c) for view, c in zip(views, cameras, strict=True)]
        extent = float(np.median([_extent(view) for view in plain]))
        limits = Limits(LEAST_SCORE, 2, limit * extent)
        matched = matched_people(plain, offsets, person, limits)
        pixels = np.where((matched.scores >= LEAST_SCORE)[..., None], matched.pixels, np.nan)
        seen = _observed(pixels, matched.scores, _numbered(matched.ids), matched.rows.moments, body, noise)
        rows = _spread_rows(seen, _ROWS)
        seen = seen.part(rows)
        found = triangulate_points(
            np.where(np.isfinite(seen.spread)[..., None], seen.pixels, np.nan), cameras,
            scores=np.where(np.isfinite(seen.spread), 1 / seen.spread, 0), max_error=limits.max_error,
        )
        seen, mixed = _without_mixed(seen, found.points, cameras, body)
        cameras, points = _scaled(cameras, found.points, body)
        state = state_of(cameras, points, seen.people, body)
        state, _ = adjust(seen, state, settings)
        cameras = [_moved(c, state, n) for n, c in enumerate(cameras)]
        parts, errors = _noise(seen, state, cameras)
        noise = float(np.clip(noise * parts, 0.001, _NOISE))
        limit = max(_NEAR * 0.5, 6 * noise)
    seen = _observed(pixels, matched.scores, _numbered(matched.ids), matched.rows.moments, body, noise).part(rows)
    counts = np.isfinite(seen.spread).any(-1).sum(1)
    return Solution(cameras, seen, state, settings, matched, errors, mixed, counts, pair)


def _thinned(views: Sequence[View], offsets: Sequence[int]) -> list[View]:
    """The views at some moments, evenly in time, where there are many."""
    clock = sorted({t - o for view, o in zip(views, offsets, strict=True) for t in view.frames})
    keep = set(clock[:: -(-len(clock) // _MOMENTS)])
    return [
        dataclasses.replace(view, frames={t: s for t, s in view.frames.items() if t - o in keep})
        for view, o in zip(views, offsets, strict=True)
    ]


def _extent(view: View) -> float:
    boxes = [np.ptp(s.keypoints[i][s.scores[i] >= LEAST_SCORE], axis=0) for s in view.frames.values() for i in range(len(s.keypoints)) if (s.scores[i] >= LEAST_SCORE).sum() > 3]
    return float(np.median(np.linalg.norm(boxes, axis=-1)))


def _numbered(ids: Array) -> Array:
    """Numbers of people 0, 1 ...; those who are seldom seen share one."""
    known, number, count = np.unique(ids, return_inverse=True, return_counts=True)
    del known
    rare = count < _LEAST_ROWS
    number = np.where(rare[number], -1, number)
    return np.unique(number, return_inverse=True)[1]


def _observed(
    pixels: Array, scores: Array, people: Array, times: Array, body: Body, noise: float
) -> Observed:
    """Observations; errors are parts of a person's extent in the picture, less of sure ones."""
    there = np.isfinite(pixels).all(-1)
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


def _spread_rows(seen: Observed, most: int) -> Array:
    """Rows that are adjusted: of each camera some, evenly in time, that another has, too."""
    there = (np.isfinite(seen.spread).sum(-1) >= _LEAST_KEYPOINTS)
    shared = there & (there.sum(0) >= 2)
    order = np.argsort(seen.times, kind="stable")
    share = max(most // len(there), 40)
    keep = np.zeros(there.shape[1], bool)
    for own in shared:
        rows = order[own[order]]
        if len(rows):
            keep[rows[np.linspace(0, len(rows) - 1, min(len(rows), share)).round().astype(int)]] = True
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


def _without_mixed(
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
        own, other = (_mean(np.minimum(e[:, sided], 20)) for e in (own, other))
        bad = (other < _MIXED * own) & (own > 3)
        spread[v, bad] = np.inf
        counts[v] = int(bad.sum())
    return dataclasses.replace(seen, spread=spread), counts


def _mean(values: Array) -> Array:
    """(R,) mean of the numbers among (R, K); NaN where there are none."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def _noise(seen: Observed, state: State, cameras: Sequence[Camera]) -> tuple[float, Array]:
    """Errors in parts of a person's extent (one coordinate's deviation), and (V,) in pixels."""
    parts, pixels = [], []
    V = len(cameras)
    for v, camera in enumerate(cameras):
        away = np.linalg.norm(camera.project(state.points) - seen.pixels[v], axis=-1)
        there = np.isfinite(away) & np.isfinite(seen.spread[v])
        pixels.append(float(np.median(away[there])) if there.any() else np.nan)
        parts.append(away[there] / seen.spread[v][there])
    # the median of Rayleigh's distribution; a point follows its views
    seers = np.isfinite(seen.spread).sum(0)
    follows = np.sqrt(1 - 1.5 / max(float(seers[seers > 1].mean()), 2.0))
    return float(np.median(np.concatenate(parts)) / 1.1774 / follows), np.array(pixels)
