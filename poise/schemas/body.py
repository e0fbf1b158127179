"""Bodies in two dimensions."""

from __future__ import annotations

from dataclasses import replace

from poise.schemas.parts import (
    BODY,
    BODY_LINKS,
    BODY_SIGMAS,
    BODY_WEIGHTS,
    HALPE,
    HALPE_LINKS,
    LIMB_LINKS,
    LIMBS,
    OPENPOSE,
    OPENPOSE_25,
    OPENPOSE_25_LINKS,
    OPENPOSE_LINKS,
)
from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

_COCO = Schema(
    "coco",
    "coco",
    points=BODY,
    links=BODY_LINKS,
    weights=BODY_WEIGHTS,
    sigmas=BODY_SIGMAS,
)
_COCO_AIC = Schema(
    "coco",
    "coco+aic",
    points=BODY + "upper blue: head_top, neck",
    links=LIMB_LINKS
    + """
            blue: left_eye > right_eye, nose > left_eye, nose > right_eye, left_eye > left_ear,
                right_eye > right_ear, left_ear > left_shoulder, right_ear > right_shoulder,
                head_top > neck
            """,
    weights=BODY_WEIGHTS + "1.5",
    sigmas=BODY_SIGMAS + "0.026*2",
)
_MPII = Schema(
    "mpii",
    "mpii",
    points="""
            lower orange: right_ankle, right_knee, right_hip
            lower green: left_hip, left_knee, left_ankle
            lower blue: pelvis
            upper blue: thorax, upper_neck, head_top
            upper orange: right_wrist, right_elbow, right_shoulder
            upper green: left_shoulder, left_elbow, left_wrist
            """,
    links="""
            orange: right_ankle > right_knee > right_hip > pelvis
            green: pelvis > left_hip > left_knee > left_ankle
            blue: pelvis > thorax > upper_neck > head_top
            orange: upper_neck > right_shoulder > right_elbow > right_wrist
            green: upper_neck > left_shoulder > left_elbow > left_wrist
            """,
    weights="1.5 1.2 1*2 1.2 1.5 1*4 1.5 1.2 1*2 1.2 1.5",
    sigmas="0.089 0.083 0.107*2 0.083 0.089 0.026*4 0.062 0.072 0.179*2 0.072 0.062",
)

SCHEMAS: dict[str, Schema] = {
    "coco": _COCO,
    "coco_aic": _COCO_AIC,
    "coco_openpose": Schema(
        "coco_openpose",
        "coco_openpose",
        points=OPENPOSE,
        links=OPENPOSE_LINKS,
        sigmas=BODY_SIGMAS + "0.082",
    ),
    # not of MMPose: the 25 keypoints that OpenPose writes
    "openpose25": Schema(
        "openpose25",
        "coco_openpose",
        points=OPENPOSE_25,
        links=OPENPOSE_25_LINKS,
    ),
    "aic": Schema(
        "aic",
        "aic",
        points="""
            upper orange: right_shoulder, right_elbow, right_wrist
            upper green: left_shoulder, left_elbow, left_wrist
            lower orange: right_hip, right_knee, right_ankle
            lower green: left_hip, left_knee, left_ankle
            upper blue: head_top, neck
            """,
        links="""
            orange: right_wrist > right_elbow > right_shoulder
            blue: right_shoulder > neck > left_shoulder
            green: left_shoulder > left_elbow > left_wrist
            orange: right_ankle > right_knee > right_hip
            blue: right_hip > left_hip
            green: left_hip > left_knee > left_ankle
            blue: head_top > neck, right_shoulder > right_hip, left_shoulder > left_hip
            """,
        weights="1 1.2 1.5 1 1.2 1.5 1 1.2 1.5 1 1.2 1.5 1*2",
        sigmas="""
        0.01388152 0.01515228 0.01057665 0.01417709 0.01497891 0.01402144 0.03909642 0.03686941
        0.01981803 0.03843971 0.03412318 0.02415081 0.01291456 0.01236173
        """,
    ),
    "crowdpose": Schema(
        "crowdpose",
        "crowdpose",
        points="""
            upper blue: left_shoulder, right_shoulder, left_elbow, right_elbow, left_wrist
            upper green: right_wrist
            lower orange green: left_hip, right_hip, left_knee, right_knee, left_ankle, right_ankle
            upper orange green: top_head, neck
            """,
        links=LIMB_LINKS + "blue: top_head > neck, right_shoulder > neck, left_shoulder > neck",
        weights="0.2*3 1.3 1.5 0.2 1.3 1.5 0.2*2 0.5 0.2*2 0.5",
        sigmas="0.079*2 0.072*2 0.062*2 0.107*2 0.087*2 0.089*2 0.079*2",
    ),
    "mpii": _MPII,
    "mhp": replace(_MPII, dataset_name="mhp", paper="mhp"),
    "jhmdb": Schema(
        "jhmdb",
        "jhmdb",
        points="""
            upper orange: neck, belly, head
            upper green: right_shoulder, left_shoulder
            lower green blue: right_hip, left_hip
            upper blue: right_elbow, left_elbow
            lower blue orange: right_knee, left_knee
            upper orange: right_wrist, left_wrist
            lower green: right_ankle, left_ankle
            """,
        links="""
            orange: right_ankle > right_knee > right_hip > belly
            green: belly > left_hip > left_knee > left_ankle
            blue: belly > neck > head
            orange: neck > right_shoulder > right_elbow > right_wrist
            green: neck > left_shoulder > left_elbow > left_wrist
            """,
        weights="1*7 1.2*4 1.5*4",
        sigmas="0.025 0.107 0.025 0.079*2 0.107*2 0.072*2 0.087*2 0.062*2 0.089*2",
    ),
    "posetrack18": Schema(
        "posetrack18",
        "posetrack18",
        points="upper blue: nose, head_bottom, head_top, left_ear, right_ear" + LIMBS,
        links=LIMB_LINKS
        + """
            blue: nose > head_bottom, nose > head_top, head_bottom > left_shoulder,
                head_bottom > right_shoulder
            """,
        weights=BODY_WEIGHTS,
        sigmas=BODY_SIGMAS,
    ),
    "exlpose": Schema(
        "exlpose",
        "exlpose",
        points=LIMBS + "upper blue: head, neck",
        links="""
            blue: head > neck > left_shoulder, neck > right_shoulder
            green: left_shoulder > left_elbow > left_wrist
            orange: right_shoulder > right_elbow > right_wrist
            blue: neck > right_hip, neck > left_hip
            orange: right_hip > right_knee > right_ankle
            green: left_hip > left_knee > left_ankle
            """,
        weights="0.2*3 1.3 1.5 0.2 1.3 1.5 0.2*2 0.5 0.2*2 0.5",
        sigmas="0.079*2 0.072*2 0.062*2 0.107*2 0.087*2 0.089*2 0.079*2",
    ),
    "ochuman": replace(_COCO, dataset_name="ochuman", paper="ochuman"),
    "humanart": replace(_COCO, dataset_name="Human-Art", paper="humanart"),
    "humanart21": Schema(
        "Human-Art",
        "humanart",
        points=BODY + "lower green orange: left_finger, right_finger, left_toe, right_toe",
        links=BODY_LINKS
        + """
            green orange: left_ankle > left_toe, right_ankle > right_toe,
                left_wrist > left_finger, right_wrist > right_finger
            """,
        weights=BODY_WEIGHTS + "1*4",
        sigmas=BODY_SIGMAS + "0.089*4",
    ),
    "humanart_aic": replace(_COCO_AIC, dataset_name="humanart", paper="humanart_aic+aic"),
    "halpe26": Schema(
        "halpe26",
        "halpe",
        points=HALPE,
        links=HALPE_LINKS,
        weights=BODY_WEIGHTS + "1*2 1.2 1.5*6",
        sigmas=BODY_SIGMAS + "0.026*2 0.066 0.079*6",
    ),
    "mpii_trb": Schema(
        "mpii_trb",
        "mpii_trb",
        points=LIMBS
        + """
            upper blue: head, neck
            upper white: right_neck, left_neck, medial_right_shoulder, lateral_right_shoulder,
                medial_right_bow, lateral_right_bow, medial_right_wrist, lateral_right_wrist,
                medial_left_shoulder, lateral_left_shoulder, medial_left_bow, lateral_left_bow,
                medial_left_wrist, lateral_left_wrist
            lower white: medial_right_hip, lateral_right_hip, medial_right_knee,
                lateral_right_knee, medial_right_ankle, lateral_right_ankle, medial_left_hip,
                lateral_left_hip, medial_left_knee, lateral_left_knee, medial_left_ankle,
                lateral_left_ankle
            """,
        links="""
            blue: head > neck > left_shoulder, neck > right_shoulder
            green orange: left_shoulder > left_elbow, right_shoulder > right_elbow,
                left_elbow > left_wrist, right_elbow > right_wrist
            blue: left_shoulder > left_hip, right_shoulder > right_hip, left_hip > right_hip
            green orange: left_hip > left_knee, right_hip > right_knee, left_knee > left_ankle,
                right_knee > right_ankle
            white: right_neck > left_neck, medial_right_shoulder > lateral_right_shoulder,
                medial_right_bow > lateral_right_bow, medial_right_wrist > lateral_right_wrist,
                medial_left_shoulder > lateral_left_shoulder, medial_left_bow > lateral_left_bow,
                medial_left_wrist > lateral_left_wrist, medial_right_hip > lateral_right_hip,
                medial_right_knee > lateral_right_knee, medial_right_ankle > lateral_right_ankle,
                medial_left_hip > lateral_left_hip, medial_left_knee > lateral_left_knee,
                medial_left_ankle > lateral_left_ankle
            """,
    ),
}
