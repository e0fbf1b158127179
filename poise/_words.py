"""Counts and lists of things as texts for people have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["counted", "listed", "numbered", "shortened"]

#: of things whose names do not simply get an s
_SEVERAL = {"person": "people", "class": "classes", "box": "boxes", "category": "categories"}

_VERBS = {"are": "is", "were": "was", "have": "has", "belong": "belongs"}


def counted(count: int, one: str) -> str:
    """A number of things, with the plural where it is one.

    Args:
        count: how many.
        one: what one of them is called; of several words the last one changes.

    Example:
        >>> counted(1, "person"), counted(2000, "person"), counted(0, "labelled frame")
        ('1 person', '2,000 people', '0 labelled frames')
    """
    before, space, last = one.rpartition(" ")
    several = f"{before}{space}{_SEVERAL.get(last, f'{last}s')}"
    return f"{count:,} {one if count == 1 else several}"


def numbered(count: int, several: str) -> str:
    """A number of things that are called in the plural, in the singular where it is one.

    Example:
        >>> numbered(1, "pictures that are absent"), numbered(2000, "people without box")
        ('1 picture that is absent', '2,000 people without box')
    """
    if count != 1:
        return f"{count:,} {several}"
    first, *rest = several.split(" ")
    if rest[:1] == ["that"]:
        rest[1:2] = [_VERBS.get(rest[1], rest[1])]
    of_one = {several: one for one, several in _SEVERAL.items()}
    return " ".join(["1", of_one.get(first, first.removesuffix("s")), *rest])


def shortened(things: Iterable[Any], most: int = 5) -> str:
    """The first of several things, separated by commas, and dots where there are more.

    Example:
        >>> shortened(["a", "b", "c"]), shortened(["a", "b", "c"], 2)
        ('a, b, c', 'a, b ...')
    """
    shown = [str(thing) for thing in things]
    return ", ".join(shown[:most]) + " ..." * (len(shown) > most)


def listed(names: Sequence[str], most: int) -> str:
    """The first of several names, and how many more there are.

    Example:
        >>> listed(["id 1", "id 2", "id 3"], 2)
        'id 1, id 2 and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
