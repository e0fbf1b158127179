"""Tables: which keypoints make the angles that those want who measure people and animals.

An angle is that between two segments, or between a segment and a direction. It is 0 in the
anatomical position, flexion is positive; in space it follows the recommendations of the
International Society of Biomechanics (Wu et al. 2002 for the leg and the spine, 2005 for the arm)
as far as joint centres alone allow: none shows how a bone turns about its own length.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.errors import DataError, FileMissingError, one_of

__all__ = ["DIRECTIONS", "Angle", "angles_of", "expand_sides", "read_angles"]

#: Directions that stand for a segment; "outward" is the person's right, of a limb its own side.
DIRECTIONS = ("up", "down", "forward", "outward")

#: Points that are no keypoint's word: ways to make them, best first; `*` stands for a side.
_POINTS = {
    "chest": "left_shoulder + right_shoulder | neck",
    "hips": "left_hip + right_hip | pelvis",
    "crown": "head_top | left_ear + right_ear",
    "*_root": "*_hand_root | wrist",
    "*_hand": "*_middle_finger1 | *_forefinger4",
}


@dataclass(frozen=True)
class Angle:
    """An angle: the way from a first segment to a second one.

    Attributes:
        name: such as "knee_flexion"; with `*_` in front for left and right.
        first, second: (from, to): each a sum of keypoints' words such as "left_hip + right_hip",
            alternatives parted by " | "; `first` may be one of `DIRECTIONS`.
        picture: what a picture must show: "side": angles have a sign; "front": they have one, too;
            "any": they have none; "": a picture does not show it.
        plane: in space, in which plane the angle is: "sagittal", "frontal", "transverse", "outward"
            (out of the sagittal plane) or "bend" (of the segments themselves, without a sign); "":
            it is one of pictures.
        frame: whose axes the plane has: "pelvis", "thorax" or "world".
        sign: of turns that are counterclockwise for a person who looks to the right; in a plane
            seen from the front, turns from below to outside.
        zero: degrees that are taken off.
        middle: values are within 180 degrees of it.
        turns: values go on beyond 180 degrees from frame to frame.
    """

    name: str
    first: tuple[str, str] | str
    second: tuple[str, str]
    picture: str = "any"
    plane: str = "bend"
    frame: str = "pelvis"
    sign: int = 1
    zero: float = 0.0
    middle: float = 0.0
    turns: bool = False


#: name, picture, plane, frame, sign, zero, middle, segments; "around" for a middle: it `turns`
_BODY = """
    *_hip_flexion         side   sagittal    pelvis  +   0   60      chest > hips, *_hip > *_knee
    *_hip_abduction       front  outward     pelvis  +   0   0       chest > hips, *_hip > *_knee
    *_knee_flexion        side   bend        pelvis  -   0   60      *_hip > *_knee > *_ankle
    *_knee_valgus         front  -           pelvis  +   0   0       *_hip > *_knee > *_ankle
    *_ankle_dorsiflexion  side   bend        pelvis  +   90  0       *_knee > *_ankle, *_heel > *_big_toe
    *_shoulder_flexion    side   sagittal    thorax  +   0   60      chest > hips, *_shoulder > *_elbow
    *_shoulder_abduction  front  frontal     thorax  +   0   60      chest > hips, *_shoulder > *_elbow
    *_shoulder_elevation  -      bend        thorax  +   0   0       chest > hips, *_shoulder > *_elbow
    *_shoulder_plane      -      transverse  thorax  +   0   45      outward, *_shoulder > *_elbow
    *_elbow_flexion       any    bend        pelvis  +   0   0       *_shoulder > *_elbow > *_wrist
    *_wrist_flexion       any    bend        pelvis  +   0   0       *_elbow > *_wrist > *_hand
    neck_flexion          side   sagittal    thorax  -   0   0       hips > chest, neck > crown
    neck_side_bend        front  frontal     thorax  -   0   0       hips > chest, neck > crown
    trunk_lean            side   sagittal    world   -   0   around  up, hips > chest
    trunk_side_lean       front  frontal     world   -   0   around  up, hips > chest
    trunk_rotation        -      transverse  thorax  +   0   0       left_hip > right_hip, left_shoulder > right_shoulder
    pelvis_obliquity      front  frontal     world   -   0   0       outward, left_hip > right_hip
    shoulder_obliquity    front  frontal     world   -   0   0       outward, left_shoulder > right_shoulder
    *_thigh_angle         side   sagittal    world   +   0   around  down, *_hip > *_knee
    *_shank_angle         side   sagittal    world   +   0   around  down, *_knee > *_ankle
    *_foot_angle          side   sagittal    world   +   0   around  forward, *_heel > *_big_toe
    *_arm_angle           side   sagittal    world   +   0   around  down, *_shoulder > *_elbow
    *_forearm_angle       side   sagittal    world   +   0   around  down, *_elbow > *_wrist
    *_thumb_mcp_flexion   any    bend        pelvis  +   0   0       *_thumb1 > *_thumb2 > *_thumb3
    *_thumb_ip_flexion    any    bend        pelvis  +   0   0       *_thumb2 > *_thumb3 > *_thumb4
    """  # noqa: E501
_FINGER = """
    *_{0}_mcp_flexion     any    bend        pelvis  +   0   0       *_root > *_{0}1 > *_{0}2
    *_{0}_pip_flexion     any    bend        pelvis  +   0   0       *_{0}1 > *_{0}2 > *_{0}3
    *_{0}_dip_flexion     any    bend        pelvis  +   0   0       *_{0}2 > *_{0}3 > *_{0}4
    """
_FINGERS = ("forefinger", "middle_finger", "ring_finger", "pinky_finger")
_QUADRUPED = """
    *_elbow_flexion       any    bend        world   +   0   0       *_shoulder > *_elbow > *_front_paw
    *_knee_flexion        any    bend        world   +   0   0       *_hip > *_knee > *_back_paw
    *_foreleg_angle       side   sagittal    world   +   0   around  down, *_shoulder > *_front_paw
    *_hindleg_angle       side   sagittal    world   +   0   around  down, *_hip > *_back_paw
    back_slope            side   sagittal    world   +   0   around  forward, tail_base > neck
    """  # noqa: E501
#: kind of creature (as `schemas.conversions` has them) -> its table
_TABLES = {"": _BODY + "".join(_FINGER.format(f) for f in _FINGERS), "quadruped": _QUADRUPED}


def angles_of(kind: str = "") -> list[Angle]:
    """Angles of a kind of creature: "" for people, "quadruped"; none of others.

    Example:
        >>> knee = next(a for a in angles_of() if a.name == "*_knee_flexion")
        >>> knee.first, knee.second, knee.sign
        (('*_hip', '*_knee'), ('*_knee', '*_ankle'), -1)
    """
    return [_of_line(line) for line in _TABLES.get(kind, "").splitlines() if line.strip()]


def _of_line(line: str) -> Angle:
    name, picture, plane, frame, sign, zero, middle, text = re.split(r"\s{2,}", line.strip())
    first, second = _segments(text)
    return Angle(
        name,
        first,
        second,
        picture.strip("-"),
        plane.strip("-"),
        frame,
        -1 if sign == "-" else 1,
        float(zero),
        0.0 if middle == "around" else float(middle),
        middle == "around",
    )


def _segments(text: str) -> tuple[tuple[str, str] | str, tuple[str, str]]:
    """Two segments of "a > b, c > d", "a > b > c" or "up, a > b"."""
    parts = [[_POINTS.get(p, p) for p in part.split(" > ")] for part in text.split(", ")]
    if len(parts) == 1:
        a, b, c = parts[0]
        return (a, b), (b, c)
    first, (c, d) = parts
    return first[0] if len(first) == 1 else (first[0], first[1]), (c, d)


def expand_sides(angles: Sequence[Angle], sides: Sequence[str]) -> Iterator[Angle]:
    """Angles with `*_` in their names for each of some sides, "left", "right", or "" for none."""
    for angle in angles:
        if not angle.name.startswith("*_"):
            yield angle
            continue
        for side in sides:

            def sided(text: str, side: str = side) -> str:
                return text.replace("*_", f"{side}_" if side else "")

            first = angle.first if isinstance(angle.first, str) else tuple(map(sided, angle.first))
            values = {**vars(angle), "first": first, "second": tuple(map(sided, angle.second))}
            yield Angle(**{**values, "name": sided(angle.name)})


_OWN_KEYS = ("name", "points", "segment", "against", "positive", "zero")
_POSITIVE = {"either": 1, "counterclockwise": 1, "clockwise": -1}


def read_angles(path: str | os.PathLike[str]) -> list[Angle]:
    """Angles of one's own: a TOML or JSON file with a list `angle`.

    An entry has a `name` and either `points` (three: the bend at the middle one, 0 where straight;
    four: from the first pair to the second) or `segment` (two) and `against` ("up", "down",
    "forward"). Points are names of keypoints, or sums such as "left_hip + right_hip"; `*_` stands
    for left and right. `positive` ("counterclockwise" or "clockwise", of somebody who looks to the
    right) gives a sign; `zero` is taken off.

    Raises:
        FileMissingError: no such file.
        DataError: it is no such file, or an entry has something else; the text says which.
    """
    file = Path(path)
    if not file.is_file():
        raise FileMissingError(f"there is no file '{file}' of angles (looked in {Path.cwd()})")
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise DataError(f"{file} is neither TOML nor JSON (.json): {error}") from error
    entries = found.get("angle") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{file} has no list of angles; expected [[angle]] with name and points")
    made = [_own(entry, f"{file}, angle {n}") for n, entry in enumerate(entries, start=1)]
    names = [angle.name for angle in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{file} has the angle '{twice[0]}' twice; give each a name of its own")
    return made


def _own(entry: Any, where: str) -> Angle:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise DataError(f"{where} has no name; expected name = '...' and points = [...]")
    if not re.fullmatch(r"(\*_)?\w[\w -]*", entry["name"]):
        raise DataError(f"{where}: a name has letters, digits and _, got {entry['name']!r}")
    where += f" ('{entry['name']}')"
    for key in entry:
        one_of(key, _OWN_KEYS, f"{where}: a key", DataError)
    points = _points(entry, "points", (3, 4), where)
    segment = _points(entry, "segment", (2,), where)
    if bool(points) == bool(segment):
        raise DataError(f"{where} needs either points (3 or 4) or a segment (2) and against")
    first: tuple[str, str] | str = one_of(
        entry.get("against", "up"), DIRECTIONS[:3], f"{where}: against", DataError
    )
    if points:
        first = (points[0], points[1])
    positive = entry.get("positive", "either")
    one_of(positive, tuple(_POSITIVE), f"{where}: positive", DataError)
    zero = entry.get("zero", 0)
    if isinstance(zero, bool) or not isinstance(zero, int | float):
        raise DataError(f"{where}: zero is degrees, got {zero!r}")
    second = segment or points[-2:]
    signed = positive != "either"
    return Angle(
        entry["name"],
        first,
        (second[0], second[1]),
        "side" if signed else "any",
        "sagittal" if signed else "bend",
        "world" if segment else "pelvis",
        _POSITIVE[positive],
        float(zero),
        turns=bool(segment) and signed,
    )


def _points(
    entry: Mapping[str, Any], key: str, counts: tuple[int, ...], where: str
) -> tuple[str, ...]:
    """Names of points of an entry; none where it has no such key."""
    given = entry.get(key, ())
    if given and (
        not isinstance(given, list)
        or len(given) not in counts
        or not all(isinstance(name, str) and name for name in given)
    ):
        wanted = " or ".join(map(str, counts))
        raise DataError(f"{where}: {key} is a list of {wanted} names of keypoints, got {given!r}")
    return tuple(given)
