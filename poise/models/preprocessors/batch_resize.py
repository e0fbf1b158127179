"""Batch augmentation that changes the size of all pictures from time to time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.models.progress import Progress
from poise.registry import MODELS
from poise.structures import PixelData

__all__ = ["BatchSyncRandomResize"]


def _main_process_says(values: tuple[int, int], device: torch.device) -> tuple[int, int]:
    """The values that the first training process drew."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values
    shared = torch.tensor(values, dtype=torch.long, device=device)
    torch.distributed.broadcast(shared, src=0)
    return int(shared[0]), int(shared[1])


# MMPose's and MMDetection's
@MODELS.register_module()
@MODELS.register_module(scope="mmdet")
class BatchSyncRandomResize(nn.Module):
    """Multi-scale training: every few iterations all processes draw another input size.

    Args:
        random_size_range: smallest and largest height in pixels.
        interval: iterations between two draws.
        size_divisor: sizes are multiples of it.
    """

    def __init__(
        self, random_size_range: Sequence[int], interval: int = 10, size_divisor: int = 32
    ) -> None:
        super().__init__()
        low, high = (round(side / size_divisor) for side in random_size_range[:2])
        self._random_size_range = (low, high)
        self._interval = interval
        self._size_divisor = size_divisor
        self._input_size: tuple[int, int] | None = None
        self.progress = Progress()

    def forward(self, inputs: Tensor, data_samples: Sequence[Any]) -> tuple[Tensor, Sequence[Any]]:
        """Pictures and samples at the present size.

        Args:
            inputs: (B, C, H, W).
            data_samples: B samples; boxes, keypoints, areas and masks are scaled in place.
        """
        height, width = inputs.shape[-2:]
        size = self._input_size = self._input_size or (height, width)
        scale_y, scale_x = size[0] / height, size[1] / width
        if scale_x != 1 or scale_y != 1:
            inputs = F.interpolate(inputs, size=size, mode="bilinear", align_corners=False)
            for sample in data_samples:
                self._scale_sample(sample, scale_x, scale_y)
        if (self.progress.iter + 1) % self._interval == 0:
            self._input_size = self._draw(width / height, inputs.device)
        return inputs, data_samples

    def _scale_sample(self, sample: Any, scale_x: float, scale_y: float) -> None:
        shapes = {
            name: (int(shape[0] * scale_y), int(shape[1] * scale_x))
            for name in ("img_shape", "pad_shape")
            if (shape := sample.metainfo.get(name)) is not None
        }
        sample.set_metainfo({**shapes, "batch_input_shape": self._input_size})
        if "gt_instance_labels" not in sample:
            # a detector learns from the boxes themselves
            for name in ("gt_instances", "ignored_instances"):
                if "bboxes" in sample.get(name, ()):
                    found = sample.get(name)
                    factors = found.bboxes.new_tensor([scale_x, scale_y, scale_x, scale_y])
                    found.bboxes = found.bboxes * factors
            return
        labels = sample.gt_instance_labels
        if "bboxes" in labels:
            labels.bboxes *= labels.bboxes.new_tensor([scale_x, scale_y, scale_x, scale_y])
        if "keypoints" in labels:
            labels.keypoints *= labels.keypoints.new_tensor([scale_x, scale_y])
        if "areas" in labels:
            labels.areas *= scale_x * scale_y
        if "gt_fields" in sample and "heatmap_mask" in sample.gt_fields:
            mask = F.interpolate(
                sample.gt_fields.heatmap_mask.unsqueeze(0).float(),
                size=self._input_size,
                mode="bilinear",
                align_corners=False,
            )
            # maps of another size cannot stay beside the mask
            sample.gt_fields = PixelData(heatmap_mask=mask.squeeze(0))

    def _draw(self, aspect_ratio: float, device: torch.device) -> tuple[int, int]:
        """Next (height, width), the same in all processes."""
        units = random.randint(*self._random_size_range)
        size = (self._size_divisor * units, self._size_divisor * int(aspect_ratio * units))
        return _main_process_says(size, device)
