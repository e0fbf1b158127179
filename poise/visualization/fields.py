"""Heatmaps over the picture they belong to."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from poise.visualization.style import Array

__all__ = ["draw_heatmaps"]


def draw_heatmaps(image: Array, heatmaps: Any, *, alpha: float = 0.5, order: str = "bgr") -> Array:
    """A copy of the picture with all heatmaps over it, from blue (low) to red (high).

    Args:
        image: (H, W, 3) uint8.
        heatmaps: (K, h, w) or (h, w), array or tensor; scaled to the picture's size.
        alpha: strength of the heatmaps.
        order: channel order of `image`, `bgr` or `rgb`.

    Returns:
        picture (H, W, 3) uint8.
    """
    if hasattr(heatmaps, "detach"):
        heatmaps = heatmaps.detach().cpu().float().numpy()
    values: Array = np.asarray(heatmaps, dtype=np.float32)
    if values.ndim == 3:
        values = values.max(axis=0)
    values = np.nan_to_num(values)
    H, W = image.shape[:2]
    values = cv2.resize(values, (W, H), interpolation=cv2.INTER_LINEAR)
    span = float(values.max() - values.min())
    levels = (values - values.min()) * (255 / span if span > 0 else 0)
    colors = cv2.applyColorMap(levels.astype(np.uint8), cv2.COLORMAP_JET)
    if order == "rgb":
        colors = cv2.cvtColor(colors, cv2.COLOR_BGR2RGB)
    base = np.ascontiguousarray(image)
    return np.asarray(cv2.addWeighted(colors, alpha, base, 1 - alpha, 0))
