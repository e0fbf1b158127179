"""How fast a model is on this machine, from pictures in memory to keypoints."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any, NamedTuple

import numpy as np

from poise.errors import ArgumentError
from poise.inference.inferencer import Inferencer

__all__ = ["Speed", "measure_speed"]

#: Picture (height, width) that people are cut out of, and the boxes' part of its height.
_PICTURE, _TALL = (720, 1280), 0.6
#: Times more pictures in the next round, at most.
_GROWTH = 8


class Speed(NamedTuple):
    """A measured speed.

    Attributes:
        per_second: people, or whole pictures where the model takes these.
        whole_pictures: which of the two.
    """

    per_second: float
    whole_pictures: bool

    @property
    def milliseconds(self) -> float:
        """Of one person or picture."""
        return 1000 / self.per_second


def measure_speed(
    inferencer: Inferencer,
    *,
    people: int = 4,
    batch_size: int | None = None,
    seconds: float = 2.0,
) -> Speed:
    """Speed of an inferencer: cropping, network and decoding, as in a video with given boxes.

    Reading, detecting and drawing are left out. The picture is noise: what is in it changes the
    speed of no network, but for the people that models of whole pictures find in it.

    Args:
        inferencer: any.
        people: in each picture; without effect on models of whole pictures.
        batch_size: people per call of the network; None: the inferencer's choice.
        seconds: that the round which counts takes at least.

    Raises:
        ArgumentError: a number that is not positive.
    """
    for name, value in {"people": people, "batch_size": batch_size, "seconds": seconds}.items():
        if value is not None and not value > 0:
            raise ArgumentError(f"{name} must be greater than 0, got {value}")
    picture, boxes = _scene(people)
    whole = not inferencer.needs_boxes

    def seconds_of(count: int) -> float:
        given: dict[str, Any] = {} if whole else {"boxes": itertools.repeat(boxes)}
        start = time.perf_counter()
        for _ in inferencer.predict(
            itertools.repeat(picture, count), batch_size=batch_size, **given
        ):
            pass
        return time.perf_counter() - start

    # networks are rearranged, exported and compiled in the first round
    seconds_of(1)
    count = 1
    while True:
        took = seconds_of(count)
        if took >= seconds:
            return Speed(count * (1 if whole else people) / took, whole)
        count = math.ceil(count * min(1.2 * seconds / took, _GROWTH))


def _scene(people: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture (H, W, 3) uint8, and boxes (people, 4) xyxy, image space, side by side in it."""
    height, width = _PICTURE
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    tall = _TALL * height
    left = np.linspace(0, width - tall / 2, people)
    top = np.full(people, (height - tall) / 2)
    boxes = np.stack([left, top, left + tall / 2, top + tall], axis=1)
    return picture, boxes.astype(np.float32)
