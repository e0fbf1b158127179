"""Joint angles of people and animals, from keypoints in a picture's plane or in space."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array, as_numpy
from poise._words import shortened
from poise.errors import DataError, UnknownNameError, nearest
from poise.geometry.angles import angle_between, body_axes, continuous_angles, turn_between
from poise.inference.lifting.poses import right_handed
from poise.inference.measuring.points import place_points
from poise.inference.measuring.views import viewed
from poise.inference.networks.direct3d import SPACE_HANDS
from poise.schemas import get
from poise.schemas.angles import DIRECTIONS, Angle, angles_of, expand_sides, read_angles
from poise.schemas.conversions import kind_of, made_of, sides_of

__all__ = ["JointAngles", "joint_angles"]

#: Segments of which a plane in space shows less than this share have no angle in it.
_LEAST_SHOWN = 0.2
#: Frames whose segments are in memory at once.
_BLOCK = 2048
#: axes of a plane, as rows of `body_axes`; the first is the side's where it is 2
_PLANES = {"sagittal": (0, 1), "frontal": (2, 1), "transverse": (2, 0)}
_RIGHT_AND_UP = {
    "pelvis": ("right", "left_hip", "right_hip"),
    "thorax": ("up", "left_shoulder", "right_shoulder"),
    "world": ("up", "left_hip", "right_hip"),
}
_TRUNK = ("left_hip + right_hip | pelvis", "left_shoulder + right_shoulder | neck")


@dataclasses.dataclass(frozen=True)
class JointAngles:
    """Angles of people over time.

    Attributes:
        names: of the A angles, such as "left_knee_flexion".
        values: (..., A) degrees; NaN where a keypoint is not known or little of a segment shows.
        absent: angle -> why it is not among `names`.
        view: "3D", or how the pictures show people: "side", "front" or "side and front".
        front: (T, N) bool, seen from the front or the back.
        ahead: (T, N) direction of the person's front in the picture, 1 to the right and -1 to the
            left; of people seen from the front that of their right. 1 in space.
        shown: (T, N, A) bool, whether the picture shows people from where the angle is seen.
    """

    names: list[str]
    values: Array
    absent: dict[str, str]
    view: str
    front: Array
    ahead: Array
    shown: Array


def joint_angles(
    keypoints: Any,
    schema: Any,
    *,
    scores: Any = None,
    min_score: float = 0.3,
    side: str = "auto",
    space: str | None = None,
    angles: Any = None,
    fps: float = 25.0,
) -> JointAngles:
    """Joint angles in degrees: flexion of knees, hips, elbows and shoulders, lean of the trunk ...

    docs/how-to/measure-motion.md lists them. Of 2D keypoints it is the angle of the projection,
    right where the picture shows the plane of the movement, with signs by where the person looks.

    Args:
        keypoints: (K, D), (T, K, D) of one person or (T, N, K, D); D = 2 in pixels, or 3,
            right-handed with z up; NaN where not known.
        schema: name or file of the keypoints' schema, or their K names.
        scores: (..., K); None: all are sure.
        min_score: keypoints with a lower score are not known.
        side: of 2D keypoints, the side of the people that pictures show: "left", "right",
            "front", "back", or "auto".
        space: of 3D keypoints, as `PoseResult.space_3d` says it; lifters' is a mirror image.
        angles: file of angles of one's own, or a list of them, that join the others.
        fps: frames a second.

    Raises:
        DataError: keypoints, names and scores do not fit together; no angle can be measured.
        UnknownNameError: an own angle of a keypoint that the schema does not have.

    Example:
        >>> pose = [[0, 0], [0, 10], [-10, 10]]  # the thigh hangs, the shank points back
        >>> joint_angles(pose, ["left_hip", "left_knee", "left_ankle"], side="right").names
        ['left_knee_flexion', 'left_thigh_angle', 'left_shank_angle']
        >>> joint_angles(pose, ["left_hip", "left_knee", "left_ankle"], side="right").values
        array([ 90.,   0., -90.])
    """
    names = _names(schema)
    points, shape = _points(keypoints, names, scores, min_score, space)
    flat = points.shape[-1] == 2
    wanted, absent = _wanted(names, angles, flat=flat)
    front, ahead = np.zeros(points.shape[:2], bool), np.ones(points.shape[:2])
    view = "3D"
    if flat:
        front, ahead = viewed(points, names, side=side, fps=fps)
        there = [word for word, of in (("side", ~front), ("front", front)) if of.any()]
        there = there or ["side"]
        view = " and ".join(there)
        for angle in list(wanted):
            if angle.picture in ("side", "front") and angle.picture not in there:
                wanted.remove(angle)
                absent[angle.name] = f"seen from the {view}"
    if not wanted:
        raise DataError(_nothing(names, absent))
    blocks = [
        _block(points[part], ahead[part], front[part], names, wanted)
        for part in (slice(t, t + _BLOCK) for t in range(0, max(len(points), 1), _BLOCK))
    ]
    values = np.concatenate(blocks)
    around = np.array([angle.turns for angle in wanted])
    if len(values):
        values[..., around] = continuous_angles(values[..., around])
    shaped = values.reshape(*shape, len(wanted))
    kinds = np.array([angle.picture if flat else "" for angle in wanted])
    shown = np.where(front[..., None], kinds != "side", kinds != "front")
    return JointAngles([angle.name for angle in wanted], shaped, absent, view, front, ahead, shown)


def _names(schema: Any) -> list[str]:
    if isinstance(schema, str) or not isinstance(schema, Sequence):
        return [point["name"] for point in get(schema)["keypoint_info"].values()]
    return [str(name) for name in schema]


def _points(
    keypoints: Any, names: Sequence[str], scores: Any, min_score: float, space: str | None
) -> tuple[Array, tuple[int, ...]]:
    """(T, N, K, D) float64 with NaN where not known, and the leading shape as it came."""
    points = np.array(as_numpy(keypoints), np.float64)
    if (
        points.ndim not in (2, 3, 4)
        or points.shape[-2] != len(names)
        or points.shape[-1] not in (2, 3)
    ):
        raise DataError(
            f"keypoints have the shape (T, N, K, D), (T, K, D) or (K, D) with K = {len(names)} of "
            f"this schema and D = 2 or 3, got {points.shape}"
        )
    if space == SPACE_HANDS and points.shape[-1] == 3:
        raise DataError(
            "these 3D keypoints are pixels and millimetres, which have no angles with one another; "
            "measure the 2D keypoints"
        )
    known = np.isfinite(points).all(-1)
    if scores is not None:
        sure = np.asarray(as_numpy(scores), np.float64)
        if sure.shape != points.shape[:-1]:
            raise DataError(
                f"keypoints {points.shape} take scores {points.shape[:-1]}, got {sure.shape}"
            )
        known &= sure >= min_score
    points[~known] = np.nan
    shape = points.shape[:-2]
    whole = {0: (1, 1), 1: (*shape, 1), 2: shape}[len(shape)]
    return right_handed(points.reshape(*whole, *points.shape[-2:]), space), shape


def _words(angle: Angle) -> tuple[str, ...]:
    return angle.second if isinstance(angle.first, str) else (*angle.first, *angle.second)


def _wanted(names: list[str], angles: Any, *, flat: bool) -> tuple[list[Angle], dict[str, str]]:
    """Angles that these keypoints have, and why they lack others."""
    own = [] if angles is None else angles
    own = read_angles(own) if not isinstance(own, Sequence) or isinstance(own, str) else list(own)
    own = list(expand_sides(own, sides_of(names)))
    _check_own(own, names)
    replaced = {angle.name for angle in own}
    known = expand_sides(angles_of(kind_of(names)), sides_of(names))
    wanted: list[Angle] = []
    absent: dict[str, str] = {}
    for angle in [*(a for a in known if a.name not in replaced), *own]:
        lacking = [j.name for j in made_of(_words(angle), names) if not j.terms]
        if lacking:
            absent[angle.name] = f"no {shortened(dict.fromkeys(lacking))}"
        elif not (angle.picture if flat else angle.plane):
            absent[angle.name] = "only 3D poses show it" if flat else "only pictures show it"
        else:
            wanted.append(angle)
    return wanted, absent


def _check_own(own: Sequence[Angle], names: Sequence[str]) -> None:
    for angle in own:
        for joint in made_of(_words(angle), names):
            if not joint.terms:
                part = next(p for p in joint.name.split(" + ") if not made_of([p], names)[0].terms)
                raise UnknownNameError(
                    f"the angle '{angle.name}' has the point '{part}', which is none of these "
                    f"keypoints: {shortened(names, 20)}{nearest(part, names)}"
                )


def _nothing(names: Sequence[str], absent: Mapping[str, str]) -> str:
    why = "there is no table for such creatures"
    if absent:
        seen = [text for text in dict.fromkeys(absent.values()) if not text.startswith("no ")]
        why = shortened(seen) or "by their names no three of them make a limb or a finger"
    return (
        f"no angle can be measured of the keypoints {shortened(names, 6)} ({why}); give angles of "
        "your own with angles=FILE (--angles FILE)"
    )


def _block(
    points: Array, ahead: Array, front: Array, names: Sequence[str], angles: Sequence[Angle]
) -> Array:
    """(T, N, A) of frames that fit into memory; angles of one kind at once."""
    words = list(dict.fromkeys(word for angle in angles for word in _words(angle)))
    places = place_points(points, names, words)
    axes = {} if points.shape[-1] == 2 else _axes(points, names)
    out = np.empty((*points.shape[:2], len(angles)))
    kinds: dict[Any, list[int]] = {}
    for column, angle in enumerate(angles):
        fixed = angle.first if isinstance(angle.first, str) else ""
        left = angle.name.startswith("left_")
        kind = (angle.picture if not axes else (angle.plane, angle.frame), left, fixed)
        kinds.setdefault(kind, []).append(column)
    for (kind, left, fixed), columns in kinds.items():
        of = [angles[c] for c in columns]
        second = _segments(places, words, [a.second for a in of])
        first: Any = fixed
        if not fixed:
            first = _segments(places, words, [tuple(a.first) for a in of])
        if axes:
            turns = _in_space(first, second, axes, *kind, left=left)
        else:
            turns = _in_picture(first, second, ahead, front, kind, left=left)
        zero, sign = (np.array([getattr(a, key) for a in of]) for key in ("zero", "sign"))
        unsigned = kind[0] == "bend" if axes else kind == "any"
        out[..., columns] = turns * (1 if unsigned else sign) - zero
    # a joint has an end to its range; segments may go round and round, which is for later
    middle = np.array([angle.middle for angle in angles])
    return np.asarray(middle - (middle - out + 180) % 360 + 180)


def _segments(places: Array, words: Sequence[str], pairs: Sequence[Sequence[str]]) -> Array:
    begin, end = ([words.index(pair[i]) for pair in pairs] for i in (0, 1))
    return places[:, :, end] - places[:, :, begin]


def _in_picture(
    first: Any, second: Array, ahead: Array, front: Array, picture: str, *, left: bool
) -> Array:
    """(T, N, A) turns in the plane of the picture; NaN of people who are seen otherwise."""
    across = ahead * (-1 if left and picture == "front" else 1)
    upright = np.stack((across, -np.ones_like(across)), -1)[:, :, None]
    turns = turn_between(
        _direction(first) if isinstance(first, str) else first * upright, second * upright
    )
    if picture == "any":
        return np.abs(turns)
    return np.where((front == (picture == "front"))[..., None], turns, np.nan)


def _direction(name: str) -> Array:
    """Unit vector of a direction in the axes of a plane: across, up."""
    return np.array([(0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (1.0, 0.0)][DIRECTIONS.index(name)])


def _axes(points: Array, names: Sequence[str]) -> dict[str, Array]:
    """Axes (T, N, 3, 3) of each frame of reference; animals have the world's, by their backs."""
    low, high, back, neck = np.moveaxis(
        place_points(points, names, [*_TRUNK, "tail_base", "neck"]), 2, 0
    )
    found = {}
    for frame, (keep, left, right) in _RIGHT_AND_UP.items():
        a, b = np.moveaxis(place_points(points, names, [left, right]), 2, 0)
        up = np.broadcast_to([0.0, 0, 1], low.shape) if frame == "world" else high - low
        across = b - a
        if kind_of(names) == "quadruped":
            # x forward, y up: z = x × y
            across = np.cross(neck - back, up)
        found[frame] = body_axes(across, up, keep=keep)
    return found


def _in_space(
    first: Any, second: Array, axes: Mapping[str, Array], plane: str, frame: str, *, left: bool
) -> Array:
    """(T, N, A) turns in a plane of a body's axes, or without one."""
    own = axes[frame].copy()
    if left:
        own[..., 2, :] *= -1
    if plane == "outward":
        return 90 - angle_between(second, own[:, :, 2:3])
    if plane == "bend":
        if isinstance(first, str):
            x, y = _direction(first)
            first = (x * own[..., 0, :] + y * own[..., 1, :])[:, :, None]
        return angle_between(first, second)
    rows = own[..., _PLANES[plane], :]
    shown = [
        _direction(v) if isinstance(v, str) else _seen(v, np.einsum("tnad,tnpd->tnap", v, rows))
        for v in (first, second)
    ]
    return turn_between(*shown)


def _seen(whole: Array, shown: Array) -> Array:
    """Projections (..., 2) of segments (..., 3); NaN where little is left of them."""
    enough = np.linalg.norm(shown, axis=-1) >= _LEAST_SHOWN * np.linalg.norm(whole, axis=-1)
    return np.where(enough[..., None], shown, np.nan)
