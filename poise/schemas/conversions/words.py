"""Tables: what schemas call the points of a body, and how a point follows from others.

A schema's own names are first turned into common words (`WORDS`). A target keypoint is then the
source's keypoint of the same word, else the first of `WAYS` whose words the source has: a word,
`~word` for one that only lies nearby, or a sum of words, whose weighted mean is taken. `OWN_WAYS`
has what single targets understand differently.
"""

from __future__ import annotations

__all__ = ["BY_TARGET_ORDER", "KINDS", "OWN_WAYS", "WAYS", "WORDS"]

_SMPLX_FINGERS = {
    "Thumb": "thumb",
    "Index": "forefinger",
    "Middle": "middle_finger",
    "Ring": "ring_finger",
    "Pinky": "pinky_finger",
}
_SIDES = {"L": "left", "R": "right"}

#: schema -> "own name=word"; names that are not listed are words themselves
WORDS: dict[str, str] = {
    "crowdpose": "top_head=head_top",
    "campus": "top_head=head_top bottom_head=head_bottom",
    "shelf": "top_head=head_top bottom_head=head_bottom",
    "halpe26": "head=head_top hip=mid_hip",
    "halpe": "head=head_top hip=mid_hip",
    "mpi_inf_3dhp": "root=pelvis",
    "h36m": "root=pelvis right_foot=right_ankle left_foot=left_ankle",
    "humanart21": (
        "left_finger=left_forefinger4 right_finger=right_forefinger4 left_toe=left_big_toe "
        "right_toe=right_big_toe"
    ),
    "goliath": " ".join(
        f"{side}_{finger}_third_joint={side}_{finger}1"
        for side in _SIDES.values()
        for finger in _SMPLX_FINGERS.values()
    ),
    "interhand3d": "left_wrist=left_hand_root right_wrist=right_hand_root",
    "ubody3d": "Pelvis=pelvis Neck=neck Nose=nose "
    + " ".join(
        f"{s}_{part}={side}_{part.lower()}"
        for s, side in _SIDES.items()
        for part in [
            "Hip",
            "Knee",
            "Ankle",
            "Shoulder",
            "Elbow",
            "Wrist",
            "Big_toe",
            "Small_toe",
            "Heel",
            "Ear",
            "Eye",
        ]
    )
    + " "
    + " ".join(
        f"{s}_{own}_{i}={side}_{word}{i}"
        for s, side in _SIDES.items()
        for own, word in _SMPLX_FINGERS.items()
        for i in (1, 2, 3, 4)
    ),
    "ap10k": (
        "L_Eye=left_eye R_Eye=right_eye Nose=nose Neck=neck Root_of_tail=tail_base "
        "L_Shoulder=left_shoulder R_Shoulder=right_shoulder L_Elbow=left_elbow "
        "R_Elbow=right_elbow L_F_Paw=left_front_paw R_F_Paw=right_front_paw L_Hip=left_hip "
        "R_Hip=right_hip L_Knee=left_knee R_Knee=right_knee L_B_Paw=left_back_paw "
        "R_B_Paw=right_back_paw"
    ),
    "animalpose": (
        "L_Eye=left_eye R_Eye=right_eye L_EarBase=left_ear R_EarBase=right_ear Nose=nose "
        "Throat=throat TailBase=tail_base Withers=withers L_F_Elbow=left_front_elbow "
        "R_F_Elbow=right_front_elbow L_B_Elbow=left_back_elbow R_B_Elbow=right_back_elbow "
        "L_F_Knee=left_front_knee R_F_Knee=right_front_knee L_B_Knee=left_back_knee "
        "R_B_Knee=right_back_knee L_F_Paw=left_front_paw R_F_Paw=right_front_paw "
        "L_B_Paw=left_back_paw R_B_Paw=right_back_paw"
    ),
    "ak": (
        "Head_Mid_Top=head_top Eye_Left=left_eye Eye_Right=right_eye Mouth_Front_Top=mouth "
        "Shoulder_Left=left_shoulder Shoulder_Right=right_shoulder Elbow_Left=left_elbow "
        "Elbow_Right=right_elbow Wrist_Left=left_front_paw Wrist_Right=right_front_paw "
        "Torso_Mid_Back=back Hip_Left=left_hip Hip_Right=right_hip Knee_Left=left_knee "
        "Knee_Right=right_knee Ankle_Left=left_back_paw Ankle_Right=right_back_paw "
        "Tail_Top_Back=tail_base"
    ),
    "atrw": "tail=tail_base",
}

#: schema -> the kind of creature whose words it has; people where none is given. Words of different
#: kinds never meet: the neck of a fly is not that of a zebra
KINDS = {
    **dict.fromkeys(("ap10k", "animalpose", "ak", "atrw"), "quadruped"),
    **{name: name for name in ("fly", "locust", "zebra", "horse10")},
}

_HIPS = "left_hip + right_hip"
_SHOULDERS = "left_shoulder + right_shoulder"
# word -> ways to make it, best first
_BODY_WAYS = {
    "pelvis": f"mid_hip | {_HIPS}",
    "mid_hip": f"~pelvis | {_HIPS}",
    "thorax": _SHOULDERS,
    "spine": f"{_HIPS} + {_SHOULDERS} | ~belly",
    "belly": f"~spine | {_HIPS} + {_SHOULDERS}",
    "neck": f"upper_neck | ~head_bottom | ~neck_base | ~thorax | {_SHOULDERS}",
    "upper_neck": f"neck | ~head_bottom | ~neck_base | {_SHOULDERS}",
    "head_bottom": f"~upper_neck | ~neck | ~neck_base | {_SHOULDERS}",
    "head_top": "~head",
    "left_hand_root": "~left_wrist",
    "right_hand_root": "~right_wrist",
    "left_wrist": "~left_hand_root",
    "right_wrist": "~right_hand_root",
}
_ANIMAL_WAYS = {
    "neck": "throat + withers | left_shoulder + right_shoulder",
    "nose": "~mouth",
    "mouth": "~nose",
    "withers": "left_shoulder + right_shoulder",
    "center": f"{_SHOULDERS} + {_HIPS} | "
    "left_front_elbow + right_front_elbow + left_back_elbow + right_back_elbow",
}
# Animal-Pose names the joints of a leg elbow, knee, paw; the others by the bones of a quadruped
for _side in _SIDES.values():
    for _theirs, _ours in (
        ("shoulder", "front_elbow"),
        ("elbow", "front_knee"),
        ("hip", "back_elbow"),
        ("knee", "back_knee"),
    ):
        _ANIMAL_WAYS[f"{_side}_{_theirs}"] = f"~{_side}_{_ours}"
        _ANIMAL_WAYS[f"{_side}_{_ours}"] = f"~{_side}_{_theirs}"

#: kind -> its ways
WAYS: dict[str, dict[str, str]] = {"": _BODY_WAYS, "quadruped": _ANIMAL_WAYS}

#: Human3.6M marks the base of the neck, a quarter of the way from the neck to the top of the head,
#: and the centre of the head, seven twelfths of that way (MMPose's conventions for lifting).
_H36M = {
    "neck_base": "3 neck + head_top | 3 upper_neck + head_top | ~nose | ~neck",
    "head": (
        "5 neck + 7 head_top | 5 upper_neck + 7 head_top | head_bottom + head_top | "
        "left_eye + right_eye | left_ear + right_ear | ~nose"
    ),
}

#: target -> word -> ways that this target takes first
OWN_WAYS: dict[str, dict[str, str]] = {
    "h36m": _H36M,
    "halpe26": {"head_top": "head"},
    "halpe": {"head_top": "head"},
    "crowdpose": {"head_top": "head", "neck": "thorax | head_bottom"},
}

#: targets whose released recipes list the pairs in the target's order, not the source's
BY_TARGET_ORDER = frozenset(("crowdpose",))
