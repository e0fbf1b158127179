"""Training steps of MMPose's `projects/yolox_pose` and of detectors, from MMYOLO and MMDetection.

Where MMPose's own steps count pixel centres, these count from the border of the picture: the mirror
image of x is w - x, not w - 1 - x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.errors import ArgumentError, ConfigError
from poise.geometry.boxes import bbox_corner2xyxy, bbox_xyxy2corner
from poise.geometry.pictures import warp_picture
from poise.geometry.warps import get_pers_warp_matrix, warp_points
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.filtering import FilterAnnotations
from poise.transforms.flip import RandomFlip
from poise.transforms.mixing import Mosaic, YOLOXMixUp, clipped, drop_outside
from poise.transforms.randomness import cache_randomness

__all__ = [
    "DetectionFilterAnnotations",
    "DetectionRandomFlip",
    "FilterDetPoseAnnotations",
    "RandomAffine",
    "YOLOMixUp",
    "YOLOMosaic",
    "always_clips",
]

Range = tuple[float, float]


def always_clips(owner: object, bbox_clip_border: bool) -> None:
    """Raise a ConfigError where boxes should not be clipped to the picture."""
    if not bbox_clip_border:
        raise ConfigError(
            f"{type(owner).__name__} clips boxes to the picture; leave out "
            "bbox_clip_border=False, which would keep what lies outside"
        )


@TRANSFORMS.register_module(name="Mosaic", scope="mmyolo")
class YOLOMosaic(Mosaic):
    """`Mosaic` with MMYOLO's arguments.

    Args:
        img_scale, pad_val, pre_transform, prob: as `Mosaic`.
        center_ratio_range: its `center_range`.
        bbox_clip_border: has to be True.

    Raises:
        ConfigError: boxes should not be clipped.
    """

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: Range = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
        pre_transform: Sequence[Any] | None = None,
        prob: float = 1.0,
    ) -> None:
        super().__init__(img_scale, center_ratio_range, pad_val, pre_transform, prob)
        always_clips(self, bbox_clip_border)


@TRANSFORMS.register_module(name="YOLOXMixUp", scope="mmyolo")
class YOLOMixUp(YOLOXMixUp):
    """`YOLOXMixUp` that mirrors borders, and never draws the last place of the crop.

    Args:
        img_scale, ratio_range, flip_ratio, pad_val, pre_transform, prob: as `YOLOXMixUp`.
        bbox_clip_border: has to be True.

    Raises:
        ConfigError: boxes should not be clipped.
    """

    mirror_offset = 1

    def __init__(self, *args: Any, bbox_clip_border: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        always_clips(self, bbox_clip_border)

    @staticmethod
    def _draw_corner(margin: int) -> int:
        return int(np.random.randint(0, margin)) if margin else 0


@TRANSFORMS.register_module(name="RandomFlip", scope="mmdet")
class DetectionRandomFlip(RandomFlip):
    """`RandomFlip` that mirrors borders.

    Args:
        prob, direction: as `RandomFlip`.
    """

    def __init__(
        self, prob: float | list[float] = 0.5, direction: str | list[str] = "horizontal"
    ) -> None:
        super().__init__(prob, direction)

    def _image_size(self, results: dict[str, Any]) -> tuple[int, int]:
        height, width = results["img"].shape[:2]
        return width + 1, height + 1


@TRANSFORMS.register_module(scope="mmdet")
class RandomAffine(BaseTransform):
    """Scale, rotate, shear and shift a picture and its people about the upper left corner.

    Args:
        max_rotate_degree: largest rotation, degrees.
        max_translate_ratio: largest shift, as part of width and height.
        scaling_ratio_range: smallest and largest factor.
        max_shear_degree: largest shear along x and y, degrees.
        border: pixels that are added left and right, above and below; negative ones cut off, by
            half of a mosaic, say.
        border_val: colour outside of the picture.
        bbox_clip_border: clip boxes to the picture and hide keypoints outside of it. People
            outside are dropped in any case.

    Raises:
        ArgumentError: a ratio that is out of range.
    """

    def __init__(
        self,
        max_rotate_degree: float = 10.0,
        max_translate_ratio: float = 0.1,
        scaling_ratio_range: Range = (0.5, 1.5),
        max_shear_degree: float = 2.0,
        border: tuple[int, int] = (0, 0),
        border_val: tuple[float, float, float] = (114, 114, 114),
        bbox_clip_border: bool = True,
    ) -> None:
        low, high = scaling_ratio_range
        if not 0 <= max_translate_ratio <= 1 or not 0 < low <= high:
            raise ArgumentError(
                "RandomAffine takes max_translate_ratio in 0..1 and scaling_ratio_range=(low, "
                f"high) with 0 < low <= high, got {max_translate_ratio} and {scaling_ratio_range}"
            )
        self.max_rotate_degree = max_rotate_degree
        self.max_translate_ratio = max_translate_ratio
        self.scaling_ratio_range = scaling_ratio_range
        self.max_shear_degree = max_shear_degree
        self.border = border
        self.border_val = border_val
        self.bbox_clip_border = bbox_clip_border

    @cache_randomness
    def _draw_matrix(self, size: tuple[int, int]) -> np.ndarray:
        """Draw a matrix (3, 3) for a result of (width, height)."""
        draw, degrees, ratio = np.random.uniform, self.max_shear_degree, self.max_translate_ratio
        rotation = draw(-self.max_rotate_degree, self.max_rotate_degree)
        scale = draw(*self.scaling_ratio_range)
        shear = [draw(-degrees, degrees) for _ in "xy"]
        shift = [draw(-ratio, ratio) * side for side in size]
        return get_pers_warp_matrix((0, 0), shift, scale, rotation, shear)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `img_shape` and the annotation columns."""
        image = results["img"]
        (height, width), (beside, above) = image.shape[:2], self.border
        size = int(width + 2 * beside), int(height + 2 * above)
        matrix = self._draw_matrix(size)
        results["img"] = warp_picture(image, matrix, size, fill=self.border_val)
        results["img_shape"] = results["img"].shape[:2]
        if len(results["bbox"]):
            self._move_people(results, matrix, size)
        return results

    def _move_people(
        self, results: dict[str, Any], matrix: np.ndarray, size: tuple[int, int]
    ) -> None:
        boxes = bbox_corner2xyxy(warp_points(bbox_xyxy2corner(results["bbox"]), matrix))
        results["bbox"] = boxes
        if "keypoints" in results:
            results["keypoints"] = warp_points(results["keypoints"], matrix)
            results["keypoints_visible"] = results["keypoints_visible"].copy()
        if self.bbox_clip_border:
            clipped(results, size)
        drop_outside(results, size)


class _FilterByBox(FilterAnnotations):
    """`FilterAnnotations` with MMDetection's arguments."""

    #: also drop people without visible keypoints
    looks_at_keypoints = False

    def __init__(
        self,
        min_gt_bbox_wh: Range = (1, 1),
        min_gt_mask_area: int = 1,
        by_box: bool = True,
        by_mask: bool = False,
        keep_empty: bool = True,
    ) -> None:
        if not by_box or by_mask:
            raise ConfigError(
                f"{type(self).__name__} looks at boxes, there are no masks: by_box=True and "
                f"by_mask=False, got {by_box=}, {by_mask=}"
            )
        keypoints = self.looks_at_keypoints
        super().__init__(min_gt_bbox_wh, by_box=True, by_kpt=keypoints, keep_empty=keep_empty)


@TRANSFORMS.register_module(scope="mmyolo")
class FilterDetPoseAnnotations(_FilterByBox):
    """`FilterAnnotations` by box and visible keypoints, with MMDetection's arguments.

    Args:
        min_gt_bbox_wh, keep_empty: as `FilterAnnotations`.
        min_gt_mask_area: kept for configs; there are no masks.
        by_box: has to be True.
        by_mask: has to be False.

    Raises:
        ConfigError: another choice of tests.
    """

    looks_at_keypoints = True


@TRANSFORMS.register_module(name="FilterAnnotations", scope="mmdet")
class DetectionFilterAnnotations(_FilterByBox):
    """`FilterAnnotations` by box alone; arguments as of `FilterDetPoseAnnotations`."""
