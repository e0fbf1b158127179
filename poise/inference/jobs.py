"""A picture on its way through the pipeline, and the boxes that came with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from poise.errors import DataError
from poise.inference.boxes import BoxFile, check_boxes, read_boxes
from poise.inference.heat import picture_heat
from poise.inference.sources.frame import Frame
from poise.structures import InstanceData

__all__ = ["GivenBoxes", "Job", "Poses"]


class Poses(NamedTuple):
    """What a network says about one place: numpy, image space.

    Attributes:
        keypoints: (N, K, 2) float32.
        scores: (N, K) float32.
        bboxes: (N, 4) xyxy where the network finds boxes itself, else None.
        bbox_scores: (N,), or None.
        keypoints_3d: (N, K, 3) of models that give them, in a space of their own; else None.
        heat: (h, w) where the network saw keypoints, if asked for; else None.
        heat_box: (4,) xyxy, image space: what `heat` covers.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    bboxes: np.ndarray | None = None
    bbox_scores: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    heat: np.ndarray | None = None
    heat_box: np.ndarray | None = None


class Job:
    """A picture on its way: where to look in it, and what came back.

    Attributes:
        frame: picture and where it comes from.
        error: why it could not be used.
        bboxes: (N, 4) xyxy, image space; None until somebody looked, and for models of whole
            pictures.
        bbox_scores: (N,).
        follows: its boxes are still to follow from the poses of the frame before.
        detected: its boxes come from a detector, or from the caller.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.error: Exception | None = frame.error
        self.bboxes: np.ndarray | None = None
        self.bbox_scores = np.zeros((0,), np.float32)
        self.follows = False
        self.detected = True
        self._found: list[Poses] = []
        self._expected = 0

    @property
    def image(self) -> Any:
        """(H, W, 3) uint8 BGR; None where it could not be read."""
        return self.frame.image

    @property
    def name(self) -> str:
        """How an error text calls this picture."""
        source = self.frame.source
        return f"frame {self.frame.index} of {source.name}" if source.moves else source.name

    def locate(self, boxes: np.ndarray, scores: np.ndarray) -> None:
        """Say where to look: (N, 4) xyxy and (N,)."""
        self.bboxes, self.bbox_scores = boxes, scores
        self._expected = len(boxes)

    def look_at_all(self) -> None:
        """Say that the network looks at the whole picture, once."""
        self._expected = 1

    def fail(self, error: Exception) -> None:
        """Nothing more is expected of this picture."""
        self.error, self._found, self._expected = error, [], 0

    @property
    def complete(self) -> bool:
        """Whether all answers are there."""
        return len(self._found) == self._expected

    def add(self, poses: Poses) -> None:
        """Take one answer."""
        self._found.append(poses)

    def heatmap(self) -> np.ndarray | None:
        """(h, w) where the network saw keypoints in the whole picture; None where nobody asked."""
        maps = [poses.heat for poses in self._found if poses.heat is not None]
        boxes = [poses.heat_box for poses in self._found if poses.heat_box is not None]
        return picture_heat(self.image.shape, maps, boxes) if maps else None

    def instances(self) -> InstanceData | None:
        """Everybody in the picture, numpy, image space; None where nobody is."""
        if not self._found:
            return None
        keypoints, scores, boxes, box_scores, in_space = (
            _stack([poses[i] for poses in self._found]) for i in range(5)
        )
        assert keypoints is not None
        assert scores is not None
        if self.bboxes is not None:
            boxes, box_scores = self.bboxes, self.bbox_scores
        if boxes is None:
            boxes = _boxes_around(keypoints)
        if box_scores is None:
            box_scores = scores.reshape(len(boxes), -1).mean(-1) if len(boxes) else scores[:, 0]
        people = InstanceData(
            keypoints=keypoints, keypoint_scores=scores, bboxes=boxes, bbox_scores=box_scores
        )
        if in_space is not None:
            people.set_field(in_space, "keypoints_3d")
        return people


def _boxes_around(keypoints: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) around keypoints (N, K, 2 or 3)."""
    points = keypoints[..., :2]
    if not len(points):
        # the smallest of no points has no meaning
        return np.zeros((0, 4), np.float32)
    return np.concatenate((points.min(1), points.max(1)), -1)


def _stack(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """(n, ...) arrays -> one float32 array (N, ...); None where one is None."""
    arrays = [part for part in parts if part is not None]
    if len(arrays) < len(parts):
        return None
    return np.concatenate(arrays).astype(np.float32, copy=False)


class GivenBoxes:
    """The caller's boxes of the n-th picture or frame, whichever form they came in.

    Args:
        boxes: see `Inferencer.predict`; not None.
        count: pictures there are, where known before they are read.

    Raises:
        DataError: boxes for another number of pictures, or something else.
    """

    def __init__(self, boxes: Any, count: int | None) -> None:
        self._by_name: BoxFile | None = None
        self._coming: Iterator[Any] | None = None
        self._same: Any = None
        if isinstance(boxes, (str, os.PathLike)):
            self._by_name = read_boxes(boxes)
        elif isinstance(boxes, Mapping):
            self._by_name = BoxFile(None, dict(boxes))
        elif not hasattr(boxes, "__iter__"):
            raise DataError(
                f"boxes are an array (N, 4), a list with one a picture, a dict, a file or an "
                f"iterator; got {boxes!r}"
            )
        elif not isinstance(boxes, (list, tuple, np.ndarray)):
            # an iterator, such as the detections of another program
            self._coming = iter(boxes)
        elif count == 1 and not _is_nested(boxes):
            self._coming = iter([boxes])
        elif count is None and not _is_nested(boxes):
            self._same = boxes
        else:
            if count is not None and len(boxes) != count:
                raise DataError(
                    f"there are {count} pictures and boxes for {len(boxes)}; give one array "
                    f"(N, 4) a picture, empty where nobody is"
                )
            self._coming = iter(boxes)

    def of(self, frame: Frame, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) xyxy and scores (N,) of a picture; call it once for each, in order.

        Args:
            frame: the picture.
            where: for error texts.

        Raises:
            DataError: wrong boxes, or none for this picture.
        """
        return check_boxes(self._raw(frame, where), where=f"boxes of {where}")

    def _raw(self, frame: Frame, where: str) -> Any:
        if self._same is not None:
            return self._same
        if self._coming is not None:
            found = next(self._coming, _NONE_LEFT)
            if found is _NONE_LEFT:
                raise DataError(f"there are no boxes left for {where}; give one array a frame")
            return found
        assert self._by_name is not None
        found = self._by_name.of(frame.source.name)
        if found is None:
            raise DataError(f"{self._by_name.describe()} has no entry for '{frame.source.name}'")
        if not frame.source.moves or not _is_nested(found):
            return found
        if frame.index >= len(found):
            raise DataError(
                f"{self._by_name.describe()} has boxes for {len(found)} frames of "
                f"'{frame.source.name}', none for frame {frame.index}"
            )
        return found[frame.index]


_NONE_LEFT = object()


def _is_nested(boxes: Any) -> bool:
    """Whether boxes are a list with one array a picture rather than the array itself."""
    return len(boxes) > 0 and (np.ndim(boxes[0]) == 2 or np.size(boxes[0]) == 0)
