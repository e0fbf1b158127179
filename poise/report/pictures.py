"""Small pictures of single cases: the annotation beside the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from poise.report.cases import Case
from poise.transforms.image import stored_image

__all__ = ["draw_case"]

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
    from poise.visualization import draw_keypoints

    picture = stored_image(case.path)
    if picture is None or case.truth.shape[-1] != 2:
        return None
    corner, scale, size = _window(case)
    move = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    blank = cv2.warpAffine(picture, move, size, flags=cv2.INTER_LINEAR, borderValue=(40, 40, 40))
    halves = []
    for points, seen in ((case.truth, case.visible), (case.found, np.isfinite(case.visible))):
        half = blank.copy()
        if points is not None:
            shown = (points - corner) * scale
            draw_keypoints(half, shown[None], seen[None].astype(float), metainfo=metainfo)
        halves.append(half)
    gap = np.full((size[1], 3, 3), 255, np.uint8)
    done, content = cv2.imencode(
        ".jpg", np.hstack([halves[0], gap, halves[1]]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return content.tobytes() if done else None


def _window(case: Case) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Upper left corner (image space), pixels per pixel, and size of the cut-out."""
    low, high = case.box[:2], case.box[2:]
    sides = np.maximum(high - low, 1)
    margin = _MARGIN * sides.max()
    low, sides = low - margin, sides + 2 * margin
    scale = SIDE / float(sides.max())
    width, height = np.maximum(1, np.round(sides * scale)).astype(int).tolist()
    return low, scale, (width, height)
