"""Bodies: which keypoints are joints, what keeps its length, how tall people are."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError

__all__ = ["ADULT_HEIGHT", "ADULT_SPREAD", "LEVELS", "Body"]

#: Metres of an adult whose height nobody told, and its standard deviation (NCD-RisC 2016: means of
#: countries' women and men lie within 1.50 and 1.83).
ADULT_HEIGHT, ADULT_SPREAD = 1.70, 0.10
#: Height of joints over the floor in parts of the body's (Drillis and Contini 1966, in Winter 2009,
#: fig. 4.1), from below; the ears are as high as the eyes.
LEVELS = {"ankle": 0.039, "knee": 0.285, "hip": 0.530, "shoulder": 0.818, "ear": 0.936}
#: Joints whose distance stays, each of a left and a right side unless it goes across.
_LIMBS = (
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("shoulder", "shoulder"),
    ("hip", "hip"),
)
_SIDES = ("left", "right")
#: Keypoints of a body that are the same point of it from all sides, roughly.
_KEYPOINTS = (
    *(
        f"{side}_{joint}"
        for side in _SIDES
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")
    ),
    *("nose", "head_top", "head", "neck"),
)
#: Kinds of limbs that a calibration needs.
_LEAST_LIMBS = 3


@dataclasses.dataclass(frozen=True)
class Body:
    """The K keypoints of a schema that cameras are calibrated by.

    Attributes:
        index: (K,) of them in the schema.
        names: K; a schema's foot is an ankle.
        limbs: (L, 2) keypoints whose distance stays.
        kinds: (L,) number of the length; both sides have the same.
    """

    index: Array
    names: list[str]
    limbs: Array
    kinds: Array

    @classmethod
    def of(cls, metainfo: Mapping[str, Any]) -> Body:
        """Body of a parsed schema.

        Raises:
            DataError: the schema has no shoulders, hips, knees or the like.
        """
        numbers = {str(name): int(i) for name, i in metainfo["keypoint_name2id"].items()}
        for side in _SIDES:
            if f"{side}_foot" in numbers:
                numbers.setdefault(f"{side}_ankle", numbers[f"{side}_foot"])
        names = [name for name in _KEYPOINTS if name in numbers]
        limbs, kinds = [], []
        for kind, (first, second) in enumerate(_LIMBS):
            pairs = [(f"{side}_{first}", f"{side}_{second}") for side in _SIDES]
            if first == second:
                pairs = [(f"left_{first}", f"right_{second}")]
            for a, b in pairs:
                if a in names and b in names:
                    limbs.append((names.index(a), names.index(b)))
                    kinds.append(kind)
        if len(set(kinds)) < _LEAST_LIMBS:
            raise DataError(
                "cameras are calibrated by people whose arms and legs are known by name, such as "
                f"left_shoulder, left_elbow, left_hip, left_knee; the keypoints of "
                f"'{metainfo.get('dataset_name', '?')}' are {', '.join(list(numbers)[:6])} ..."
            )
        index = np.array([numbers[name] for name in names])
        return cls(index, names, np.array(limbs), np.unique(kinds, return_inverse=True)[1])

    def both(self, points: Array, joint: str) -> Array | None:
        """(..., 2, 3) the joint of both sides, of points (..., K, 3); None without it."""
        pair = [f"{side}_{joint}" for side in _SIDES]
        if any(name not in self.names for name in pair):
            return None
        return points[..., [self.names.index(name) for name in pair], :]

    def height(self, points: Array) -> float:
        """Median height of a person by the chain from ankles to ears, in the unit of the points.

        Args:
            points: (R, K, 3), NaN where unknown.
        """
        length = part = 0.0
        for low, high in itertools.pairwise(LEVELS):
            below, above = self.both(points, low), self.both(points, high)
            if below is None or above is None:
                continue
            if high in ("shoulder", "ear"):
                # trunk and head, between the sides
                below, above = below.mean(-2), above.mean(-2)
            apart = np.linalg.norm(above - below, axis=-1)
            if np.isfinite(apart).any():
                length += float(np.nanmedian(apart))
                part += LEVELS[high] - LEVELS[low]
        return length / part if part else float("nan")

    def pair(self, limb: str) -> tuple[int, int]:
        """Keypoints of a text such as "left_knee:left_ankle".

        Raises:
            DataError: it names others.
        """
        parts = [part.strip() for part in limb.split(":")]
        if len(parts) != 2 or any(part not in self.names for part in parts):
            raise DataError(
                f"a limb is two keypoints, such as left_knee:left_ankle; got '{limb}', and "
                f"keypoints are {', '.join(self.names)}"
            )
        return self.names.index(parts[0]), self.names.index(parts[1])
