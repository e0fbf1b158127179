"""Random changes of colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from poise.errors import DataError
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.randomness import cache_randomness

__all__ = ["PhotometricDistortion", "YOLOXHSVRandomAug"]

HUES = 180
"""OpenCV's 8-bit hue counts in steps of 2 degrees."""

_LEVELS = np.arange(256)


class _Distortion(NamedTuple):
    """One draw of `PhotometricDistortion`, in the order in which MMPose draws."""

    contrast_last: int
    brightness: int
    contrast: int
    hsv: int
    swap: int
    brightness_shift: float
    contrast_factor: float
    saturation_factor: float
    hue_shift: int
    channel_order: np.ndarray


@TRANSFORMS.register_module()
class PhotometricDistortion(BaseTransform):
    """Change brightness, contrast, saturation, hue and channel order, each half of the time.

    As in SSD (Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2).

    Args:
        brightness_delta: largest change of brightness, levels.
        contrast_range: (smallest, largest) factor on all channels.
        saturation_range: (smallest, largest) factor on saturation.
        hue_delta: largest change of hue, steps of 2 degrees.
        mmpose_faults: MMPose changes contrast either not at all or twice, before and after the
            change of colour, depending on a draw that should choose between before and after;
            False does what was meant.
    """

    def __init__(
        self,
        brightness_delta: int = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: int = 18,
        *,
        mmpose_faults: bool = True,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range, self.saturation_range = contrast_range, saturation_range
        self.contrast_lower, self.contrast_upper = contrast_range
        self.saturation_lower, self.saturation_upper = saturation_range
        self.hue_delta = hue_delta
        self.mmpose_faults = mmpose_faults

    @cache_randomness
    def _random_flags(self) -> _Distortion:
        """Draw what to change and by how much; see `_Distortion`."""
        flag = np.random.randint
        return _Distortion(
            contrast_last=flag(2),
            brightness=flag(2),
            contrast=flag(2),
            hsv=flag(4),
            swap=flag(2),
            brightness_shift=np.random.uniform(-self.brightness_delta, self.brightness_delta),
            contrast_factor=np.random.uniform(self.contrast_lower, self.contrast_upper),
            saturation_factor=np.random.uniform(self.saturation_lower, self.saturation_upper),
            hue_shift=np.random.randint(-self.hue_delta, self.hue_delta),
            channel_order=np.random.permutation(3),
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, (H, W, 3) BGR; it becomes uint8 where more than the order is changed.

        Raises:
            DataError: a picture of another kind.
        """
        image, draw = _checked(results["img"], self), self._random_flags()
        if self.mmpose_faults:
            early = late = bool(draw.contrast and draw.contrast_last)
        else:
            early = bool(draw.contrast and not draw.contrast_last)
            late = bool(draw.contrast and draw.contrast_last)
        if draw.brightness:
            image = _linear(image, shift=draw.brightness_shift)
        if early:
            image = _linear(image, factor=draw.contrast_factor)
        if draw.hsv:
            image = _change_hsv(image, draw)
        if late:
            image = _linear(image, factor=draw.contrast_factor)
        if draw.swap:
            image = np.ascontiguousarray(image[..., draw.channel_order])
        results["img"] = image
        return results


def _linear(image: np.ndarray, *, factor: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Factor * image + shift, cut to 0..255 and rounded down to uint8."""
    if image.dtype == np.uint8:
        # 256 levels instead of every pixel; float32 as there would be per pixel
        return cv2.LUT(image, _linear(_LEVELS.astype(np.float32), factor=factor, shift=shift))
    levels = image.astype(np.float32) * np.float32(factor) + np.float32(shift)
    return np.clip(levels, 0, 255).astype(np.uint8)


def _change_hsv(image: np.ndarray, draw: _Distortion) -> np.ndarray:
    """Saturation where draw.hsv is 1 or 3, hue where it is 2 or 3."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    if draw.hsv in (1, 3):
        hsv[..., 1] = _linear(hsv[..., 1], factor=draw.saturation_factor)
    if draw.hsv in (2, 3):
        # wraps at 256, not at 180, as in MMPose; OpenCV reads hues modulo 180
        hsv[..., 0] = (hsv[..., 0].astype(int) + draw.hue_shift).astype(hsv.dtype)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


# MMPose and MMDetection have the same class
@TRANSFORMS.register_module()
@TRANSFORMS.register_module(scope="mmdet")
class YOLOXHSVRandomAug(BaseTransform):
    """Shift hue, saturation and value at random, each half of the time (YOLOX, Ge et al. 2021).

    Args:
        hue_delta: largest shift of hue, steps of 2 degrees.
        saturation_delta, value_delta: largest shift, levels.
    """

    def __init__(
        self, hue_delta: int = 5, saturation_delta: int = 30, value_delta: int = 30
    ) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta

    @cache_randomness
    def _get_hsv_gains(self) -> np.ndarray:
        """Draw the three shifts, (3,) int16."""
        largest = (self.hue_delta, self.saturation_delta, self.value_delta)
        shifts = np.random.uniform(-1, 1, 3) * largest
        return (shifts * np.random.randint(0, 2, 3)).astype(np.int16)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, (H, W, 3) BGR.

        Raises:
            DataError: a picture of another kind.
        """
        image, shifts = _checked(results["img"], self), self._get_hsv_gains()
        # one table of 256 levels a channel
        table = _LEVELS[:, None] + shifts
        table[:, 0] %= HUES
        table = np.clip(table, 0, 255).astype(np.uint8)[None]
        if image.dtype == np.uint8:
            hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), table)
            results["img"] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        else:
            results["img"] = _shift_float_hsv(image, shifts)
        return results


def _shift_float_hsv(image: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """As the table does, on whole levels of a float32 picture, as MMPose gives them."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.int16) + shifts
    hsv[..., 0] %= HUES
    return cv2.cvtColor(np.clip(hsv, 0, 255).astype(image.dtype), cv2.COLOR_HSV2BGR)


def _checked(image: Any, step: BaseTransform) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in (np.uint8, np.float32):
        raise DataError(
            f"{type(step).__name__} changes pictures (H, W, 3) uint8 or float32, got {image.dtype} "
            f"{image.shape}; LoadImage with color_type='color' gives them"
        )
    return image
