"""Body, feet, face and hands together."""

from __future__ import annotations

from dataclasses import replace

from poise.schemas.parts import (
    BODY,
    BODY_LINKS,
    BODY_SIGMAS,
    FACE_SIGMAS,
    FEET,
    FEET_LINKS,
    FEET_SIGMAS,
    HALPE,
    HALPE_LINKS,
    HAND_SIGMAS,
    OPENPOSE,
    OPENPOSE_LINKS,
    face,
    hand,
    hand_links,
)
from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

_COCO_WHOLEBODY = Schema(
    "coco_wholebody",
    "coco_wholebody",
    points=BODY
    + FEET
    + face()
    + hand("left_", "left_hand_root")
    + hand("right_", "right_hand_root"),
    links=BODY_LINKS
    + FEET_LINKS
    + hand_links("left_", "left_hand_root")
    + hand_links("right_", "right_hand_root"),
    sigmas=BODY_SIGMAS + FEET_SIGMAS + FACE_SIGMAS + HAND_SIGMAS + HAND_SIGMAS,
)

SCHEMAS: dict[str, Schema] = {
    "coco_wholebody": _COCO_WHOLEBODY,
    "coco_wholebody_openpose": Schema(
        "coco_wholebody_openpose",
        "coco_wholebody",
        points=OPENPOSE
        + """
            lower 000000: left_big_toe, left_small_toe, left_heel, right_big_toe,
                right_small_toe, right_heel
            """
        + face()
        + """
            - 0000ff: left_hand_root, left_thumb1..4, left_forefinger1..4,
                left_middle_finger1..4, left_ring_finger1..4, left_pinky_finger1..4,
                right_hand_root, right_thumb1..4, right_forefinger1..4, right_middle_finger1..4,
                right_ring_finger1..4, right_pinky_finger1..4
            """,
        links=OPENPOSE_LINKS
        + """
            red ff4c00 ff9900 ffe600 ccff00 80ff00 33ff00 00ff1a:
                left_hand_root > left_thumb1..4, left_hand_root > left_forefinger1..4
            00ff66 00ffb2 00ffff 00b2ff 0066ff 001aff 3300ff 8000ff:
                left_hand_root > left_middle_finger1..4, left_hand_root > left_ring_finger1..4
            cc00ff ff00e6 ff0099 ff004c: left_hand_root > left_pinky_finger1..4
            red ff4c00 ff9900 ffe600 ccff00 80ff00 33ff00 00ff1a:
                right_hand_root > right_thumb1..4, right_hand_root > right_forefinger1..4
            00ff66 00ffb2 white 00b2ff 0066ff 001aff 3300ff 8000ff:
                right_hand_root > right_middle_finger1..4, right_hand_root > right_ring_finger1..4
            cc00ff ff00e6 ff0099 ff004c: right_hand_root > right_pinky_finger1..4
            """,
        sigmas="0.026 " + BODY_SIGMAS + FEET_SIGMAS + FACE_SIGMAS + HAND_SIGMAS + HAND_SIGMAS,
    ),
    "halpe": Schema(
        "halpe",
        "halpe",
        points=HALPE + face() + hand("left_", "left_hand_root") + hand("right_", "right_hand_root"),
        links=HALPE_LINKS + hand_links("left_", "left_wrist") + hand_links("right_", "right_wrist"),
        sigmas=BODY_SIGMAS + "0.08*3 0.089*6 0.015*110",
    ),
    "h3wb": replace(
        _COCO_WHOLEBODY,
        dataset_name="h3wb",
        paper="h3wb",
        points=BODY
        + FEET
        + face(color="f72205", part="upper")
        + hand("left_", "left_hand_root", root_color="f72205")
        + hand("right_", "right_hand_root", root_color="f72205"),
    ),
    "ubody2d": replace(_COCO_WHOLEBODY, dataset_name="ubody2d", paper="ubody2d"),
    "ubody3d": Schema(
        "ubody3d",
        "ubody2d",
        points="""
            - green: Pelvis
            lower green: L_Hip, R_Hip, L_Knee, R_Knee, L_Ankle, R_Ankle
            upper green: Neck, L_Shoulder, R_Shoulder, L_Elbow, R_Elbow, L_Wrist, R_Wrist
            lower green: L_Big_toe, L_Small_toe, L_Heel, R_Big_toe, R_Small_toe, R_Heel
            upper green: L_Ear, R_Ear
            - green: L_Eye, R_Eye
            upper green: Nose
            - orange: L_Thumb_1..4, L_Index_1..4, L_Middle_1..4, L_Ring_1..4, L_Pinky_1..4,
                R_Thumb_1..4, R_Index_1..4, R_Middle_1..4, R_Ring_1..4, R_Pinky_1..4
            - white: Face_1..72
            swap Face_: 3 4 1, 5 14 5, 19 23 2, 24 33 4, 28 35 2, 36 42 3, 43 47 2, 48 52 2, 53
                55 1, 56 72 8
            """,
        links="""
            green: L_Ankle > L_Knee > L_Hip, R_Ankle > R_Knee > R_Hip, L_Hip > R_Hip,
                L_Shoulder > L_Hip, R_Shoulder > R_Hip, L_Shoulder > R_Shoulder,
                L_Shoulder > L_Elbow, R_Shoulder > R_Elbow, L_Elbow > L_Wrist
            orange: R_Elbow > R_Wrist, L_Eye > R_Eye, Nose > L_Eye, Nose > R_Eye,
                L_Eye > L_Ear, R_Eye > R_Ear, L_Ear > L_Shoulder, R_Ear > R_Shoulder,
                L_Ankle > L_Big_toe, L_Ankle > L_Small_toe, L_Ankle > L_Heel, R_Ankle > R_Big_toe,
                R_Ankle > R_Small_toe, R_Ankle > R_Heel, L_Wrist > L_Thumb_1..4,
                L_Wrist > L_Index_1 > L_Index_2
            white: L_Index_2..4, L_Wrist > L_Middle_1..4, L_Wrist > L_Ring_1..4,
                L_Wrist > L_Pinky_1..4, R_Wrist > R_Thumb_1..4, R_Wrist > R_Index_1..4,
                R_Wrist > R_Middle_1..4, R_Wrist > R_Pinky_1..4
            """,
    ),
}
