"""A picture on its way through the pipeline, and the boxes that came with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from poise.errors import DataError, PoiseError
from poise.inference.boxes import BoxFile, check_boxes, read_boxes
from poise.inference.sources import Picture
from poise.structures import InstanceData

__all__ = ["GivenBoxes", "Job"]


class Job:
    """A picture on its way: where to look in it, and what came back.

    Attributes:
        picture: where it comes from.
        image: (H, W, 3) uint8 BGR, or None where it could not be read.
        error: why it could not be used.
        bboxes: (N, 4) xyxy, image space; None until somebody looked.
        bbox_scores: (N,).
    """

    def __init__(
        self, picture: Picture, image: np.ndarray | None, error: PoiseError | None = None
    ) -> None:
        self.picture, self.error = picture, error
        self.image: Any = image
        self.bboxes: np.ndarray | None = None
        self.bbox_scores = np.zeros((0,), np.float32)
        self._found: list[Any] = []
        self._expected = 0

    def expect(self, count: int) -> None:
        """Say how many answers of the network belong to this picture."""
        self._expected = count

    @property
    def complete(self) -> bool:
        """Whether all answers are there."""
        return len(self._found) == self._expected

    def add(self, instances: Any) -> None:
        """Take one answer: `pred_instances` of a sample."""
        self._found.append(instances)

    def instances(self) -> InstanceData | None:
        """Everybody in the picture, numpy, image space; None where nobody is."""
        if not self._found:
            return None
        keypoints = _stack([f.keypoints for f in self._found])
        scores = _stack([f.keypoint_scores for f in self._found])
        boxes, box_scores = self.bboxes, self.bbox_scores
        if boxes is None:
            boxes, box_scores = _boxes_of_poses(self._found, keypoints, scores)
        return InstanceData(
            keypoints=keypoints, keypoint_scores=scores, bboxes=boxes, bbox_scores=box_scores
        )


def _boxes_of_poses(
    found: Sequence[Any], keypoints: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that a model of whole pictures gave, else those around the keypoints."""
    if all("bboxes" in f for f in found):
        boxes = _stack([f.bboxes for f in found])
    else:
        points = keypoints[..., :2]
        # the smallest of no points has no meaning
        boxes = (
            np.concatenate((points.min(1), points.max(1)), -1)
            if len(points)
            else np.zeros((0, 4), np.float32)
        )
    if all("bbox_scores" in f for f in found):
        return boxes, _stack([f.bbox_scores for f in found])
    return boxes, scores.reshape(len(boxes), -1).mean(-1) if len(boxes) else scores[:, 0]


def _stack(parts: Sequence[Any]) -> np.ndarray:
    """(n, ...) arrays or tensors -> one float32 array (N, ...)."""
    arrays = [p.detach().cpu().numpy() if hasattr(p, "cpu") else np.asarray(p) for p in parts]
    return np.concatenate(arrays).astype(np.float32, copy=False)


class GivenBoxes:
    """The caller's boxes of the n-th picture, whichever form they came in.

    Args:
        boxes: see `Inferencer.predict`; not None.
        pictures: all pictures, in order.

    Raises:
        DataError: boxes for another number of pictures.
    """

    def __init__(self, boxes: Any, pictures: Sequence[Picture]) -> None:
        if isinstance(boxes, (str, os.PathLike)):
            boxes = read_boxes(boxes)
        elif isinstance(boxes, Mapping):
            boxes = BoxFile(None, dict(boxes))
        elif len(pictures) == 1 and not _is_nested(boxes):
            boxes = [boxes]
        if isinstance(boxes, (list, tuple, np.ndarray)) and len(boxes) != len(pictures):
            raise DataError(
                f"there are {len(pictures)} pictures and boxes for {len(boxes)}; give one array "
                f"(N, 4) a picture, empty where nobody is"
            )
        self._boxes, self._pictures = boxes, pictures

    def of(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) xyxy and scores (N,) of a picture.

        Raises:
            DataError: wrong boxes, or none for this picture.
        """
        name = self._pictures[index].name
        if not isinstance(self._boxes, BoxFile):
            return check_boxes(self._boxes[index], where=f"boxes of {name}")
        found = self._boxes.of(name)
        if found is None:
            raise DataError(f"{self._boxes.describe()} has no entry for '{name}'")
        return check_boxes(found, where=f"boxes of {name}")


def _is_nested(boxes: Any) -> bool:
    """Whether boxes are a list with one array a picture rather than the array itself."""
    return len(boxes) > 0 and np.ndim(boxes[0]) == 2
