"""Random crops of a whole picture with the people in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise.errors import ArgumentError, one_of
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.randomness import cache_randomness

__all__ = ["BottomupRandomCrop"]

_CROP_TYPES = ("relative_range", "relative", "absolute", "absolute_range")

#: columns of the annotations, one entry a person, that follow the boxes
_PER_PERSON = (
    "bbox_score",
    "bbox_label",
    "ignore_flag",
    "id",
    "category_id",
    "raw_ann_info",
    "iscrowd",
)


# the same steps as MMDetection's class
@TRANSFORMS.register_module()
@TRANSFORMS.register_module(name="RandomCrop", scope="mmdet")
class BottomupRandomCrop(BaseTransform):
    """Crop at random; people whose box lies outside are dropped.

    Args:
        crop_size: (width, height), or limits; see `crop_type`.
        crop_type: "absolute": this many pixels. "absolute_range": each side is drawn from
            crop_size[0]..crop_size[1]. "relative": these parts of the sides. "relative_range":
            parts drawn from crop_size[0]..1 for the height and crop_size[1]..1 for the width.
        allow_negative_crop: keep samples without people; else None is returned for them.
        recompute_bbox: take the boxes from the cropped `masks`.
        bbox_clip_border: clip boxes to the crop and hide keypoints outside of it.

    Raises:
        ArgumentError: unknown `crop_type`, or sizes that do not suit it.
    """

    def __init__(
        self,
        crop_size: tuple[float, float],
        crop_type: str = "absolute",
        allow_negative_crop: bool = False,
        recompute_bbox: bool = False,
        bbox_clip_border: bool = True,
    ) -> None:
        one_of(crop_type, _CROP_TYPES, "crop_type", ArgumentError)
        first, second = crop_size
        if crop_type.startswith("absolute"):
            whole = isinstance(first, int) and isinstance(second, int) and min(crop_size) > 0
            if not whole or (crop_type == "absolute_range" and first > second):
                raise ArgumentError(
                    f"crop_type={crop_type!r} needs two positive whole numbers"
                    f"{', the smaller first' * crop_type.endswith('range')}, got {crop_size}"
                )
        elif not (0 < first <= 1 and 0 < second <= 1):
            raise ArgumentError(f"crop_type={crop_type!r} needs parts in 0..1, got {crop_size}")
        self.crop_size = tuple(crop_size)
        self.crop_type = crop_type
        self.allow_negative_crop = allow_negative_crop
        self.recompute_bbox = recompute_bbox
        self.bbox_clip_border = bbox_clip_border

    @cache_randomness
    def _get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Draw (height, width) of the crop for a picture of (height, width)."""
        height, width = image_size
        first, second = self.crop_size
        if self.crop_type == "absolute":
            return int(min(second, height)), int(min(first, width))
        if self.crop_type == "absolute_range":
            low, high = int(first), int(second)
            return (
                np.random.randint(min(height, low), min(height, high) + 1),
                np.random.randint(min(width, low), min(width, high) + 1),
            )
        if self.crop_type == "relative":
            return int(height * second + 0.5), int(width * first + 0.5)
        smallest = np.asarray(self.crop_size, np.float32)
        tall, wide = smallest + np.random.rand(2) * (1 - smallest)
        return int(height * tall + 0.5), int(width * wide + 0.5)

    @cache_randomness
    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        """Draw the crop's top and left within what is left over."""
        return np.random.randint(0, margin[0] + 1), np.random.randint(0, margin[1] + 1)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Crop `img`, boxes, keypoints and masks; extend `warp_mat`, (3, 3)."""
        image = results["img"]
        tall, wide = self._get_crop_size(image.shape[:2])
        top, left = self._rand_offset(
            (max(image.shape[0] - tall, 0), max(image.shape[1] - wide, 0))
        )
        moved = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float32)
        before = results.get("warp_mat")
        if before is not None:
            square = before if len(before) == 3 else np.vstack([before, [0, 0, 1]])
            moved = moved @ square
        results["warp_mat"] = moved
        results["img"] = image[top : top + tall, left : left + wide]
        results["img_shape"] = results["img"].shape[:2]
        if results.get("bbox") is None:
            return results
        return self._crop_people(results, left, top, wide, tall)

    def _crop_people(
        self, results: dict[str, Any], left: int, top: int, wide: int, tall: int
    ) -> dict[str, Any] | None:
        height, width = results["img_shape"]
        boxes = results["bbox"] - np.array([left, top] * 2)
        if self.bbox_clip_border:
            boxes[..., 0::2] = boxes[..., 0::2].clip(0, width)
            boxes[..., 1::2] = boxes[..., 1::2].clip(0, height)
        inside = (boxes[..., :2] < [width, height]).all(-1) & (boxes[..., 2:] > 0).all(-1)
        if not inside.any() and not self.allow_negative_crop:
            return None
        count = len(boxes)
        results["bbox"] = boxes[inside]
        for key in _PER_PERSON:
            results_of = results.get(key)
            if isinstance(results_of, list) and len(results_of) == count:
                results[key] = [v for v, keep in zip(results_of, inside, strict=True) if keep]
            elif isinstance(results_of, np.ndarray) and len(results_of) == count:
                results[key] = results_of[inside]
        if results.get("keypoints") is not None:
            self._crop_keypoints(results, inside, (left, top), (width, height))
        if isinstance(results.get("segmentation"), np.ndarray):
            results["segmentation"] = results["segmentation"][top : top + tall, left : left + wide]
        if isinstance(results.get("masks"), np.ndarray):
            masks = results["masks"][inside][:, top : top + tall, left : left + wide]
            results["masks"] = masks
            if self.recompute_bbox:
                results["bbox"] = _boxes_of(masks, results["bbox"].dtype)
        return results

    def _crop_keypoints(
        self,
        results: dict[str, Any],
        inside: np.ndarray,
        corner: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        points = results["keypoints"] - np.array(corner)
        visible = results["keypoints_visible"]
        if self.bbox_clip_border:
            hidden = ((points < 0) | (points > size)).any(-1)
            visible = visible.copy()
            visible[hidden] = 0
        results["keypoints"] = points.clip(0, size)[inside]
        results["keypoints_visible"] = visible[inside]


def _boxes_of(masks: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Boxes (N, 4) x1 y1 x2 y2 around the set pixels of masks (N, H, W); 0 for empty masks."""
    boxes = np.zeros((len(masks), 4), dtype)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
