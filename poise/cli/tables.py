"""Tables drawn on the terminal; `poise.report.text` has plain ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["show_table"]


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Draw a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title or None)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
