"""Keypoints, links and boxes, drawn into the caller's picture.

Links of one colour and width go to OpenCV in a single call, whoever they belong to; nothing
copies the picture. Whatever cannot be drawn (NaN, infinite, far away) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array, as_numpy
from poise.errors import DataError
from poise.visualization.labels import FONT, draw_labels
from poise.visualization.style import (
    FARTHEST,
    LEAST_BOX_LINE,
    Palette,
    Sizes,
    check_image,
    named_color,
)

__all__ = ["draw_boxes", "draw_instances", "draw_keypoints", "field_of"]

#: Boxes that `draw_instances` draws, as RGB.
BOX_COLOR = (255, 210, 0)
#: Text of this scale is about as high as this many pixels.
PIXELS_PER_FONT_SCALE = 22.0


def draw_keypoints(
    image: Array,
    keypoints: Any,
    scores: Any = None,
    *,
    metainfo: Mapping[str, Any] | None = None,
    palette: Palette | None = None,
    keypoint_threshold: float = 0.3,
    line_width: float | None = None,
    radius: float | None = None,
    show_indices: bool = False,
    weigh_by_score: bool = False,
    alpha: float = 1.0,
    antialias: bool = True,
    order: str = "bgr",
) -> Array:
    """Draw people's keypoints and the links between them into `image`.

    Args:
        image: (H, W, 3) uint8, changed in place.
        keypoints: (N, K, 2 or 3) or (K, 2) pixels, image space.
        scores: (N, K) or (K,); None: draw all.
        metainfo: parsed meta information with colours and links.
        palette: instead of `metainfo`, prepared once for many pictures.
        keypoint_threshold: keypoints with a lower score are not drawn, nor their links.
        line_width: pixels; None: by the size of the picture and of each person.
        radius: pixels; None: likewise.
        show_indices: write the number of each keypoint beside it.
        weigh_by_score: let unsure keypoints fade.
        alpha: 1 covers the picture, 0 leaves it.
        antialias: smooth edges, at three times the cost.
        order: channel order of `image`, `bgr` or `rgb`.

    Returns:
        `image`.

    Raises:
        DataError: (a ValueError) if picture, shapes or colours do not fit.
    """
    check_image(image)
    points, visible = _people(keypoints, scores, keypoint_threshold)
    if palette is None:
        palette = Palette.of(metainfo, points.shape[1], order=order)
    if len(palette.points) != points.shape[1]:
        raise DataError(
            f"the palette has colours for {len(palette.points)} keypoints, but people have "
            f"{points.shape[1]}"
        )
    if not visible.any():
        return image
    points = np.where(visible[..., None], points, 0)
    sizes = Sizes(line_width, radius)
    widths, radii = sizes.strokes(image.shape, points, visible, palette)
    line_type = cv2.LINE_AA if antialias else cv2.LINE_8
    pen = _Pen(image, alpha, _score_array(scores, points) if weigh_by_score else None)
    pixels = np.rint(points).astype(np.int32)
    _draw_links(pen, pixels, visible, palette, widths, line_type)
    _draw_dots(pen, pixels, visible, palette, radii, line_type)
    pen.finish()
    if show_indices:
        _draw_indices(image, pixels, visible, palette, radii)
    return image


def draw_boxes(
    image: Array,
    boxes: Any,
    *,
    color: Any = "green",
    labels: Sequence[str] | None = None,
    text_color: Any = "white",
    line_width: float | None = None,
    alpha: float = 1.0,
    order: str = "bgr",
) -> Array:
    """Draw boxes (N, 4) xyxy, image space, into `image` (H, W, 3) uint8.

    Args:
        image: changed in place.
        boxes: (N, 4) or more columns, of which the first four count.
        color: name, `#rrggbb`, or red, green, blue.
        labels: a text for each box.
        text_color: of the labels.
        line_width: pixels; None: by the size of the picture.
        alpha: 1 covers the picture, 0 leaves it.
        order: channel order of `image`, `bgr` or `rgb`.

    Returns:
        `image`.

    Raises:
        DataError: another picture, another number of labels than boxes, or an unknown colour.
    """
    check_image(image)
    corners = np.asarray(boxes, dtype=np.float64)
    corners = corners.reshape(-1, corners.shape[-1] if corners.ndim > 1 else 4)[:, :4]
    if labels is not None and len(labels) != len(corners):
        raise DataError(f"there are {len(labels)} labels and {len(corners)} boxes")
    drawable = np.asarray((np.abs(corners) < FARTHEST).all(axis=1))
    pixels = np.rint(np.where(drawable[:, None], corners, 0)).astype(int).tolist()
    ink, text_ink = (
        c[::-1] if order == "bgr" else c for c in (named_color(color), named_color(text_color))
    )
    width = Sizes(line_width).line(image.shape)
    pen = _Pen(image, alpha, None)
    for n in np.flatnonzero(drawable).tolist():
        left, top, right, bottom = pixels[n]
        cv2.rectangle(pen.canvas, (left, top), (right, bottom), ink, width)
    if labels is not None:
        shown = np.flatnonzero(drawable).tolist()
        texts = [str(labels[n]) for n in shown]
        draw_labels(pen.canvas, texts, corners[shown], [ink] * len(shown), [text_ink] * len(shown))
    pen.finish()
    return image


def draw_instances(
    image: Array,
    instances: Any,
    metainfo: Mapping[str, Any] | None = None,
    *,
    keypoint_threshold: float = 0.3,
    boxes: bool = True,
    order: str = "bgr",
    **style: Any,
) -> Array:
    """Draw people as an inference gives them: boxes, links and keypoints.

    Args:
        image: (H, W, 3) uint8, changed in place.
        instances: `keypoints`, and where present `keypoint_scores` (or `keypoints_visible`) and
            `bboxes`, in image space; an `InstanceData` or a dict.
        metainfo: parsed meta information with colours and links.
        keypoint_threshold: as in `draw_keypoints`.
        boxes: draw the boxes, too.
        order: channel order of `image`, `bgr` or `rgb`.
        **style: further options of `draw_keypoints`.

    Returns:
        `image`.
    """
    found = field_of(instances, "bboxes")
    if boxes and found is not None and len(found):
        # thinner than links, and unlike the green and orange of left and right
        width = style.get("line_width") or max(LEAST_BOX_LINE, Sizes().line(image.shape) // 2)
        draw_boxes(image, found, color=BOX_COLOR, line_width=width, order=order)
    keypoints = field_of(instances, "keypoints")
    if keypoints is not None and len(keypoints):
        scores = field_of(instances, "keypoint_scores", "keypoints_visible")
        draw_keypoints(
            image,
            keypoints,
            scores,
            metainfo=metainfo,
            keypoint_threshold=keypoint_threshold,
            order=order,
            **style,
        )
    return image


def field_of(container: Any, *names: str) -> Any:
    """First of the named items that `container` has, as an array; None if it has none."""
    for name in names:
        if name in container and container[name] is not None:
            return as_numpy(container[name])
    return None


class _Pen:
    """Where to draw: the picture itself, or a copy that is blended in at the end.

    Attributes:
        canvas: draw here.
        scores: (N, K), or None: every stroke at full strength.
    """

    def __init__(self, image: Array, alpha: float, scores: Array | None) -> None:
        self.image = image
        self.alpha = float(np.clip(alpha, 0, 1))
        self.scores = scores
        # OpenCV draws into contiguous pictures only
        direct = self.alpha == 1 and image.flags.c_contiguous
        self.canvas: Array = image if direct else np.ascontiguousarray(image.copy())

    def finish(self) -> None:
        """Bring the drawing into the picture."""
        if self.canvas is self.image:
            return
        if self.alpha == 1:
            self.image[...] = self.canvas
        else:
            base = np.ascontiguousarray(self.image)
            self.image[...] = cv2.addWeighted(self.canvas, self.alpha, base, 1 - self.alpha, 0)

    @contextmanager
    def faded(self, strength: float, points: Array, margin: int) -> Iterator[Array]:
        """Canvas to draw on, at `strength`, near `points` (M, 2) with a margin in pixels."""
        H, W = self.canvas.shape[:2]
        low = np.clip(points.min(axis=0) - margin, 0, [W, H])
        high = np.clip(points.max(axis=0) + margin + 1, 0, [W, H])
        part = self.canvas[low[1] : high[1], low[0] : high[0]]
        before = part.copy()
        yield self.canvas
        if part.size:
            part[...] = cv2.addWeighted(part, strength, before, 1 - strength, 0)


def _draw_links(
    pen: _Pen, pixels: Array, visible: Array, palette: Palette, widths: Array, line_type: int
) -> None:
    """All links, one call per colour and width; one per link where scores weigh."""
    first, second = palette.links.T
    shown = visible[:, first] & visible[:, second] & (palette.ink_of_link >= 0)
    person, link = np.nonzero(shown)
    lines = np.stack([pixels[person, first[link]], pixels[person, second[link]]], axis=1)
    width = widths[person, link]
    if pen.scores is not None:
        strength = (pen.scores[:, first] + pen.scores[:, second])[shown].clip(0, 2) / 2
        for i, part in enumerate(strength.tolist()):
            stroke = (palette.inks[palette.ink_of_link[link[i]]], int(width[i]), line_type)
            with pen.faded(part, lines[i], int(width[i]) + 1) as canvas:
                cv2.polylines(canvas, [lines[i]], False, *stroke)
        return
    kind = palette.ink_of_link[link] + len(palette.inks) * width
    for number in sorted(set(kind.tolist())):
        thick, ink = divmod(number, len(palette.inks))
        same = lines[kind == number]
        cv2.polylines(pen.canvas, same, False, palette.inks[ink], thick, line_type)


def _draw_dots(
    pen: _Pen, pixels: Array, visible: Array, palette: Palette, radii: Array, line_type: int
) -> None:
    """All keypoints as filled circles."""
    n, k = np.nonzero(visible)
    places, sizes = pixels[n, k].tolist(), radii[n, k].tolist()
    colors = [palette.points[i] for i in k.tolist()]
    strength = None if pen.scores is None else pen.scores[n, k].clip(0, 1).tolist()
    for i, (place, radius, color) in enumerate(zip(places, sizes, colors, strict=True)):
        if color is None:
            continue
        if strength is None:
            cv2.circle(pen.canvas, place, radius, color, -1, line_type)
            continue
        with pen.faded(strength[i], np.array([place]), radius + 1) as canvas:
            cv2.circle(canvas, place, radius, color, -1, line_type)


def _draw_indices(
    image: Array, pixels: Array, visible: Array, palette: Palette, radii: Array
) -> None:
    """The number of each keypoint, beside it, with a dark edge to be readable anywhere."""
    canvas = np.ascontiguousarray(image)
    for n, k in np.argwhere(visible).tolist():
        color = palette.points[k]
        if color is None:
            continue
        radius = int(radii[n].max())
        scale = max(0.3, 3 * radius / PIXELS_PER_FONT_SCALE)
        x, y = pixels[n, k].tolist()
        at = (x + radius, y - radius)
        cv2.putText(canvas, str(k), at, FONT, scale, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(canvas, str(k), at, FONT, scale, color, 1, cv2.LINE_AA)
    if canvas is not image:
        image[...] = canvas


def _people(keypoints: Any, scores: Any, threshold: float) -> tuple[Array, Array]:
    """Points (N, K, 2) float64 and which of them to draw (N, K)."""
    points = np.asarray(as_numpy(keypoints), dtype=np.float64)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[-1] < 2:
        raise DataError(f"keypoints have the shape (N, K, 2) or (K, 2), got {points.shape}")
    points = points[..., :2]
    drawable = np.asarray((np.abs(points) < FARTHEST).all(axis=-1))
    if scores is not None:
        # NaN scores compare as not shown
        drawable &= _score_array(scores, points) >= threshold
    return points, drawable


def _score_array(scores: Any, points: Array) -> Array:
    """Scores (N, K) of points (N, K, 2)."""
    if scores is None:
        return np.ones(points.shape[:2])
    values = np.asarray(as_numpy(scores), dtype=np.float64)
    if values.ndim == 3:
        # visibility and weight
        values = values[..., 0]
    values = values[None] if values.ndim == 1 else values
    if values.shape != points.shape[:2]:
        raise DataError(
            f"scores {values.shape} do not fit keypoints {points.shape}: expected "
            f"{points.shape[:2]}"
        )
    return values
