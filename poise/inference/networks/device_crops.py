"""Crops warped by torch, on the device: the picture travels once, however many people it shows.

Pixels are sampled at exact coordinates; OpenCV 4, with which models were trained, rounds them to
1/32 of a pixel. So crops differ by a few levels from those of `poise.inference.networks.crops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from poise.geometry.pictures import enlarges

__all__ = ["warp_on_device"]


def warp_on_device(
    images: Sequence[np.ndarray],
    matrices: Sequence[np.ndarray],
    size: tuple[int, int],
    device: Any,
    *,
    cubic: bool = False,
) -> Tensor:
    """Crops of several pictures.

    Args:
        images: the picture (H, W, 3) uint8 of each crop; the same array may come several times,
            one after the other.
        matrices: (2, 3) of each crop, from places in the picture to places in the crop.
        size: (w, h) of crops.
        device: torch device.
        cubic: cubic interpolation where pictures are enlarged.

    Returns:
        (B, 3, h, w) float32, 0..255, on the device; outside of the picture 0.
    """
    parts = []
    for image, maps in _by_picture(images, matrices):
        pixels = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float()
        grid = _places(np.stack(maps), size, image.shape, device)
        crops = F.grid_sample(pixels.expand(len(maps), -1, -1, -1), grid, align_corners=True)
        large = [i for i, matrix in enumerate(maps) if cubic and enlarges(matrix)]
        if large:
            crops[large] = F.grid_sample(
                pixels.expand(len(large), -1, -1, -1),
                grid[large],
                mode="bicubic",
                align_corners=True,
            ).clamp(0, 255)
        parts.append(crops)
    return torch.cat(parts)


def _by_picture(
    images: Sequence[np.ndarray], matrices: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Pictures, each with the maps of its crops."""
    groups: list[tuple[np.ndarray, list[np.ndarray]]] = []
    for image, matrix in zip(images, matrices, strict=True):
        if not groups or groups[-1][0] is not image:
            groups.append((image, []))
        groups[-1][1].append(matrix)
    return groups


def _places(
    matrices: np.ndarray, size: tuple[int, int], shape: Sequence[int], device: Any
) -> Tensor:
    """Where each pixel of each crop lies in the picture, (N, h, w, 2), as `grid_sample` counts."""
    square = np.tile(np.eye(3), (len(matrices), 1, 1))
    square[:, :2] = matrices
    inverse = np.linalg.inv(square)[:, :2]
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([x, y, np.ones_like(x)], -1).astype(np.float64)
    places = np.einsum("nij,hwj->nhwi", inverse, points)
    # -1 and 1 are the centres of the outer pixels; a picture one pixel wide has one centre
    last = np.maximum(np.array([shape[1] - 1, shape[0] - 1]), 1)
    return torch.from_numpy((2 * places / last - 1).astype(np.float32)).to(device)
