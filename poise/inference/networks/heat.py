"""Where a network saw keypoints, laid over the whole picture: to look at, not to compute with."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from poise._arrays import as_numpy

__all__ = ["heat_of", "picture_heat", "warn_without_heatmaps"]

_LOG = logging.getLogger(__name__)

#: Longer side of the map of a picture; heatmaps are coarser.
_SIDE = 512
#: Every n-th bin of SimCC vectors counts; the product of all would be large for nothing.
_EVERY = 4


def heat_of(outputs: Sequence[Any]) -> np.ndarray | None:
    """Highest value of all keypoints at each place, (B, h, w) float32, input space.

    Args:
        outputs: heatmaps (B, K, h, w), or SimCC vectors (B, K, Wx) and (B, K, Wy).

    Returns:
        None of networks that give coordinates.
    """
    arrays = [np.asarray(as_numpy(output), np.float32) for output in outputs]
    if len(arrays) == 1 and arrays[0].ndim == 4:
        return np.asarray(arrays[0].max(1))
    if len(arrays) == 2 and all(a.ndim == 3 for a in arrays):
        along_x, along_y = (a[..., ::_EVERY].clip(0) for a in arrays)
        # one keypoint after the other: all products at once would take much memory
        heat = np.zeros((len(along_x), along_y.shape[2], along_x.shape[2]), np.float32)
        for k in range(along_x.shape[1]):
            np.maximum(heat, along_y[:, k, :, None] * along_x[:, k, None, :], out=heat)
        return heat
    return None


def picture_heat(
    shape: tuple[int, ...], maps: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
) -> np.ndarray:
    """Map (h, w) float32 that covers a whole picture, of maps of places in it.

    Args:
        shape: of the picture, height and width first.
        maps: (h, w) each.
        boxes: (4,) xyxy each, image space: what a map covers.
    """
    scale = min(1.0, _SIDE / max(shape[:2]))
    height, width = (max(1, round(side * scale)) for side in shape[:2])
    whole = np.zeros((height, width), np.float32)
    for heat, box in zip(maps, boxes, strict=True):
        left, top, right, bottom = np.rint(np.asarray(box) * scale).astype(int).tolist()
        low, high = (max(left, 0), max(top, 0)), (min(right, width), min(bottom, height))
        if low[0] >= high[0] or low[1] >= high[1]:
            continue
        # only the part inside is made: a box may be far larger than its picture
        x = (np.arange(low[0], high[0]) + 0.5 - left) * heat.shape[1] / (right - left) - 0.5
        y = (np.arange(low[1], high[1]) + 0.5 - top) * heat.shape[0] / (bottom - top) - 0.5
        along, down = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        part = cv2.remap(heat, along, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        target = whole[low[1] : high[1], low[0] : high[0]]
        np.maximum(target, part, out=target)
    return whole


@functools.cache
def warn_without_heatmaps(who: str) -> None:
    """Say, once, that heatmaps were asked for and who has none."""
    _LOG.warning("there are no heatmaps to draw: %s gives coordinates only", who)
