"""Known faults of MMPose's own metadata files; they load as MMPose parses them.

Corrections would change targets, flips and scores, so the tables keep what was shipped and this
file says what is odd about it. `docs/differences.md` lists the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """One oddity of a shipped file.

    Attributes:
        about: what is wrong.
        section: "keypoint_info" or "skeleton_info"; empty where nothing is changed, because the
            table itself has the fault.
        first, last: range of the entries concerned.
        shift: added to the 'id' of each of them.
        values: entries' other values.
    """

    about: str
    section: str = ""
    first: int = 0
    last: int = -1
    shift: int = 0
    values: tuple[tuple[str, Any], ...] = ()

    def apply(self, info: dict[str, Any]) -> None:
        """Put the fault into an expanded table."""
        for key in range(self.first, self.last + 1):
            entry = info[self.section][key]
            entry["id"] += self.shift
            entry.update(self.values)


_18_WEIGHTS = Fault("18 joint_weights for 19 keypoints")
_LINK_19 = Fault("link 19 has the id 11", "skeleton_info", 19, 19, -8)

FAULTS: dict[str, tuple[Fault, ...]] = {
    "300wlp": (Fault("no keypoint has a swap, so a flip does not exchange left and right"),),
    "ap10k": (
        Fault("links 7 to 16 have ids one too small", "skeleton_info", 7, 16, -1),
        Fault("joint_weights are those of COCO, whose keypoints have another order"),
    ),
    "coco_aic": (_18_WEIGHTS, _LINK_19),
    "coco_wholebody_face": (Fault("keypoint 51 has the id 52", "keypoint_info", 51, 51, 1),),
    "coco_wholebody_openpose": (
        Fault("keypoints 18 to 91 have ids one too small", "keypoint_info", 18, 91, -1),
    ),
    "deepfashion2": (
        Fault(
            "vest_kpt9 swaps with vest_kpt13, which swaps with nothing",
            "keypoint_info",
            136,
            136,
            values=(("swap", "vest_kpt13"),),
        ),
        Fault("link 227 has the id 228", "skeleton_info", 227, 227, 1),
    ),
    "deepfashion_full": (Fault("keypoints 4 to 7 have the ids 0 to 3", "keypoint_info", 4, 7, -4),),
    "humanart_aic": (_18_WEIGHTS, _LINK_19),
    "ubody3d": (Fault("the right ring finger has no links"),),
}
