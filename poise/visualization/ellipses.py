"""How unsure keypoints are: an ellipse about each, filled faintly."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.geometry.covariances import ellipse_outlines
from poise.visualization.style import FARTHEST, Palette, Sizes, check_image

__all__ = ["draw_covariances"]

#: How strongly ellipses cover the picture.
FILL = 0.35
#: OpenCV takes coordinates in parts of a pixel: 2^-4.
_FRACTION_BITS = 4


def draw_covariances(
    image: Array,
    keypoints: Any,
    covariances: Any,
    palette: Palette,
    *,
    scores: Any = None,
    keypoint_threshold: float = 0.3,
    radius: float = 1.0,
    line_width: float | None = None,
) -> Array:
    """Draw ellipses of people's keypoints into `image` (H, W, 3) uint8.

    Args:
        image: changed in place.
        keypoints: (N, K, 2 or 3) pixels, image space.
        covariances: (N, K, 2, 2) pixels²; what is none (NaN, not positive) is left out.
        palette: colours of K keypoints.
        scores: (N, K); None: draw all.
        keypoint_threshold: of keypoints with a lower score nothing is drawn.
        radius: of the ellipses, in deviations; `poise.geometry.ellipse_radius` has that of a level.
        line_width: pixels; None: by the size of the picture.

    Returns:
        `image`.

    Raises:
        DataError: another picture, or shapes that do not fit together.
    """
    check_image(image)
    points = np.asarray(keypoints, np.float64)[..., :2]
    spread = np.asarray(covariances, np.float64)
    if points.ndim != 3 or spread.shape != (*points.shape[:2], 2, 2):
        raise DataError(
            f"keypoints (N, K, 2) have covariances (N, K, 2, 2), got {points.shape} and "
            f"{spread.shape}"
        )
    outlines = ellipse_outlines(points, spread, radius)
    drawable = (np.abs(outlines) < FARTHEST).all((-2, -1))
    if scores is not None:
        drawable &= np.asarray(scores) >= keypoint_threshold
    width = max(1, Sizes(line_width).line(image.shape) // 2)
    person, kind = np.nonzero(drawable)
    fixed = np.rint(outlines[person, kind] * 2**_FRACTION_BITS).astype(np.int32)
    canvas = np.ascontiguousarray(image)
    filled = canvas.copy()
    colors = {palette.points[k] for k in np.unique(kind).tolist()} - {None}
    inks = {color: np.array([point == color for point in palette.points])[kind] for color in colors}
    for color, same in inks.items():
        # one by one: where polygons of a call overlap, OpenCV leaves a hole
        for outline in fixed[same]:
            cv2.fillConvexPoly(filled, outline, color, cv2.LINE_AA, _FRACTION_BITS)
    canvas = cv2.addWeighted(filled, FILL, canvas, 1 - FILL, 0)
    for color, same in inks.items():
        cv2.polylines(canvas, fixed[same], True, color, width, cv2.LINE_AA, _FRACTION_BITS)
    image[...] = canvas
    return image
