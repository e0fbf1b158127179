"""Bounds on what a config may compute, so that reading a hostile file cannot fill the memory.

Only operations that grow their operands are checked; each raises ValueError, which the
evaluator turns into an error with file and line.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = [
    "MAX_ITEMS",
    "MAX_NODES",
    "Steps",
    "check_widths",
    "check_written",
    "checked_binary",
    "checked_format",
    "checked_size",
    "node_count",
]

MAX_ITEMS = 1_000_000
"""Longest string or list, and most loop steps of one file."""
MAX_MADE = 5_000_000
"""Most items and characters that the expressions of one file make together, kept or not."""
MAX_NODES = 2_000_000
"""Most values in a finished tree; aliases count each time they are met."""
MAX_BITS = 4096
MAX_WIDTH = 1000
"""Largest width or precision in a format specification."""


class Steps:
    """Counts loop steps, and what expressions make, over a whole file and its bases."""

    def __init__(self, left: int = MAX_ITEMS) -> None:
        self.left = left
        self.room = MAX_MADE

    def take(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items, failing after too many steps in all."""
        for item in items:
            self.spend(1)
            yield item

    def spend(self, count: int) -> None:
        """Count work that took as long as some loop steps."""
        self.left -= count
        if self.left < 0:
            raise ValueError(f"more than {MAX_ITEMS:,} loop steps")

    def made(self, value: Any) -> Any:
        """The value itself, a text or container that has just been made."""
        if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
            self.room -= len(value)
            if self.room < 0:
                raise ValueError(f"more than {MAX_MADE:,} items and characters in all")
        return value


def node_count(value: Any, left: int = MAX_NODES, depth: int = 0) -> int:
    """Number of values in a tree; ValueError if it is too large, too deep, or holds itself."""
    if depth > 200:
        raise ValueError("nested deeper than 200 levels, or contains itself")
    count = 1
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return count
    for item in value:
        count += node_count(item, left - count, depth + 1)
        if count > left:
            raise ValueError(f"more than {MAX_NODES:,} values")
    return count


def check_written(value: Any, times: int = 1) -> None:
    """ValueError if a tree of values, written so many times, would be a huge text."""
    node_count(value)
    if _written(value) * times > MAX_ITEMS:
        raise ValueError(f"text of more than {MAX_ITEMS:,} characters")


def _written(value: Any) -> int:
    """About as many characters as a value takes, without what stands between items."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 3
    if isinstance(value, dict):
        return _written(list(value)) + _written(list(value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return sum(map(_written, value))
    return 0


def checked_size(value: Any) -> Any:
    """The value itself, unless it is too long a string or container or too large a number."""
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise ValueError(f"number of more than {MAX_BITS} bits")
    elif hasattr(value, "__len__") and len(value) > MAX_ITEMS:
        raise ValueError(f"more than {MAX_ITEMS:,} items")
    return value


def _multiply(a: Any, b: Any) -> Any:
    for items, times in ((a, b), (b, a)):
        if hasattr(items, "__len__") and isinstance(times, int) and len(items) * times > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS:,} items")
    return a * b


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() * b > MAX_BITS:
        raise ValueError(f"number of more than {MAX_BITS} bits")
    return a**b


def _shift(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() + b > MAX_BITS:
        raise ValueError(f"number of more than {MAX_BITS} bits")
    return a << b


def _remainder(a: Any, b: Any) -> Any:
    if isinstance(a, str):
        check_widths(a)
        if "*" in a:
            raise ValueError("'*' widths in % formatting are not read from a config")
        check_written(b, a.count("%"))
    return a % b


def check_widths(text: str) -> None:
    """ValueError if a format specification holds a width that would make a huge text."""
    # Python takes the digits of every script
    if any(int(n) > MAX_WIDTH for n in re.findall(r"\d{4,}", text)):
        raise ValueError(f"format width of more than {MAX_WIDTH}")


def checked_format(value: Any, spec: str) -> str:
    """`format(value, spec)` within bounds."""
    check_widths(spec)
    check_written(value)
    return checked_size(format(value, spec))


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": _multiply,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": _remainder,
    "Pow": _power,
    "LShift": _shift,
    "RShift": operator.rshift,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
    "BitAnd": operator.and_,
}


def checked_binary(name: str, a: Any, b: Any) -> Any:
    """`a <op> b` within bounds; `name` is the class name of the ast operator."""
    if name not in BINARY:
        raise ValueError(f"operator {name} is not read from a config")
    return checked_size(BINARY[name](a, b))
