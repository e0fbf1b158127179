"""The kinds of errors that Poise raises.

Every kind is also the builtin that callers of MMPose expect at that place, so `except
ValueError` in user code keeps working. A text says what was expected, what came, where it
stands and what to try.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "FileMissingError",
    "KeypointCountError",
    "MissingDependencyError",
    "PoiseError",
    "UnknownNameError",
    "nearest",
    "one_of",
]

Value = TypeVar("Value")


class PoiseError(Exception):
    """Any error that Poise raises on purpose; catch this one to show its text to a person.

    Attributes:
        repair: settings of the part that fails, mostly a model's head, with which it would not;
            empty where they are unknown.
    """

    repair: Mapping[str, Any] = {}


class ConfigError(PoiseError, ValueError):
    """A config file or tree that cannot be read or does not fit together."""


class UnknownNameError(PoiseError, KeyError):
    """A name that no table knows: a registry entry, a config key, a keypoint."""

    # KeyError shows the repr of its argument, which would print line breaks as "\n"
    __str__ = Exception.__str__


class ArgumentError(PoiseError, TypeError):
    """A constructor or function got an argument it does not take, or lacks one it needs."""


class DataError(PoiseError, ValueError):
    """Annotations, images or arrays with wrong content or shape."""


class KeypointCountError(DataError):
    """Head, dataset, schema or checkpoint speak of different numbers of keypoints."""


class CheckpointError(PoiseError, RuntimeError):
    """A weights file that cannot be read safely or does not fit the model."""


class FileMissingError(PoiseError, FileNotFoundError):
    """A path that does not exist; the text names it and where it was asked for."""

    __str__ = Exception.__str__


class MissingDependencyError(PoiseError, ImportError):
    """An optional package is needed; the text says which `pip install` brings it."""


def nearest(name: str, candidates: Iterable[str], *, limit: int = 3) -> str:
    """End of an error text that suggests names, empty where none is near.

    Example:
        >>> nearest("HRNett", ["HRNet", "ResNet"])
        "; did you mean 'HRNet' or 'ResNet'?"
        >>> nearest("xyz", ["HRNet"])
        ''
    """
    pool = {str(c).lower(): str(c) for c in candidates}
    close = [pool[c] for c in difflib.get_close_matches(name.lower(), pool, n=limit, cutoff=0.6)]
    if not close:
        return ""
    *first, last = (f"'{c}'" for c in close)
    return f"; did you mean {', '.join(first)}{' or ' if first else ''}{last}?"


def one_of(
    value: Value, options: Collection[Value], what: str, kind: type[PoiseError] = ConfigError
) -> Value:
    """Return `value` if it is one of `options`.

    Args:
        value: what came.
        options: what may come.
        what: how the text calls it.
        kind: of the error.

    Raises:
        PoiseError: of that kind, for another value; the text lists the options.

    Example:
        >>> one_of("men", ("mean", "sum"), "by")
        Traceback (most recent call last):
        ...
        poise.errors.ConfigError: by must be one of 'mean', 'sum', got 'men'; did you mean 'mean'?
    """
    try:
        known = value in options
    except (TypeError, ValueError):
        # lists and arrays are no keys of a dict
        known = False
    if not known:
        raise kind(
            f"{what} must be one of {', '.join(map(repr, options))}, got {value!r}"
            f"{nearest(str(value), map(str, options))}"
        )
    return value
