"""3D poses as pictures: a camera of our own and OpenCV's lines, fast enough for video."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.visualization.drawing import PIXELS_PER_FONT_SCALE, draw_keypoints
from poise.visualization.labels import FONT
from poise.visualization.style import Palette, named_color

__all__ = ["View", "draw_poses_3d"]

_GROUND_LINES = 9
#: A picture shows a bit more than the limits, so that limbs do not touch its edge.
_MARGIN = 1.35


@dataclasses.dataclass(frozen=True)
class View:
    """From where 3D poses are looked at; the angles are matplotlib's.

    Attributes:
        azimuth: degrees around the upright axis.
        elevation: degrees above the ground.
        distance: of the eye, in lengths of `limit`; small numbers show more perspective.
        limit: side of the cube that is shown, in the poses' unit.
        center: (3,) middle of the cube; None: the middle of the poses.
    """

    azimuth: float = 70.0
    elevation: float = 15.0
    distance: float = 10.0
    limit: float = 1.7
    center: Sequence[float] | None = None

    def project(self, points: Array, center: Array, size: tuple[int, int]) -> Array:
        """Pixels (..., 2) of points (..., 3) whose z axis points up."""
        turn, lift = np.radians(self.azimuth), np.radians(self.elevation)
        to_eye = np.array([np.cos(lift) * np.cos(turn), np.cos(lift) * np.sin(turn), np.sin(lift)])
        right = np.array([-np.sin(turn), np.cos(turn), 0.0])
        up = np.cross(to_eye, right)
        away = points - center
        reach = self.distance * self.limit
        # what is behind the eye must not come out in front
        shrink = reach / np.maximum(reach - away @ to_eye, 0.05 * reach)
        scale = min(size) / (self.limit * _MARGIN)
        x = size[0] / 2 + away @ right * shrink * scale
        y = size[1] / 2 - away @ up * shrink * scale
        return np.stack((x, y), -1)


def draw_poses_3d(
    poses: Any,
    scores: Any = None,
    metainfo: Mapping[str, Any] | None = None,
    *,
    palette: Palette | None = None,
    size: tuple[int, int] = (480, 480),
    view: View | None = None,
    keypoint_threshold: float = 0.3,
    line_width: float | None = None,
    radius: float | None = None,
    ground: bool = True,
    title: str | None = None,
    show_indices: bool = False,
    background: Any = "white",
    order: str = "bgr",
) -> Array:
    """A picture of people in space.

    Args:
        poses: (N, K, 3) or (K, 3), z up, any unit; NaN is left out.
        scores: (N, K); None: draw all.
        metainfo: parsed meta information with colours and links.
        palette: instead of `metainfo`, prepared once for many pictures.
        size: (width, height) of the picture.
        view: from where; None: MMPose's.
        keypoint_threshold: keypoints with a lower score are not drawn, nor their links.
        line_width, radius: pixels; None: by the size.
        ground: draw a grid at the height of the lowest keypoint.
        title: text at the top.
        show_indices: write the number of each keypoint.
        background: colour.
        order: channel order, `bgr` or `rgb`.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: poses of another shape.
    """
    points: Array = np.asarray(poses, np.float64)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[-1] != 3:
        raise DataError(f"3D poses have the shape (N, K, 3) or (K, 3), got {points.shape}")
    view = view or View()
    color = named_color(background)
    canvas = np.empty((size[1], size[0], 3), np.uint8)
    canvas[:] = color[::-1] if order == "bgr" else color
    ink = tuple(int(128 + (c - 128) * 0.75) if c < 200 else 205 for c in color)
    known = points[np.isfinite(points).all(-1)]
    center = np.asarray(view.center, float) if view.center is not None else _middle(known)
    if ground:
        _draw_ground(canvas, view, center, known, ink)
    if len(known):
        count = points.shape[1]
        width = max(1, round(min(size) / 160)) if line_width is None else line_width
        dot = max(2, round(min(size) / 120)) if radius is None else radius
        draw_keypoints(
            canvas,
            view.project(points, center, size),
            scores,
            palette=palette or Palette.of(metainfo, count, order=order),
            keypoint_threshold=keypoint_threshold,
            line_width=width,
            radius=dot,
            show_indices=show_indices,
            order=order,
        )
    if title:
        _write(canvas, title)
    return canvas


def _middle(known: Array) -> Array:
    """Middle of the box around all points; the origin where there are none."""
    return (known.min(0) + known.max(0)) / 2 if len(known) else np.zeros(3)


def _draw_ground(
    canvas: Array, view: View, center: Array, known: Array, ink: Sequence[int]
) -> None:
    """A grid of lines, all by one call."""
    height = known[:, 2].min() if len(known) else center[2] - view.limit / 2
    steps = np.linspace(-view.limit / 2, view.limit / 2, _GROUND_LINES)
    side = np.full(_GROUND_LINES, view.limit / 2)
    along = np.stack([np.stack([steps, -side], -1), np.stack([steps, side], -1)], 1)
    lines = np.concatenate((along, along[..., ::-1]))
    corners = np.concatenate((lines + center[:2], np.full((*lines.shape[:2], 1), height)), -1)
    pixels = view.project(corners, center, (canvas.shape[1], canvas.shape[0]))
    strokes = list(np.rint(pixels).astype(np.int32))
    cv2.polylines(canvas, strokes, False, ink, 1, cv2.LINE_AA)


def _write(canvas: Array, text: str) -> None:
    scale = max(0.4, canvas.shape[0] / 20 / PIXELS_PER_FONT_SCALE)
    (width, height), _ = cv2.getTextSize(text, FONT, scale, 1)
    at = ((canvas.shape[1] - width) // 2, height + height // 2)
    dark = int(canvas[0, 0].mean()) > 127
    ink = (40, 40, 40) if dark else (230, 230, 230)
    cv2.putText(canvas, text, at, FONT, scale, ink, 1, cv2.LINE_AA)
