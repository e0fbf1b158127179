"""Tables on the terminal: drawn ones for people, plain ones that other programs may cut."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

__all__ = ["aligned", "show_table"]


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Draw a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title or None)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Lines of a table, its head first.

    Args:
        rows: texts, as many in each row.
        right: columns that end flush.

    Example:
        >>> aligned([("name", "size"), ("HRNet", "8")], right=[1])
        ['name   size', 'HRNet     8']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    forms = [f"{'>' if i in right else '<'}{width}" for i, width in enumerate(widths)]
    return ["  ".join(map(format, row, forms)).rstrip() for row in rows]
