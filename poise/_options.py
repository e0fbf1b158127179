"""Constructors that pass options on to their base, and still show what they take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from poise.errors import ArgumentError, nearest

__all__ = ["options_of"]

Init = TypeVar("Init", bound=Callable[..., None])


def options_of(
    base: type, *, positional: bool = False, without: Collection[str] = (), **defaults: Any
) -> Callable[[Init], Init]:
    """Mark an `__init__` whose `**options` are arguments of the `__init__` of `base`.

    Help texts and the registry then see all arguments, and one that neither knows is an
    ArgumentError with a suggestion.

    Args:
        base: whose `__init__` gets the options.
        positional: MMPose's order is that of the own arguments, the base's, and last the own
            ones behind a `*`; all may be given by place but those behind a `*` of the base.
        without: arguments of the base that are no options, as the class sets them itself.
        **defaults: options of the base that have another default here; they are always passed on.

    Example:
        >>> class Reader:
        ...     def __init__(self, path="", size=1): ...
        >>> class Own(Reader):
        ...     @options_of(Reader, size=3)
        ...     def __init__(self, path="", mark=None, **options): ...
        >>> inspect.signature(Own)
        <Signature (path='', mark=None, *, size=3)>
    """

    def mark(init: Init) -> Init:
        own = inspect.signature(init)
        shown = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = {p.name for p in shown}
        theirs = [
            p
            for p in inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            if p.name not in names.union(without)
            and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        passed = [
            p.replace(kind=p.KEYWORD_ONLY, default=defaults.get(p.name, p.default)) for p in theirs
        ]
        known = names | {p.name for p in passed}
        merged: Any
        if positional:
            last = [p for p in shown if p.kind is p.KEYWORD_ONLY]
            behind = {p.name for p in theirs if p.kind is p.KEYWORD_ONLY}
            by_name = [p for p in passed if p.name in behind]
            placed = [*(p for p in passed if p not in by_name), *last]
            rest = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in placed]
            merged = own.replace(parameters=[p for p in shown if p not in last] + rest + by_name)
        else:
            merged = own.replace(parameters=shown + passed)

        @functools.wraps(init)
        def checked(self: Any, *args: Any, **options: Any) -> None:
            # before any work: a misspelt name must not show as a missing value of another
            for name in options.keys() - known:
                raise ArgumentError(
                    f"{type(self).__name__} does not take the argument '{name}'"
                    f"{nearest(name, known)}"
                )
            init(**{**defaults, **merged.bind_partial(self, *args, **options).arguments})

        checked.__signature__ = merged  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return mark
