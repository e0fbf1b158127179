"""The account of what was made of a data set, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Prepared"]


def _quiet(items: Iterable[Any], _name: str) -> Iterable[Any]:
    return items


@dataclass
class Prepared:
    """What came of a data set.

    Attributes:
        files: what was written -> what it holds, for people.
        lost: why something was left out -> where it stands.
        said: what a user should know besides; one sentence each.
        progress: wraps a long iteration; takes the items and what is done with them.
    """

    files: dict[Path, str] = field(default_factory=dict)
    lost: dict[str, list[Any]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    progress: Callable[[Iterable[Any], str], Iterable[Any]] = _quiet

    def drop(self, reason: str, where: Any) -> None:
        """Count something that could not be kept."""
        self.lost.setdefault(reason, []).append(where)
