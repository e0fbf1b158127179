"""Memory that a network frees stays at hand for its next batch.

The C library of Linux gives large pieces back to the system at once and asks for new ones a moment
later; the system hands out every page of them empty, one page fault each. Of a network on a CPU
whose maps are large, that is up to two thirds of the time.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

__all__ = ["keep_freed_memory"]

#: Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: Bytes that may lie idle, and that a piece must exceed to be given back on its own.
_KEPT = 1 << 30


@functools.cache
def keep_freed_memory() -> bool:
    """Let the whole process keep up to a gigabyte of memory that it freed.

    Threads that begin from now on share one heap: those of their own cannot keep much.
    Left alone where somebody has set the C library's own variables (`MALLOC_ARENA_MAX` ...).

    Returns:
        Whether it was done: only under Linux with glibc 2.35 or newer.
    """
    chosen = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if chosen or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # older ones refuse so high a threshold, and half of this would make things worse
    if mallopt is None or not mallopt(_MMAP_THRESHOLD, _KEPT):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_ARENA_MAX, 1))
