"""A walker whose joint angles are known, in space and as pictures show it."""

from types import SimpleNamespace

import numpy as np
import pytest

from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.schemas import get
from poise.structures import InstanceData, parse_pose_metainfo

HALPE = [point["name"] for point in get("halpe26")["keypoint_info"].values()]
FPS, CADENCE = 50.0, 110.0
SIDES = ("left", "right")


def turned(degrees):
    """(T, 2, 2) that turn vectors of (forward, up) counterclockwise."""
    a = np.radians(degrees)
    return np.stack(
        (np.stack((np.cos(a), -np.sin(a)), -1), np.stack((np.sin(a), np.cos(a)), -1)), -2
    )


def walk(frames=200):
    """Keypoints (T, 26, 3) in metres, x forward, y left, z up, and angle -> (T,) degrees."""
    times = np.arange(frames) / FPS
    true = {"trunk_lean": np.full(frames, 5.0)}
    for side, phase in zip(SIDES, (0, np.pi), strict=True):
        p = np.pi * CADENCE / 60 * times + phase
        true |= {
            f"{side}_hip_flexion": 8 + 20 * np.cos(p),
            f"{side}_knee_flexion": 3 + 30 * np.clip(np.sin(p - 0.35 - np.pi), 0, None) ** 2 * 2,
            f"{side}_ankle_dorsiflexion": 8 * np.sin(p + 2),
            f"{side}_shoulder_flexion": 2 - 22 * np.cos(p),
            f"{side}_elbow_flexion": 25 - 8 * np.cos(p),
        }
    return body(true, hips=np.stack((1.3 * times, np.full(frames, 0.9)), -1)), true


def body(true, hips):
    """Keypoints of angles in the sagittal plane; hips (T, 2): forward, up."""

    def along(degrees, vectors):
        return np.einsum("tij,tj->ti", turned(degrees), vectors)

    count = len(hips)
    trunk = along(-true["trunk_lean"], np.tile([0.0, 1], (count, 1)))
    chest = hips + 0.5 * trunk
    points = {}
    for side, outward in zip(SIDES, (-1, 1), strict=True):
        thigh = along(true[f"{side}_hip_flexion"], -trunk)
        shank = along(-true[f"{side}_knee_flexion"], thigh)
        foot = along(90 + true[f"{side}_ankle_dorsiflexion"], shank)
        arm = along(true[f"{side}_shoulder_flexion"], -trunk)
        knee, elbow = hips + 0.43 * thigh, chest + 0.3 * arm
        ankle = knee + 0.42 * shank
        heel = ankle + 0.05 * shank - 0.05 * foot
        own = {
            "hip": (hips, 0.12),
            "knee": (knee, 0.12),
            "ankle": (ankle, 0.12),
            "heel": (heel, 0.12),
            "big_toe": (heel + 0.24 * foot, 0.12),
            "small_toe": (heel + 0.2 * foot, 0.16),
            "shoulder": (chest, 0.18),
            "elbow": (elbow, 0.18),
            "wrist": (elbow + 0.26 * along(true[f"{side}_elbow_flexion"], arm), 0.18),
            "ear": (chest + 0.14 * trunk, 0.07),
            "eye": (chest + 0.16 * trunk + np.array([0.08, 0]), 0.03),
        }
        for name, (place, width) in own.items():
            points[f"{side}_{name}"] = (place, outward * width)
    points["neck"], points["hip"] = (chest, 0), (hips, 0)
    points["nose"], points["head"] = (chest + np.array([0.1, 0.2]), 0), (chest + 0.26 * trunk, 0)
    return np.stack(
        [
            np.column_stack((p[:, 0], np.full(count, -w), p[:, 1]))
            for p, w in map(points.get, HALPE)
        ],
        1,
    )


def from_the_side(points, *, mirrored=False):
    """Pixels (T, K, 2) of keypoints in space; mirrored: the walker goes to the left."""
    x = 100 + 300 * points[..., 0]
    return np.stack((2000 - x if mirrored else x, 900 - 300 * points[..., 2]), -1)


def from_the_front(points, *, back=False):
    """Pixels of somebody who comes towards the camera, or goes away from it."""
    x = points[..., 1] * (-1 if back else 1)
    return np.stack((500 + 300 * x, 900 - 300 * points[..., 2]), -1)


def results(points, schema="halpe26", *, ids=(1,), scores=None, name="walk.mp4", space=None):
    """Results of a video of one person, with 3D keypoints where points are such."""
    meta = parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{schema}.py"})
    for frame, pose in enumerate(np.asarray(points, np.float32)[:, None]):
        flat = pose[..., :2]
        fields = InstanceData(
            keypoints=flat,
            keypoint_scores=np.ones(flat.shape[:2], np.float32),
            bboxes=np.array([[0, 0, 500, 900]], np.float32),
            bbox_scores=np.ones(1, np.float32),
        )
        if scores is not None:
            fields.set_field(np.asarray(scores[frame], np.float32)[None], "keypoint_scores")
        if ids:
            fields.set_field(np.array(ids), "track_ids")
        result = PoseResult(
            None, fields, meta, name, frame_index=frame, time=frame / FPS,
            source=SourceInfo(name, "video", fps=FPS), noted_size=(1920, 1080),
        )  # fmt: skip
        if pose.shape[-1] == 3:
            fields.set_field(pose, "keypoints_3d")
            result.metainfo_3d, result.space_3d = meta, space
        yield result


@pytest.fixture
def walker():
    """What makes somebody who walks, and pictures and results of them."""
    return SimpleNamespace(
        names=HALPE,
        cadence=CADENCE,
        walk=walk,
        from_the_side=from_the_side,
        from_the_front=from_the_front,
        results=results,
    )
