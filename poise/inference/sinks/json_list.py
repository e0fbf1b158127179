"""A JSON file with one list, valid after every entry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poise._files import write_all

__all__ = ["JsonList"]

_END = b"\n]"


class JsonList:
    """Appends entries before the closing bracket, so that a crash leaves a whole file.

    Args:
        path: written anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._empty = True
        # unbuffered: an entry is one system call
        self._file = path.open("wb", buffering=0)
        self._file.write(b"[" + _END)

    def extend(self, entries: Sequence[Any]) -> None:
        """Add entries, a line each.

        Raises:
            OSError: they could not be written; the file is as it was before.
        """
        if not entries:
            return
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        end = self._file.seek(-len(_END), 2)
        try:
            write_all(self._file, (("\n" if self._empty else ",\n") + lines).encode() + _END)
        except OSError:
            self._file.seek(end)
            self._file.truncate()
            write_all(self._file, _END)
            raise
        self._empty = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()
