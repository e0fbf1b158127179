"""Options that nobody knows, told before anything is done with the others."""

from __future__ import annotations

from collections.abc import Iterable

from poise.errors import ArgumentError, nearest

__all__ = ["check_options"]


def check_options(given: Iterable[str], known: Iterable[str], who: str) -> None:
    """See that all options are known.

    Args:
        given: their names.
        known: names that there are.
        who: what an error calls that which takes them.

    Raises:
        ArgumentError: one is not; with the nearest.

    Example:
        >>> check_options(["windw"], ["window"], "lift=")
        Traceback (most recent call last):
        poise.errors.ArgumentError: lift= has no option 'windw'; did you mean 'window'?
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise ArgumentError(f"{who} has no option '{name}'{nearest(name, names)}")
