"""From a whole picture to the network's input, without a box."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError, one_of
from poise.geometry.pictures import warp_picture
from poise.geometry.warps import get_udp_warp_matrix, get_warp_matrix
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.bottomup_affine import border_value
from poise.transforms.detection import Resize
from poise.transforms.image import rescale_image, resize_image
from poise.transforms.randomness import cache_randomness
from poise.transforms.topdown import checked_size

__all__ = ["BottomupRandomChoiceResize", "BottomupResize", "RandomChoiceResize"]

#: width, height
Size = tuple[int, int]
LONGEST_SIDE = 32_766
"""Pixels of the longest picture that OpenCV warps."""


@TRANSFORMS.register_module()
class BottomupResize(BaseTransform):
    """Resize the whole picture into the network's input with its aspect ratio kept.

    Args:
        input_size: (width, height) wanted.
        aug_scales: further sizes, as factors on `input_size`; `img` becomes a list then.
        size_factor: the input's sides are multiples of it (the network's stride).
        resize_mode: "fit" puts the picture into `input_size` and pads; "expand" makes the
            picture cover `input_size`, so that the input exceeds it in one direction.
        pad_val: colour of the padding.
        use_udp: measure distances between pixel centres.

    Raises:
        ArgumentError: unknown `resize_mode`, or with "fit" a size that is no multiple of
            `size_factor`.
        DataError: with "expand" a picture that is a thousand times as long as it is wide, or so.
    """

    def __init__(
        self,
        input_size: Size,
        aug_scales: list[float] | None = None,
        size_factor: int = 32,
        resize_mode: str = "fit",
        pad_val: float | tuple[float, ...] = (0, 0, 0),
        use_udp: bool = False,
    ) -> None:
        one_of(resize_mode, ("fit", "expand"), "resize_mode of BottomupResize", ArgumentError)
        self.input_size = checked_size("input_size", input_size)
        self.aug_scales = aug_scales
        self.size_factor = size_factor
        self.resize_mode = resize_mode
        self.pad_val = border_value(pad_val)
        self.use_udp = use_udp
        width, height = self.input_size
        self._wanted = [self.input_size]
        self._wanted += [(int(width * s), int(height * s)) for s in aug_scales or ()]
        for size in self._wanted:
            if resize_mode == "fit" and self._up(size) != size:
                raise ArgumentError(
                    f"resize_mode='fit' needs sides that are multiples of size_factor "
                    f"{size_factor}, got {size} (input_size {self.input_size}, aug_scales "
                    f"{aug_scales}); use {self._up(size)}, or resize_mode='expand'"
                )

    def _up(self, size: tuple[float, float]) -> Size:
        """Size with both sides raised to a multiple of `size_factor`."""
        step = self.size_factor
        return math.ceil(size[0] / step) * step, math.ceil(size[1] / step) * step

    def _get_input_size(self, img_size: Size, input_size: Size) -> tuple[tuple[float, float], Size]:
        """(width, height) that the picture takes, and that of the padded input around it."""
        ratio = img_size[0] / img_size[1]
        width, height = self._up(input_size)
        if self.resize_mode == "fit":
            return (min(width, height * ratio), min(height, width / ratio)), (width, height)
        taken = (max(width, height * ratio), max(height, width / ratio))
        return taken, self._up(taken)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Warp `img`; set `img_shape`, `input_size`, `input_center`, `input_scale`.

        With `aug_scales` these four describe the first of the pictures.
        """
        image = results["img"]
        height, width = results["ori_shape"]
        pyramid = []
        for place, wanted in enumerate(self._wanted):
            taken, padded = self._get_input_size((width, height), wanted)
            if max(padded) > LONGEST_SIDE:
                raise DataError(
                    f"BottomupResize would make an input of {padded[0]}x{padded[1]} of a picture "
                    f"of {width}x{height}; cut the picture, or use resize_mode='fit'"
                )
            center, scale, matrix = self._warp_of((width, height), taken, padded)
            pyramid.append(warp_picture(image, matrix, padded, fill=self.pad_val))
            if place == 0:
                results["img_shape"] = padded[::-1]
                results["input_center"] = center
                results["input_scale"] = scale
                results["input_size"] = padded
        if self.aug_scales:
            results["img"] = pyramid
            results["aug_scales"] = self.aug_scales
        else:
            results["img"] = pyramid[0]
            results["aug_scale"] = None
        return results

    def _warp_of(
        self, image_size: Size, taken: tuple[float, float], padded: Size
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre and scale (2,) float32, image space, and the matrix to input space."""
        size = np.array(image_size, np.float32)
        if self.use_udp:
            # the picture starts at the input's origin; padding comes right and below
            center = (size - 1) / 2
            return center, size, get_udp_warp_matrix(center, size, 0, taken)
        scale = np.array(
            [n * p / t for n, p, t in zip(image_size, padded, taken, strict=True)], np.float32
        )
        return size / 2, scale, get_warp_matrix(size / 2, scale, 0, padded)


@TRANSFORMS.register_module()
class BottomupRandomChoiceResize(BaseTransform):
    """Resize picture, boxes and keypoints to a size drawn from a list.

    Args:
        scales: sizes to draw from: pairs of limits for the sides, or factors; or a single one.
        keep_ratio: stay within the limits with the aspect ratio kept; else (width, height)
            exactly.
        clip_object_border: clip boxes and keypoints to the picture.
        backend: "cv2" or "pillow".
        mmpose_faults: give `input_size` as (height, width) and swap x and y in `input_center`
            and `input_scale` like MMPose; False gives them as everywhere else.
        **resize_kwargs: accepted, as in MMPose.
    """

    def __init__(
        self,
        scales: Any,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        *,
        mmpose_faults: bool = True,
        **resize_kwargs: Any,
    ) -> None:
        candidates = scales if isinstance(scales, list) else [scales]
        if not candidates:
            raise ArgumentError("scales of BottomupRandomChoiceResize needs at least one size")
        self.scales = [tuple(s) if isinstance(s, (list, tuple)) else s for s in candidates]
        if not keep_ratio and not all(isinstance(s, tuple) for s in self.scales):
            raise ArgumentError(
                f"keep_ratio=False needs (width, height) pairs in scales, got {scales!r}"
            )
        self.keep_ratio = keep_ratio
        self.clip_object_border = clip_object_border
        self.backend = backend
        self.mmpose_faults = mmpose_faults

    @cache_randomness
    def _random_select(self) -> tuple[Any, int]:
        """Draw a size and its place in `scales`."""
        place = int(np.random.randint(len(self.scales)))
        return self.scales[place], place

    def _resize_image(self, results: dict[str, Any]) -> Any:
        """Change `img`, `img_shape`; add `scale_factor`, `scale_idx`; return the drawn size."""
        wanted, results["scale_idx"] = self._random_select()
        before = results["img"]
        resize = rescale_image if self.keep_ratio else resize_image
        image = resize(before, wanted, self.backend)
        height, width = image.shape[:2]
        factor = (width / before.shape[1], height / before.shape[0])
        results.update(img=image, img_shape=(height, width), scale_factor=factor)
        return wanted

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `img_shape`, `bbox`, `keypoints`; add `scale_factor`, `scale_idx`,
        `input_size`, `input_center`, `input_scale`.
        """
        self._resize_image(results)
        (height, width), factor = results["img_shape"], results["scale_factor"]
        original = results["ori_shape"] if self.mmpose_faults else results["ori_shape"][::-1]
        results["input_size"] = (height, width) if self.mmpose_faults else (width, height)
        results["input_scale"] = np.array(original, np.float32)
        results["input_center"] = results["input_scale"] / 2

        if results.get("bbox") is not None:
            results["bbox"] = self._clip(results["bbox"] * np.array(factor * 2), width, height)
        if results.get("keypoints") is not None:
            keypoints = results["keypoints"].copy()
            keypoints[..., :2] = keypoints[..., :2] * np.array(factor)
            results["keypoints"] = keypoints
            self._clip(keypoints[..., :2], width, height)
        return results

    def _clip(self, points: np.ndarray, width: int, height: int) -> np.ndarray:
        """(..., 2n) x and y in turn, clipped in place to the picture."""
        if self.clip_object_border:
            if points.shape[-1] % 2:
                raise DataError(f"expected x and y in turn, got an array of shape {points.shape}")
            points[..., 0::2] = points[..., 0::2].clip(0, width)
            points[..., 1::2] = points[..., 1::2].clip(0, height)
        return points


@TRANSFORMS.register_module(scope="mmcv")
class RandomChoiceResize(BottomupRandomChoiceResize):
    """Resize the picture to a size drawn from a list, as MMCV does.

    MMCV knows nothing of `bbox` and `keypoints` and leaves them as they are; ED-Pose's config
    trains so in MMPose. In a pipeline of detectors (after `mmdet.LoadAnnotations`) MMCV has
    MMDetection's `Resize` do it, which moves them. Arguments are those of
    `BottomupRandomChoiceResize`.

    Args:
        mmpose_faults: False moves boxes and keypoints with the picture.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img` and `img_shape`; add `scale_factor`, `scale_idx`, `scale`, `keep_ratio`."""
        if "bbox_label" in results:
            wanted, results["scale_idx"] = self._random_select()
            options = (self.keep_ratio, self.clip_object_border, self.backend)
            return Resize(wanted, None, *options).transform(results)
        if not self.mmpose_faults:
            return super().transform(results)
        wanted = self._resize_image(results)
        results.update(scale=wanted, keep_ratio=self.keep_ratio)
        return results
