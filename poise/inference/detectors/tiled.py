"""A detector that looks at large pictures in overlapping tiles, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.errors import ArgumentError
from poise.inference.boxes.tiling import OVERLAP, Tiling
from poise.inference.detectors.base import BatchDetector
from poise.inference.detectors.simple import FixedBoxes, WholeImage

__all__ = ["TiledDetector"]

#: Views that a detector gets at once.
_BATCH = 8


class TiledDetector:
    """Finds small people in large pictures: a detector looks at the whole and at each tile.

    It costs one look more for each tile.

    Args:
        detector: `BatchDetector` that looks at pixels.
        tiles, overlap: as `poise.inference.boxes.Tiling`, or such a one.

    Raises:
        ArgumentError: tiles that are none; a detector that does not look at the picture.

    Example:
        TiledDetector(NanoDetDetector(), "3x2").detect([picture])
    """

    def __init__(
        self, detector: BatchDetector, tiles: Any = "auto", *, overlap: float = OVERLAP
    ) -> None:
        if isinstance(detector, (WholeImage, FixedBoxes)):
            raise ArgumentError(
                f"tiles need a detector that looks for somebody in them; here it is "
                f"{detector.description}. Name one, such as nanodet or rtmdet"
            )
        self.detector = detector
        self.tiling = tiles if isinstance(tiles, Tiling) else Tiling(tiles, overlap=overlap)
        self.description = f"{detector.description}, also in {self.tiling}"

    def tune(self, **options: Any) -> None:
        """Rearrange the network for speed, where the detector can."""
        if hasattr(self.detector, "tune"):
            self.detector.tune(**options)

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes of each picture, best first, everybody once.

        Raises:
            DataError: a picture is too small for so many tiles.
        """
        views = [self.tiling.views(image.shape) for image in images]
        crops = [
            np.ascontiguousarray(crop)
            for image, own in zip(images, views, strict=True)
            for crop in own.crops(image)
        ]
        found: list[np.ndarray] = []
        for start in range(0, len(crops), _BATCH):
            found += self.detector.detect(crops[start : start + _BATCH])
        ends = np.cumsum([len(own) for own in views])
        return [
            own.joined(found[end - len(own) : end]) for own, end in zip(views, ends, strict=True)
        ]
