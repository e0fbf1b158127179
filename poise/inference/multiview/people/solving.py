"""From tracks of all cameras to cameras: a pair, then the others, then all of it adjusted.

Puwein et al. (ACCV 2014) and Takahashi et al. (CVPRW 2018) calibrate by people in the same way: the
joints of one moment after the other are the corners of a board that is moved about.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.geometry.triangulation import triangulate_points
from poise.inference.multiview.people.adjusting import Observed, Settings, State, adjust
from poise.inference.multiview.people.observing import (
    noise_of,
    numbered,
    observed,
    spread_rows,
    state_of,
)
from poise.inference.multiview.people.starting import (
    NOISE,
    Pair,
    Placed,
    Scene,
    join_all,
    relate,
    start_pair,
)
from poise.inference.multiview.people.tracks import LEAST_SCORE
from poise.inference.multiview.reconstruction import Limits, Matched, matched_people
from poise.inference.multiview.views import View

__all__ = ["Solution", "solve"]

#: Distances within which people of several views are the same, in parts of their extent: in the
#: beginning, at least, and in deviations of the noise.
_ROUGH, _NEAR, _DEVIATIONS = 0.06, 0.02, 6.0
#: Focal lengths that are tried first, times the guess.
_FACTORS = (0.65, 0.8, 1.0, 1.25, 1.55)
#: Rows of a first pair and its steps, and rows of all.
_PAIR_ROWS, _PAIR_STEPS, _ROWS = 120, 25, 400
#: Moments at which people are matched at most.
_MOMENTS = 500
#: Rounds of matching people and adjusting.
_ROUNDS = 3
#: Parts of people's extent within which noise is believed to be.
_LEAST_NOISE = 0.001


@dataclasses.dataclass(frozen=True)
class Solution:
    """Cameras in the world of the first, in a unit of their own.

    Attributes:
        cameras: V, without lens and centre.
        seen, state: of the last adjustment.
        matched: people of all moments.
        errors: (V,) median pixels between keypoints and projected ones.
    """

    cameras: list[Camera]
    seen: Observed
    state: State
    matched: Matched
    errors: Array


def solve(scene: Scene, pairs: Mapping[tuple[int, int], Pair]) -> Solution:
    """Cameras of a scene.

    Args:
        scene: what they see.
        pairs: of `all_pairs`.

    Raises:
        DataError: cameras that see too little in common.
    """
    which = max(pairs, key=lambda pair: pairs[pair].worth)
    focals, known, placed = _first_pair(scene, which)
    cameras = [_at(view.camera, f) for view, f in zip(scene.views, focals, strict=True)]
    join_all(scene, cameras, known, placed)
    first, turned = known[0], []
    for camera in (known[v] for v in range(len(cameras))):
        rotation = camera.rotation @ first.rotation.T
        shift = camera.translation - rotation @ first.translation
        turned.append(dataclasses.replace(camera, rotation=rotation, translation=shift))
    return _refined(scene, turned)


def _first_pair(scene: Scene, which: tuple[int, int]) -> tuple[Array, dict[int, Camera], Placed]:
    """Focal lengths of all (V,), the pair's cameras and people, at the focal lengths that fit best.

    Both cameras of the pair have the same part of their guess here, and the others, too.
    """
    two, guess = list(which), scene.settings.guess
    free = scene.settings.groups >= 0
    own = Settings(np.where(free[two], 0, -1), np.full(2, -1), guess[two], scene.settings.doubt)
    tried = []
    for factor in _FACTORS if free[two].any() else (1.0,):
        focals = np.exp(guess) * np.where(free, factor, 1)
        pair = relate(scene, which, focals)
        if pair is None or not pair.matches:
            continue
        cameras = [_at(scene.views[v].camera, focals[v]) for v in two]
        turn, shift = pair.relation.turn, pair.relation.shift
        cameras[1] = dataclasses.replace(cameras[1], rotation=turn, translation=shift)
        pixels, placed = start_pair(scene, which, pair, cameras)
        scores = np.isfinite(pixels).all(-1).astype(float)
        seen = observed(pixels, scores, placed.people, placed.frames, scene.body, NOISE)
        rows = spread_rows(seen, _PAIR_ROWS)
        if not len(rows):
            continue
        state = state_of(cameras, placed.points[rows], seen.people[rows], scene.body)
        state, cost = adjust(seen.part(rows), state, own, steps=_PAIR_STEPS)
        tried.append((cost, focals, pair, _of_state(cameras, state)))
    if not tried:
        raise DataError(
            f"{' and '.join(scene.names[v] for v in two)} see the same people only by chance; is "
            "it the same scene, at the same time (--sync)?"
        )
    _, focals, pair, cameras = min(tried, key=lambda row: row[0])
    for v, camera in zip(two, cameras, strict=True):
        if free[v]:
            # what the pair found holds for the others, until they are adjusted
            focals = np.where(free, np.exp(guess - guess[v]) * camera.matrix[0, 0], focals)
    _, placed = start_pair(scene, which, pair, cameras)
    return focals, dict(zip(two, cameras, strict=True)), placed


def _at(camera: Camera, focal: float) -> Camera:
    return dataclasses.replace(camera, matrix=np.diag([focal, focal, 1.0]))


def _of_state(cameras: Sequence[Camera], state: State) -> list[Camera]:
    """The cameras where a state has them."""
    return [
        dataclasses.replace(_at(camera, float(np.exp(f))), rotation=turn, translation=shift)
        for camera, turn, shift, f in zip(
            cameras, state.turns, state.shifts, state.focals, strict=True
        )
    ]


def _refined(scene: Scene, cameras: list[Camera]) -> Solution:
    """Match people over all cameras, adjust, and again."""
    views, person = _thinned(scene), scene.person
    if person == "all" and all(len(s.keypoints) < 2 for v in views for s in v.frames.values()):
        # nobody can be taken for somebody else
        person = "confident"
    noise, near = NOISE, _ROUGH
    extent = scene.noise(*range(len(views))) / NOISE
    for _ in range(_ROUNDS):
        plain = [dataclasses.replace(v, camera=c) for v, c in zip(views, cameras, strict=True)]
        limits = Limits(LEAST_SCORE, 2, near * extent)
        matched = matched_people(plain, scene.offsets, person, limits)
        people, times = numbered(matched.ids), matched.rows.moments
        sure = (matched.scores >= LEAST_SCORE)[..., None]
        pixels = np.where(sure, matched.pixels, np.nan)
        seen = observed(pixels, matched.scores, people, times, scene.body, noise)
        rows = spread_rows(seen, _ROWS)
        seen = seen.part(rows)
        if not len(rows):
            raise DataError(
                "no moment has the same person in two cameras, with six sure keypoints in each; "
                "is it the same scene, at the same time (--sync)?"
            )
        points = triangulate_points(
            seen.pixels, cameras, scores=1 / seen.spread, max_error=limits.max_error
        ).points
        state = state_of(cameras, points, seen.people, scene.body)
        state, _ = adjust(seen, state, scene.settings)
        cameras = _of_state(cameras, state)
        part, errors = noise_of(seen, state, cameras)
        before, noise = noise, float(np.clip(noise * part, _LEAST_NOISE, NOISE))
        near = max(_NEAR, _DEVIATIONS * noise)
    seen = dataclasses.replace(seen, spread=seen.spread * noise / before)
    return Solution(cameras, seen, state, matched, errors)


def _thinned(scene: Scene) -> list[View]:
    """The views at some moments, evenly in time, where there are many."""
    both = list(zip(scene.views, scene.offsets, strict=True))
    clock = sorted({t - o for view, o in both for t in view.frames})
    keep = set(clock[:: -(-len(clock) // _MOMENTS)])
    return [
        dataclasses.replace(view, frames={t: s for t, s in view.frames.items() if t - o in keep})
        for view, o in both
    ]
