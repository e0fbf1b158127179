"""Poses as OpenPose draws them: a neck, tapered limbs, colours from red to violet."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.visualization.style import FARTHEST, Palette, Sizes, check_image

__all__ = ["draw_openpose", "to_openpose"]

LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6
NECK = 17
#: Place in OpenPose's order -> place in COCO's with the neck inserted; others keep theirs.
FROM_COCO = {
    1: NECK, 2: 6, 3: 8, 4: 10, 6: 7, 7: 9, 8: 12, 9: 14, 10: 16, 12: 13, 13: 15, 14: 2, 15: 1,
    16: 4, 17: 3,
}  # fmt: skip
BODY_LINKS = 17
LIMB_ALPHA = 0.6


def to_openpose(keypoints: Array, scores: Array, threshold: float) -> tuple[Array, Array]:
    """COCO keypoints (N, K, 2) and scores (N, K) in OpenPose's order, (N, K + 1, ...).

    The neck is the middle of the shoulders, and sure if both are.
    """
    shoulders = [LEFT_SHOULDER, RIGHT_SHOULDER]
    neck = keypoints[:, shoulders].mean(axis=1)
    sure = (scores[:, shoulders] > threshold).all(axis=1)
    points = np.insert(keypoints, NECK, neck, axis=1)
    values = np.insert(scores, NECK, sure, axis=1)
    order = np.arange(points.shape[1])
    order[list(FROM_COCO)] = list(FROM_COCO.values())
    return points[:, order], values[:, order]


def draw_openpose(
    image: Array,
    keypoints: Array,
    scores: Array,
    palette: Palette,
    *,
    keypoint_threshold: float = 0.3,
    sizes: Sizes | None = None,
) -> Array:
    """Draw people into `image` (H, W, 3) uint8 in OpenPose's style.

    Args:
        image: changed in place.
        keypoints: (N, K, 2) pixels in COCO's order, K = 17 or 133.
        scores: (N, K).
        palette: colours of `coco_openpose` or `coco_wholebody_openpose`, K + 1 keypoints.
        keypoint_threshold: keypoints with a lower score are not drawn.
        sizes: line width and radius; None: by the picture's size.

    Returns:
        `image`.

    Raises:
        DataError: another picture.
    """
    check_image(image)
    points, values = to_openpose(keypoints, scores, keypoint_threshold)
    with np.errstate(invalid="ignore"):
        visible = (values >= keypoint_threshold) & (np.abs(points) < FARTHEST).all(axis=-1)
    pixels = np.where(visible[..., None], points, 0)
    sizes = sizes or Sizes()
    width, radius = sizes.line(image.shape), sizes.dot(image.shape)
    canvas = np.ascontiguousarray(image.copy())
    shown = visible[:, palette.links].all(axis=2)
    for n, link in np.argwhere(shown).tolist():
        color = palette.link_colors[link]
        if color is None:
            continue
        first, second = pixels[n, palette.links[link]]
        if link < BODY_LINKS:
            cv2.fillConvexPoly(canvas, _limb(first, second, width), color)
        else:
            ends = [np.rint(e).astype(int).tolist() for e in (first, second)]
            cv2.line(canvas, ends[0], ends[1], color, max(1, width))
    base = np.ascontiguousarray(image)
    blended = cv2.addWeighted(canvas, LIMB_ALPHA, base, 1 - LIMB_ALPHA, 0)
    for n, k in np.argwhere(visible).tolist():
        color = palette.points[k]
        # black marks keypoints that OpenPose does not have
        if color is None or not any(color):
            continue
        size = max(1, radius // 2) if k > NECK else radius
        cv2.circle(blended, np.rint(pixels[n, k]).astype(int).tolist(), size, color, -1)
    image[...] = blended
    return image


def _limb(first: Array, second: Array, width: int) -> Any:
    """Polygon of an ellipse with its ends at two points."""
    middle, along = (first + second) / 2, first - second
    return cv2.ellipse2Poly(
        np.rint(middle).astype(int).tolist(),
        (int(np.hypot(*along) / 2), max(2, 2 * width)),
        int(np.degrees(np.arctan2(along[1], along[0]))),
        0,
        360,
        4,
    )
