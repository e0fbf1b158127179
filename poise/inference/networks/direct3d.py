"""3D poses of models that look at pictures: hands by InterNet, whole bodies by RTMW3D."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import Array

__all__ = ["SPACE_CAMERA", "SPACE_HANDS", "hand_poses", "space_of", "standing"]

SPACE_CAMERA = (
    "metres, the camera at the origin: x to the right of the picture, y away, z up; where the "
    "camera is not known, its focal length and the depth of the root are assumed"
)
SPACE_HANDS = (
    "x to the right of the picture in pixels, y away in millimetres from the right wrist, z up in "
    "pixels; the lowest keypoint at z = 0"
)
_HAND_JOINTS = 21
#: Scores of heatmaps with this peak.
_HEATMAP_PEAK = 255.0


def standing(keypoints: Array) -> Array:
    """(..., 3) of x right, y down, z away -> x right, y away, z up."""
    return keypoints[..., [0, 2, 1]] * np.array([1, 1, -1], keypoints.dtype)


def hand_poses(
    keypoints: Array, scores: Array, root_depth: Array, hand_type: Array
) -> tuple[Array, Array]:
    """3D keypoints (N, 42, 3) in `SPACE_HANDS` and scores (N, 42) of InterNet's predictions.

    The left hand is moved to where the right one's wrist says it is, and hands that are not there
    get the score 0, as in MMPose's inferencer.

    Args:
        keypoints: (N, 42, 3): x and y in pixels of the picture, z in millimetres from the
            hand's own wrist; the right hand first.
        scores: (N, 42).
        root_depth: (N, 1) or (N,) millimetres from the right wrist to the left one.
        hand_type: (N, 2): whether the right and the left hand are there.
    """
    poses, sure = keypoints.copy(), scores.copy()
    poses[:, _HAND_JOINTS:, 2] += root_depth.reshape(len(poses), -1)[:, :1]
    sure[:, :_HAND_JOINTS] *= hand_type[:, :1]
    sure[:, _HAND_JOINTS:] *= hand_type[:, 1:2]
    if sure.max(initial=0) > 1:
        sure /= _HEATMAP_PEAK
    upright = standing(poses)
    there = sure > 0
    lowest = upright[there][:, 2].min() if there.any() else 0.0
    upright[..., 2] -= lowest
    return upright, sure


def space_of(model: Any) -> str | None:
    """Space of the 3D poses that a model of pictures gives; None for 2D models."""
    from poise.models.estimators import TopdownPoseEstimator3D
    from poise.models.heads import InternetHead

    if isinstance(getattr(model, "head", None), InternetHead):
        return SPACE_HANDS
    if isinstance(model, TopdownPoseEstimator3D):
        return SPACE_CAMERA if (model.test_cfg or {}).get("mode", "3d") == "3d" else None
    return None
