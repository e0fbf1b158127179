"""What a detector is, and which of the boxes that a network finds are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from poise.errors import ArgumentError
from poise.geometry import nms

__all__ = ["BatchDetector", "SelectingDetector", "fit_picture"]

#: Classes that a log line names; of more it tells how many there are.
_NAMED = 4


@runtime_checkable
class BatchDetector(Protocol):
    """Finds boxes in several pictures at once.

    Implement it where a network call for several pictures is cheaper than one call each; a
    plain callable of one picture is accepted wherever a detector is.
    """

    #: how a log line calls it
    description: str

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes of each picture.

        Args:
            images: B pictures (H, W, 3) uint8 BGR, of any sizes.

        Returns:
            B arrays (N, 5) float32: x1, y1, x2, y2 in pixels of the picture, and a score, best
            first; N is 0 where nobody is. Or (N, 6) with the id of a category, as the pose model
            numbers them.
        """


class SelectingDetector:
    """A detector whose network gives scores: the sure boxes of some classes are kept.

    The settings may be changed between calls.

    Attributes:
        cut_at_borders: whether boxes end at the borders of the picture.
        category_ids: the pose model's id of each class, which boxes then tell; None: they do not.

    Args:
        score_threshold: boxes with a lower score are dropped.
        iou_threshold: of boxes that overlap more than this, the better stays, whatever their
            classes are; None leaves it to the network.
        categories: classes to keep, as the network numbers them; None keeps all.
        max_boxes: boxes a picture at most; None leaves it to the network.

    Raises:
        ArgumentError: a threshold outside 0..1, or fewer than one box.
    """

    cut_at_borders = True
    category_ids: Sequence[int] | None = None

    def __init__(
        self,
        score_threshold: float,
        iou_threshold: float | None,
        categories: int | Sequence[int] | None,
        max_boxes: int | None,
    ) -> None:
        for name, value in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
            number = isinstance(value, (int, float, np.number))
            if value is not None and not (number and 0 <= value <= 1):
                raise ArgumentError(f"{name} of a detector is a number from 0 to 1, got {value!r}")
        if max_boxes is not None and max_boxes < 1:
            raise ArgumentError(f"max_boxes of a detector is at least 1, got {max_boxes}")
        self.score_threshold, self.iou_threshold = score_threshold, iou_threshold
        self.categories = (categories,) if isinstance(categories, int) else categories
        self.max_boxes = max_boxes

    def described(self, name: str, names: Sequence[str] | None) -> str:
        """How a log line calls the detector, with the classes that it keeps.

        Args:
            name: of the detector.
            names: of all its classes; None where they are not known.
        """
        what = "boxes"
        if names:
            kept = names if self.categories is None else [names[i] for i in self.categories]
            what += f" of {', '.join(kept) if len(kept) <= _NAMED else f'{len(kept)} classes'}"
        return f"{name} ({what} with a score of {self.score_threshold:g} or more)"

    def select(
        self, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray | None, shape: Sequence[int]
    ) -> np.ndarray:
        """Boxes (N, 5) that are sure and of the wanted classes, best first; with ids (N, 6).

        Args:
            boxes: (M, 4) xyxy, image space.
            scores: (M,).
            labels: (M,) classes, or None where there is one.
            shape: (height, width) of the picture.
        """
        wanted = scores >= self.score_threshold
        if labels is not None and self.categories is not None:
            wanted &= np.isin(labels, list(self.categories))
        boxes = boxes[wanted]
        if self.cut_at_borders:
            boxes = np.clip(boxes, 0, np.tile(shape[1::-1], 2))
        columns = [boxes, scores[wanted, None]]
        if labels is not None and self.category_ids is not None:
            columns.append(np.asarray(self.category_ids)[labels[wanted].astype(np.intp), None])
        found = np.concatenate(columns, 1).astype(np.float32, copy=False)
        found = found[(found[:, 2:4] > found[:, :2]).all(1)]
        if self.iou_threshold is None:
            order = np.argsort(-found[:, 4], kind="stable")
        else:
            order = np.array(nms(found, self.iou_threshold), np.intp)
        return found[order[: self.max_boxes]]


def fit_picture(
    image: np.ndarray, out: np.ndarray, *, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Write a picture into an input; return its scales and the place of its corner (x, y)."""
    height, width = image.shape[:2]
    room = np.array([out.shape[1] / width, out.shape[0] / height])
    size = np.maximum(np.rint(np.array([width, height]) * room.min()), 1).astype(int)
    corner = (np.array([out.shape[1], out.shape[0]]) - size) // 2 if centred else np.zeros(2, int)
    x, y = corner
    out[y : y + size[1], x : x + size[0]] = cv2.resize(image, (int(size[0]), int(size[1])))
    return size / (width, height), corner
