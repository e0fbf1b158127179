"""The file of labels: written whole at every change, and never over what somebody else wrote."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

from poise._files import whole_file
from poise.data_tools.labelling.refusals import RefusedError

__all__ = ["LabelFile"]


class LabelFile:
    """A file that one program writes and others may, too.

    Before the first change of a session a copy is made: `NAME.first.bak` if there is none yet, else
    `NAME.last.bak`.

    Args:
        path: the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backup: Path | None = None
        self._state = self._now()
        # what this session makes itself needs no copy
        self._to_keep = self._state is not None

    def remember(self) -> None:
        """Take the file as it is now for the one that is known; before it is read."""
        self._state = self._now()

    def check(self) -> None:
        """See that nobody else has written the file.

        Raises:
            RefusedError: somebody has.
        """
        now = self._now()
        if now is not None and now != self._state:
            raise RefusedError(
                409,
                f"{self.path} was changed by another program, or by a second labelling page, since "
                "this one read it. Nothing was overwritten, and your last change is not saved.",
                stale="file",
            )

    def write(self, data: bytes) -> None:
        """Write the file, after `check`.

        Raises:
            RefusedError: it cannot be written.
        """
        if self.path.suffix == ".gz":
            data = gzip.compress(data, 6)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._keep()
            with whole_file(self.path) as place:
                with place.open("wb") as stream:
                    stream.write(data)
                    stream.flush()
                    # also through a loss of power
                    os.fsync(stream.fileno())
                if self.path.exists():
                    shutil.copymode(self.path, place)
        except OSError as error:
            raise RefusedError(
                507,
                f"{self.path} cannot be written: {error.strerror or error}. Your change is in this "
                "page only; it is tried again.",
            ) from error
        self._state = self._now()

    def _keep(self) -> None:
        """Copy the file, once."""
        if not self._to_keep or not self.path.exists():
            return
        first, last = (self.path.with_name(f"{self.path.name}.{n}.bak") for n in ("first", "last"))
        backup = last if first.exists() else first
        with whole_file(backup) as place:
            shutil.copy2(self.path, place)
        self.backup, self._to_keep = backup, False

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
