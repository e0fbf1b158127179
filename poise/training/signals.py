"""Stopping a run on Ctrl-C or SIGTERM between two batches rather than in the middle of one."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["StopRequests"]


class StopRequests:
    """Context in which the first Ctrl-C (or SIGTERM) sets `requested`; the second stops at once.

    Outside the main thread signals cannot be caught, and nothing is.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.requested = False
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in self.signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._handle_in_worker(number)
            return
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self.logger.warning(
            "Stopping after this batch; a checkpoint will be written. Ctrl-C again stops at once"
        )

    def _handle_in_worker(self, number: int) -> None:
        """A terminal sends Ctrl-C to data workers too: they go on until they are let go."""
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
