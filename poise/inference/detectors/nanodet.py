"""The person detector inside the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.inference.detectors.base import SelectingDetector, fit_picture
from poise.inference.machine.devices import computing, half_type

__all__ = ["NanoDetDetector"]


class NanoDetDetector(SelectingDetector):
    """People by the network inside the package: small (7 MB), quick, without a download.

    Args:
        device: torch device.
        score_threshold, iou_threshold, max_boxes: as `SelectingDetector`.
        side: of the square input, pixels; a multiple of 32.
    """

    #: input of the released weights, and the level of what lies beside the picture
    SIDE, PADDING = 416, 0

    def __init__(
        self,
        device: Any = "cpu",
        *,
        score_threshold: float = 0.3,
        iou_threshold: float = 0.6,
        max_boxes: int = 100,
        side: int = SIDE,
    ) -> None:
        from poise.models.detectors import embedded_nanodet

        super().__init__(score_threshold, iou_threshold, None, max_boxes)
        self.model = embedded_nanodet()
        self.model.to(device).eval()
        self.side = side
        self._half: Any = None
        self.description = f"nanodet (embedded, people with a score of {score_threshold:g} or more)"

    def tune(self, *, half: bool = False) -> None:
        """Compute with 16 bits, if `half`, where the machine does so faster."""
        self._half = half_type(self.model.mean.device) if half else None

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """People of each picture, best first, cut at the borders of the picture."""
        import torch

        if not images:
            return []
        batch = np.full((len(images), self.side, self.side, 3), self.PADDING, np.uint8)
        places = [
            fit_picture(image, out, centred=True) for image, out in zip(images, batch, strict=True)
        ]
        device = self.model.mean.device
        inputs = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
        with computing(device, self._half):
            found = self.model.detect_sure(inputs, self.score_threshold)
        people = []
        for sure, (scale, corner), image in zip(found, places, images, strict=True):
            boxes, scores = (t.cpu().numpy() for t in sure)
            boxes = (boxes - np.tile(corner, 2)) / np.tile(scale, 2)
            people.append(self.select(boxes, scores, None, image.shape))
        return people
