"""Several calls of one network at once, on a CPU.

Cores that share a layer wait at its end for the slowest of them, the longer the more else they have
to do. Calls that keep to cores of their own never wait; but a call that is alone wants them all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Lanes", "available_cores", "chosen_threads"]

#: Calls at once; each holds the memory of a batch.
_MOST = 4


def available_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def chosen_threads() -> int | None:
    """Threads for a network that the user has asked for by `OMP_NUM_THREADS`."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) or None if text.isdecimal() else None


class Lanes:
    """Counts the calls under way.

    Args:
        threads: that a call takes when it is alone.

    Attributes:
        count: calls that may be under way at once.
        share: threads of each of them then.
    """

    def __init__(self, threads: int) -> None:
        self.count = max(1, min(threads, _MOST))
        self.share = max(1, threads // self.count)
        self._busy = 0
        self._lock = threading.Lock()

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Around a call; whether it is the only one as it begins, and may take all threads."""
        with self._lock:
            alone = self.count == 1 or not self._busy
            self._busy += 1
        try:
            yield alone
        finally:
            with self._lock:
                self._busy -= 1
