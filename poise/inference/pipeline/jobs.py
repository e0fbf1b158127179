"""A picture on its way through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.inference.boxes.tiling import Views
from poise.inference.networks.heat import picture_heat
from poise.inference.networks.network import Poses
from poise.inference.sources.frame import Frame
from poise.structures import InstanceData

__all__ = ["Job"]


class Job:
    """A picture on its way: where to look in it, and what came back.

    Attributes:
        frame: picture and where it comes from.
        error: why it could not be used.
        bboxes: (N, 4) xyxy, image space; None until somebody looked, and for models of whole
            pictures.
        bbox_scores: (N,).
        categories: (N,) int64 of the boxes, where they came with some.
        follows: its boxes are still to follow from the poses of the frame before.
        detected: its boxes come from a detector, or from the caller.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.error: Exception | None = frame.error
        self.bboxes: np.ndarray | None = None
        self.bbox_scores = np.zeros((0,), np.float32)
        self.categories: np.ndarray | None = None
        self.follows = False
        self.detected = True
        self._views: Views | None = None
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

    def locate(
        self, boxes: np.ndarray, scores: np.ndarray, categories: np.ndarray | None = None
    ) -> None:
        """Say where to look: (N, 4) xyxy, (N,), and perhaps (N,) what is there."""
        self.bboxes, self.bbox_scores, self.categories = boxes, scores, categories
        self._expected = len(boxes)

    def look_at_all(self, views: Views | None = None) -> None:
        """Say that the network looks at the whole picture, once, and perhaps at tiles of it."""
        self._views, self._expected = views, 1 if views is None else len(views)

    def views(self) -> list[np.ndarray]:
        """What a network of whole pictures is to look at, (h, w, 3) each."""
        return [self.image] if self._views is None else self._views.crops(self.image)

    def fail(self, error: Exception) -> None:
        """Nothing more is expected of this picture."""
        self.error, self._found, self._expected = error, [], 0

    @property
    def complete(self) -> bool:
        """Whether all answers are there."""
        return len(self._found) == self._expected

    def add(self, poses: Poses) -> None:
        """Take one answer; of views they come in their order."""
        if self._views is not None:
            poses = poses.moved(self._views.places[len(self._found), :2])
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
        kinds = [poses.categories for poses in self._found if poses.categories is not None]
        if self.categories is not None:
            people.set_field(self.categories, "categories")
        elif len(kinds) == len(self._found):
            people.set_field(np.concatenate(kinds), "categories")
        if in_space is not None:
            people.set_field(in_space, "keypoints_3d")
        covariances = _stack([poses.covariances for poses in self._found])
        if covariances is not None:
            people.set_field(covariances, "keypoint_covariances")
        if self._views is not None:
            owners = np.repeat(range(len(self._found)), [len(p.keypoints) for p in self._found])
            people = people[self._views.kept(boxes, box_scores, owners)]
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
