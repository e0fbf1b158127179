"""Files that appear whole or not at all, and paths that are written as addresses."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import secrets
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from poise.errors import DataError, PoiseError

__all__ = [
    "BROKEN_ZIP",
    "files_below",
    "is_file",
    "own_cache",
    "path_of_address",
    "patiently",
    "put_in_place",
    "unzipped",
    "whole_file",
    "write_all",
    "write_whole",
    "writing",
]

T = TypeVar("T")

#: What reading a spoiled zip archive raises.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
#: Times that something is tried, and seconds between two of them.
_TRIES, _PAUSE = 10, 0.1


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Place beside `path` to write to; renamed to `path` at the end, removed after an error.

    So no reader ever sees half of a file, a full disk leaves the one before, and processes that
    write the same file at once do not disturb one another.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "poses.json"
        >>> with whole_file(target) as place:
        ...     _ = place.write_text("[]")
        >>> [file.name for file in target.parent.iterdir()]
        ['poses.json']
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        # a folder that cannot be written to is an OSError, whatever the library that will write
        partial.touch()
        yield partial
        put_in_place(partial, path)
    finally:
        # Windows refuses where the one that wrote it failed and left it open: that is the error
        with suppress(PermissionError):
            partial.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Whether there is such a file; no where its folder must not even be looked into.

    So it is for the caches of a home folder that is somebody else's, as in containers.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def unzipped(raw: bytes) -> bytes:
    """The bytes, out of gzip where that is what they are.

    Raises:
        ValueError: gzip that is broken or cut short.
    """
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"its gzip is broken: {error}") from error


def files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder and all folders in it, also those that links lead to, sorted.

    A link to a folder that it is in is not followed. What macOS puts beside files of other systems
    (`._NAME`) is left out.
    """
    yield from sorted(_below(folder, frozenset()))


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    own = folder.stat()
    if (own.st_dev, own.st_ino) in above:
        return
    for entry in folder.iterdir():
        if entry.name.startswith("._"):
            continue
        if entry.is_dir():
            with suppress(PermissionError):
                yield from _below(entry, above | {(own.st_dev, own.st_ino)})
        else:
            yield entry


def put_in_place(partial: Path, path: Path) -> None:
    """Rename a file over another, which may be there already."""
    patiently(lambda: partial.replace(path))


def patiently(act: Callable[[], T]) -> T:
    """What `act` gives, that removes, renames or makes a file.

    Windows refuses this while anybody reads the file, such as a virus scanner that looks at what
    was just written: there it is tried for a second.

    Raises:
        OSError: as `act` does.
    """
    for _ in range(_TRIES - 1 if os.name == "nt" else 0):
        try:
            return act()
        except PermissionError:
            time.sleep(_PAUSE)
    return act()


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write all of some bytes to an unbuffered file, which may take only a part at a time.

    Raises:
        OSError: such as that the disk is full, which a part that is taken does not tell yet.
    """
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that no reader sees half of."""
    with whole_file(path) as place:
        place.write_bytes(data)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes a file, whose folder is made.

    Raises:
        DataError: it cannot be written; names the file and says why.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except PoiseError:
        # such as that something to be read is missing
        raise
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def own_cache() -> Path:
    """Folder for what can be made again: `$POISE_CACHE_DIR`, else `poise` in the user's cache."""
    own = os.environ.get("POISE_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own).expanduser() if own else Path(base).expanduser() / "poise"


def path_of_address(address: str) -> str:
    """Path of a `file://` address; other text as it is.

    Example:
        >>> path_of_address("file:///data/a%20b.png"), path_of_address("a%20b.png")
        ('/data/a b.png', 'a%20b.png')
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme.lower() != "file":
        return address
    path = urllib.parse.unquote(rest.removeprefix("localhost"))
    if os.name != "nt":
        return path
    if re.match("/?[A-Za-z]:", path):
        return path.removeprefix("/")
    # a folder that another machine shares
    return path if path.startswith("/") else f"//{path}"
