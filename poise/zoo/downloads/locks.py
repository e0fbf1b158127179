"""One process does, the others wait; a lock whose owner is gone does not hold anybody up."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from poise._files import patiently

__all__ = ["FileLock", "locked"]

#: seconds without a sign of life after which a lock counts as left behind
STALE_S = 90.0
#: seconds between signs of life
BEAT_S = 5.0
POLL_S = 0.1


class FileLock:
    """A lock that is held; `beat` is called from time to time to show that the owner lives.

    Files instead of the system's locks, since folders of weights are often on a network.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self.token = token
        self._last = time.monotonic()

    def beat(self) -> None:
        """Show a sign of life, at most every few seconds."""
        now = time.monotonic()
        if now - self._last > BEAT_S:
            self._last = now
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def release(self) -> None:
        """Give the lock back, unless somebody took it for left behind."""
        with contextlib.suppress(OSError):
            if self.path.read_text(encoding="utf-8") == self.token:
                # those who wait read it from time to time
                patiently(self.path.unlink)


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[str], None]) -> Iterator[FileLock]:
    """Hold the lock at a path; waits for whoever has it.

    Args:
        path: file that stands for the lock.
        on_wait: called once with a description of the owner, if one has to wait.

    Raises:
        OSError: the folder cannot be written to.
    """
    owner = dict(pid=os.getpid(), host=socket.gethostname(), id=uuid.uuid4().hex)
    token = json.dumps(owner)
    said = False
    while not _create(path, token):
        holder = _read(path)
        if holder is not None and _is_stale(path, holder):
            _remove_stale(path, holder)
        elif holder is not None and not said:
            said = True
            on_wait(_description(holder))
        time.sleep(POLL_S)
    lock = FileLock(path, token)
    try:
        yield lock
    finally:
        lock.release()


def _create(path: Path, token: str) -> bool:
    try:
        handle = patiently(lambda: os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(token)
    return True


def _read(path: Path) -> str | None:
    try:
        return patiently(lambda: path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _owner(token: str) -> tuple[int | None, str | None]:
    try:
        content = json.loads(token)
        return int(content["pid"]), str(content["host"])
    except (ValueError, KeyError, TypeError):
        # not written to its end yet, or by something else: only its age counts
        return None, None


def _is_stale(path: Path, token: str) -> bool:
    pid, host = _owner(token)
    if pid is not None and host == socket.gethostname() and not _lives(pid):
        return True
    try:
        return time.time() - path.stat().st_mtime > STALE_S
    except FileNotFoundError:
        return False


def _lives(pid: int) -> bool:
    if os.name == "nt":
        # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_stale(path: Path, token: str) -> None:
    """Remove a lock that was left behind; of several who try, one succeeds."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        patiently(lambda: path.rename(aside))
    except FileNotFoundError:
        return
    if aside.read_text(encoding="utf-8") != token:
        # a new owner came between looking and renaming: its lock goes back
        _create(path, aside.read_text(encoding="utf-8"))
    aside.unlink()


def _description(token: str) -> str:
    pid, host = _owner(token)
    return "another process" if pid is None else f"process {pid} on {host}"
