"""Steps of detectors' test pipelines: fit the picture into the input, pad it, pack it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, ConfigError
from poise.registry import TRANSFORMS
from poise.structures import PoseDataSample
from poise.transforms.base import BaseTransform
from poise.transforms.image import rescale_image, resize_image
from poise.transforms.packing import image_to_tensor

__all__ = [
    "LoadAnnotations",
    "PackDetInputs",
    "PackDetPoseInputs",
    "Pad",
    "PoseToDetConverter",
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


@TRANSFORMS.register_module(scope="mmdet")
class Resize(BaseTransform):
    """Fit a picture into a size; writes `scale_factor` (x, y) and `img_shape`.

    Args:
        scale: (width, height) that the picture fits into; an int is both.
        scale_factor: factor, or factors of width and height, in place of `scale`.
        keep_ratio: keep the aspect ratio, so that one side may be shorter.
        clip_object_border: kept for configs; it is about boxes of annotations.
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
        if backend not in _BACKENDS:
            raise ArgumentError(f"backend must be one of {', '.join(_BACKENDS)}, got {backend!r}")
        self.scale = (scale, scale) if isinstance(scale, (int, float)) else scale
        self.scale_factor = scale_factor
        self.keep_ratio = keep_ratio
        self.backend = backend

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`, `img_shape`; write `scale`, `scale_factor`, `keep_ratio`."""
        image = results["img"]
        height, width = image.shape[:2]
        target = self.scale or _scaled((width, height), self.scale_factor)
        if self.keep_ratio:
            image = rescale_image(image, target, self.backend)
        else:
            image = resize_image(image, target, self.backend)
        results["img"], results["img_shape"] = image, image.shape[:2]
        results["scale"], results["keep_ratio"] = target, self.keep_ratio
        results["scale_factor"] = image.shape[1] / width, image.shape[0] / height
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


@TRANSFORMS.register_module(scope="mmdet")
class LoadAnnotations(BaseTransform):
    """Leaves everything as it is: released test pipelines name it, and there is nothing to load.

    Detectors are used, not trained or scored, so no step needs the boxes of annotations.

    Args:
        **options: MMDetection's (`with_bbox` ...), without effect.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Give back what came."""
        return results


@TRANSFORMS.register_module(scope="mmdet")
class PackDetInputs(BaseTransform):
    """Last step: picture -> `inputs` tensor (3, H, W), what is known of it -> `data_samples`.

    Args:
        meta_keys: keys of `results` that become metainfo, where they are there.
    """

    def __init__(self, meta_keys: Sequence[str] = _META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Give `inputs` and `data_samples`."""
        meta = {key: results[key] for key in self.meta_keys if key in results}
        return {
            "inputs": image_to_tensor(results["img"]),
            "data_samples": PoseDataSample(metainfo=meta),
        }


@TRANSFORMS.register_module(scope="mmyolo")
class PoseToDetConverter(LoadAnnotations):
    """Leaves everything as it is: YOLOX-Pose of MMYOLO is tested, and no test step needs boxes."""


@TRANSFORMS.register_module(scope="mmyolo")
class PackDetPoseInputs(PackDetInputs):
    """`PackDetInputs` that also writes None for what it does not find.

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
        """Give `inputs` and `data_samples`."""
        return super().transform(dict.fromkeys(self.meta_keys) | results)
