"""The picture of a result with its poses drawn in, made once for all sinks that want it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from poise.inference.results import PoseResult
from poise.visualization import draw_boxes, draw_instances
from poise.visualization.style import Palette

__all__ = ["Drawer"]


class Drawer:
    """Draws keypoints, links, boxes, and the numbers of tracked people.

    Several sinks may ask for the picture of the same result: it is drawn once and handed out
    again, so none of them may change it.

    Args:
        boxes: draw the boxes, too.
        **style: further options of `poise.visualization.draw_keypoints`.
    """

    def __init__(self, *, boxes: bool = True, **style: Any) -> None:
        self._boxes, self._style = boxes, style
        # the palette of the schema that came last: a run has one, as a rule
        self._palette: tuple[Any, int, Palette] | None = None
        self._last: tuple[PoseResult, np.ndarray] | None = None
        # a window and the files ask from different threads
        self._lock = threading.Lock()

    def __call__(self, result: PoseResult) -> np.ndarray:
        """(H, W, 3) uint8 BGR; a black picture where the result has none."""
        with self._lock:
            if self._last is None or self._last[0] is not result:
                self._last = result, self._drawn(result)
            return self._last[1]

    def _drawn(self, result: PoseResult) -> np.ndarray:
        if result.image is None:
            return np.zeros((64, 64, 3), np.uint8)
        picture = result.image.copy()
        if not len(result):
            return picture
        draw_instances(
            picture,
            result.instances,
            keypoint_threshold=result.keypoint_threshold,
            boxes=self._boxes,
            palette=self._palette_of(result),
            **self._style,
        )
        if result.track_ids is not None:
            labels = [str(i) for i in result.track_ids.tolist()]
            draw_boxes(picture, result.bboxes, color="black", line_width=1, labels=labels)
        return picture

    def _palette_of(self, result: PoseResult) -> Palette:
        count = result.keypoints.shape[1]
        if self._palette is None or self._palette[:2] != (id(result.metainfo), count):
            palette = Palette.of(result.metainfo, count, order="bgr")
            self._palette = id(result.metainfo), count, palette
        return self._palette[2]
