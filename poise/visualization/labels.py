"""Texts beside things, placed so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.visualization.style import Color

__all__ = ["draw_labels", "place_labels"]

FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Scale of texts in a picture of so many pixels squared, and the least that can be read.
_PIXELS_PER_SCALE, _LEAST_SCALE = 1400.0, 0.35


def draw_labels(
    image: Array,
    texts: Sequence[str],
    boxes: Array,
    inks: Sequence[Color],
    text_inks: Sequence[Color],
) -> None:
    """Write a text at each box, on a ground of its colour.

    Args:
        image: (H, W, 3) uint8, contiguous, changed in place.
        texts: N texts; an empty one is left out.
        boxes: (N, 4) xyxy pixels.
        inks: N colours of the grounds, in the picture's channel order.
        text_inks: N colours of the letters.
    """
    scale = max(_LEAST_SCALE, float(np.sqrt(image.shape[0] * image.shape[1])) / _PIXELS_PER_SCALE)
    sizes = [cv2.getTextSize(text, FONT, scale, 1) for text in texts]
    extents = np.array([[w + 2, h + base] for (w, h), base in sizes]).reshape(-1, 2)
    places = place_labels(boxes, extents, (image.shape[1], image.shape[0])).tolist()
    for n, text in enumerate(texts):
        if not text:
            continue
        left, top = places[n]
        right, bottom = left + int(extents[n, 0]), top + int(extents[n, 1])
        cv2.rectangle(image, (left, top), (right, bottom), inks[n], -1)
        at = (left + 1, bottom - sizes[n][1] // 2)
        cv2.putText(image, text, at, FONT, scale, text_inks[n], 1, cv2.LINE_AA)


def place_labels(boxes: Any, extents: Any, picture: tuple[int, int]) -> Array:
    """Upper left corners (N, 2) int64 of labels of boxes.

    Each label tries the places above its box, inside it, below it and beside it, and takes the
    first one that lies in the picture and covers no other label; where there is none, the one
    that covers least.

    Args:
        boxes: (N, 4) xyxy pixels.
        extents: (N, 2) width and height of each label, pixels.
        picture: (width, height).

    Example:
        >>> place_labels([[10, 50, 60, 90], [10, 50, 60, 90]], [[30, 12]] * 2, (100, 100)).tolist()
        [[10, 38], [10, 50]]
    """
    corners = np.rint(np.asarray(boxes, np.float64)).reshape(-1, 4)
    sizes = np.asarray(extents, np.float64).reshape(-1, 2)
    left, top, right, bottom = corners.T
    width, height = sizes.T
    # (N, places, 2)
    choices = np.stack(
        [
            np.stack(pair, -1)
            for pair in (
                (left, top - height),
                (right - width, top - height),
                (left, top),
                (right - width, top),
                (left, bottom),
                (right - width, bottom),
                (right, top),
                (left - width, top),
                (left, top + height),
                (left, top - 2 * height),
            )
        ],
        1,
    )
    room = np.maximum(np.array(picture) - sizes, 0)[:, None]
    inside = np.clip(choices, 0, room)
    # what had to be moved into the picture is a worse place, but a place
    moved = np.abs(inside - choices).sum(-1) > 0
    placed: Array = np.zeros((len(corners), 4))
    out = np.zeros((len(corners), 2), np.int64)
    for n in range(len(corners)):
        ends = inside[n] + sizes[n]
        low = np.maximum(inside[n][:, None], placed[None, :n, :2])
        high = np.minimum(ends[:, None], placed[None, :n, 2:])
        covered = np.clip(high - low, 0, None).prod(-1).sum(-1)
        best = int(np.argmin(covered * 1e3 + moved[n] * sizes[n].prod()))
        out[n] = inside[n, best]
        placed[n] = [*inside[n, best], *ends[best]]
    return out
