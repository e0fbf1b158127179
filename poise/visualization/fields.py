"""Heatmaps and SimCC vectors over the picture they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array, as_numpy
from poise.errors import DataError
from poise.visualization.style import Palette, check_image

__all__ = ["draw_heatmaps", "draw_simcc"]


def draw_heatmaps(image: Array, heatmaps: Any, *, alpha: float = 0.5, order: str = "bgr") -> Array:
    """A copy of the picture with all heatmaps over it, from blue (low) to red (high).

    Args:
        image: (H, W, 3) uint8.
        heatmaps: (K, h, w) or (h, w), array or tensor; scaled to the picture's size.
        alpha: strength of the heatmaps.
        order: channel order of `image`, `bgr` or `rgb`.

    Returns:
        picture (H, W, 3) uint8.

    Raises:
        DataError: another picture, or maps of another shape.
    """
    check_image(image, written=False)
    values = _plain(heatmaps)
    if values.ndim not in (2, 3) or not values.size:
        raise DataError(f"heatmaps have the shape (K, h, w) or (h, w), got {values.shape}")
    if values.ndim == 3:
        values = values.max(axis=0)
    H, W = image.shape[:2]
    values = cv2.resize(values, (W, H), interpolation=cv2.INTER_LINEAR)
    span = float(values.max() - values.min())
    levels = (values - values.min()) * (255 / span if span > 0 else 0)
    colors = cv2.applyColorMap(levels.astype(np.uint8), cv2.COLORMAP_JET)
    if order == "rgb":
        colors = cv2.cvtColor(colors, cv2.COLOR_BGR2RGB)
    base = np.ascontiguousarray(image)
    return np.asarray(cv2.addWeighted(colors, alpha, base, 1 - alpha, 0))


def draw_simcc(
    image: Array,
    simcc_x: Any,
    simcc_y: Any,
    metainfo: Mapping[str, Any] | None = None,
    *,
    alpha: float = 0.5,
    order: str = "bgr",
) -> Array:
    """What a SimCC model sees of one person: its two vectors a keypoint beside the crop.

    The curves over x stand above the picture, those over y to its left, each in the colour of its
    keypoint; over the picture lies the product of both, the highest over all keypoints.

    Args:
        image: (H, W, 3) uint8, the crop (input space).
        simcc_x: (K, Wx) over the width, array or tensor; scores or logits.
        simcc_y: (K, Wy) over the height.
        metainfo: parsed meta information with colours.
        alpha: strength of the product.
        order: channel order of `image`, `bgr` or `rgb`.

    Returns:
        picture (H + S, W + S, 3) uint8, S a quarter of the shorter side.

    Raises:
        DataError: another picture, or vectors of another shape.
    """
    along_x, along_y = _plain(simcc_x), _plain(simcc_y)
    shapes = along_x.ndim, along_y.ndim, len(along_x) == len(along_y) > 0
    if shapes != (2, 2, True):
        raise DataError(
            f"SimCC vectors have the shapes (K, Wx) and (K, Wy), got {along_x.shape} and "
            f"{along_y.shape}"
        )
    H, W = image.shape[:2]
    strip = max(24, min(H, W) // 4)
    # thinned out: the product of whole vectors would have four pixels for each of the picture
    product = along_y[:, ::2, None] * along_x[:, None, ::2]
    out = np.full((H + strip, W + strip, 3), 24, np.uint8)
    out[strip:, strip:] = draw_heatmaps(image, product, alpha=alpha, order=order)
    colors = Palette.of(metainfo, len(along_x), order=order).points
    for values, length, flat in ((along_x, W, False), (along_y, H, True)):
        top = max(float(values.max()), 1e-12)
        run = np.linspace(strip, strip + length - 1, values.shape[1])
        rise = strip - 3 - np.clip(values / top, 0, 1) * (strip - 6)
        for color, heights in zip(colors, rise, strict=True):
            curve = np.stack((heights, run) if flat else (run, heights), -1)
            ink = color or (200, 200, 200)
            cv2.polylines(out, [np.rint(curve).astype(np.int32)], False, ink, 1, cv2.LINE_AA)
    return out


def _plain(values: Any) -> Array:
    """float32 array of an array or tensor, without NaN."""
    return np.nan_to_num(np.asarray(as_numpy(values), dtype=np.float32))
