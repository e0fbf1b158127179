"""Bodies in space."""

from __future__ import annotations

from dataclasses import replace

from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

_CAMPUS = Schema(
    "campus",
    "campus",
    points="""
            lower orange: right_ankle, right_knee, right_hip
            lower green: left_hip, left_knee, left_ankle
            upper orange: right_wrist, right_elbow, right_shoulder
            upper green: left_shoulder, left_elbow, left_wrist
            upper blue: bottom_head, top_head
            """,
    links="""
            orange: right_ankle > right_knee > right_hip
            green: left_hip > left_knee > left_ankle
            blue: right_hip > left_hip
            orange: right_wrist > right_elbow > right_shoulder
            green: left_shoulder > left_elbow > left_wrist
            orange green: right_hip > right_shoulder, left_hip > left_shoulder,
                right_shoulder > bottom_head, left_shoulder > bottom_head
            blue: bottom_head > top_head
            """,
    weights="1.5 1.2 1*2 1.2 1.5*2 1.2 1*2 1.2 1.5 1*2",
    sigmas="0.089 0.087 0.107*2 0.087 0.089 0.062 0.072 0.079*2 0.072 0.062 0.026*2",
)

SCHEMAS: dict[str, Schema] = {
    "h36m": Schema(
        "h36m",
        "h36m",
        points="""
            lower blue: root
            lower orange: right_hip, right_knee, right_foot
            lower green: left_hip, left_knee, left_foot
            upper blue: spine, thorax, neck_base, head
            upper green: left_shoulder, left_elbow, left_wrist
            upper orange: right_shoulder, right_elbow, right_wrist
            """,
        links="""
            green: root > left_hip > left_knee > left_foot
            orange: root > right_hip > right_knee > right_foot
            blue: root > spine > thorax > neck_base > head
            green: thorax > left_shoulder > left_elbow > left_wrist
            orange: thorax > right_shoulder > right_elbow > right_wrist
            """,
        stats={"bbox_center": (528.0, 427.0), "bbox_scale": 400.0},
    ),
    "mpi_inf_3dhp": Schema(
        "mpi_inf_3dhp",
        "mpi_inf_3dhp",
        points="""
            upper blue: head_top, neck
            upper orange: right_shoulder, right_elbow, right_wrist
            upper green: left_shoulder, left_elbow, left_wrist
            lower orange: right_hip, right_knee, right_ankle
            lower green: left_hip, left_knee, left_ankle
            lower blue: root
            upper blue: spine, head
            """,
        links="""
            orange: neck > right_shoulder > right_elbow > right_wrist
            green: neck > left_shoulder > left_elbow > left_wrist
            orange: root > right_hip > right_knee > right_ankle
            green: root > left_hip > left_knee > left_ankle
            blue: head_top > head > neck > spine > root
            """,
    ),
    "panoptic_body3d": Schema(
        "panoptic_pose_3d",
        "panoptic_body3d",
        points="""
            upper blue: neck, nose
            lower green: mid_hip
            upper green: left_shoulder, left_elbow, left_wrist
            lower green: left_hip, left_knee, left_ankle
            upper orange: right_shoulder, right_elbow, right_wrist
            lower orange: right_hip, right_knee, right_ankle
            upper blue: left_eye, left_ear, right_eye, right_ear
            """,
        links="""
            blue: nose > neck
            green orange: neck > left_shoulder, neck > right_shoulder,
                left_shoulder > left_elbow, right_shoulder > right_elbow, left_elbow > left_wrist,
                right_elbow > right_wrist
            green: left_ankle > left_knee > left_hip
            orange: right_ankle > right_knee > right_hip
            green orange blue: mid_hip > left_hip, mid_hip > right_hip, mid_hip > neck
            """,
        weights="1*4 1.2 1.5 1 1.2 1.5 1 1.2 1.5 1 1.2 1.5 1*4",
        sigmas="""
        0.026*2 0.107 0.079 0.072 0.062 0.107 0.087 0.089 0.079 0.072 0.062 0.107 0.087 0.089
        0.025 0.035 0.025 0.035
        """,
    ),
    "campus": _CAMPUS,
    "shelf": replace(_CAMPUS, dataset_name="shelf", paper="campus"),
}
