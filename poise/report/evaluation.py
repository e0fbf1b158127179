"""What a closer look at saved predictions found, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poise.metrics.analysis.bootstrap import Difference, Interval
from poise.metrics.analysis.tables import Table
from poise.report.text import aligned

__all__ = ["Examination", "examination_lines"]

#: Figures from here on, such as pixels, need no four digits behind the point.
_LARGE = 100
#: Of lines of text.
_WIDTH = 100


@dataclass(kw_only=True)
class Examination:
    """All that `poise eval` can say; parts that were not asked for are empty.

    Attributes:
        predictions: the file. against: the other run's.
        facts: what else there is to say of them in a word.
        level: share of resamples within intervals. resamples: how many.
        figures: metric -> its figures by name.
        intervals: metric -> figure -> its interval.
        comparison: metric -> figure -> the one run against the other.
        keypoints: metric -> keypoint -> the one run against the other.
        tables: metric -> tables.
        notes: sentences about what there is not, and why.
    """

    predictions: str
    against: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    level: float = 0.95
    resamples: int = 0
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)
    comparison: dict[str, dict[str, Difference]] = field(default_factory=dict)
    keypoints: dict[str, dict[str, Difference]] = field(default_factory=dict)
    tables: dict[str, list[Table]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for what does not exist."""
        tree = dataclasses.asdict(self)
        tree["tables"] = {
            metric: {
                table.title: {
                    name: dict(zip(table.columns, values, strict=True))
                    for name, values in table.rows
                }
                for table in tables
            }
            for metric, tables in self.tables.items()
        }
        plain: dict[str, Any] = _plain(tree)
        return plain


def examination_lines(found: Examination) -> Iterator[str]:
    """The text that a terminal shows."""
    yield from _figures(found)
    for metric, rows in found.comparison.items():
        yield from ("", f"{metric}: {found.predictions} against {found.against}")
        yield from _differences("figure", rows, found.level)
        if metric in found.keypoints:
            yield ""
            yield from _differences("keypoint", found.keypoints[metric], found.level)
    for metric, tables in found.tables.items():
        for table in tables:
            yield from ("", f"{metric}: {table.title}")
            yield from text_table(
                ["", *table.columns],
                _cells(table.rows),
            )
            if table.about:
                yield from textwrap.wrap(table.about, _WIDTH)
    for note in found.notes:
        yield from ("", note)


def _cells(rows: Sequence[tuple[str, Sequence[float]]]) -> list[list[str]]:
    columns = list(zip(*(values for _, values in rows), strict=True))
    return [
        [name, *(shown(v, column) for v, column in zip(values, columns, strict=True))]
        for name, values in rows
    ]


def _figures(found: Examination) -> Iterator[str]:
    head = ["metric", "figure", "value"]
    if found.intervals:
        head.append(f"{per_cent(found.level)} interval")
    rows = []
    before = ""
    for metric, figures in found.figures.items():
        own = found.intervals.get(metric, {})
        for name, value in figures.items():
            row = [metric if metric != before else "", name, f"{value:.4f}"]
            if found.intervals:
                row.append(bounds(own[name]) if name in own else "")
            rows.append(row)
            before = metric
    yield from text_table(head, rows, left=2)


def _differences(what: str, rows: Mapping[str, Difference], level: float) -> Iterator[str]:
    head = [what, "value", "against", "difference", f"{per_cent(level)} interval"]
    cells = [
        [name, shown(d.value), shown(d.against), signed(d.difference), bounds(d), share(d.better)]
        for name, d in rows.items()
    ]
    yield from text_table([*head, "better in"], cells)


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Lines of a table; the first columns stand at the left, numbers at the right."""
    return aligned([head, *rows], right=range(left, len(head)))


def shown(value: float, column: Sequence[float] = ()) -> str:
    """A figure; counts as whole numbers, those of a column with the same decimals."""
    if math.isnan(value):
        return "-"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    large = any(abs(v) >= _LARGE for v in (value, *column))
    return f"{value:,.1f}" if large else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return "-" if math.isnan(value) else f"{value:+.4f}"


def share(value: float) -> str:
    """A share as per cent."""
    return "-" if math.isnan(value) else f"{value:.1%}"


def per_cent(level: float) -> str:
    """A level such as 0.95 as '95 %'."""
    return f"{100 * level:g} %"


def bounds(of: Interval | Difference) -> str:
    """The two ends, with signs where they are of a difference."""
    if math.isnan(of.low):
        return "-"
    sign = "+" if isinstance(of, Difference) else ""
    return f"[{of.low:{sign}.4f}, {of.high:{sign}.4f}]"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
