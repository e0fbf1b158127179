"""A bar for work that is counted, where somebody watches."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["counting", "tracked"]

T = TypeVar("T")


@contextlib.contextmanager
def counting(name: str) -> Iterator[Callable[[int], None]]:
    """A number on stderr that grows; nothing where nobody watches.

    Args:
        name: what is done.

    Yields:
        A function that takes how many more are done.
    """
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with bar:
        # shown once there is something to count
        task = bar.add_task(name, total=None, visible=False)
        yield lambda count: bar.update(task, advance=count, visible=True)


def tracked(items: Iterable[T], name: str) -> Iterable[T]:
    """The same items, with a bar on stderr that goes away after the last.

    Args:
        items: what is worked on, one after the other.
        name: what is done.
    """
    from rich.console import Console
    from rich.progress import track

    return track(items, name, console=Console(stderr=True), transient=True)
