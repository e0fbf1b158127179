"""The pinhole camera of `cameras.py` for tensors, so that a loss can look through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from poise.errors import DataError
from poise.geometry.cameras import SimpleCamera
from poise.registry import CAMERAS

__all__ = ["SimpleCameraTorch"]


@CAMERAS.register_module()
class SimpleCameraTorch:
    """One camera, for poses (..., K, 3) as tensors; gradients pass through.

    Args:
        param: as `SimpleCamera` takes it; arrays, lists or tensors.
        device: where the parameters are kept.

    Raises:
        DataError: a matrix has another shape, or the intrinsic parameters are missing.
    """

    def __init__(self, param: Mapping[str, Any], device: Any = None) -> None:
        plain = {
            name: value.detach().cpu().numpy() if isinstance(value, Tensor) else value
            for name, value in param.items()
        }
        checked = SimpleCamera(plain)
        self.undistortion = checked.undistortion
        self.param: dict[str, Tensor] = {
            name: torch.as_tensor(value, device=device).contiguous()
            for name, value in checked.param.items()
        }

    def world_to_camera(self, X: Tensor) -> Tensor:
        """World coordinates (..., K, 3) seen from the camera."""
        _check(X)
        return X @ self._of("R_w2c", X) + self._of("T_w2c", X)

    def camera_to_world(self, X: Tensor) -> Tensor:
        """Camera coordinates (..., K, 3) in the world."""
        _check(X)
        return X @ self._of("R_c2w", X) + self._of("T_c2w", X)

    def world_to_pixel(self, X: Tensor) -> Tensor:
        """Pixels (..., K, 2), image space, of world coordinates (..., K, 3)."""
        return self.camera_to_pixel(self.world_to_camera(X))

    def camera_to_pixel(self, X: Tensor) -> Tensor:
        """Pixels (..., K, 2), image space, of camera coordinates (..., K, 3)."""
        _check(X)
        flat = X[..., :2] / X[..., 2:]
        if self.undistortion:
            flat = self._distorted(flat)
        return torch.cat((flat, torch.ones_like(flat[..., :1])), -1) @ self._of("K", X)

    def _distorted(self, flat: Tensor) -> Tensor:
        """Brown-Conrady distortion of normalised image points (..., 2)."""
        radial, tangential = self._of("k", flat), self._of("p", flat).flip(0)
        square = (flat * flat).sum(-1, keepdim=True)
        powers = torch.cat((square, square**2, square**3), -1)
        factor = 1 + powers @ radial[:3, None]
        if len(radial) == 6:
            factor = factor / (1 + powers @ radial[3:, None])
        factor = factor + 2 * (flat @ tangential[:, None])
        return flat * factor + square * tangential

    def _of(self, name: str, like: Tensor) -> Tensor:
        return self.param[name].to(like)


def _check(X: Tensor) -> None:
    if not isinstance(X, Tensor) or X.ndim < 2 or X.shape[-1] != 3:
        got = tuple(X.shape) if isinstance(X, Tensor) else type(X).__name__
        raise DataError(f"poses are tensors of the shape (..., K, 3), got {got}")
