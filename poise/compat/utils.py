"""Checks of types, versions and paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from poise.errors import DataError, FileMissingError

__all__ = [
    "check_file_exist",
    "digit_version",
    "is_abs",
    "is_list_of",
    "is_method_overridden",
    "is_seq_of",
    "is_str",
    "is_tuple_of",
    "mkdir_or_exist",
    "register_all_modules",
    "scandir",
    "to_1tuple",
    "to_2tuple",
    "to_3tuple",
    "to_4tuple",
    "to_ntuple",
]


def is_seq_of(seq: Any, expected_type: Any, seq_type: type | None = None) -> bool:
    """Whether `seq` is a sequence whose items all have a type.

    Example:
        >>> is_seq_of(["a", "b"], str), is_seq_of([1], str), is_seq_of((1,), int, list)
        (True, False, False)
    """
    kind: Any = seq_type or Sequence
    return isinstance(seq, kind) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: Any, expected_type: Any) -> bool:
    """Whether `seq` is a list of items of a type."""
    return is_seq_of(seq, expected_type, list)


def is_tuple_of(seq: Any, expected_type: Any) -> bool:
    """Whether `seq` is a tuple of items of a type."""
    return is_seq_of(seq, expected_type, tuple)


def is_str(x: Any) -> bool:
    """Whether `x` is a string."""
    return isinstance(x, str)


def is_abs(path: str | Path) -> bool:
    """Whether a path is absolute, on disk or in a storage such as s3://."""
    return Path(path).is_absolute() or str(path).startswith(("http://", "https://", "s3:"))


def to_ntuple(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """Function that repeats a value n times and makes a tuple of an iterable."""

    def convert(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    return convert


to_1tuple = to_ntuple(1)
to_2tuple = to_ntuple(2)
to_3tuple = to_ntuple(3)
to_4tuple = to_ntuple(4)


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Raise FileMissingError (a FileNotFoundError) unless the path is a file."""
    if not Path(filename).is_file():
        raise FileMissingError(msg_tmpl.format(filename))


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Make a folder and those above it; nothing if it is there or the name is empty."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def scandir(
    dir_path: str | Path,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Paths of the files in a folder, relative to it, without those that begin with a dot.

    Args:
        dir_path: the folder.
        suffix: how names end.
        recursive: look into folders within it.
        case_sensitive: whether `suffix` is.
    """
    root = Path(dir_path)
    endings = (suffix,) if isinstance(suffix, str) else suffix or ("",)
    for path in sorted(root.rglob("*") if recursive else root.iterdir()):
        name, wanted = str(path.relative_to(root)), endings
        if path.name.startswith(".") or not path.is_file():
            continue
        if not case_sensitive:
            name, wanted = name.lower(), tuple(ending.lower() for ending in endings)
        if name.endswith(tuple(wanted)):
            yield str(path.relative_to(root))


def is_method_overridden(method: str, base_class: type, derived_class: Any) -> bool:
    """Whether a class, or the class of an object, defines a method of its base class anew.

    Example:
        >>> is_method_overridden("__repr__", object, Path)
        True
    """
    own = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(own, method) is not getattr(base_class, method)


_STAGES = {"a": -3, "b": -2, "rc": -1, "dev": -4}


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """Version text as integers that compare in the order of releases.

    Example:
        >>> digit_version("2.1.0") > digit_version("2.1.0rc1") > digit_version("2.0.9")
        True
    """
    found = re.match(r"v?(\d+(?:\.\d+)*)[.\-_]?(?:(a|b|rc|dev|post)\w*?[.\-_]?(\d*))?", version_str)
    if found is None:
        raise DataError(f"'{version_str}' is no version such as 2.1.0")
    release = [int(part) for part in found[1].split(".")][:length]
    release += [0] * (length - len(release))
    stage = _STAGES.get(found[2], 1 if found[2] else 0)
    return (*release, stage, int(found[3] or 0))


def register_all_modules(init_default_scope: bool = True) -> None:
    """Nothing to do: Poise's names resolve when they are used, and its scope is the default."""
