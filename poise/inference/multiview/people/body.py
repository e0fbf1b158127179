"""Bodies: which keypoints are joints, what keeps its length, how tall people are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = [
    "ADULT_HEIGHT",
    "ADULT_SPREAD",
    "Body",
    "floor_of_ankles",
    "hips_over_floor",
    "median_height",
    "names_of",
]

#: Metres of an adult whose height nobody told, and its standard deviation (NCD-RisC 2016: means of
#: countries' women and men lie within 1.50 and 1.83).
ADULT_HEIGHT, ADULT_SPREAD = 1.70, 0.10
#: Joints whose distance stays, each of a left and a right side unless it goes across.
_LIMBS = (
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("shoulder", "shoulder"),
    ("hip", "hip"),
)
#: Names of a joint in schemas.
_ALIASES = {"ankle": ("ankle", "foot")}
#: Further keypoints of a body that are the same point of it from all sides, roughly.
_FURTHER = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top", "head", "neck")
#: Height of joints over the floor in parts of the body's (Drillis and Contini 1966, in Winter 2009,
#: fig. 4.1); the ears are as high as the eyes.
_LEVELS = {"ankle": 0.039, "knee": 0.285, "hip": 0.530, "shoulder": 0.818, "ear": 0.936}
#: Neighbours on the way up, along which the height is measured.
_CHAIN = ("ankle", "knee", "hip", "shoulder", "ear")
#: Kinds of limbs that a calibration needs.
_LEAST_LIMBS = 3


@dataclasses.dataclass(frozen=True)
class Body:
    """The K keypoints of a schema that cameras are calibrated by.

    Attributes:
        index: (K,) of them in the schema.
        names: K.
        limbs: (L, 2) keypoints whose distance stays.
        kinds: (L,) number of the length; both sides have the same.
        swap: (K,) the keypoint of the other side.
    """

    index: Array
    names: list[str]
    limbs: Array
    kinds: Array
    swap: Array

    @classmethod
    def of(cls, metainfo: Mapping[str, Any]) -> Body:
        """Body of a parsed schema.

        Raises:
            DataError: the schema has no shoulders, hips, knees or the like.
        """
        numbers = {str(name): int(i) for name, i in metainfo["keypoint_name2id"].items()}
        sides = {
            f"{side}_{joint}": f"{side}_{name}"
            for side in ("left", "right")
            for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
            for name in _ALIASES.get(joint, (joint,))
            if f"{side}_{name}" in numbers
        }
        names = list(dict.fromkeys([*sides.values(), *(n for n in _FURTHER if n in numbers)]))
        limbs, kinds = [], []
        for kind, (first, second) in enumerate(_LIMBS):
            pairs = [(f"{side}_{first}", f"{side}_{second}") for side in ("left", "right")]
            if first == second:
                pairs = [(f"left_{first}", f"right_{second}")]
            for a, b in pairs:
                if a in sides and b in sides:
                    limbs.append((names.index(sides[a]), names.index(sides[b])))
                    kinds.append(kind)
        if len(set(kinds)) < _LEAST_LIMBS:
            raise DataError(
                "cameras are calibrated by people whose arms and legs are known by name, such as "
                f"left_shoulder, left_elbow, left_hip, left_knee; the keypoints of "
                f"'{metainfo.get('dataset_name', '?')}' are {', '.join(list(numbers)[:6])} ..."
            )
        known, numbered = np.unique(kinds, return_inverse=True)
        del known
        swapped = [_other_side(name) for name in names]
        swap = [names.index(o) if o in names else i for i, o in enumerate(swapped)]
        index = np.array([numbers[name] for name in names])
        return cls(index, names, np.array(limbs), numbered, np.array(swap))

    def middle(self, points: Array, joint: str) -> Array | None:
        """(..., 3) between both sides' joints of points (..., K, 3); None without them."""
        for name in _ALIASES.get(joint, (joint,)):
            pair = [f"{side}_{name}" for side in ("left", "right")]
            if all(p in self.names for p in pair):
                return points[..., [self.names.index(p) for p in pair], :].mean(-2)
        return None

    def ankles(self, points: Array) -> Array | None:
        """(..., 2, 3) of points (..., K, 3); None without them."""
        for name in _ALIASES["ankle"]:
            pair = [f"{side}_{name}" for side in ("left", "right")]
            if all(p in self.names for p in pair):
                return points[..., [self.names.index(p) for p in pair], :]
        return None


def _other_side(name: str) -> str:
    for here, there in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(here):
            return there + name.removeprefix(here)
    return name


def median_height(body: Body, points: Array) -> float:
    """Height of a person by the chain from ankles to ears, in the unit of the points.

    Args:
        body: which keypoints are which.
        points: (R, K, 3), NaN where unknown.
    """
    length = part = 0.0
    for low, high in itertools.pairwise(_CHAIN):
        value = _length(body, points, low, high)
        if np.isfinite(value):
            length += value
            part += _LEVELS[high] - _LEVELS[low]
    return length / part if part else float("nan")


def _length(body: Body, points: Array, low: str, high: str) -> float:
    """Median length of a part of the chain; of the trunk and the head between the sides."""
    lengths = [
        _apart(points, body.names.index(a), body.names.index(b))
        for side in ("left", "right")
        for a in (f"{side}_{name}" for name in _ALIASES.get(low, (low,)))
        for b in (f"{side}_{high}",)
        if a in body.names and b in body.names and low != "hip" and high != "ear"
    ]
    if not lengths:
        below, above = body.middle(points, low), body.middle(points, high)
        if below is None or above is None:
            return float("nan")
        lengths = [np.linalg.norm(above - below, axis=-1)]
    values = np.concatenate(lengths)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def _apart(points: Array, a: int, b: int) -> Array:
    return np.asarray(np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1))


def floor_of_ankles(height: float) -> float:
    """Metres of the ankles over the floor."""
    return _LEVELS["ankle"] * height


def hips_over_floor(height: float) -> float:
    """Metres of the hips over the floor."""
    return _LEVELS["hip"] * height


def names_of(limb: str, names: Sequence[str]) -> tuple[int, int]:
    """Keypoints of a text such as "left_knee:left_ankle".

    Raises:
        DataError: it names others.
    """
    parts = [part.strip() for part in limb.split(":")]
    if len(parts) != 2 or any(part not in names for part in parts):
        raise DataError(
            f"a limb is two keypoints, such as left_knee:left_ankle; got '{limb}', and keypoints "
            f"are {', '.join(names)}"
        )
    return names.index(parts[0]), names.index(parts[1])
