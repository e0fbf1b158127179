"""The embedded person detector as an ONNX file, for machines without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poise.export.exporting import write_plan
from poise.export.plan import Plan
from poise.inference.detectors import NanoDetDetector

__all__ = ["detector_plan", "export_detector"]


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


def export_detector(path: str | Path, *, check: bool = True, half: bool = False) -> Path:
    """Write NanoDet as a file with a free batch size; the ending says the form.

    `poise.Inferencer("model.onnx", detector="nanodet.onnx")` then finds people without torch.

    Args:
        path: file to write; it appears when it is complete.
        check: run the file beside the network.
        half: weights of 16 bits.

    Returns:
        `path`.

    Raises:
        ConfigError: the file gives other numbers.
        MissingDependencyError: the packages onnx and onnxruntime are not installed.
    """
    write_plan(detector_plan(), Path(path), check=check, half=half)
    return Path(path)


def detector_plan() -> Plan:
    """How NanoDet is written."""
    side = NanoDetDetector.SIDE
    sample = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    network = _AsYolo(NanoDetDetector().model).eval()
    metadata = {"padding": NanoDetDetector.PADDING}
    return Plan(network, sample, metadata)
