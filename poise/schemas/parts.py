"""Parts that several datasets share: a body, feet, a face, a hand, and their links and sigmas."""

from __future__ import annotations

__all__ = [
    "BODY",
    "BODY_LINKS",
    "BODY_SIGMAS",
    "BODY_WEIGHTS",
    "FACE_SIGMAS",
    "FEET",
    "FEET_LINKS",
    "FEET_SIGMAS",
    "HALPE",
    "HALPE_LINKS",
    "HAND_SIGMAS",
    "HEAD_LINKS",
    "LIMBS",
    "LIMB_LINKS",
    "OPENPOSE",
    "OPENPOSE_25",
    "OPENPOSE_25_LINKS",
    "OPENPOSE_LINKS",
    "face",
    "hand",
    "hand_links",
]

LIMBS = """
    upper green orange: left_shoulder, right_shoulder, left_elbow, right_elbow, left_wrist,
        right_wrist
    lower green orange: left_hip, right_hip, left_knee, right_knee, left_ankle, right_ankle
    """
LIMB_LINKS = """
    green: left_ankle > left_knee > left_hip
    orange: right_ankle > right_knee > right_hip
    blue: left_hip > right_hip, left_shoulder > left_hip, right_shoulder > right_hip,
        left_shoulder > right_shoulder
    green orange: left_shoulder > left_elbow, right_shoulder > right_elbow,
        left_elbow > left_wrist, right_elbow > right_wrist
    """
HEAD_LINKS = """
    blue: left_eye > right_eye, nose > left_eye, nose > right_eye, left_eye > left_ear,
        right_eye > right_ear, left_ear > left_shoulder, right_ear > right_shoulder
    """

# the 17 keypoints of COCO
BODY = "upper blue: nose, left_eye, right_eye, left_ear, right_ear" + LIMBS
BODY_LINKS = LIMB_LINKS + HEAD_LINKS
BODY_WEIGHTS = "1*7 1.2*2 1.5*2 1*2 1.2*2 1.5*2 "
BODY_SIGMAS = "0.026 0.025*2 0.035*2 0.079*2 0.072*2 0.062*2 0.107*2 0.087*2 0.089*2 "

# the 18 keypoints that OpenPose draws, each in a colour of its own
OPENPOSE = """
    upper red ff5500 ffaa00 ffff00 aaff00 55ff00 green 00ff55: nose, neck, right_shoulder,
        right_elbow, right_wrist, left_shoulder, left_elbow, left_wrist
    lower 00ffaa 00ffff 00aaff 0055ff 0000ff 5500ff: right_hip, right_knee, right_ankle,
        left_hip, left_knee, left_ankle
    upper aa00ff ff00ff ff00aa ff0055: right_eye, left_eye, right_ear, left_ear
    """
OPENPOSE_LINKS = """
    red ff5500 ffaa00 ffff00 aaff00 55ff00: neck > right_shoulder, neck > left_shoulder,
        right_shoulder > right_elbow > right_wrist, left_shoulder > left_elbow > left_wrist
    green 00ff55 00ffaa 00ffe1 00aaff 0055ff: neck > right_hip > right_knee > right_ankle,
        neck > left_hip > left_knee > left_ankle
    0000ff ff00aa aa00ff ff00ff ff00aa: neck > nose > right_eye > right_ear,
        nose > left_eye > left_ear
    """

# the 25 keypoints of its files: mid_hip after the arms, feet at the end
OPENPOSE_25 = """
    upper red ff5500 ffaa00 ffff00 aaff00 55ff00 green 00ff55: nose, neck, right_shoulder,
        right_elbow, right_wrist, left_shoulder, left_elbow, left_wrist
    lower white 00ffaa 00ffff 00aaff 0055ff 0000ff 5500ff: mid_hip, right_hip, right_knee,
        right_ankle, left_hip, left_knee, left_ankle
    upper aa00ff ff00ff ff00aa ff0055: right_eye, left_eye, right_ear, left_ear
    lower 5500ff 00aaff: left_big_toe, left_small_toe, left_heel, right_big_toe,
        right_small_toe, right_heel
    """
OPENPOSE_25_LINKS = """
    red ff5500 ffaa00 ffff00 aaff00 55ff00: neck > right_shoulder, neck > left_shoulder,
        right_shoulder > right_elbow > right_wrist, left_shoulder > left_elbow > left_wrist
    green: neck > mid_hip
    00ff55 00ffaa 00ffe1 00aaff 0055ff 0000ff: mid_hip > right_hip > right_knee > right_ankle,
        mid_hip > left_hip > left_knee > left_ankle
    0000ff ff00aa aa00ff ff00ff ff00aa: neck > nose > right_eye > right_ear,
        nose > left_eye > left_ear
    5500ff: left_ankle > left_big_toe > left_small_toe, left_ankle > left_heel
    00aaff: right_ankle > right_big_toe > right_small_toe, right_ankle > right_heel
    """

FEET = """
    lower orange: left_big_toe, left_small_toe, left_heel, right_big_toe, right_small_toe,
        right_heel
    """
FEET_LINKS = """
    green: left_ankle > left_big_toe, left_ankle > left_small_toe, left_ankle > left_heel
    orange: right_ankle > right_big_toe, right_ankle > right_small_toe, right_ankle > right_heel
    """
FEET_SIGMAS = "0.068 0.066*2 0.092 0.094*2 "

# the 26 keypoints of Halpe: COCO's, the axis of the body, and feet
HALPE = (
    BODY
    + """
    upper orange: head, neck
    lower orange: hip, left_big_toe, right_big_toe, left_small_toe, right_small_toe,
        left_heel, right_heel
    """
)
HALPE_LINKS = (
    """
    green: left_ankle > left_knee > left_hip > hip
    orange: right_ankle > right_knee > right_hip > hip
    blue: head > neck > hip
    green: neck > left_shoulder > left_elbow > left_wrist
    orange: neck > right_shoulder > right_elbow > right_wrist
    """
    + HEAD_LINKS
    + FEET_LINKS
)

FACE_SIGMAS = """
    0.042 0.043 0.044 0.043 0.04 0.035 0.031 0.025 0.02 0.023 0.029 0.032 0.037 0.038 0.043 0.041
    0.045 0.013 0.012 0.011*2 0.012*2 0.011*2 0.013 0.015 0.009 0.007*3 0.012 0.009 0.008 0.016
    0.01 0.017 0.011 0.009 0.011 0.009 0.007 0.013 0.008 0.011 0.012 0.01 0.034 0.008*2 0.009
    0.008*2 0.007 0.01 0.008 0.009*3 0.007*2 0.008 0.011 0.008*3 0.01 0.008
    """
HAND_SIGMAS = """
    0.029 0.022 0.035 0.037 0.047 0.026 0.025 0.024 0.035 0.018 0.024 0.022 0.026 0.017 0.021*2
    0.032 0.02 0.019 0.022 0.031
    """

_FINGERS = {
    "thumb": "orange",
    "forefinger": "pink",
    "middle_finger": "sky",
    "ring_finger": "coral",
    "pinky_finger": "green",
}


def face(prefix: str = "face-", color: str = "white", part: str = "-") -> str:
    """The 68 points of a face: jaw, brows, nose, eyes, outer and inner lips."""
    return f"""
    {part} {color}: {prefix}0..67
    swap {prefix}: 0 16 8, 17 26 5, 31 35 2, 36 45 4, 40 47 2, 48 54 3, 55 59 2, 60 64 2, 65 67 1
    """


def hand(
    side: str = "",
    root: str = "wrist",
    *,
    root_color: str = "white",
    color: str = "",
    tips_first: bool = False,
    root_last: bool = False,
) -> str:
    """The 21 points of a hand: its root, then four on each finger.

    Args:
        side: prefix of the names, "left_" or "right_".
        root: name of the root.
        root_color: colour of the root.
        color: one colour for all fingers instead of one each.
        tips_first: count each finger from its tip, 4 to 1.
        root_last: the root after the fingers.
    """
    count = "4..1" if tips_first else "1..4"
    fingers = "".join(f"\n- {color or own}: {side}{f}{count}" for f, own in _FINGERS.items())
    first = f"\n- {root_color}: {root}"
    return f"{fingers}{first}\n" if root_last else f"{first}{fingers}\n"


def hand_links(side: str = "", root: str = "wrist") -> str:
    """Links from a hand's root along each finger."""
    return "".join(f"\n{color}: {root} > {side}{f}1..4" for f, color in _FINGERS.items()) + "\n"
