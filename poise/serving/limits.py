"""How much a client may ask for, and how much all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from poise.errors import ArgumentError
from poise.serving.refusals import RefusedError

__all__ = ["MOST_PIXELS", "Limits", "Room"]

#: What Pillow, which reads the sizes, calls a bomb.
MOST_PIXELS = 178_956_970
#: Seconds after which a client that was refused may come again, at most.
_LONGEST_WAIT = 60


class Limits(NamedTuple):
    """How much a client may ask for.

    Attributes:
        max_batch: pictures that go through detector and network together; 1: one by one.
        queue: pictures that may be in the house, from the request's first byte to the answer.
        max_pixels: of one picture.
        max_bytes: of the body of one request.
        max_boxes: in one picture, of those that the client gives.
    """

    max_batch: int = 8
    queue: int = 64
    max_pixels: int = 32_000_000
    max_bytes: int = 32_000_000
    max_boxes: int = 256

    def checked(self) -> Limits:
        """The same.

        Raises:
            ArgumentError: a limit under which nothing could be served.
        """
        for name, value in self._asdict().items():
            most = MOST_PIXELS if name == "max_pixels" else math.inf
            if not isinstance(value, int) or not 1 <= value <= most:
                upper = "" if most == math.inf else f" and at most {most}"
                raise ArgumentError(
                    f"{name} must be a whole number of at least 1{upper}, got {value!r}"
                )
        return self

    def check_count(self, pictures: int) -> None:
        """See that a request has no more pictures than there will ever be room for.

        Raises:
            RefusedError: it has.
        """
        if pictures > self.queue:
            raise RefusedError(
                413,
                "too many pictures in one request",
                expected=f"at most {self.queue}",
                got=str(pictures),
                hint="send them in several requests",
            )


class Room:
    """Counts the pictures in the house, so that memory is bounded.

    For one event loop; no lock is needed.

    Args:
        places: pictures that there is room for.
    """

    def __init__(self, places: int) -> None:
        self.places, self.taken = places, 0
        #: of one picture, as the latest took; for guesses how long a client should wait
        self.seconds = 0.0

    @property
    def full(self) -> bool:
        """Whether the next picture would be refused."""
        return self.taken >= self.places

    @contextmanager
    def entered(self, count: int = 1) -> Iterator[None]:
        """Around what is done with so many more pictures.

        Raises:
            RefusedError: there is no room for them now.
        """
        if self.taken + count > self.places:
            wait = min(_LONGEST_WAIT, max(1, math.ceil(self.taken * self.seconds)))
            raise RefusedError(
                503,
                f"the queue is full: {self.taken} of {self.places} pictures are waiting",
                hint=f"come again in {wait} s",
                headers={"Retry-After": str(wait)},
            )
        self.taken += count
        try:
            yield
        finally:
            self.taken -= count
