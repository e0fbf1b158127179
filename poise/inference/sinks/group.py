"""Several sinks behind one: results are drawn and written while the next ones are computed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import Sink

__all__ = ["SinkGroup"]

#: Results that may wait to be written: frames of a video are large.
_WAITING = 8


class SinkGroup:
    """Hands every result to all sinks, in one thread beside the caller's.

    An error in a sink is raised by the next `write` or by `close`; the other sinks' files are
    finished all the same.

    Args:
        sinks: of pictures and of whatever moves.
        still: instead of `sinks` for still pictures; None: the same for both.
    """

    def __init__(self, sinks: Sequence[Sink], still: Sequence[Sink] | None = None) -> None:
        self._moving, self._still = list(sinks), list(sinks if still is None else still)
        self._all = list(dict.fromkeys([*self._moving, *self._still]))
        # windows belong to the thread that opened them
        self._direct = [sink for sink in self._all if getattr(sink, "in_callers_thread", False)]
        self._queue: queue.Queue[PoseResult | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._told = False
        self._thread: threading.Thread | None = None

    @property
    def written(self) -> list[Path]:
        """Files of all sinks; complete once the group is closed."""
        return [path for sink in self._all for path in sink.written]

    def write(self, result: PoseResult) -> None:
        """Queue one result.

        Raises:
            DataError: an earlier one could not be written.
        """
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="poise-sinks", daemon=True)
            self._thread.start()
        self._queue.put(result)
        for sink in self._direct:
            if sink in self._sinks_of(result):
                sink.write(result)

    def close(self) -> None:
        """Wait until everything is written, and finish all files.

        Raises:
            DataError: something could not be written.
        """
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        for sink in self._all:
            try:
                sink.close()
            except Exception as error:  # the others must be finished, too
                self._error = self._error or error
        self._raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except Exception:
            # what went wrong first is what the caller should hear of
            if error is None:
                raise

    def _work(self) -> None:
        """Until None comes; after an error results are dropped, so that nobody waits forever."""
        while (result := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                for sink in self._sinks_of(result):
                    if sink not in self._direct:
                        sink.write(result)
            except BaseException as error:  # handed to the caller's thread
                self._error = error

    def _sinks_of(self, result: PoseResult) -> list[Sink]:
        return self._moving if result.moves else self._still

    def _raise_error(self) -> None:
        """Say once what went wrong."""
        if self._error is not None and not self._told:
            self._told = True
            raise self._error
