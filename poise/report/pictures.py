"""Small pictures of single cases: the annotation beside the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from poise.report.cases import Case
from poise.transforms.image import stored_image
from poise.visualization import draw_keypoints
from poise.visualization.files import encoded

__all__ = ["SIDE", "cut_out", "draw_case", "side_by_side"]

#: Longer side of each half, pixels.
SIDE = 224
#: What is shown around the box, in shares of its longer side.
_MARGIN = 0.15
_QUALITY = 85


def draw_case(case: Case, metainfo: Mapping[str, Any] | None = None) -> bytes | None:
    """JPEG of the annotation (left) beside the prediction (right), cut out around the box.

    Args:
        case: with 2D keypoints.
        metainfo: parsed schema with colours and links.

    Returns:
        the file's content, or None where the picture cannot be read or the case is not 2D.
    """
    picture = stored_image(case.path)
    if picture is None or case.truth.shape[-1] != 2:
        return None
    blank, corner, scale = cut_out(picture, case.box)
    halves = []
    everything = np.ones(len(case.truth), bool)
    for points, seen in ((case.truth, case.visible), (case.found, everything)):
        half = blank.copy()
        if points is not None:
            shown = (points - corner) * scale
            draw_keypoints(half, shown[None], seen[None].astype(float), metainfo=metainfo)
        halves.append(half)
    return side_by_side(halves)


def side_by_side(halves: Sequence[np.ndarray]) -> bytes:
    """JPEG of pictures (H, W, 3) of one height, with a line between them."""
    gap = np.full((halves[0].shape[0], 3, 3), 255, np.uint8)
    parts = [part for half in halves for part in (gap, half)][1:]
    return encoded(np.hstack(parts), ".jpg", "a case", (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))


def cut_out(picture: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The surroundings of a box, with `SIDE` pixels on the longer side.

    Args:
        picture: (H, W, 3) uint8.
        box: (4,) xyxy, image space.

    Returns:
        new picture, its upper left corner (2,) in image space, and pixels per pixel.
    """
    low, high = box[:2], box[2:]
    sides = np.maximum(high - low, 1)
    margin = _MARGIN * sides.max()
    corner, sides = low - margin, sides + 2 * margin
    scale = SIDE / float(sides.max())
    width, height = np.maximum(1, np.round(sides * scale)).astype(int).tolist()
    move = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    shown = cv2.warpAffine(
        picture, move, (width, height), flags=cv2.INTER_LINEAR, borderValue=(40, 40, 40)
    )
    return np.asarray(shown), corner, scale
