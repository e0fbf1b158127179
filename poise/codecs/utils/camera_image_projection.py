"""Camera space -> image space for lifting targets (MotionBERT's image coordinates)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.codecs.arrays import Array
from poise.geometry.cameras import camera_to_pixel, pixel_to_camera

__all__ = ["camera_to_image_coord", "camera_to_pixel", "pixel_to_camera"]

#: Half the side of the square around the root whose projection tells the local scale; in the
#: unit of the keypoints.
PROBE = 1.0
#: Keeps the scale defined where the square projects to a point, in pixels / 1000.
MINIMUM_EXTENT = 0.001


def camera_to_image_coord(
    root_index: int, kpts_3d_cam: Array, camera_param: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Project poses, with depth in the scale that the image has at the root.

    MotionBERT (Zhu 2023, arXiv:2210.06551): x, y and relative depth then share one unit, and
    the pose keeps its proportions.

    Args:
        root_index: keypoint that depth is relative to.
        kpts_3d_cam: (N, K, 3) float, camera space.
        camera_param: `f` focal lengths and `c` principal point, pixels.

    Returns:
        poses (N, K, 3) in pixels / 1000, depth relative to the root, and factors (N,) that
        lead from that unit back to camera space.
    """
    fx, fy = camera_param["f"] / 1000.0
    cx, cy = camera_param["c"] / 1000.0
    root = kpts_3d_cam[..., root_index, :].reshape(-1, 3)
    # opposite corners of the probe, facing the camera
    shift = np.array([PROBE, PROBE, 0], dtype=root.dtype)
    left = camera_to_pixel(root - shift, fx, fy, cx, cy)[..., 0]
    right = camera_to_pixel(root + shift, fx, fy, cx, cy)[..., 0]
    extent = right - left + MINIMUM_EXTENT
    depth = kpts_3d_cam[..., 2] - kpts_3d_cam[..., root_index, 2][..., None]
    poses = np.zeros_like(kpts_3d_cam)
    poses[..., :2] = camera_to_pixel(kpts_3d_cam, fx, fy, cx, cy)
    poses[..., 2] = (extent / (2 * PROBE))[:, None] * depth
    return poses, 2 * PROBE / extent
