"""Arguments that are one of several names, told with the nearest where they are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from poise.errors import ArgumentError, DataError, PoiseError, nearest

__all__ = ["check_choice", "check_options"]


def check_choice(
    what: str, value: object, options: Collection[str], kind: type[PoiseError] = DataError
) -> None:
    """See that a value is one of several words.

    Args:
        what: what an error calls it.
        value: what came.
        options: the words.
        kind: of the error.

    Raises:
        PoiseError: it is not; of `kind`.

    Example:
        >>> check_choice("layout", "poses", ["poise", "mmpose"])
        Traceback (most recent call last):
        poise.errors.DataError: layout is one of poise, mmpose, got 'poses'; did you mean 'poise'?
    """
    if value not in options:
        known = ", ".join(options)
        raise kind(f"{what} is one of {known}, got {value!r}{nearest(str(value), options)}")


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
