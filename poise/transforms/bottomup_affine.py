"""Random shift, scale, rotation and shear of a whole picture with all its people."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from poise.errors import ArgumentError, one_of
from poise.geometry.boxes import bbox_clip_border, bbox_corner2xyxy, bbox_xyxy2corner
from poise.geometry.keypoints import keypoint_clip_border
from poise.geometry.pictures import warp_picture
from poise.geometry.warps import get_pers_warp_matrix, get_udp_warp_matrix, get_warp_matrix
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.randomness import cache_randomness, truncated_normal
from poise.transforms.topdown import checked_size

__all__ = ["BottomupRandomAffine", "border_value"]

_CHOICES = {
    "transform_mode": ("affine", "affine_udp", "perspective"),
    "distribution": ("trunc_norm", "uniform"),
    "scale_type": ("short", "long"),
}


class _Change(NamedTuple):
    """One draw of `BottomupRandomAffine`."""

    shift: np.ndarray
    """(2,) as part of the picture's (perspective: the input's) width and height."""
    scale: np.ndarray
    """(1,) factor."""
    rotation: float
    """degrees"""
    shear: np.ndarray
    """(2,) degrees."""


@TRANSFORMS.register_module()
class BottomupRandomAffine(BaseTransform):
    """Warp the picture to the network's input, changed at random.

    Args:
        input_size: (width, height) of the input.
        shift_factor, shift_prob: largest shift as part of width and height, and how often.
        scale_factor, scale_prob: (smallest, largest) factor, and how often.
        scale_type: whether the input covers the region up to its "short" side (cuts the rest
            off) or its "long" side (pads).
        rotate_factor, rotate_prob: largest rotation in degrees, and how often.
        shear_factor, shear_prob: largest shear in degrees, and how often; perspective only.
        use_udp: has no effect, as in MMPose; `transform_mode="affine_udp"` is what counts.
        pad_val: colour outside of the picture, one number or one a channel.
        border: has no effect, as in MMPose.
        distribution: of all amounts: "trunc_norm" (normal, cut at one deviation) or "uniform".
        transform_mode: "affine", "affine_udp" (between pixel centres) or "perspective" (YOLOX's:
            the picture is not fitted to the input, and may be sheared).
        bbox_keep_corner: give boxes as their four warped corners, (N, 4, 2), instead of the
            upright boxes around these.
        clip_border: clip boxes to the input and hide keypoints outside of it.

    Raises:
        ArgumentError: no input size, or an unknown mode, distribution or scale type.
    """

    def __init__(
        self,
        input_size: tuple[int, int] | None = None,
        shift_factor: float = 0.2,
        shift_prob: float = 1.0,
        scale_factor: tuple[float, float] = (0.75, 1.5),
        scale_prob: float = 1.0,
        scale_type: str = "short",
        rotate_factor: float = 30.0,
        rotate_prob: float = 1,
        shear_factor: float = 2.0,
        shear_prob: float = 1.0,
        use_udp: bool = False,
        pad_val: float | tuple[float, ...] = 0,
        border: tuple[int, int] = (0, 0),
        distribution: str = "trunc_norm",
        transform_mode: str = "affine",
        bbox_keep_corner: bool = True,
        clip_border: bool = False,
    ) -> None:
        for name, value in (
            ("transform_mode", transform_mode),
            ("distribution", distribution),
            ("scale_type", scale_type),
        ):
            one_of(value, _CHOICES[name], f"{name} of BottomupRandomAffine", ArgumentError)
        self.input_size = checked_size("input_size", input_size)
        self.shift_factor, self.shift_prob = shift_factor, shift_prob
        self.scale_factor, self.scale_prob = scale_factor, scale_prob
        self.scale_type = scale_type
        self.rotate_factor, self.rotate_prob = rotate_factor, rotate_prob
        self.shear_factor, self.shear_prob = shear_factor, shear_prob
        self.use_udp = use_udp
        self.pad_val = border_value(pad_val)
        self.border = border
        self.distribution = distribution
        self.transform_mode = transform_mode
        self.bbox_keep_corner = bbox_keep_corner
        self.clip_border = clip_border

    def _random(self, size: tuple[int, ...] = ()) -> Any:
        """Numbers in -1..1 of the chosen distribution."""
        if self.distribution == "trunc_norm":
            return truncated_normal(-1.0, 1.0, size)
        return np.random.rand(*size) * 2.0 - 1.0

    @cache_randomness
    def _get_transform_params(self) -> _Change:
        """Draw the change of one picture."""
        shift = shear = np.zeros(2, np.float32)
        scale: np.ndarray = np.ones(1, np.float32)
        rotation = 0.0
        if np.random.rand() < self.shift_prob:
            shift = self._random((2,)) * self.shift_factor
        if np.random.rand() < self.scale_prob:
            low, high = self.scale_factor
            scale = low + (high - low) * (self._random((1,)) + 1) / 2
        if np.random.rand() < self.rotate_prob:
            # in float64, as the reference: a last bit of float32 moves pixels
            rotation = float(self._random()) * self.rotate_factor
        if self.transform_mode == "perspective" and np.random.rand() < self.shear_prob:
            shear = self._random((2,)) * self.shear_factor
        return _Change(shift, scale, rotation, shear)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Warp `img`, `keypoints`, `bbox`, `area`; add `input_size` and `warp_mat`."""
        matrix = self._matrix(results["img_shape"][:2], self._get_transform_params())
        results["img"] = warp_picture(results["img"], matrix, self.input_size, fill=self.pad_val)
        if "keypoints" in results:
            results["keypoints"] = _warp_points(results["keypoints"], matrix)
            if self.clip_border:
                results["keypoints"], results["keypoints_visible"] = keypoint_clip_border(
                    results["keypoints"], results["keypoints_visible"], self.input_size
                )
        if "bbox" in results:
            results["bbox"] = self._warp_boxes(results["bbox"], matrix)
        if "area" in results:
            area = np.asarray(results["area"])
            square = matrix if len(matrix) == 3 else np.vstack([matrix, [0, 0, 1]])
            factor = np.linalg.det(square.astype(matrix.dtype))
            # whole numbers would cut the scaled area
            results["area"] = area * (area.dtype.type(factor) if area.dtype.kind == "f" else factor)
        results["input_size"] = self.input_size
        results["warp_mat"] = matrix
        return results

    def _matrix(self, shape: tuple[int, int], change: _Change) -> np.ndarray:
        """Image to input space: (2, 3), or (3, 3) in perspective mode."""
        image_size = shape[::-1]
        width, height = self.input_size
        if self.transform_mode == "perspective":
            return get_pers_warp_matrix(
                center=np.array([width / 2, height / 2], np.float32),
                translate=change.shift * [width, height],
                scale=change.scale[0],
                rot=change.rotation,
                shear=change.shear,
            )
        udp = self.transform_mode == "affine_udp"
        center = (np.array(image_size, np.float32) - int(udp)) / 2
        region = self._fitted(change.scale * image_size, width / height)
        make_matrix = get_udp_warp_matrix if udp else get_warp_matrix
        return make_matrix(
            center + change.shift * image_size, region, change.rotation, (width, height)
        )

    def _fitted(self, region: np.ndarray, aspect_ratio: float) -> np.ndarray:
        """Region (width, height) cut or extended to the input's aspect ratio."""
        width, height = region
        if (width > height * aspect_ratio) == (self.scale_type == "long"):
            return np.array([width, width / aspect_ratio])
        return np.array([height * aspect_ratio, height])

    def _warp_boxes(self, boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        warped = _warp_points(bbox_xyxy2corner(boxes), matrix)
        if not self.bbox_keep_corner:
            warped = bbox_corner2xyxy(warped)
        return bbox_clip_border(warped, self.input_size) if self.clip_border else warped


def _warp_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, P, 2) points through a (2, 3) or (3, 3) matrix, with OpenCV's rounding."""
    if not points.size:
        return points
    warped = cv2.transform(points, matrix)
    return warped[..., :2] / warped[..., 2:3] if warped.shape[-1] == 3 else warped


def border_value(pad_val: Any) -> tuple[float, ...]:
    """Colour for OpenCV: a number is meant for all three channels."""
    if isinstance(pad_val, (int, float)):
        return (pad_val,) * 3
    return tuple(pad_val)
