"""Poses in space as stick figures, seen from the front and from the side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.visualization import draw_keypoints
from poise.visualization.style import Array

__all__ = ["draw_stick_figure"]

#: columns of (x right, y down, z away) that go right and down in the picture
_VIEWS = {"front": (0, 1), "side": (2, 1)}
_GROUND = 24
#: part of a view's size that stays free around the figures
_MARGIN = 0.08


def draw_stick_figure(
    keypoints: Any,
    visible: Any = None,
    *,
    metainfo: Mapping[str, Any] | None = None,
    size: tuple[int, int] = (320, 320),
) -> Array:
    """Front and side view of people in space, side by side.

    Args:
        keypoints: (N, K, 3), x to the right, y down, z away from the viewer, in any unit.
        visible: (N, K), keypoints with 0 are left out; None: all.
        metainfo: parsed meta information with colours and links.
        size: width and height of each view, pixels.

    Returns:
        (H, 2 W, 3) uint8, BGR.
    """
    points = np.asarray(keypoints, np.float64)
    seen = np.ones(points.shape[:2]) if visible is None else np.asarray(visible, np.float64)
    seen = seen * np.isfinite(points).all(axis=-1)
    views = [_view(points[..., list(columns)], seen, metainfo, size) for columns in _VIEWS.values()]
    return np.concatenate(views, axis=1)


def _view(
    points: Array, seen: Array, metainfo: Mapping[str, Any] | None, size: tuple[int, int]
) -> Array:
    canvas = np.full((size[1], size[0], 3), _GROUND, np.uint8)
    shown = points[seen > 0]
    if not len(shown):
        return canvas
    low, high = shown.min(axis=0), shown.max(axis=0)
    room = np.array(size) * (1 - 2 * _MARGIN)
    scale = (room / np.maximum(high - low, 1e-9)).min()
    moved = (np.nan_to_num(points) - (low + high) / 2) * scale + np.array(size) / 2
    return draw_keypoints(canvas, moved, seen, metainfo=metainfo, keypoint_threshold=1e-6)
