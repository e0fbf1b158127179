"""Pinhole cameras with lens distortion: world, camera and pixel coordinates of 3D poses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.lens import brown_conrady
from poise.registry import CAMERAS

__all__ = ["SimpleCamera", "camera_to_pixel", "pixel_to_camera"]


@CAMERAS.register_module()
class SimpleCamera:
    """One camera: rotation, place, focal length, centre, and perhaps lens distortion.

    Poses are row vectors (..., K, 3) of any leading axes; lengths are in the unit of `T`.

    Args:
        param: 'R' (3, 3) rotation and 'T' (3, 1) translation from camera to world; 'K' (2, 3)
            intrinsic matrix, or 'f' (2, 1) focal lengths and 'c' (2, 1) centre, in pixels;
            optionally 'k' (3 or 6) radial and 'p' (2) tangential distortion coefficients.

    Raises:
        DataError: a matrix has another shape, or the intrinsic parameters are missing.
    """

    def __init__(self, param: Mapping[str, Any]) -> None:
        # coordinates are stored as rows, so the matrices are kept transposed
        world = _matrix(param, "R", (3, 3))
        place = _matrix(param, "T", (3, 1)).T
        self.param: dict[str, Array] = {
            "R_c2w": world.T,
            "T_c2w": place,
            "R_w2c": world,
            "T_w2c": -place @ world,
        }
        if "K" in param:
            intrinsic = _matrix(param, "K", (2, 3))
            focal, center = intrinsic[[0, 1], [0, 1]][:, None], intrinsic[:, 2:]
        elif "f" in param and "c" in param:
            focal, center = _matrix(param, "f", (2, 1)), _matrix(param, "c", (2, 1))
            intrinsic = np.concatenate((np.diagflat(focal), center), axis=-1)
        else:
            raise DataError(
                "camera intrinsic parameters are missing: give 'K', or both 'f' and 'c'; got"
                f" {sorted(param)}"
            )
        self.param.update(K=intrinsic.T, f=focal, c=center)
        self.undistortion = "k" in param and "p" in param
        if self.undistortion:
            radial, tangential = (np.asarray(param[name], np.float32).ravel() for name in "kp")
            if radial.size not in (3, 6) or tangential.size != 2:
                raise DataError(
                    "distortion takes 3 or 6 radial coefficients 'k' and 2 tangential 'p', got"
                    f" {radial.size} and {tangential.size}"
                )
            self.param.update(k=radial, p=tangential)

    def world_to_camera(self, X: Array) -> Array:
        """World coordinates (..., K, 3) seen from the camera."""
        return _poses(X) @ self.param["R_w2c"] + self.param["T_w2c"]

    def camera_to_world(self, X: Array) -> Array:
        """Camera coordinates (..., K, 3) in the world."""
        return _poses(X) @ self.param["R_c2w"] + self.param["T_c2w"]

    def world_to_pixel(self, X: Array) -> Array:
        """Pixels (..., K, 2), image space, of world coordinates (..., K, 3)."""
        return self.camera_to_pixel(self.world_to_camera(X))

    def camera_to_pixel(self, X: Array) -> Array:
        """Pixels (..., K, 2), image space, of camera coordinates (..., K, 3)."""
        flat = _poses(X) / X[..., 2:]
        if self.undistortion:
            flat[..., :2] = brown_conrady(flat[..., :2], self.param["k"], self.param["p"])
        return flat @ self.param["K"]

    def pixel_to_camera(self, X: Array) -> Array:
        """Camera coordinates (..., K, 3) of pixels with their depth; distortion is not undone."""
        rays = (_poses(X)[..., :2] - self.param["c"].T) / self.param["f"].T
        return np.concatenate((rays * X[..., 2:], X[..., 2:]), axis=-1)


def camera_to_pixel(
    kpts_3d: Array, fx: float, fy: float, cx: float, cy: float, shift: bool = False
) -> Array:
    """Pixels (..., K, 2) of camera coordinates (..., K, 3) under an ideal pinhole.

    Args:
        kpts_3d: x, y, z in any unit of length.
        fx: focal length along x, pixels.
        fy: focal length along y.
        cx: x of the principal point, pixels.
        cy: y of the principal point.
        shift: add 1e-8 to the depth, so that a depth of zero gives no infinity.
    """
    depth = kpts_3d[..., 2:3] + 1e-8 if shift else kpts_3d[..., 2:3]
    flat = kpts_3d[..., :2] / depth
    flat[..., 0] = flat[..., 0] * fx + cx
    flat[..., 1] = flat[..., 1] * fy + cy
    return flat


def pixel_to_camera(kpts_3d: Array, fx: float, fy: float, cx: float, cy: float) -> Array:
    """Camera coordinates (..., K, 3) of pixels with their depth; inverse of `camera_to_pixel`.

    Args:
        kpts_3d: x, y in pixels, z in any unit of length.
        fx: focal length along x, pixels.
        fy: focal length along y.
        cx: x of the principal point, pixels.
        cy: y of the principal point.
    """
    pose = kpts_3d.astype(np.result_type(kpts_3d, np.float32))
    pose[..., 0] = (pose[..., 0] - cx) / fx * pose[..., 2]
    pose[..., 1] = (pose[..., 1] - cy) / fy * pose[..., 2]
    return pose


def _matrix(param: Mapping[str, Any], name: str, shape: tuple[int, int]) -> Array:
    if name not in param:
        raise DataError(f"camera parameter '{name}' of shape {shape} is missing")
    matrix = np.array(param[name], dtype=np.float32)
    if matrix.shape != shape:
        raise DataError(f"camera parameter '{name}' has the shape {shape}, got {matrix.shape}")
    return matrix


def _poses(X: Array) -> Array:
    if X.ndim < 2 or X.shape[-1] != 3:
        raise DataError(f"poses have the shape (..., K, 3), got {X.shape}")
    return X
