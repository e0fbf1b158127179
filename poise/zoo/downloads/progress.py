"""A bar for files that are on their way."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

__all__ = ["progress"]


@contextlib.contextmanager
def progress(name: str, start: int, size: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that moves by bytes; nothing where nobody watches.

    Args:
        name: what is on its way.
        start: bytes that are there already.
        size: bytes in all, if known.
    """
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=size, completed=start)
        yield lambda count: bar.advance(task, count)
