"""The preprocessor of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poise._options import options_of
from poise.models.preprocessors.pose import PoseDataPreprocessor
from poise.registry import MODELS

__all__ = ["DetDataPreprocessor"]


@MODELS.register_module(scope="mmdet")
class DetDataPreprocessor(PoseDataPreprocessor):
    """Normalises pictures and brings those of a batch to one size.

    Args:
        mean, std, pad_size_divisor, pad_value, **options: as `PoseDataPreprocessor`.
        pad_mask, mask_pad_value, pad_seg, seg_pad_value, boxtype2tensor: kept for configs; they
            are about masks and boxes of annotations.
    """

    @options_of(PoseDataPreprocessor, positional=True)
    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        pad_mask: bool = False,
        mask_pad_value: int = 0,
        pad_seg: bool = False,
        seg_pad_value: int = 255,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        boxtype2tensor: bool = True,
        **options: Any,
    ) -> None:
        options |= {"pad_size_divisor": pad_size_divisor, "pad_value": pad_value}
        options |= {"bgr_to_rgb": bgr_to_rgb, "rgb_to_bgr": rgb_to_bgr}
        super().__init__(mean=mean, std=std, **options)
