"""Suppression of boxes that are tensors, by torchvision's kernel."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["box_nms"]


def box_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that no better one overlaps, best first.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,), of the same type.
        iou_threshold: what overlaps a kept box by more is dropped.

    Returns:
        (M,) int64.
    """
    if not hasattr(torch.ops.torchvision, "nms") or torch.jit.is_tracing():
        _load_kernel()
    return torch.ops.torchvision.nms(boxes, scores, iou_threshold)


def _load_kernel() -> None:
    """Make torch know torchvision's operators.

    Its library alone does; importing the package takes a second and a half more, as it brings
    torch's compiler. Tracing needs what the package registers besides.
    """
    if "torchvision" not in sys.modules and not torch.jit.is_tracing():
        found = find_spec("torchvision")
        folders = (found and found.submodule_search_locations) or []
        for library in (path for folder in folders for path in Path(folder).glob("_C*")):
            try:
                torch.ops.load_library(str(library))
            except OSError:
                # the import below says what is wrong with it
                break
    if not hasattr(torch.ops.torchvision, "nms") or torch.jit.is_tracing():
        import_module("torchvision")
