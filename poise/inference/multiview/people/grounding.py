"""Metres, up, and the floor, from the people who walk on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.inference.multiview.people.body import ADULT_HEIGHT, ADULT_SPREAD, LEVELS, Body

__all__ = ["Ground", "Scale", "ground_of", "scale_of"]

#: Parts of a length that remain unsure: joints of a body of known height, a limb or two cameras.
_BY_HEIGHT, _BY_LIMB, _BY_DISTANCE = 0.03, 0.02, 0.005
#: Radians by which the mean spine is expected to lean.
_LEAN = 0.05
#: The same, of the spines against the floor, above which it is said.
_DOUBTFUL_LEAN = 0.1
#: Moments of which one says something new of the floor: feet stay for a while.
_ALIKE_MOMENTS = 10
#: Metres within which feet are known at best; deviations beyond which a foot does not stand.
_LEAST_SPREAD, _FAR = 0.01, 2.5


@dataclasses.dataclass(frozen=True)
class Scale:
    """Metres of a unit.

    Attributes:
        factor: metres.
        spread: standard deviation, part of it.
        height: metres of the people, mean.
        text: where it comes from.
    """

    factor: float
    spread: float
    height: float
    text: str


@dataclasses.dataclass(frozen=True)
class Ground:
    """The world of the floor.

    Attributes:
        turn: (3, 3) from the old world; z points up, the first camera looks along y.
        shift: (3,) of the turned points.
        spread: standard deviation of the up axis, radians.
        text: where it comes from.
    """

    turn: Array
    shift: Array
    spread: float
    text: str


def scale_of(
    body: Body,
    points: Array,
    people: Array,
    cameras: Sequence[Camera],
    *,
    height: float | None = None,
    limb: tuple[str, float] | None = None,
    distance: tuple[str, str, float] | None = None,
) -> Scale:
    """How long the unit of the cameras is.

    Args:
        body: the keypoints.
        points: (R, K, 3).
        people: (R,) number of each row's person.
        cameras: of the same world.
        height: metres of the people, of several their mean.
        limb: two keypoints as "left_knee:left_ankle", and metres between them.
        distance: two cameras and metres between them.

    Raises:
        DataError: a limb that is never seen.
    """
    heights = np.array([body.height(points[people == p]) for p in np.unique(people)])
    if not np.isfinite(heights).any():
        raise DataError(
            "no moment has somebody's shanks, thighs or trunk placed by two cameras; do they see "
            "the same person, from the feet to the shoulders?"
        )
    tall = float(np.nanmean(heights))
    if distance is not None:
        first, second, metres = distance
        places = {camera.name: camera.center for camera in cameras}
        length, spread = float(np.linalg.norm(places[first] - places[second])), _BY_DISTANCE
        text = f"{first} and {second} stand {metres:g} m apart"
    elif limb is not None:
        metres, spread, text = limb[1], _BY_LIMB, f"{limb[0]} is {limb[1]:g} m long"
        apart = np.subtract(*(points[:, k] for k in body.pair(limb[0])))
        if not np.isfinite(apart).all(-1).any():
            raise DataError(f"{limb[0]} is never seen by two cameras; name another limb")
        length = float(np.nanmedian(np.linalg.norm(apart, axis=-1)))
    elif height is not None:
        return Scale(height / tall, _BY_HEIGHT, height, f"people are {height:g} m tall")
    else:
        text = (
            f"A GUESS: nobody told a length, so people are taken for {ADULT_HEIGHT:.2f} m tall; "
            "lengths may all be wrong by one part. Tell one with --height, --limb or --distance"
        )
        return Scale(ADULT_HEIGHT / tall, ADULT_SPREAD / ADULT_HEIGHT, ADULT_HEIGHT, text)
    factor = metres / length
    return Scale(
        factor, spread, tall * factor, f"{text}, by which people are {tall * factor:.2f} m tall"
    )


def ground_of(body: Body, points: Array, first: Camera, height: float) -> Ground:
    """The floor under people's feet.

    The lower ankle of each moment stands, mostly; a plane through those is fitted, whose slope the
    mean direction of the spines tells beforehand (ridge regression), so that somebody who stands in
    one place has an up, too.

    Args:
        body: the keypoints.
        points: (R, K, 3) metres.
        first: camera.
        height: metres of the people.

    Raises:
        DataError: nobody has hips and shoulders.
    """
    hips, shoulders = body.both(points, "hip"), body.both(points, "shoulder")
    if hips is None or shoulders is None:
        raise DataError("up and floor need hips and shoulders among the keypoints")
    below, above = hips.mean(-2), shoulders.mean(-2)
    spine = (above - below)[np.isfinite(above - below).all(-1)]
    if not len(spine):
        raise DataError(
            "nothing says where up is: nobody has hips and shoulders that two cameras see at the "
            "same time; film people in full"
        )
    up = np.median(spine / np.linalg.norm(spine, axis=-1, keepdims=True), axis=0)
    up /= np.linalg.norm(up)
    # the first camera looks along y
    x = np.cross(first.rotation[2], up)
    x = x if np.linalg.norm(x) > 0.05 else np.cross(-first.rotation[1], up)
    x /= np.linalg.norm(x)
    turn = np.stack((x, np.cross(up, x), up))
    ankles = body.both(points, "ankle")
    feet = np.zeros((0, 3)) if ankles is None else _lower(ankles @ turn.T)
    middle = np.nanmedian(below @ turn.T, axis=0)
    if len(feet) < 2 * _ALIKE_MOMENTS:
        floor = middle[2] - LEVELS["hip"] * height
        text = "up: along the spines; the feet are hardly seen, so the floor is where hips say"
        return Ground(turn, -np.array([*middle[:2], floor]), _LEAN, text)
    slope, level, spread, count = _plane(feet - [*middle[:2], 0])
    normal = np.array([-slope[0], -slope[1], 1.0]) / np.sqrt(1 + slope @ slope)
    tilt = _tilt(normal)
    shift = np.array([*middle[:2], level]) @ tilt.T + [0, 0, -LEVELS["ankle"] * height]
    lean = float(np.arccos(np.clip(normal[2], -1, 1)))
    spread = float(np.hypot(spread, lean / 2))
    text = f"up and floor: by {count} standing feet and the spines"
    if lean > _DOUBTFUL_LEAN:
        text += (
            f", which lean by {np.rad2deg(lean):.0f}° against one another: do people walk upright, "
            "on one floor?"
        )
    return Ground(tilt @ turn, -shift, spread, text)


def _lower(ankles: Array) -> Array:
    """(n, 3) the lower of two ankles (R, 2, 3), where both are known."""
    known = ankles[np.isfinite(ankles).all((1, 2))]
    return known[np.arange(len(known)), known[..., 2].argmin(1)]


def _plane(feet: Array) -> tuple[Array, float, float, int]:
    """Slopes (2,), level, standard deviation of the slopes, and how many feet stand."""
    keep = np.ones(len(feet), bool)
    slope, level, spread = np.zeros(2), float(np.median(feet[:, 2])), _LEAN
    for _ in range(5):
        own = feet[keep]
        off = feet[:, 2] - feet[:, :2] @ slope - level
        sigma = max(
            1.4826 * float(np.median(np.abs(off[keep] - np.median(off[keep])))), _LEAST_SPREAD
        )
        weight = 1 / sigma**2 / _ALIKE_MOMENTS
        rows = np.concatenate((own[:, :2], np.ones((len(own), 1))), 1)
        normal = weight * rows.T @ rows + np.diag([1 / _LEAN**2, 1 / _LEAN**2, 0])
        solved = np.linalg.solve(normal, weight * rows.T @ own[:, 2])
        slope, level = solved[:2], float(solved[2])
        spread = float(np.sqrt(np.diag(np.linalg.inv(normal))[:2].max()))
        keep = np.abs(feet[:, 2] - feet[:, :2] @ slope - level) < _FAR * sigma
    return slope, level, spread, int(keep.sum())


def _tilt(normal: Array) -> Array:
    """The smallest rotation that makes a direction near z to z."""
    axis = np.cross(normal, [0, 0, 1.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + normal[2]))
