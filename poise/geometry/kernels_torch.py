"""Kernels of torchvision on tensors, without its package."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["kernel", "roi_align"]


def kernel(name: str) -> Any:
    """An operator of torchvision, such as "nms".

    Its library alone has the kernels; importing the package takes a second and a half more, as it
    brings torch's compiler. Tracing needs what the package registers besides.
    """
    if not hasattr(torch.ops.torchvision, name) or torch.jit.is_tracing():
        _load(name)
    return getattr(torch.ops.torchvision, name)


def _load(name: str) -> None:
    """Make torch know torchvision's operators."""
    if "torchvision" not in sys.modules and not torch.jit.is_tracing():
        found = find_spec("torchvision")
        folders = (found and found.submodule_search_locations) or []
        for library in (path for folder in folders for path in Path(folder).glob("_C*")):
            try:
                torch.ops.load_library(str(library))
            except OSError:
                # the import below says what is wrong with it
                break
    if not hasattr(torch.ops.torchvision, name) or torch.jit.is_tracing():
        import_module("torchvision")


def roi_align(
    maps: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    *,
    scale: float,
    samples: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Features inside boxes, each on a grid of one size (He 2017, arXiv 1703.06870, section 3).

    Args:
        maps: (B, C, H, W) features.
        boxes: (N, 5): place of the picture in the batch, then xyxy in pixels of the picture.
        size: rows and columns h, w of the grid.
        scale: cells of the map per pixel.
        samples: points a cell along each side; 0: as many as the box has cells of the map.
        aligned: pixel centres lie at half numbers.

    Returns:
        (N, C, h, w).
    """
    found: Tensor = kernel("roi_align")(maps, boxes, scale, *size, samples, aligned)
    return found
