"""From picture and box to the network's input: one affine warp per person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, DataError
from poise.geometry.pictures import warp_picture
from poise.geometry.warps import get_udp_warp_matrix, get_warp_matrix
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform

__all__ = ["TopdownAffine", "checked_size", "fix_aspect_ratio"]


@TRANSFORMS.register_module()
class TopdownAffine(BaseTransform):
    """Warp the box region, upright and in the input's aspect ratio, to the network's input.

    Args:
        input_size: (width, height) of the input.
        use_udp: measure distances between pixel centres (Huang et al., The Devil is in the
            Details: Delving into Unbiased Data Processing for Human Pose Estimation, CVPR 2020,
            section 4.2), as models with UDP codecs expect.
        cubic: cubic interpolation of boxes that are enlarged, as Sapiens2 has it.

    Raises:
        ArgumentError: `input_size` is not two positive whole numbers.
        DataError: more than one box; top-down models see one person at a time.
    """

    def __init__(
        self, input_size: tuple[int, int], use_udp: bool = False, *, cubic: bool = False
    ) -> None:
        self.input_size = checked_size("input_size", input_size)
        self.use_udp, self.cubic = use_udp, cubic

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Warp `img`; add `transformed_keypoints`, `input_size`, `input_center`, `input_scale`.

        `bbox_scale` grows to the input's aspect ratio. Without keypoints
        `transformed_keypoints` is a placeholder of shape () and `keypoints_visible` one of
        shape (1, 1, 1).
        """
        width, height = self.input_size
        results["bbox_scale"] = fix_aspect_ratio(results["bbox_scale"], width / height)
        centers = results["bbox_center"]
        if len(centers) != 1:
            raise DataError(
                f"TopdownAffine crops one person at a time, got bbox_center of shape "
                f"{centers.shape}; use a bottom-up pipeline, or a dataset with "
                "data_mode='topdown'"
            )
        center, scale = centers[0], results["bbox_scale"][0]
        rotation = results["bbox_rotation"][0] if "bbox_rotation" in results else 0.0
        make_matrix = get_udp_warp_matrix if self.use_udp else get_warp_matrix
        matrix = make_matrix(center, scale, rotation, output_size=self.input_size)

        image = results["img"]
        if isinstance(image, list):
            results["img"] = [self._warp(frame, matrix) for frame in image]
        else:
            results["img"] = self._warp(image, matrix)
        self._warp_keypoints(results, matrix)
        results["input_size"] = self.input_size
        results["input_center"] = center
        results["input_scale"] = scale
        return results

    def _warp(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return warp_picture(image, matrix, self.input_size, cubic=self.cubic)

    @staticmethod
    def _warp_keypoints(results: dict[str, Any], matrix: np.ndarray) -> None:
        keypoints = results.get("keypoints")
        if keypoints is None:
            results["transformed_keypoints"] = np.zeros([])
            results["keypoints_visible"] = np.ones((1, 1, 1))
            return
        before = results.get("transformed_keypoints")
        warped = (keypoints if before is None else before).copy()
        # a third coordinate (depth) is not the warp's business
        warped[..., :2] = cv2.transform(keypoints[..., :2], matrix)
        results["transformed_keypoints"] = warped


def fix_aspect_ratio(scale: np.ndarray, aspect_ratio: float) -> np.ndarray:
    """Boxes grown in one direction to a fixed width / height.

    Args:
        scale: (N, 2) width and height.
        aspect_ratio: width / height.

    Example:
        >>> fix_aspect_ratio(np.array([[100.0, 400.0], [90.0, 40.0]]), 0.75).tolist()
        [[300.0, 400.0], [90.0, 120.0]]
    """
    width, height = scale[:, 0], scale[:, 1]
    wide = width > height * aspect_ratio
    grown = scale.copy()
    grown[wide, 1] = width[wide] / aspect_ratio
    grown[~wide, 0] = height[~wide] * aspect_ratio
    return grown


def checked_size(name: str, size: Any) -> tuple[int, int]:
    """Width and height as a tuple of whole numbers.

    Raises:
        ArgumentError: something else than two positive whole numbers.
    """
    if (
        not isinstance(size, (Sequence, np.ndarray))
        or len(size) != 2
        or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size)
    ):
        raise ArgumentError(
            f"{name} must be (width, height), two positive whole numbers, got {size!r}"
        )
    return int(size[0]), int(size[1])
