"""What the page is told when something cannot be done."""

from __future__ import annotations

from poise.errors import PoiseError

__all__ = ["RefusedError"]


class RefusedError(PoiseError):
    """An answer other than what was asked for.

    Args:
        status: of HTTP.
        text: what is wrong and what to do, for the person who labels.
        stale: what the page shows that is no longer so, and must load again: "picture" or "file".
    """

    def __init__(self, status: int, text: str, *, stale: str = "") -> None:
        super().__init__(text)
        self.status, self.stale = status, stale
