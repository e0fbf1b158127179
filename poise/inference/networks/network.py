"""What a network is to the pipeline, and what it says about a place in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from poise.inference.networks.crops import Crop

__all__ = ["BATCH_SIZE", "Network", "Poses"]

#: Crops per call: fewer would leave GPUs idle; on CPUs small maps are soonest done together, and
#: large ones are none the worse for it once their memory stays (`poise.inference.machine.memory`).
BATCH_SIZE = 16


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
        covariances: (N, K, 2, 2) float32 of the keypoints, if asked for; else None.
        categories: (N,) int64 where a network of whole pictures tells several apart, else None.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    bboxes: np.ndarray | None = None
    bbox_scores: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    heat: np.ndarray | None = None
    heat_box: np.ndarray | None = None
    covariances: np.ndarray | None = None
    categories: np.ndarray | None = None

    def moved(self, corner: np.ndarray) -> Poses:
        """The poses of a part of a picture whose upper left corner (2,) is there."""
        box = np.tile(corner, 2)
        return self._replace(
            keypoints=self.keypoints + corner.astype(np.float32),
            bboxes=None if self.bboxes is None else self.bboxes + box.astype(np.float32),
            heat_box=None if self.heat_box is None else self.heat_box + box,
        )


class Network(Protocol):
    """Three steps, each of which can be done for one batch while the others work on others.

    Attributes:
        batch_size: crops per call that are soonest done, where there are enough.
        lanes: batches that may be in `run` at once.
    """

    batch_size: int
    lanes: int

    def prepare(self, crops: Sequence[Crop]) -> Any:
        """Batch of several places."""

    def run(self, batch: Any) -> Any:
        """What the network says about a batch."""

    def decode(self, outputs: Any, batch: Any) -> list[Poses]:
        """Poses of each place, image space."""
