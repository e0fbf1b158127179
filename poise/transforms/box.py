"""Where the person is: box -> centre and scale, and their random changes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from poise.errors import DataError
from poise.geometry.boxes import bbox_xyxy2cs
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.randomness import cache_randomness, truncated_normal

__all__ = ["GetBBoxCenterScale", "RandomBBoxTransform", "RandomHalfBody"]


@TRANSFORMS.register_module()
class GetBBoxCenterScale(BaseTransform):
    """Turn `bbox` into `bbox_center` and `bbox_scale` (width and height), with padding around.

    Args:
        padding: factor on the width and height, so that limbs beyond the box stay in the crop.
            It is applied to a `bbox_scale` that is there already, too.
    """

    def __init__(self, padding: float = 1.25) -> None:
        self.padding = padding

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `bbox_center`, `bbox_scale`, both (N, 2) in image space."""
        if "bbox_center" in results and "bbox_scale" in results:
            warnings.warn(
                "bbox_center and bbox_scale are there already and are kept; GetBBoxCenterScale "
                f"only multiplies bbox_scale by its padding {self.padding}",
                stacklevel=2,
            )
            results["bbox_scale"] = results["bbox_scale"] * self.padding
            return results
        results["bbox_center"], results["bbox_scale"] = bbox_xyxy2cs(
            results["bbox"], padding=self.padding
        )
        return results


@TRANSFORMS.register_module()
class RandomHalfBody(BaseTransform):
    """Sometimes crop to the upper or the lower body, so that models learn cut-off people.

    Args:
        min_total_keypoints: people with fewer visible keypoints are left whole.
        min_upper_keypoints, min_lower_keypoints: a half with fewer is not chosen.
        padding: factor on the half body's extent.
        prob: how often a half is taken.
        upper_prioritized_prob: how often it is the upper one where both would do.
    """

    def __init__(
        self,
        min_total_keypoints: int = 9,
        min_upper_keypoints: int = 2,
        min_lower_keypoints: int = 3,
        padding: float = 1.5,
        prob: float = 0.3,
        upper_prioritized_prob: float = 0.7,
    ) -> None:
        self.min_total_keypoints = min_total_keypoints
        self.min_upper_keypoints = min_upper_keypoints
        self.min_lower_keypoints = min_lower_keypoints
        self.padding = padding
        self.prob = prob
        self.upper_prioritized_prob = upper_prioritized_prob

    @cache_randomness
    def _random_select_half_body(
        self, keypoints_visible: np.ndarray, upper_body_ids: list[int], lower_body_ids: list[int]
    ) -> list[np.ndarray | None]:
        """For each of N people the keypoints to keep in view, or None for the whole person.

        keypoints_visible: (N, K) or (N, K, 2).
        """
        visible = keypoints_visible[..., 0] if keypoints_visible.ndim == 3 else keypoints_visible
        chosen: list[np.ndarray | None] = []
        for person in visible:
            if person.sum() < self.min_total_keypoints or np.random.rand() > self.prob:
                chosen.append(None)
                continue
            prefer_upper = np.random.rand() < self.upper_prioritized_prob
            upper = _seen(person, upper_body_ids)
            lower = _seen(person, lower_body_ids)
            halves = []
            if len(upper) >= self.min_upper_keypoints:
                halves.append(upper)
            if len(lower) >= self.min_lower_keypoints:
                halves.append(lower)
            if not halves:
                chosen.append(None)
            else:
                chosen.append(halves[0] if prefer_upper else halves[-1])
        return chosen

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `bbox_center` and `bbox_scale`, both (N, 2) in image space."""
        chosen = self._random_select_half_body(
            keypoints_visible=results["keypoints_visible"],
            upper_body_ids=results["upper_body_ids"],
            lower_body_ids=results["lower_body_ids"],
        )
        center, scale = results["bbox_center"], results["bbox_scale"]
        if any(half is not None for half in chosen):
            keypoints = results["keypoints"]
            # keypoints that went through KeypointConverter are float64
            wide = np.result_type(center, keypoints)
            center, scale = center.astype(wide), scale.astype(wide)
            for person, half in enumerate(chosen):
                if half is None:
                    continue
                points = keypoints[person][half][:, :2]
                center[person] = points.mean(axis=0)
                scale[person] = np.ptp(points, axis=0) * self.padding
        results["bbox_center"], results["bbox_scale"] = center, scale
        return results


def _seen(visible: np.ndarray, ids: list[int]) -> np.ndarray:
    """The ones of `ids` whose keypoint is visible. visible: (K,)."""
    index = np.asarray(ids, dtype=np.intp)
    if index.size and index.max() >= len(visible):
        raise DataError(
            f"upper_body_ids and lower_body_ids must be below the number of keypoints "
            f"{len(visible)}, got {index.max()}; does the metainfo belong to these annotations, "
            "or does KeypointConverter come before RandomHalfBody?"
        )
    return index[visible[index] > 0]


@TRANSFORMS.register_module()
class RandomBBoxTransform(BaseTransform):
    """Shift, resize and rotate the boxes at random.

    All three amounts are drawn from a normal distribution cut off at one standard deviation, so
    the factors are the largest changes.

    Args:
        shift_factor: largest shift as part of the box's width and height.
        shift_prob: how often boxes are shifted.
        scale_factor: (smallest, largest) factor on width and height.
        scale_prob: how often boxes are resized.
        rotate_factor: largest rotation, degrees.
        rotate_prob: how often boxes are rotated.
    """

    def __init__(
        self,
        shift_factor: float = 0.16,
        shift_prob: float = 0.3,
        scale_factor: tuple[float, float] = (0.5, 1.5),
        scale_prob: float = 1.0,
        rotate_factor: float = 80.0,
        rotate_prob: float = 0.6,
    ) -> None:
        self.shift_factor, self.shift_prob = shift_factor, shift_prob
        self.scale_factor, self.scale_prob = scale_factor, scale_prob
        self.rotate_factor, self.rotate_prob = rotate_factor, rotate_prob

    @cache_randomness
    def _get_transform_params(self, num_bboxes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw shift (N, 2) and factor (N, 1), both relative, and rotation (N,) in degrees."""
        amounts = truncated_normal(-1.0, 1.0, (num_bboxes, 4))
        low, high = self.scale_factor
        shift = amounts[:, :2] * self.shift_factor
        scale = amounts[:, 2:3] * (0.5 * (high - low)) + 0.5 * (high + low)
        rotation = amounts[:, 3] * self.rotate_factor
        shift[np.random.rand(num_bboxes) >= self.shift_prob] = 0
        scale[np.random.rand(num_bboxes) >= self.scale_prob] = 1
        rotation[np.random.rand(num_bboxes) >= self.rotate_prob] = 0
        return shift, scale, rotation

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `bbox_center`, `bbox_scale` (N, 2), add `bbox_rotation` (N,), image space."""
        size = results["bbox_scale"]
        shift, scale, rotation = self._get_transform_params(len(size))
        results["bbox_center"] = results["bbox_center"] + shift * size
        results["bbox_scale"] = size * scale
        results["bbox_rotation"] = rotation
        return results
