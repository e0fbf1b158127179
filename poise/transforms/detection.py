"""Steps of detectors' pipelines: fit the picture into the input, pad it, pack it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, ConfigError, one_of
from poise.registry import TRANSFORMS
from poise.structures import InstanceData, PoseDataSample
from poise.transforms.base import BaseTransform
from poise.transforms.image import rescale_image, resize_image
from poise.transforms.mixing import clipped
from poise.transforms.packing import image_to_tensor
from poise.transforms.randomness import cache_randomness

__all__ = [
    "LoadAnnotations",
    "PackDetInputs",
    "PackDetPoseInputs",
    "Pad",
    "PoseToDetConverter",
    "RandomResize",
    "Resize",
]

_BACKENDS = ("cv2", "pillow")
#: what is kept about a picture
_META_KEYS = (
    "img_id",
    "img_path",
    "ori_shape",
    "img_shape",
    "scale_factor",
    "flip",
    "flip_direction",
)
#: columns of pose data sets that boxes alone do without
_OF_POSES = ("keypoints", "keypoints_visible", "bbox_score", "category_id", "area")


@TRANSFORMS.register_module(scope="mmdet")
class Resize(BaseTransform):
    """Fit a picture, and the people in it, into a size.

    Writes `scale_factor` (x, y) and `img_shape`.

    Args:
        scale: (width, height) that the picture fits into; an int is both.
        scale_factor: factor, or factors of width and height, in place of `scale`.
        keep_ratio: keep the aspect ratio, so that one side may be shorter.
        clip_object_border: clip boxes to the picture and hide keypoints outside of it.
        backend: "cv2" or "pillow".
        interpolation: "bilinear", which released detectors use.

    Raises:
        ConfigError: neither `scale` nor `scale_factor`, or another interpolation.
        ArgumentError: an unknown backend.
    """

    def __init__(
        self,
        scale: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        if (scale is None) == (scale_factor is None):
            raise ConfigError("Resize takes `scale` (width, height) or `scale_factor`, one of them")
        if interpolation != "bilinear":
            raise ConfigError(f"Resize interpolates bilinearly, not {interpolation!r}")
        one_of(backend, _BACKENDS, "backend", ArgumentError)
        self.scale = (scale, scale) if isinstance(scale, (int, float)) else scale
        self.scale_factor = scale_factor
        self.keep_ratio = keep_ratio
        self.clip_object_border = clip_object_border
        self.backend = backend

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `img_shape`, `bbox`, `keypoints`; write `scale`, `scale_factor` ..."""
        image = results["img"]
        height, width = image.shape[:2]
        target = self.scale or _scaled((width, height), self.scale_factor)
        if self.keep_ratio:
            image = rescale_image(image, target, self.backend)
        else:
            image = resize_image(image, target, self.backend)
        results["img"], results["img_shape"] = image, image.shape[:2]
        results["scale"], results["keep_ratio"] = target, self.keep_ratio
        factors = image.shape[1] / width, image.shape[0] / height
        results["scale_factor"] = factors
        if "bbox" in results:
            results["bbox"] = results["bbox"] * np.asarray(factors * 2, np.float32)
        if "keypoints" in results:
            results["keypoints"] = results["keypoints"] * np.asarray(factors, np.float32)
            results["keypoints_visible"] = results["keypoints_visible"].copy()
        if self.clip_object_border:
            clipped(results, image.shape[1::-1])
        return results


def _scaled(size: tuple[int, int], factor: Any) -> tuple[int, int]:
    factors = (factor, factor) if isinstance(factor, (int, float)) else factor
    return int(size[0] * factors[0]), int(size[1] * factors[1])


@TRANSFORMS.register_module(scope="mmdet")
class Pad(BaseTransform):
    """Add pixels below and to the right of a picture.

    Args:
        size: (width, height) to reach; a larger picture stays as it is.
        size_divisor: make both sides multiples of it.
        pad_to_square: make both sides as long as the longer one.
        pad_val: value, or values of the channels, or a dict with them as `img`.
        padding_mode: "constant", which released detectors use.

    Raises:
        ConfigError: no aim, or another mode.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_to_square: bool = False,
        pad_val: float | Sequence[float] | Mapping[str, Any] = 0,
        padding_mode: str = "constant",
    ) -> None:
        if size is None and size_divisor is None and not pad_to_square:
            raise ConfigError("Pad takes `size` (width, height), `size_divisor` or `pad_to_square`")
        if padding_mode != "constant":
            raise ConfigError(f"Pad fills with a constant, not {padding_mode!r}")
        self.size, self.size_divisor, self.pad_to_square = size, size_divisor, pad_to_square
        value = pad_val.get("img", 0) if isinstance(pad_val, Mapping) else pad_val
        self.value = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`; `img_shape` and `pad_shape` become those of the padded picture."""
        image: np.ndarray = results["img"]
        height, width = image.shape[:2]
        below, right = (max(0, int(b)) for b in self._missing(height, width))
        if below or right:
            image = cv2.copyMakeBorder(
                image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=self.value
            )
        results["img"] = image
        results["img_shape"] = results["pad_shape"] = image.shape[:2]
        return results

    def _missing(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns to add."""
        longer = max(height, width)
        target = (longer, longer) if self.pad_to_square else (height, width)
        if self.size_divisor is not None:
            step = self.size_divisor
            target = math.ceil(target[0] / step) * step, math.ceil(target[1] / step) * step
        elif self.size is not None:
            target = self.size[1], self.size[0]
        return target[0] - height, target[1] - width


@TRANSFORMS.register_module(scope="mmcv")
class RandomResize(BaseTransform):
    """`Resize` to a random size.

    Args:
        scale: (width, height), or two of them between which both are drawn.
        ratio_range: with one `scale`, smallest and largest factor on it.
        resize_type: the step that resizes.
        **resize_kwargs: its further arguments, such as `keep_ratio`.

    Raises:
        ConfigError: one size without `ratio_range`, or another number of sizes than two.
    """

    def __init__(
        self,
        scale: Sequence[Any],
        ratio_range: tuple[float, float] | None = None,
        resize_type: str = "Resize",
        **resize_kwargs: Any,
    ) -> None:
        self.one = not isinstance(scale[0], (list, tuple))
        if len(scale) != 2 or (self.one and ratio_range is None):
            raise ConfigError(
                "RandomResize takes scale=(width, height) with ratio_range=(low, high), or two "
                f"sizes, got {scale=} and {ratio_range=}"
            )
        self.scale, self.ratio_range = tuple(scale), ratio_range
        self.resize = TRANSFORMS.build({"type": resize_type, "scale": 1, **resize_kwargs})

    @cache_randomness
    def _random_scale(self) -> tuple[int, int]:
        """Draw (width, height)."""
        if self.one and self.ratio_range is not None:
            low, high = self.ratio_range
            ratio = np.random.random_sample() * (high - low) + low
            return int(self.scale[0] * ratio), int(self.scale[1] * ratio)
        sides = [sorted(pair) for pair in zip(*self.scale, strict=True)]
        width, height = (int(np.random.randint(low, high + 1)) for low, high in sides)
        return width, height

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """As `Resize`, which writes `scale`, too."""
        # a copy, since several threads may be at it
        resize = copy(self.resize)
        resize.scale = self._random_scale()
        resized: dict[str, Any] = resize(results)
        return resized


@TRANSFORMS.register_module(scope="mmdet")
class LoadAnnotations(BaseTransform):
    """Boxes as the following steps take them: `bbox`, `bbox_label`, `ignore_flag`.

    They come from `instances` of records of `mmdet.CocoDataset`, in image space: in a test
    pipeline this step stands behind the resize. The people of a pose data set are boxes of one
    class, with the label 0. Pictures without annotations stay as they are.

    Args:
        **options: MMDetection's (`with_bbox` ...), without effect: there are boxes and no masks.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Complete the three columns; keypoints are left behind."""
        if "instances" in results:
            things = results["instances"]
            results["bbox"] = np.array([t["bbox"] for t in things], np.float32).reshape(-1, 4)
            results["bbox_label"] = np.array([t["bbox_label"] for t in things], np.int64)
            results["ignore_flag"] = np.array([t["ignore_flag"] for t in things], bool)
        elif results.get("bbox") is not None and "bbox_label" not in results:
            count = len(results["bbox"])
            results["bbox_label"] = np.zeros(count, np.int64)
            results["ignore_flag"] = np.zeros(count, bool)
            for key in _OF_POSES:
                results.pop(key, None)
        return results


@TRANSFORMS.register_module(scope="mmdet")
class PackDetInputs(BaseTransform):
    """Last step: picture -> `inputs` tensor (3, H, W), boxes and facts -> `data_samples`.

    Args:
        meta_keys: keys of `results` that become metainfo, where they are there.
    """

    def __init__(self, meta_keys: Sequence[str] = _META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Give `inputs` and `data_samples`.

        Where there are annotations, the samples have `gt_instances`, with `bboxes` (N, 4) float32
        xyxy, input space, and `labels` (N,) int64; `ignored_instances` has the same of crowds.
        """
        meta = {key: results[key] for key in self.meta_keys if key in results}
        sample = PoseDataSample(metainfo=meta)
        if "bbox_label" in results:
            ignored = results["ignore_flag"]
            for name, rows in (("gt_instances", ~ignored), ("ignored_instances", ignored)):
                boxes = results["bbox"][rows].astype(np.float32)
                found = InstanceData(bboxes=boxes, labels=results["bbox_label"][rows])
                setattr(sample, name, found.to_tensor())
        return {"inputs": image_to_tensor(results["img"]), "data_samples": sample}


@TRANSFORMS.register_module(scope="mmyolo")
class PoseToDetConverter(BaseTransform):
    """Lets a picture without people have annotations, none, so that it can be mixed with others."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make `category_id` an array; add `bbox`, `keypoints`, `keypoints_visible` if missing."""
        if len(results.get("bbox", ())) == 0 and "flip_indices" in results:
            count = len(results["flip_indices"])
            results["bbox"] = np.empty((0, 4), np.float32)
            results["keypoints"] = np.empty((0, count, 2), np.float32)
            results["keypoints_visible"] = np.empty((0, count), np.float32)
            results["category_id"] = np.empty(0, int)
        if "category_id" in results:
            results["category_id"] = np.asarray(results["category_id"])
        return results


#: what a head learns from: key of `results` -> field of `gt_instance_labels`
_LABELS = {"bbox": "bboxes", "keypoints": "keypoints", "keypoints_visible": "keypoints_visible"}


@TRANSFORMS.register_module(scope="mmyolo")
class PackDetPoseInputs(PackDetInputs):
    """`PackDetInputs` that packs people, too, and writes None for metainfo it does not find.

    Args:
        meta_keys: keys of `results` that become metainfo.
        pack_transformed: kept for configs.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = ("id", *_META_KEYS, "flip_indices", "raw_ann_info"),
        pack_transformed: bool = False,
    ) -> None:
        super().__init__(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Give `inputs` and `data_samples`, with `gt_instance_labels` as tensors."""
        packed = super().transform(dict.fromkeys(self.meta_keys) | results)
        if "category_id" in results:
            labels = {name: results[key] for key, name in _LABELS.items() if key in results}
            # classes count from 0, categories of COCO from 1
            labels["labels"] = results["category_id"] - 1
            packed["data_samples"].gt_instance_labels = InstanceData(**labels).to_tensor()
        return packed
