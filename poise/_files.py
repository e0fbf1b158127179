"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["whole_file", "write_whole"]


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
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that no reader sees half of."""
    with whole_file(path) as place:
        place.write_bytes(data)
