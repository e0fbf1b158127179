"""Keypoint operations under the names of MMPose; the functions live in `poise.geometry`."""

from __future__ import annotations

from poise.geometry.keypoints import (
    flip_keypoints,
    flip_keypoints_custom_center,
    keypoint_clip_border,
)

__all__ = ["flip_keypoints", "flip_keypoints_custom_center", "keypoint_clip_border"]
