"""Tables as lines of text, which other programs may cut."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["aligned"]


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
