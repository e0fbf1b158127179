"""Reading and writing of annotation files on disk."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from poise.errors import DataError

__all__ = [
    "dump",
    "exists",
    "get",
    "get_local_path",
    "get_text",
    "isdir",
    "isfile",
    "join_path",
    "list_from_file",
    "load",
]


_FORMATS = {"json": "json", "yaml": "yaml", "yml": "yaml", "pkl": "pickle", "pickle": "pickle"}
"""Ending -> what is in such a file."""


def _checked_format(file: Any, file_format: str | None) -> str:
    kind = (file_format or Path(str(file)).suffix.lstrip(".")).lower()
    if kind not in _FORMATS:
        raise DataError(f"'{file}': expected a .json, .yaml, .yml or .pkl file")
    return _FORMATS[kind]


def load(file: str | Path | IO[Any], file_format: str | None = None, **options: Any) -> Any:
    """Content of a JSON, YAML or pickle file, by its path or open.

    Pickle files can run code, so of these only plain data are read: numbers, texts, containers
    and arrays; use `pickle.load` for more, on files you trust.

    Raises:
        DataError: another kind of file, a broken one, or a pickle file with other things in it.
    """
    kind = _checked_format(file, file_format)
    if isinstance(file, (str, Path)):
        with Path(file).open("rb") as stream:
            return _content(stream, kind, str(file), options)
    return _content(file, kind, getattr(file, "name", str(file)), options)


def _content(stream: IO[Any], kind: str, name: str, options: dict[str, Any]) -> Any:
    if kind == "pickle":
        from poise.datasets.safe_pickle import unpickle

        return unpickle(stream, name)
    import yaml

    text = stream.read()
    try:
        return json.loads(text, **options) if kind == "json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise DataError(f"'{name}' cannot be read as {kind.upper()}: {error}") from error


def dump(
    obj: Any,
    file: str | Path | IO[Any] | None = None,
    file_format: str | None = None,
    **options: Any,
) -> str | bytes | None:
    """Write to a JSON, YAML or pickle file, by its path or open; without one, return the content.

    Raises:
        DataError: another kind of file.
    """
    kind = _checked_format(file, file_format)
    content: str | bytes
    if kind == "pickle":
        content = pickle.dumps(obj, **options)
    elif kind == "json":
        content = json.dumps(obj, default=_plain, **options)
    else:
        import yaml

        content = yaml.safe_dump(obj, **options)
    if file is None:
        return content
    if isinstance(file, (str, Path)):
        Path(file).write_bytes(content.encode() if isinstance(content, str) else content)
    else:
        file.write(content)
    return None


def _plain(value: Any) -> Any:
    """Form of numpy values, sets and ranges for JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, range)):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def list_from_file(
    filename: str | Path,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    backend_args: dict[str, Any] | None = None,
) -> list[str]:
    """Lines of a text file from line `offset` on, at most `max_num` (0: all), with a prefix."""
    lines = Path(filename).read_text(encoding=encoding).splitlines()[offset:]
    return [prefix + line for line in (lines[:max_num] if max_num > 0 else lines)]


def get(filepath: str | Path, backend_args: dict[str, Any] | None = None) -> bytes:
    """Content of a file."""
    return Path(filepath).read_bytes()


def get_text(
    filepath: str | Path, encoding: str = "utf-8", backend_args: dict[str, Any] | None = None
) -> str:
    """Content of a text file."""
    return Path(filepath).read_text(encoding=encoding)


def exists(filepath: str | Path, backend_args: dict[str, Any] | None = None) -> bool:
    """Whether a path exists on disk."""
    return Path(filepath).exists()


def isfile(filepath: str | Path, backend_args: dict[str, Any] | None = None) -> bool:
    """Whether a path is a file."""
    return Path(filepath).is_file()


def isdir(filepath: str | Path, backend_args: dict[str, Any] | None = None) -> bool:
    """Whether a path is a folder."""
    return Path(filepath).is_dir()


def join_path(
    filepath: str | Path, *filepaths: str | Path, backend_args: dict[str, Any] | None = None
) -> str:
    """Parts of a path joined."""
    return os.path.join(filepath, *filepaths)  # noqa: PTH118 - keeps a URL's double slash


@contextlib.contextmanager
def get_local_path(
    filepath: str | Path, backend_args: dict[str, Any] | None = None
) -> Iterator[str | Path]:
    """The path itself, as a context; files of Poise are on local or mounted disks."""
    yield filepath
