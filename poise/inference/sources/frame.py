"""What every source gives: frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from poise.errors import PoiseError
from poise.inference.results import SourceInfo

__all__ = ["Frame", "Source"]


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """A picture on its way: pixels, or why there are none.

    Attributes:
        source: where it comes from.
        index: number in its source, from 0.
        time: seconds from the beginning; None for still pictures.
        image: (H, W, 3) uint8 BGR; None where it could not be read.
        error: why.
    """

    source: SourceInfo
    index: int = 0
    time: float | None = None
    image: np.ndarray | None = None
    error: PoiseError | None = None


class Source(Protocol):
    """Gives frames, lazily; each call begins anew where that is possible."""

    info: SourceInfo

    def frames(self) -> Iterator[Frame]:
        """Frames in order. What cannot be read comes as a frame with `error`."""
