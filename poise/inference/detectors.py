"""Who is where: from pictures to boxes, so that a top-down model knows where to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from poise.errors import ArgumentError, DataError, UnknownNameError, nearest
from poise.geometry import nms
from poise.inference.boxes import check_boxes

__all__ = [
    "BatchDetector",
    "CallableDetector",
    "NanoDetDetector",
    "WholeImage",
    "build_detector",
    "shows_people",
]

#: Animals whose joints are called as people's are.
_ANIMALS = frozenset(("Animal Kingdom", "macaque"))


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
            first; N is 0 where nobody is.
        """


def build_detector(
    detector: Any, metainfo: Mapping[str, Any], *, device: Any = "cpu"
) -> BatchDetector:
    """Detector of a name, a callable or an object.

    Args:
        detector: "auto" (the embedded detector for models of people, the whole picture for all
            other models), "nanodet", "whole-image" or None; a callable that takes a picture
            (H, W, 3) uint8 BGR and returns boxes (N, 4 or 5) xyxy; or a `BatchDetector`.
        metainfo: parsed schema of the pose model; "auto" asks it.
        device: where a network runs.

    Raises:
        UnknownNameError: a name that is none of these.
        ArgumentError: something that cannot be called.
    """
    if detector is None:
        return WholeImage()
    if isinstance(detector, str):
        if detector == "auto":
            detector = "nanodet" if shows_people(metainfo) else "whole-image"
        if detector not in _BY_NAME:
            raise UnknownNameError(
                f"there is no detector '{detector}'{nearest(detector, ['auto', *_BY_NAME])}. Give "
                f"one of auto, {', '.join(_BY_NAME)}, or a callable: picture -> boxes (N, 5)"
            )
        return _BY_NAME[detector](device)
    if isinstance(detector, BatchDetector):
        return detector
    if callable(detector):
        return CallableDetector(detector)
    raise ArgumentError(
        f"detector should be a name (auto, {', '.join(_BY_NAME)}), None, or a callable that takes "
        f"a picture (H, W, 3) in BGR order and returns boxes (N, 5), got {type(detector).__name__}"
    )


def shows_people(metainfo: Mapping[str, Any]) -> bool:
    """Whether the keypoints of a schema are those of a person's body.

    Args:
        metainfo: parsed schema.

    Example:
        >>> shows_people({"dataset_name": "own", "keypoint_name2id": {"L_Shoulder": 0, "Wrist": 1}})
        True
        >>> shows_people({"dataset_name": "hand", "keypoint_name2id": {"wrist": 0, "thumb1": 1}})
        False
    """
    names = " ".join(map(str, metainfo.get("keypoint_name2id", ()))).lower()
    return "shoulder" in names and "wrist" in names and metainfo.get("dataset_name") not in _ANIMALS


class WholeImage:
    """Takes the whole picture as one box, for pictures that are crops already."""

    description = "none: the whole picture is one box (give boxes or a detector for more)"

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One box of score 1 a picture."""
        return [
            np.array([[0, 0, image.shape[1], image.shape[0], 1]], np.float32) for image in images
        ]


class CallableDetector:
    """A user's function as a detector; its boxes are checked.

    Args:
        function: picture (H, W, 3) uint8 BGR -> boxes (N, 4 or 5) xyxy, or nothing (None).
    """

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self._function = function
        name = getattr(function, "__name__", None) or type(function).__name__
        self.description = f"the callable {name}"

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes of one picture after the other.

        Raises:
            DataError: the function returned no boxes.
        """
        return [self._checked(self._function(image)) for image in images]

    def _checked(self, found: Any) -> np.ndarray:
        if found is None:
            found = np.zeros((0, 5), np.float32)
        elif hasattr(found, "cpu"):
            found = found.detach().cpu().numpy()
        boxes, scores = check_boxes(found, where=f"what {self.description} returned")
        return np.concatenate((boxes, scores[:, None]), 1)


class NanoDetDetector:
    """People by the network inside the package: small (7 MB), quick, without a download.

    Args:
        device: torch device.
        score_threshold: boxes with a lower score are dropped.
        iou_threshold: of boxes that overlap more than this, the better stays.
        max_boxes: people a picture at most.
        side: of the square input, pixels; a multiple of 32.
    """

    #: of the released weights
    SIDE = 416
    _PADDING = 0

    def __init__(
        self,
        device: Any = "cpu",
        *,
        score_threshold: float = 0.3,
        iou_threshold: float = 0.6,
        max_boxes: int = 100,
        side: int = SIDE,
    ) -> None:
        from poise.models.detectors import NanoDet
        from poise.models.weights import load_checkpoint
        from poise.zoo import default_weights

        weights = default_weights("nanodet")
        if weights is None:
            raise DataError(
                "the weights of the embedded detector are missing from this installation "
                "(poise/zoo/embedded/nanodet.safetensors); reinstall poise"
            )
        self.model = NanoDet()
        load_checkpoint(self.model, weights)
        self.model.to(device).eval()
        self.score_threshold, self.iou_threshold = score_threshold, iou_threshold
        self.max_boxes, self.side = max_boxes, side
        self.description = f"nanodet (embedded, people with a score of {score_threshold:g} or more)"

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """People of each picture, best first, cut at the borders of the picture."""
        import torch

        if not images:
            return []
        batch = np.full((len(images), self.side, self.side, 3), self._PADDING, np.uint8)
        places = [_letterbox(image, out) for image, out in zip(images, batch, strict=True)]
        device = self.model.mean.device
        inputs = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
        boxes, scores = (t.cpu().numpy() for t in self.model.detect(inputs))
        return [
            self._selected((boxes[i] - corner) / scale, scores[i], images[i].shape)
            for i, (scale, corner) in enumerate(places)
        ]

    def _selected(self, boxes: np.ndarray, scores: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Boxes (N, 5) above the threshold, inside the picture, without doubles."""
        sure = scores >= self.score_threshold
        height, width = shape[:2]
        boxes = np.clip(boxes[sure], 0, np.array([width, height, width, height]))
        found = np.concatenate((boxes, scores[sure, None]), 1).astype(np.float32, copy=False)
        found = found[(found[:, 2:4] > found[:, :2]).all(1)]
        return found[nms(found, self.iou_threshold)[: self.max_boxes]]


def _letterbox(image: np.ndarray, out: np.ndarray) -> tuple[float, np.ndarray]:
    """Write a picture into the middle of a square; return its scale and the place of its corner."""
    side = out.shape[0]
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (side - size[0]) // 2, (side - size[1]) // 2
    # bilinear without smoothing, as the network saw its training pictures
    out[y : y + size[1], x : x + size[0]] = cv2.resize(image, size)
    return scale, np.array([x, y, x, y], np.float32)


_BY_NAME: dict[str, Callable[[Any], BatchDetector]] = {
    "nanodet": NanoDetDetector,
    "whole-image": lambda _device: WholeImage(),
}
