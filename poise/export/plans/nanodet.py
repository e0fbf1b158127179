"""The embedded person detector, in the form that detectors of YOLO have."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from poise.export.plans.plan import Plan
from poise.inference.detectors import NanoDetDetector

__all__ = ["nanodet_plan"]


class _AsYolo(nn.Module):
    """NanoDet with the input and the output of YOLOv8, which `OnnxDetector` reads.

    Args:
        network: NanoDet.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) RGB 0..1 -> (B, M, 5): centre, size, score of a person; input space."""
        boxes, scores = self.network.detect(images.flip(1) * 255)
        low, high = boxes[..., :2], boxes[..., 2:]
        return torch.cat(((low + high) / 2, high - low, scores[..., None]), -1)


def nanodet_plan(detector: NanoDetDetector) -> Plan:
    """How NanoDet is written."""
    side = detector.SIDE
    sample = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Plan(_AsYolo(detector.model).eval(), sample, {"padding": detector.PADDING})
