"""From which side pictures show people, and where these look: what signs of angles depend on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

from poise._arrays import Array
from poise.errors import ArgumentError, one_of
from poise.inference.measuring.points import place_points

__all__ = ["SIDES", "viewed"]

#: what `side` may be, and (view, direction): of a side view 1 to the picture's right, of one from
#: the front or the back 1 where the person's right is on the picture's right
SIDES = {"auto": None, "left": ("side", -1), "right": ("side", 1)}
SIDES |= {"front": ("front", -1), "back": ("front", 1)}
#: Shoulders that are apart by more of the trunk's length are seen from the front or the back; right
#: from the front they are apart by about 0.7 of it.
_FRONT_RATIO = 0.45
#: Seconds over which signs of where somebody looks are added up.
_LOOK_SECONDS = 1.0
#: Part of the frames below which another view is that of somebody who bends or reaches.
_LEAST_PART = 0.2

_TRUNK = ["left_shoulder + right_shoulder | neck", "left_hip + right_hip | pelvis | tail_base"]
_WIDTH = ["left_shoulder", "right_shoulder"]
#: (from, to, weight): pairs that lie behind each other for somebody who looks ahead
_CUES = (
    ("left_heel", "left_big_toe", 2.0),
    ("right_heel", "right_big_toe", 2.0),
    ("left_ear", "nose", 1.0),
    ("right_ear", "nose", 1.0),
    ("left_hip + left_ankle", "left_knee", 1.0),
    ("right_hip + right_ankle", "right_knee", 1.0),
    ("tail_base", "neck", 2.0),
)
_TRAVEL_WEIGHT = 0.5


def viewed(
    points: Array, names: Sequence[str], *, side: str = "auto", fps: float = 25.0
) -> tuple[Array, Array]:
    """Which side of people pictures show, and where they look.

    The distance of the shoulders tells how somebody is seen, over a second; toes, nose, knees and
    the way that the hips take where somebody looks.

    Args:
        points: (T, N, K, 2), x to the right; NaN where not known.
        names: of the K keypoints.
        side: "left" or "right" where this side of people is seen, who then look to the picture's
            left or right; "front", "back", or "auto".
        fps: frames a second.

    Returns:
        (T, N) bool, seen from the front or the back; (T, N) of those the picture's direction of the
        person's right, else that of the person's front: 1 to the right, -1 to the left.

    Raises:
        ArgumentError: another side.
    """
    one_of(side, tuple(SIDES), "side", ArgumentError)
    shape = points.shape[:2]
    given = SIDES[side]
    if given is not None:
        return np.full(shape, given[0] == "front"), np.full(shape, given[1])
    trunk, width = place_points(points, names, _TRUNK), place_points(points, names, _WIDTH)
    lengths = np.linalg.norm(trunk[:, :, 0] - trunk[:, :, 1], axis=-1)
    apart = (width[:, :, 1, 0] - width[:, :, 0, 0]) / np.where(lengths > 0, lengths, np.nan)
    frames = max(1, round(fps * _LOOK_SECONDS))
    front = _over(np.abs(apart), frames) > _FRONT_RATIO
    part = front.sum(0) / max(len(front), 1)
    front = np.where(np.minimum(part, 1 - part) < _LEAST_PART, part > 1 / 2, front)
    size = _median(lengths, 1.0)
    looks = _looks(points, names) / size + _travel(trunk[:, :, 1, 0] / size, fps)
    ahead = uniform_filter1d(looks, frames, axis=0, mode="nearest")
    # nothing to see in this second: as in the rest of the video
    ahead = np.where(ahead == 0, looks.sum(0), ahead)
    return front, np.where(np.where(front, _over(apart, frames), ahead) < 0, -1, 1)


def _looks(points: Array, names: Sequence[str]) -> Array:
    """(T, N) pixels: above 0 where limbs and heads point to the picture's right."""
    places = place_points(points, names, [word for cue in _CUES for word in cue[:2]])[..., 0]
    weights = np.array([weight for _, _, weight in _CUES])
    return np.asarray(np.nansum((places[:, :, 1::2] - places[:, :, ::2]) * weights, axis=-1))


def _travel(hips: Array, fps: float) -> Array:
    """(T, N): above 0 where hips (T, N), in trunk lengths, move to the picture's right."""
    if len(hips) < 2:
        return np.zeros(hips.shape)
    speed = np.nan_to_num(np.gradient(hips, axis=0) * fps)
    return np.asarray(_TRAVEL_WEIGHT * np.clip(speed, -1, 1))


def _over(values: Array, frames: int) -> Array:
    """(T, N) means of values over the frames around each; of no known ones, the whole's median."""
    known = np.isfinite(values)
    count, total = (
        uniform_filter1d(part, frames, axis=0, mode="nearest")
        for part in (known.astype(float), np.where(known, values, 0.0))
    )
    enough = count > 0.5 / frames
    return np.where(enough, total / np.where(enough, count, 1), _median(values, 0.0))


def _median(values: Array, unknown: float) -> Array:
    """(N,) medians over time of (T, N)."""
    found = np.ma.median(np.ma.masked_invalid(values), axis=0)
    return np.asarray(np.ma.filled(found, unknown))
