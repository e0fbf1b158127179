"""Stopping a run on Ctrl-C or SIGTERM between two batches rather than in the middle of one."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any, Self

import torch
import torch.distributed as dist

__all__ = ["StopRequests"]

#: Seconds in which signals are one request: a terminal's Ctrl-C reaches a process both from the
#: terminal and from the launcher.
_AT_ONCE = 1.0


class StopRequests:
    """Context in which the first Ctrl-C (or SIGTERM) sets `requested`; a later one stops at once.

    Outside the main thread signals cannot be caught, and nothing is.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.requested = False
        self._since = 0.0
        self._group: Any = None
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in self.signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self) -> bool:
        """Whether a process of the run was asked to stop; a step for all of them together.

        A signal finds processes before and behind the same batch: if each went by its own, one
        would wait for gradients of another that has stopped.
        """
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return self.requested
        if self._group is None:
            # over the processors, so that no GPU is waited for
            self._group = dist.new_group(backend="gloo")
        asked = torch.tensor(int(self.requested))
        dist.all_reduce(asked, dist.ReduceOp.MAX, group=self._group)
        if asked:
            self.requested = True
        return bool(asked)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._handle_in_worker(number)
            return
        if self.requested:
            if time.monotonic() - self._since > _AT_ONCE:
                raise KeyboardInterrupt
            return
        self.requested, self._since = True, time.monotonic()
        self.logger.warning(
            "Stopping after this batch, or the validation that is under way; a checkpoint will be "
            "written. Ctrl-C again stops at once"
        )

    def _handle_in_worker(self, number: int) -> None:
        """A terminal sends Ctrl-C to data workers too: they go on until they are let go."""
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
