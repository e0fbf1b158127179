"""Samples made of several pictures: Mosaic and MixUp."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from poise.errors import DataError
from poise.geometry.boxes import bbox_clip_border, flip_bbox
from poise.geometry.keypoints import flip_keypoints, keypoint_clip_border
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.compose import Compose
from poise.transforms.image import flip_image, resize_image
from poise.transforms.randomness import cache_randomness
from poise.transforms.topdown import checked_size

__all__ = [
    "COLUMNS",
    "MixImageTransform",
    "Mosaic",
    "YOLOXMixUp",
    "clipped",
    "count_of",
    "drop_outside",
    "pick_rows",
]

#: annotation columns that are put together, one entry a person
COLUMNS = (
    "bbox",
    "bbox_score",
    "bbox_label",
    "ignore_flag",
    "category_id",
    "keypoints",
    "keypoints_visible",
    "area",
)


class MixImageTransform(BaseTransform):
    """Base of steps that draw further samples from the dataset; override `apply_mix`.

    Args:
        pre_transform: pipeline for the further samples, which at least loads the picture.
        prob: how often samples are mixed.

    Raises:
        DataError: `pre_transform` drops a sample.
    """

    #: how many further samples are drawn
    num_aux_image: int
    #: how often another one is drawn in place of one that `pre_transform` drops
    redraws = 0

    def __init__(self, pre_transform: Sequence[Any] | None = None, prob: float = 1.0) -> None:
        self.prob = prob
        self.pre_transform = None if pre_transform is None else Compose(pre_transform)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix `results` with samples of `results['dataset']`."""
        if np.random.uniform(0, 1) >= self.prob:
            return results
        dataset = results["dataset"]
        del results["dataset"]
        results["mixed_data_list"] = self._get_mixed_data_list(dataset)
        results = self.apply_mix(results)
        results.pop("mixed_data_list", None)
        results["dataset"] = dataset
        return results

    @abstractmethod
    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix `results` with the samples in `results['mixed_data_list']`."""

    def _get_mixed_data_list(self, dataset: Any) -> list[dict[str, Any]]:
        """Draw `num_aux_image` samples."""
        drawn = [self._draw(dataset) for _ in range(self.num_aux_image)]
        return [self._loaded(dataset, index, sample) for index, sample in drawn]

    def _draw(self, dataset: Any) -> tuple[int, dict[str, Any]]:
        """Draw a sample; also gives its number."""
        index = int(np.random.randint(0, len(dataset)))
        return index, dataset.get_data_info(index)

    def _loaded(self, dataset: Any, index: int, sample: dict[str, Any]) -> dict[str, Any]:
        """The sample, or another one that is drawn for it, after `pre_transform`."""
        if self.pre_transform is None:
            return sample
        for left in reversed(range(self.redraws + 1)):
            loaded: dict[str, Any] | None = self.pre_transform(sample | {"dataset": dataset})
            if loaded is not None:
                loaded.pop("dataset", None)
                return loaded
            if left:
                index, sample = self._draw(dataset)
        raise DataError(
            f"pre_transform of {type(self).__name__} dropped sample {index}; only steps "
            "that always give a sample can be there (LoadImage without ignore_empty)"
        )

    def _auxiliaries(self, results: dict[str, Any]) -> list[dict[str, Any]]:
        samples: list[dict[str, Any]] = results.pop("mixed_data_list")
        if len(samples) != self.num_aux_image:
            raise DataError(
                f"{type(self).__name__} mixes {self.num_aux_image} further samples, got "
                f"{len(samples)}"
            )
        return samples


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns of several samples one below the other, where all samples have them."""
    return {
        key: np.concatenate([part[key] for part in parts])
        for key in COLUMNS
        if all(key in part for part in parts)
    }


def clipped(columns: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Boxes clipped to a picture of (width, height), keypoints outside of it hidden."""
    if "bbox" in columns:
        columns["bbox"] = bbox_clip_border(columns["bbox"], size)
    if "keypoints" in columns:
        columns["keypoints"], columns["keypoints_visible"] = keypoint_clip_border(
            columns["keypoints"], columns["keypoints_visible"], size
        )
    return columns


def count_of(results: dict[str, Any]) -> int:
    """How many people or things are annotated."""
    return len(results["keypoints" if "keypoints" in results else "bbox"])


def pick_rows(results: dict[str, Any], rows: np.ndarray) -> None:
    """Keep some of the annotated people or things: `rows` is (N,) bool."""
    for key in COLUMNS:
        if key in results:
            results[key] = results[key][rows]


def drop_outside(results: dict[str, Any], size: tuple[int, int]) -> None:
    """Drop those whose box (N, 4) has nothing of a picture of (width, height)."""
    boxes = results["bbox"]
    pick_rows(results, (boxes[:, :2] < size).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))


def _placed(sample: dict[str, Any], factor: float, offset: tuple[int, int]) -> dict[str, Any]:
    """Columns of a sample whose picture is scaled by `factor` and moved by `offset` (x, y)."""
    columns: dict[str, Any] = {key: sample[key] for key in COLUMNS if key in sample}
    for key in ("bbox", "keypoints"):
        if key in columns:
            moved = columns[key] * float(factor)
            moved[..., 0::2] += offset[0]
            moved[..., 1::2] += offset[1]
            columns[key] = moved
    if "area" in columns:
        columns["area"] = columns["area"] * factor**2
    return columns


@TRANSFORMS.register_module()
class Mosaic(MixImageTransform):
    """Put four pictures around a random point (YOLOv4, Bochkovskiy et al. 2020, section 3.3).

    The result is twice `img_scale` in each direction; the own picture lies top left of the
    point, the drawn ones top right, bottom left, bottom right, and what is left over is grey.

    Args:
        img_scale: (width, height) that each picture is fitted into.
        center_range: limits of the point, as parts of `img_scale`.
        pad_val: grey level, or levels of blue, green and red.
        pre_transform, prob: see `MixImageTransform`.
    """

    num_aux_image = 3

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_range: tuple[float, float] = (0.5, 1.5),
        pad_val: float | Sequence[float] = 114.0,
        pre_transform: Sequence[Any] | None = None,
        prob: float = 1.0,
    ) -> None:
        super().__init__(pre_transform=pre_transform, prob=prob)
        self.img_scale = checked_size("img_scale", img_scale)
        self.center_range = center_range
        self.pad_val = pad_val

    @cache_randomness
    def _get_center(self) -> tuple[int, int]:
        """Draw the point where the pictures meet, (x, y)."""
        width, height = self.img_scale
        return (
            int(np.random.uniform(*self.center_range) * width),
            int(np.random.uniform(*self.center_range) * height),
        )

    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `img_shape` (with channels) and the annotation columns."""
        samples = [results, *self._auxiliaries(results)]
        width, height = (2 * n for n in self.img_scale)
        canvas = np.full((height, width, 3), self.pad_val, dtype=results["img"].dtype)
        center = self._get_center()
        columns = [
            self._paste(canvas, sample, center, right=place % 2 == 1, below=place >= 2)
            for place, sample in enumerate(samples)
        ]
        results.update(clipped(_joined(columns), (width, height)))
        results["img"] = canvas
        results["img_shape"] = canvas.shape
        return results

    def _paste(
        self,
        canvas: np.ndarray,
        sample: dict[str, Any],
        center: tuple[int, int],
        *,
        right: bool,
        below: bool,
    ) -> dict[str, Any]:
        """Paste one picture, with a corner at `center`; give its moved annotations."""
        image = sample["img"]
        height, width = image.shape[:2]
        factor = min(self.img_scale[1] / height, self.img_scale[0] / width)
        image = resize_image(image, (int(width * factor), int(height * factor)))
        size = (image.shape[1], image.shape[0])
        limits = (canvas.shape[1], canvas.shape[0])
        corner = [
            c if after else c - n for c, n, after in zip(center, size, (right, below), strict=True)
        ]
        (x1, x2), (y1, y2) = (
            (max(start, 0), min(start + n, limit))
            for start, n, limit in zip(corner, size, limits, strict=True)
        )
        x, y = corner
        canvas[y1:y2, x1:x2] = image[y1 - y : y2 - y, x1 - x : x2 - x]
        return _placed(sample, factor, (x, y))


class _MixUpDraw(NamedTuple):
    factor: float
    """on the second picture, after it was fitted into `img_scale`"""
    flip: bool
    crop: tuple[int, int]
    """left and top of the part of the second picture that is mixed in"""


@TRANSFORMS.register_module()
class YOLOXMixUp(MixImageTransform):
    """Average the picture with another one (YOLOX, Ge et al. 2021; mixup, Zhang et al. 2018).

    The other picture is fitted into `img_scale`, rescaled and flipped at random, and cropped to
    the size of the first.

    Args:
        img_scale: (width, height) that the other picture is fitted into.
        ratio_range: limits of the random factor on it.
        flip_ratio: the other picture is flipped with probability 1 - flip_ratio.
        pad_val: grey level around it, or levels of blue, green and red.
        bbox_clip_border: has no effect, as in MMPose: boxes are always clipped.
        pre_transform, prob: see `MixImageTransform`.
    """

    num_aux_image = 1
    #: x is mirrored to w - 1 - x + this
    mirror_offset = 0

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float | Sequence[float] = 114.0,
        bbox_clip_border: bool = True,
        pre_transform: Sequence[Any] | None = None,
        prob: float = 1.0,
    ) -> None:
        super().__init__(pre_transform=pre_transform, prob=prob)
        self.img_scale = checked_size("img_scale", img_scale)
        self.ratio_range = ratio_range
        self.flip_ratio = flip_ratio
        self.pad_val = pad_val
        self.bbox_clip_border = bbox_clip_border

    @cache_randomness
    def _get_params(self, size: tuple[int, int]) -> _MixUpDraw:
        """Draw for a first picture of (width, height)."""
        factor = np.random.uniform(*self.ratio_range)
        flip = bool(np.random.uniform(0, 1) > self.flip_ratio)
        margins = [
            max(0, int(n * factor) - own) for n, own in zip(self.img_scale, size, strict=True)
        ]
        top, left = (self._draw_corner(margin) for margin in reversed(margins))
        return _MixUpDraw(factor, flip, (left, top))

    @staticmethod
    def _draw_corner(margin: int) -> int:
        """Draw where the crop begins, of 0 to `margin`."""
        return int(np.random.randint(0, margin + 1))

    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `img_shape` (with channels) and the annotation columns."""
        (other,) = self._auxiliaries(results)
        if count_of(other) == 0:
            return results
        image = results["img"]
        size = (image.shape[1], image.shape[0])
        draw = self._get_params(size)
        factor = min(
            n / own for n, own in zip(self.img_scale, other["img"].shape[1::-1], strict=True)
        )
        layer = self._layer(other["img"], factor, draw)
        patch = _cropped(layer, draw.crop, size, self.pad_val)
        columns = self._moved(other, factor * draw.factor, draw, (layer.shape[1], layer.shape[0]))
        results.update(clipped(_joined([results, columns]), size))
        results["img"] = _average(image, patch)
        results["img_shape"] = image.shape
        return results

    def _layer(self, image: np.ndarray, factor: float, draw: _MixUpDraw) -> np.ndarray:
        """The other picture on its canvas, rescaled and flipped, uint8."""
        width, height = self.img_scale
        fitted = resize_image(image, (int(image.shape[1] * factor), int(image.shape[0] * factor)))
        # a level with a point makes the canvas float64: fractions are cut off only at the end; a
        # whole number leaves it in whole levels, which the resize rounds
        dtype = np.float64 if np.asarray(self.pad_val).dtype.kind == "f" else image.dtype
        canvas = np.full((height, width, 3), self.pad_val, dtype)
        canvas[: fitted.shape[0], : fitted.shape[1]] = fitted
        size = (int(width * draw.factor), int(height * draw.factor))
        layer = resize_image(canvas, size).astype(np.uint8)
        return flip_image(layer, "horizontal") if draw.flip else layer

    def _moved(
        self, other: dict[str, Any], factor: float, draw: _MixUpDraw, size: tuple[int, int]
    ) -> dict[str, Any]:
        """Annotations of the other picture as they come to lie on the first."""
        columns: dict[str, Any] = clipped(_placed(other, factor, (0, 0)), size)
        if draw.flip:
            size = size[0] + self.mirror_offset, size[1] + self.mirror_offset
            columns["bbox"] = flip_bbox(columns["bbox"], size, "xyxy")
            if "keypoints" in columns:
                columns["keypoints"], columns["keypoints_visible"] = flip_keypoints(
                    columns["keypoints"], columns["keypoints_visible"], size, other["flip_indices"]
                )
        left, top = draw.crop
        return _placed(columns, 1.0, (-left, -top))


def _cropped(
    layer: np.ndarray,
    corner: tuple[int, int],
    size: tuple[int, int],
    pad_val: float | Sequence[float],
) -> np.ndarray:
    """Part of `layer` of (width, height) at `corner` (x, y), padded right and below."""
    left, top = corner
    part = layer[top : top + size[1], left : left + size[0]]
    below, right = size[1] - part.shape[0], size[0] - part.shape[1]
    if not below and not right:
        return part
    levels = np.broadcast_to(pad_val, 3).astype(int).tolist()
    return cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_CONSTANT, value=levels)


def _average(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Mean of two pictures, fractions cut off, uint8."""
    if one.dtype != np.uint8:
        return (0.5 * one + 0.5 * two).astype(np.uint8)
    # floor((a + b) / 2) without leaving 8 bits
    return (one & two) + ((one ^ two) >> 1)
