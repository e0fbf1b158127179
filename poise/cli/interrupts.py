"""Ctrl-C, and impatience: the first ends a run, later ones must not break what it still writes."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["INTERRUPTED", "Patience"]

#: Exit status after Ctrl-C.
INTERRUPTED = 130
#: The Ctrl-C that ends the program without more ado.
_ENOUGH = 3


class Patience:
    """While it is entered the first Ctrl-C is a `KeyboardInterrupt`, and the second a text.

    The third ends the program at once. After a Ctrl-C this stays so until the program ends: threads
    that are at work then would be torn from under it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            return
        if not self._count:
            signal.signal(signal.SIGINT, self._before)
        else:
            # Python gives up its handlers before it has ended, and a late Ctrl-C would then kill it
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            raise KeyboardInterrupt
        if self._count < _ENOUGH:
            sys.stderr.write("finishing the files; Ctrl-C again ends at once\n")
            return
        os._exit(INTERRUPTED)
