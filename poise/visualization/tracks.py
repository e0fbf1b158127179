"""People who are followed: a colour for each id, and the way they came."""

from __future__ import annotations

import colorsys
from collections import deque
from typing import Any

import cv2
import numpy as np

from poise._arrays import Array
from poise.errors import DataError
from poise.visualization.labels import draw_labels
from poise.visualization.style import FARTHEST, LEAST_BOX_LINE, Color, check_image

__all__ = ["Trails", "draw_tracks", "id_color"]

#: Turn of the colour wheel from one id to the next: never near one that was just used.
_GOLDEN_TURN = 0.618033988749895
#: Colour of people without an id.
_NOBODY: Color = (160, 160, 160)
#: Steps in which a trail fades.
_FADES = 4


def id_color(identity: int, *, order: str = "bgr") -> Color:
    """Colour of an id: the same in every picture, and unlike those of the ids near it.

    Example:
        >>> id_color(1, order="rgb"), id_color(1) == id_color(1), id_color(-1)
        ((64, 112, 230), True, (160, 160, 160))
    """
    if identity < 0:
        return _NOBODY
    hue = (identity * _GOLDEN_TURN) % 1.0
    # neighbouring ids also differ in brightness, for eyes that see few colours
    value = 0.9 if identity % 2 else 1.0
    red, green, blue = (
        round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.72 if identity % 3 else 0.95, value)
    )
    return (red, green, blue) if order == "rgb" else (blue, green, red)


def draw_tracks(
    image: Array,
    ids: Any,
    bboxes: Any,
    *,
    boxes: bool = True,
    line_width: int | None = None,
    order: str = "bgr",
) -> Array:
    """Draw the box of each person in the colour of the id, and the id.

    Args:
        image: (H, W, 3) uint8, contiguous, changed in place.
        ids: (N,); people with an id below 0 get a thin grey box and no number.
        bboxes: (N, 4) xyxy, image space.
        boxes: draw the boxes; else the ids alone.
        line_width: pixels; None: by the size of the picture.
        order: channel order of `image`.

    Returns:
        `image`.

    Raises:
        DataError: another picture, or another number of ids than boxes.
    """
    check_image(image)
    numbers = np.asarray(ids, np.int64).reshape(-1).tolist()
    corners: Array = np.asarray(bboxes, np.float64).reshape(-1, 4)
    if len(numbers) != len(corners):
        raise DataError(f"there are {len(numbers)} ids and {len(corners)} boxes")
    drawable = np.asarray((np.abs(corners) < FARTHEST).all(1))
    side = float(np.sqrt(image.shape[0] * image.shape[1]))
    width = line_width or max(LEAST_BOX_LINE, round(side / 400))
    colors = [id_color(i, order=order) for i in numbers]
    pixels = np.rint(np.where(drawable[:, None], corners, 0)).astype(int).tolist()
    for n in np.flatnonzero(drawable).tolist() if boxes else ():
        left, top, right, bottom = pixels[n]
        thick = width if numbers[n] >= 0 else min(width, LEAST_BOX_LINE)
        cv2.rectangle(image, (left, top), (right, bottom), colors[n], thick)
    texts = [str(i) if i >= 0 and ok else "" for i, ok in zip(numbers, drawable, strict=True)]
    # dark letters on light grounds
    inks = [(0, 0, 0) if sum(c) > 330 else (255, 255, 255) for c in colors]
    draw_labels(image, texts, np.where(drawable[:, None], corners, 0), colors, inks)
    return image


class Trails:
    """The ways of people over the last frames, thinner and fainter the older they are.

    Args:
        length: frames that are shown.
        keypoints: indices of the keypoints whose ways are drawn; None: the middle of the sure
            keypoints.
        line_width: pixels; None: by the size of the picture.
        threshold: keypoints with a lower score leave a gap.

    Example:
        trails = Trails(25, keypoints=[9, 10])      # the hands, for a second
        for result in results:
            trails.draw(result.image, result.track_ids, result.keypoints, result.keypoint_scores)
    """

    def __init__(
        self,
        length: int = 30,
        *,
        keypoints: Any = None,
        line_width: int | None = None,
        threshold: float = 0.3,
    ) -> None:
        if length < 1:
            raise DataError(f"a trail has a length of at least 1 frame, got {length}")
        self.keypoints = None if keypoints is None else np.asarray(keypoints, int).reshape(-1)
        self.line_width, self.threshold = line_width, threshold
        # of each of the last frames: ids (n,) and points (n, P, 2)
        self._frames: deque[tuple[Array, Array]] = deque(maxlen=length + 1)

    def clear(self) -> None:
        """Forget all ways, before another video."""
        self._frames.clear()

    def draw(
        self, image: Array, ids: Any, keypoints: Any, scores: Any = None, *, order: str = "bgr"
    ) -> Array:
        """Take a frame's people in, and draw their ways up to here.

        Args:
            image: (H, W, 3) uint8, contiguous, changed in place.
            ids: (N,); people with an id below 0 leave no trail.
            keypoints: (N, K, 2 or more), image space.
            scores: (N, K); None: all are sure.
            order: channel order of `image`.

        Returns:
            `image`.

        Raises:
            DataError: another picture, or another number of ids than people.
        """
        check_image(image)
        numbers = np.asarray(ids, np.int64).reshape(-1)
        if len(numbers) != len(keypoints):
            raise DataError(f"there are {len(numbers)} ids and {len(keypoints)} people")
        self._frames.append((numbers, self._anchors(keypoints, scores)))
        width = self.line_width or max(
            1, round(float(np.sqrt(image.shape[0] * image.shape[1])) / 350)
        )
        frames = list(self._frames)
        shown = numbers[numbers >= 0]
        if len(frames) < 2 or not len(shown):
            return image
        places = np.stack([_rows_of(frame, shown) for frame in frames])
        age = np.linspace(1, 0, len(frames) - 1, endpoint=False)
        segments = np.stack((places[:-1], places[1:]), -2)
        known = np.isfinite(segments).all((-1, -2))
        whole = np.rint(np.nan_to_num(segments)).astype(np.int32)
        for n, identity in enumerate(shown.tolist()):
            color = np.array(id_color(identity, order=order), float)
            for fade in range(_FADES):
                part = (age <= (_FADES - fade) / _FADES) & (age > (_FADES - fade - 1) / _FADES)
                lines = list(whole[part, n][known[part, n]])
                if lines:
                    strength = (fade + 1) / _FADES
                    ink = tuple((color * (0.35 + 0.65 * strength)).round().astype(int).tolist())
                    thick = max(1, round(width * strength))
                    cv2.polylines(image, lines, False, ink, thick, cv2.LINE_AA)
        return image

    def _anchors(self, keypoints: Any, scores: Any) -> Array:
        """(N, P, 2) what leaves a trail; NaN where it is not known."""
        if not len(keypoints):
            return np.zeros((0, 1 if self.keypoints is None else len(self.keypoints), 2))
        points: Array = np.asarray(keypoints, np.float64)[..., :2]
        # NaN compares as too far
        sure = np.asarray((np.abs(points) < FARTHEST).all(-1))
        if scores is not None:
            sure &= np.asarray(scores) >= self.threshold
        if self.keypoints is not None:
            chosen = points[:, self.keypoints]
            return np.where(sure[:, self.keypoints][..., None], chosen, np.nan)
        count = sure.sum(1)
        total = np.where(sure[..., None], points, 0).sum(1)
        middle = total / np.maximum(count, 1)[:, None]
        return np.where(count[:, None] > 0, middle, np.nan)[:, None]


def _rows_of(frame: tuple[Array, Array], ids: Array) -> Array:
    """Points (N, P, 2) of some ids in a frame; NaN where one is not in it."""
    known, points = frame
    same = ids[:, None] == known[None]
    out = np.full((len(ids), *points.shape[1:]), np.nan)
    person, row = np.nonzero(same)
    out[person] = points[row]
    return out
