"""Threads that torch takes for one call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["lane_threads", "limited_threads"]

#: Whose modules keep nothing from one call to the next.
_STATELESS = ("poise", "torch")


def lane_threads(model: Any) -> int:
    """Threads that batches may share out among themselves; 1: one batch at a time.

    Only on CPUs, where torch counts threads for each caller, and with modules that are known to
    keep nothing between calls.
    """
    packages = {type(module).__module__.partition(".")[0] for module in model.modules()}
    weight = next(model.parameters(), None)
    slow = weight is not None and weight.device.type == "cpu"
    if slow and packages <= set(_STATELESS) and torch.backends.openmp.is_available():
        return torch.get_num_threads()
    return 1


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch take no more than so many threads, for what this thread does meanwhile."""
    before = torch.get_num_threads()
    if count >= before:
        yield
        return
    torch.set_num_threads(count)
    # that was also said to threads which have not asked torch for anything yet; this takes it back
    said_elsewhere = threading.Thread(target=torch.set_num_threads, args=(before,))
    said_elsewhere.start()
    said_elsewhere.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)
