"""The 308 keypoints of Sapiens: body, feet, hands, and a face to the rims of its pupils.

Khirodkar 2024, arXiv 2408.12569, and 2026, arXiv 2604.21681; the schema is called Goliath there.
Sides are written out here where Meta's file has `l_` and `_of_r_`.
"""

from __future__ import annotations

from poise.schemas.parts import BODY_LINKS, FEET_LINKS
from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_COLORS = ("orange", "pink", "sky", "coral", "green")
#: midpoints of a line around the left eye -> those of the right one; each is counted by itself
_MIRROR = {"1": "2", "2": "1", "3": "6", "4": "5", "5": "4", "6": "3"}
_LASHES = "inner outer c 2 1 6 5 4 3"
_LID = "outer 6 2 5 c 4 1 3"
_LINES = ("upper_lash", "upper_eyelid", "upper_crease", "lower_lash", "lower_eyelid")
_LIPS = ("upper_outer", "lower_outer", "upper_inner", "lower_inner")
_EAR = (
    "top_end_of_inferior_crus top_end_of_superior_crus start_of_antihelix end_of_antihelix "
    "midpoint_1_of_antihelix midpoint_1_of_inferior_crus midpoint_2_of_antihelix "
    "midpoint_3_of_antihelix point_1_of_inner_helix point_{}_of_inner_helix "
    "point_3_of_inner_helix point_4_of_inner_helix point_5_of_inner_helix point_6_of_inner_helix "
    "point_7_of_inner_helix highest_point_of_antitragus bottom_point_of_tragus "
    "protruding_point_of_tragus top_point_of_tragus start_point_of_crus_of_helix "
    "deepest_point_of_concha tip_of_ear_lobe midpoint_between_22_15 "
    "bottom_connecting_point_of_ear_lobe top_connecting_point_of_helix point_{}_of_inner_helix"
)
_RIM = "3 midpoint_1 12 midpoint_4 9 midpoint_3 6 midpoint_2"


def _hand(side: str) -> str:
    fingers = (f"{side}_{name}4..2, {side}_{name}_third_joint" for name in _FINGERS)
    return f"{', '.join(fingers)}, {side}_wrist"


def _brow(side: str) -> str:
    start = "upper_startpoint lower_startpoint end upper_midpoint_1 lower_midpoint_1 "
    rest = "upper_midpoint_2 upper_midpoint_3 lower_midpoint_2 lower_midpoint_3"
    return ", ".join(f"{part}_of_{side}_eyebrow" for part in (start + rest).split())


def _line(side: str, name: str, parts: str) -> str:
    """Points of a line around an eye, in the order of the left one's `parts`."""
    words = {"c": "centerpoint_of", "inner": "inner_end_of", "outer": "outer_end_of"}
    number = _MIRROR if side == "right" else {}
    spelled = (words.get(p) or f"midpoint_{number.get(p, p)}_of" for p in parts.split())
    order = [f"{side}_{part}_{name}_line" for part in spelled]
    if side == "right" and parts == _LASHES:
        # the one line that counts upward on this side
        order[3:] = sorted(order[3:])
    return ", ".join(order)


def _lip(name: str, numbers: str) -> str:
    return ", ".join(f"midpoint_{i}_of_{name}_lip" for i in numbers)


def _ear(side: str) -> str:
    text = _EAR.format(*("28" if side == "left" else "82"))
    return ", ".join(f"{side}_{part}" for part in text.split())


def _round(side: str, part: str) -> str:
    rim = (f"{side}_border_of_{part}_{hour}" for hour in _RIM.split())
    return f"{side}_center_of_{part}, {', '.join(rim)}"


def _mouth(rim: str) -> str:
    """Corners and middle of the outer or inner rim of the lips, then its midpoints."""
    top = "center_of_cupid_bow" if rim == "outer" else "center_of_upper_inner_lip"
    upper, lower = f"upper_{rim}", f"lower_{rim}"
    return (
        f"right_{rim}_corner_of_mouth, left_{rim}_corner_of_mouth, {top}, center_of_{lower}_lip, "
        f"{_lip(upper, '12')}, {_lip(lower, '12')}, {_lip(upper, '3456')}, {_lip(lower, '3456')}"
    )


_BODY_POINTS = f"""
    upper blue: nose, left_eye, right_eye, left_ear, right_ear, left_shoulder, right_shoulder,
        left_elbow, right_elbow
    lower blue: left_hip, right_hip, left_knee, right_knee, left_ankle, right_ankle,
        left_big_toe, left_small_toe, left_heel, right_big_toe, right_small_toe, right_heel
    upper blue: {_hand("right")}, {_hand("left")}
    - blue: left_olecranon, right_olecranon, left_cubital_fossa, right_cubital_fossa,
        left_acromion, right_acromion, neck
    """
_FACE_POINTS = f"""
    - white: center_of_glabella, center_of_nose_root, tip_of_nose_bridge,
        midpoint_1_of_nose_bridge, midpoint_2_of_nose_bridge, midpoint_3_of_nose_bridge,
        center_of_labiomental_groove, tip_of_chin, {_brow("right")}, {_brow("left")}
    - c04080: {_line("left", "upper_lash", _LASHES)}, {_line("left", "upper_eyelid", _LID)},
        {_line("left", "upper_crease", _LID.removeprefix("outer "))}
    - 4020c0: {_line("right", "upper_lash", _LASHES)}, {_line("right", "upper_eyelid", _LID)},
        {_line("right", "upper_crease", _LID.removeprefix("outer "))}
    - 40c080: {_line("left", "lower_lash", _LASHES)}, {_line("left", "lower_eyelid", _LID)}
    - 40c020: {_line("right", "lower_lash", _LASHES)}, {_line("right", "lower_eyelid", _LID)}
    - 00c000: tip_of_nose, bottom_center_of_nose, right_outer_corner_of_nose,
        left_outer_corner_of_nose, inner_corner_of_right_nostril, outer_corner_of_right_nostril,
        upper_corner_of_right_nostril, inner_corner_of_left_nostril,
        outer_corner_of_left_nostril, upper_corner_of_left_nostril
    - c00000: {_mouth("outer")}
    - 00c0c0: {_mouth("inner")}
    - c8c800: {_ear("left")}
    - 00c8c8: {_ear("right")}
    - 80c040: {_round("left", "iris")}
    - c02040: {_round("right", "iris")}
    - c08040: {_round("left", "pupil")}
    - 20c0c0: {_round("right", "pupil")}
    """
#: pairs that are called otherwise than by their side
_SWAPS = "".join(
    [
        *(
            f"swap {part}_midpoint_*_of_left_eyebrow {part}_midpoint_*_of_right_eyebrow: 2 3 2\n"
            for part in ("upper", "lower")
        ),
        *(
            f"swap left_midpoint_*_of_{n}_line right_midpoint_*_of_{n}_line: 1 2 2, 3 6 4\n"
            for n in _LINES
        ),
        *(f"swap midpoint_*_of_{n}_lip: 1 2 1, 3 6 2\n" for n in _LIPS),
        "swap left_point_*_of_inner_helix right_point_*_of_inner_helix: 2 8 1, 8 2 1\n",
        *(
            f"swap left_border_of_{part}_* right_border_of_{part}_*: 3 9 1, 9 3 1\n"
            f"swap left_border_of_{part}_midpoint_* right_border_of_{part}_midpoint_*: 1 4 4\n"
            for part in ("iris", "pupil")
        ),
    ]
)
_HAND_LINKS = "".join(
    f"{color}: {side}_wrist > {side}_{name}_third_joint > {side}_{name}2 > {side}_{name}3 > "
    f"{side}_{name}4\n"
    for side in ("left", "right")
    for name, color in zip(_FINGERS, _COLORS, strict=True)
)
_HAND_SIGMAS = (
    "0.047 0.037 0.035 0.022 0.035 0.024 0.025 0.026*2 0.022 0.024 0.018 0.032 0.021*2 0.017 "
    "0.031 0.022 0.019 0.02 0.062 "
)

SCHEMAS: dict[str, Schema] = {
    "goliath": Schema(
        "goliath",
        "sapiens",
        points=_BODY_POINTS + _FACE_POINTS + _SWAPS,
        links=f"{BODY_LINKS}\n{FEET_LINKS}\n{_HAND_LINKS}",
        sigmas="0.026 0.025*2 0.035*2 0.079*2 0.072*2 0.107*2 0.087*2 0.089*2 0.068 0.066*2 0.092 "
        f"0.094*2 {_HAND_SIGMAS * 2} 0.072*4 0.079*3 0.01*238",
    )
}
