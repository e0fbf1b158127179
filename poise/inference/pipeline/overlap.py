"""Stages that run beside one another: each in a thread, with a bounded queue to the next.

The work of all stages (decoding, warping, networks, drawing, encoding) is done by libraries that
let other threads run meanwhile.
"""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["Timings", "mapped", "prefetched"]

T = TypeVar("T")
R = TypeVar("R")

#: Seconds between two looks at whether anybody still wants the items, and for which the end of the
#: program waits for stages that are under way.
_PATIENCE, _LAST_PATIENCE = 0.1, 15.0
#: Threads of stages -> what stops them.
_stages: weakref.WeakKeyDictionary[threading.Thread, threading.Event] = weakref.WeakKeyDictionary()


class _Failure:
    """An exception on its way from one thread to another."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


@atexit.register
def _end_stages() -> None:
    """Stop what is under way: Python tears threads from under libraries, which abort at that."""
    running = dict(_stages)
    for stopped in running.values():
        stopped.set()
    end = time.monotonic() + _LAST_PATIENCE
    for thread in running:
        thread.join(max(0.0, end - time.monotonic()))


def prefetched(items: Iterable[T], size: int, name: str) -> Generator[T, None, None]:
    """The same items, worked out ahead of time in a thread.

    Args:
        items: taken in the thread; an error in it is raised here, after the items before it.
        size: items that may wait; more are not worked out, so memory is bounded.
        name: of the thread, for debuggers.
    """
    waiting: queue.Queue[Any] = queue.Queue(size)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    def take() -> Any:
        while not stopped.is_set():
            try:
                return waiting.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
        return _END

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    return
            put(_END)
        except BaseException as error:  # raised again in the caller's thread
            put(_Failure(error))
        finally:
            # a generator ends in the thread in which it ran, and with it the stages below it
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name=f"poise-{name}", daemon=True)
    _stages[thread] = stopped
    thread.start()
    try:
        while (item := take()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stopped.set()
        # not where the garbage collector came by in that very thread
        if thread is not threading.current_thread():
            thread.join(timeout=5)


def mapped(
    function: Callable[[T], R], items: Iterable[T], *, lanes: int, size: int, name: str
) -> Generator[R, None, None]:
    """What a function makes of each item, in order; worked out ahead of time, several at once.

    Args:
        function: called in threads; what it raises is raised here when its turn comes.
        items: taken in a thread of their own.
        lanes: calls at once.
        size: results that may wait, those under way included.
        name: of the threads, for debuggers.
    """
    pool = ThreadPoolExecutor(lanes, f"poise-{name}")
    calls = prefetched((pool.submit(function, item) for item in items), size, name)
    try:
        for call in calls:
            yield call.result()
    finally:
        calls.close()
        # calls under way end by themselves: to wait for them is not for the thread in which a
        # generator that nobody wants any more happens to be collected, which may be one of them
        pool.shutdown(wait=False, cancel_futures=True)


class Timings:
    """Seconds that each stage worked, and how often; stages overlap, so they exceed the whole."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._items: dict[str, int] = {}
        self._start = time.perf_counter()
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str, items: int = 1) -> Iterator[None]:
        """Count the time of a block as a stage's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start, items)

    def add(self, stage: str, seconds: float, items: int = 1) -> None:
        """Count seconds and items as a stage's."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
            self._items[stage] = self._items.get(stage, 0) + items

    def watched(self, items: Iterable[T], stage: str) -> Generator[T, None, None]:
        """The same items; the time that each takes to come counts as a stage's."""
        iterator = iter(items)
        try:
            while True:
                start = time.perf_counter()
                item = next(iterator, _END)
                if item is _END:
                    return
                self.add(stage, time.perf_counter() - start)
                yield item  # type: ignore[misc]
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def rows(self) -> list[tuple[str, int, float, float]]:
        """(stage, items, seconds, milliseconds an item), and the time since the beginning."""
        rows = [
            (stage, self._items[stage], seconds, 1000 * seconds / max(1, self._items[stage]))
            for stage, seconds in self._seconds.items()
        ]
        whole = time.perf_counter() - self._start
        frames = self._items.get("read", 0)
        return [*rows, ("all, overlapping", frames, whole, 1000 * whole / max(1, frames))]

    def table(self) -> str:
        """Text of `rows`."""
        lines = [f"{'stage':18}{'items':>8}{'seconds':>10}{'ms an item':>12}"]
        lines += [f"{s:18}{n:8}{sec:10.2f}{ms:12.2f}" for s, n, sec, ms in self.rows()]
        return "\n".join(lines)
