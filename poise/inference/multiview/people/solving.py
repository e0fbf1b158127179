"""From tracks of all cameras to cameras: a tree of pairs, then all of it adjusted.

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
from poise.inference.multiview.people.adjusting import Observed, State, adjust
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
    Scene,
    at,
    join_all,
)
from poise.inference.multiview.reconstruction import Limits, Matched, matched_people
from poise.inference.multiview.tracks import LEAST_SCORE
from poise.inference.multiview.views import View

__all__ = ["Solution", "solve"]

#: Distances within which people of several views are the same, in parts of their extent: in the
#: beginning, at least, and in deviations of the noise.
_ROUGH, _NEAR, _DEVIATIONS = 0.06, 0.02, 6.0
#: Rows that are adjusted.
_ROWS = 400
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
    return _refined(scene, join_all(scene, pairs))


def _of_state(cameras: Sequence[Camera], state: State) -> list[Camera]:
    """The cameras where a state has them."""
    return [
        dataclasses.replace(at(camera, float(np.exp(f))), rotation=turn, translation=shift)
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
