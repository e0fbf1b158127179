"""Mosaic and MixUp of detectors' pipelines, as MMDetection has them.

MMDetection's cached forms take their other pictures from the last ones that a worker has seen. Here
they are drawn from the whole data set and taken through the same steps: what a sample becomes then
follows from the seed, the epoch and its number, so a run that is resumed goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poise.errors import ArgumentError
from poise.registry import TRANSFORMS
from poise.transforms.compose import Compose
from poise.transforms.mixing import MixImageTransform, YOLOXMixUp, drop_outside
from poise.transforms.yolo import Range, YOLOMosaic, always_clips

__all__ = ["CachedMixUp", "CachedMosaic", "DetectionMixUp", "DetectionMosaic"]

Levels = float | Sequence[float]


class _BoxesInside(MixImageTransform):
    """Mixin: `img_shape` without channels, and no boxes outside of the mixed picture."""

    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix, then drop boxes of which nothing is left."""
        results = super().apply_mix(results)  # type: ignore[safe-super]
        height, width = results["img_shape"] = results["img"].shape[:2]
        drop_outside(results, (width, height))
        return results


class _ThroughPipeline(MixImageTransform):
    """Mixin: the other samples pass all steps that come before this one.

    One that is dropped on the way, by a crop without boxes, say, is replaced by another.

    Args:
        *args, **options: of the mixing.
        max_cached_images, random_pop: kept for configs; pictures come from the whole data set.

    Raises:
        ArgumentError: a cache too small for MMDetection.
    """

    redraws = 100
    #: fewest pictures that MMDetection's cache may hold
    least: int

    def __init__(
        self, *args: Any, max_cached_images: int = 40, random_pop: bool = True, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        if max_cached_images < self.least:
            raise ArgumentError(
                f"{type(self).__name__} takes max_cached_images >= {self.least}, got "
                f"{max_cached_images}"
            )

    def follow(self, earlier: Sequence[Any]) -> None:
        """Take the steps for the other samples."""
        self.pre_transform = Compose(earlier)


@TRANSFORMS.register_module(name="Mosaic", scope="mmdet")
class DetectionMosaic(_BoxesInside, YOLOMosaic):
    """`Mosaic` that drops boxes outside; arguments as `YOLOMosaic`."""


@TRANSFORMS.register_module(scope="mmdet")
class CachedMosaic(_ThroughPipeline, DetectionMosaic):
    """`DetectionMosaic` whose other pictures pass the earlier steps of the pipeline."""

    least = 4


@TRANSFORMS.register_module(name="MixUp", scope="mmdet")
class DetectionMixUp(_BoxesInside, YOLOXMixUp):
    """`YOLOXMixUp` that mirrors borders and drops boxes outside.

    Args:
        img_scale, ratio_range, flip_ratio, pad_val, prob: as `YOLOXMixUp`.
        max_iters: draws of another picture, at most, until one has boxes.
        bbox_clip_border: has to be True.

    Raises:
        ConfigError: boxes should not be clipped.
    """

    mirror_offset = 1

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: Range = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: Levels = 114.0,
        max_iters: int = 15,
        bbox_clip_border: bool = True,
        *,
        prob: float = 1.0,
    ) -> None:
        super().__init__(img_scale, ratio_range, flip_ratio, pad_val, prob=prob)
        self.max_iters = max_iters
        always_clips(self, bbox_clip_border)

    def _draw(self, dataset: Any) -> tuple[int, dict[str, Any]]:
        for _ in range(self.max_iters):
            index, sample = super()._draw(dataset)
            # a record still has to be loaded
            if len(sample.get("bbox", sample.get("instances", ()))):
                break
        return index, sample


@TRANSFORMS.register_module(scope="mmdet")
class CachedMixUp(_ThroughPipeline, DetectionMixUp):
    """`DetectionMixUp` whose other picture passes the earlier steps of the pipeline."""

    least = 2
