"""Bars and tables on the terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import typer

from poise.report.text import aligned

__all__ = ["counting", "show_table", "tracked"]

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
    """The same items, with a bar on stderr, which goes away after the last, where somebody watches.

    Args:
        items: what is worked on, one after the other.
        name: what is done.
    """
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, name, console=Console(stderr=True), transient=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table whose columns but the first end flush, below its title."""
    lines = aligned([columns, *rows], right=range(1, len(columns)))
    typer.echo("\n".join([title, *lines] if title else lines))
