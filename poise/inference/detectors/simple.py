"""Detectors without a network: the whole picture, boxes that never move, a user's function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from poise.inference.boxes.files import parse_boxes

__all__ = ["CallableDetector", "FixedBoxes", "WholeImage"]

#: a model whose training boxes took a smaller part of their pictures does badly on whole ones
_SMALL_SHARE = 0.4


class WholeImage:
    """Takes the whole picture as one box, for pictures that are crops already.

    Args:
        better: name of a detector that would find several, for the description.
    """

    def __init__(self, *, better: str | None = None) -> None:
        hint = "give boxes or a detector for more"
        if better is not None:
            hint = f"give boxes for more, or let the detector {better} look for them"
        self.description = f"none: the whole picture is one box ({hint})"

    @staticmethod
    def doubt(metainfo: Mapping[str, Any]) -> str | None:
        """What speaks against whole pictures for a model, by its schema; None if nothing does.

        Args:
            metainfo: parsed schema, of own data with `box_share`.

        Example:
            >>> WholeImage.doubt({"box_share": 0.12})[:62]
            'the model was trained on boxes of about 12 % of their pictures'
        """
        share = metainfo.get("box_share")
        if share is None or share >= _SMALL_SHARE:
            return None
        percent = f"{100 * share:.0f}" if share >= 0.01 else "less than 1"
        return (
            f"the model was trained on boxes of about {percent} % of their pictures, and now takes "
            "whole ones, which it knows little of; give boxes (--box, --boxes), or train a "
            "detector on the same data: poise train nanodet --data-root FOLDER"
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One box of score 1 a picture."""
        return [
            np.array([[0, 0, image.shape[1], image.shape[0], 1]], np.float32) for image in images
        ]


class FixedBoxes:
    """The same boxes in every picture, for a camera that stands still.

    Args:
        boxes: (N, 4 to 6) xyxy in pixels, perhaps with a score and a category.

    Raises:
        DataError: boxes of a wrong form.
    """

    def __init__(self, boxes: Any) -> None:
        self._boxes = parse_boxes(boxes).rows()
        self.description = f"none: {len(self._boxes)} given boxes in every picture"

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The boxes, for each picture."""
        return [self._boxes.copy() for _ in images]


class CallableDetector:
    """A user's function as a detector; its boxes are checked.

    Args:
        function: picture (H, W, 3) uint8 BGR -> boxes (N, 4 to 6) xyxy, perhaps with a score and
            a category, or nothing (None).
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
        return parse_boxes(found, where=f"what {self.description} returned").rows()
