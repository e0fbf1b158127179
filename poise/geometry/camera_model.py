"""`Camera`: one calibrated camera of several, in OpenCV's convention and metres."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.lens import distort, distortion_slope, lens_reach, undistort

__all__ = ["Camera", "rotation_of"]

#: How many coefficients a lens may have, by `Camera.fisheye`.
_LENSES = {False: (0, 4, 5, 8, 12), True: (0, 4)}
#: Pixels by which a side of resized pictures may differ from what the other side says.
_ROUNDED = 2
#: Largest entry of R R' - 1; files with five digits stay below.
_ORTHONORMAL = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Camera:
    """Lens, place and direction of a camera: x_camera = rotation @ x_world + translation.

    The camera looks along its z, with x to the right and y down. Arrays are kept as float64.

    Args:
        name: of the camera.
        matrix: (3, 3) pixels: focal lengths, principal point, perhaps skew.
        distortion: 0, 4, 5, 8 or 12 coefficients in OpenCV's order; of a fisheye 0 or 4.
        rotation: (3, 3) from world to camera, or (3,) Rodrigues vector.
        translation: (3,) metres, the world's origin seen from the camera.
        size: (width, height) of the pictures it was calibrated with, or None.
        fisheye: whether the coefficients are those of OpenCV's fisheye model.

    Raises:
        DataError: a wrong shape, a number that is not finite, a rotation that is none.
    """

    name: str
    matrix: Array
    distortion: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    rotation: Array = dataclasses.field(default_factory=lambda: np.eye(3))
    translation: Array = dataclasses.field(default_factory=lambda: np.zeros(3))
    size: tuple[int, int] | None = None
    fisheye: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "matrix", self._numbers("matrix", (3, 3)))
        if not (self.matrix[[0, 1], [0, 1]] > 0).all() or not np.allclose(
            self.matrix[2], [0, 0, 1]
        ):
            raise DataError(
                f"camera '{self.name}': a camera matrix has focal lengths above 0 and the last "
                f"row 0 0 1, got {self.matrix.tolist()}"
            )
        put(self, "distortion", self._numbers("distortion", None).ravel())
        if len(self.distortion) not in _LENSES[bool(self.fisheye)]:
            kind = "fisheye lens" if self.fisheye else "lens"
            counts = ", ".join(map(str, _LENSES[bool(self.fisheye)]))
            raise DataError(
                f"camera '{self.name}': a {kind} has {counts} distortion coefficients, got "
                f"{len(self.distortion)}"
            )
        if np.size(self.rotation) == 3:
            put(self, "rotation", rotation_of(self._numbers("rotation", (3,))))
        put(self, "rotation", self._numbers("rotation", (3, 3)))
        self._check_rotation()
        put(self, "translation", self._numbers("translation", (3,)))

    def _numbers(self, name: str, shape: tuple[int, ...] | None) -> Array:
        where = f"camera '{self.name}': {name}"
        try:
            values = np.array(getattr(self, name), np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where} holds something else than numbers") from error
        if shape == (3,) and values.size == 3:
            # OpenCV gives vectors as columns
            values = values.reshape(3)
        if shape is not None and values.shape != shape:
            raise DataError(f"{where} has the shape {shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise DataError(f"{where} holds numbers that are not finite")
        return values

    def _check_rotation(self) -> None:
        off = float(np.abs(self.rotation @ self.rotation.T - np.eye(3)).max())
        if off > _ORTHONORMAL:
            raise DataError(
                f"camera '{self.name}': the rotation's rows are not at right angles or not of "
                f"length 1 (off by {off:.3g}), so it is no rotation"
            )
        if np.linalg.det(self.rotation) < 0:
            raise DataError(
                f"camera '{self.name}': the rotation mirrors (its determinant is -1); are axes of "
                "the file left-handed?"
            )

    # -------------------------------------------------------------- derived

    @property
    def center(self) -> Array:
        """(3,) place of the camera in the world, metres."""
        return -self.rotation.T @ self.translation

    @property
    def rodrigues(self) -> Array:
        """(3,) the rotation as axis times angle, radians."""
        from scipy.spatial.transform import Rotation

        return Rotation.from_matrix(self.rotation).as_rotvec()

    @functools.cached_property
    def _reach(self) -> float:
        return lens_reach(self.distortion, fisheye=self.fisheye)

    def scaled(self, size: tuple[int, int]) -> Camera:
        """The same camera for pictures that were resized to (width, height).

        Raises:
            DataError: the size it was calibrated with is unknown, or has another aspect ratio.
        """
        if self.size is None:
            raise DataError(f"camera '{self.name}' does not say the size of its pictures")
        factor = np.array(size, float) / self.size
        # sizes are rounded, to even numbers for most videos
        if (np.abs(factor[::-1] * self.size - size) > _ROUNDED).all():
            raise DataError(
                f"camera '{self.name}' was calibrated with pictures of {self.size[0]} x "
                f"{self.size[1]}, and these are {size[0]} x {size[1]}: a part was cut off, or "
                "they are of another camera"
            )
        matrix = self.matrix.copy()
        matrix[:2] *= factor[:, None]
        # pixel centres are whole numbers, so the picture's edge lies at -0.5
        matrix[:2, 2] += (factor - 1) / 2
        return dataclasses.replace(self, matrix=matrix, size=(int(size[0]), int(size[1])))

    def fitted(self, size: tuple[int, int] | None) -> Camera:
        """The camera for pictures of (width, height); itself where one of the sizes is unknown.

        Raises:
            DataError: the size it was calibrated with has another aspect ratio.
        """
        return self if size is None or self.size is None else self.scaled(size)

    def moved(self, turn: Array, shift: Any = 0.0) -> Camera:
        """The camera in a world whose points are turn (3, 3) @ the old ones + shift (3,)."""
        rotation = self.rotation @ np.transpose(turn)
        translation = self.translation - rotation @ np.broadcast_to(shift, 3)
        return dataclasses.replace(self, rotation=rotation, translation=translation)

    # ---------------------------------------------------------------- points

    def seen(self, points: Array) -> Array:
        """(..., 3) camera coordinates, metres, of points (..., 3) of the world."""
        return points @ self.rotation.T + self.translation

    def project(self, points: Any) -> Array:
        """Pixels (..., 2), image space, of points (..., 3) of the world, metres.

        NaN for points that are not in front of the camera, or farther aside than its lens reaches.
        """
        seen = self.seen(_points(points, 3))
        depth = np.where(seen[..., 2:] > 0, seen[..., 2:], np.nan)
        flat = seen[..., :2] / depth
        flat = np.where(np.linalg.norm(flat, axis=-1, keepdims=True) < self._reach, flat, np.nan)
        flat = distort(flat, self.distortion, fisheye=self.fisheye)
        return flat @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def undistort(self, pixels: Any) -> Array:
        """(..., 2) where the rays of pixels (..., 2) cross the plane z = 1 of the camera.

        NaN for pixels that no ray of the lens's valid part reaches.
        """
        bent = (_points(pixels, 2) - self.matrix[:2, 2]) @ np.linalg.inv(self.matrix[:2, :2]).T
        return undistort(bent, self.distortion, fisheye=self.fisheye)

    def pixel_slope(self, flat: Array) -> Array:
        """(..., 2, 2) pixels a unit of the plane z = 1, at points (..., 2) of that plane."""
        slope = distortion_slope(flat, self.distortion, fisheye=self.fisheye)
        return self.matrix[:2, :2] @ slope


def rotation_of(vector: Sequence[float] | Array) -> Array:
    """(3, 3) rotation of a Rodrigues vector (3,)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.asarray(vector, np.float64)).as_matrix()


def _points(values: Any, axes: int) -> Array:
    points = np.asarray(values, np.float64)
    if points.ndim < 1 or points.shape[-1] != axes:
        raise DataError(f"points have the shape (..., {axes}), got {points.shape}")
    return points
