"""The page of an evaluation: figures with intervals, errors, keypoints, and the worst cases."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from poise.metrics.analysis.bootstrap import Difference, Interval
from poise.metrics.analysis.diagnosis import KINDS
from poise.metrics.analysis.tables import Table
from poise.report.evaluation import Examination, bounds, per_cent, share, shown, signed
from poise.report.page import bar, document, fact_table, gallery, html_table, section, write_html

__all__ = ["evaluation_html", "write_evaluation_page"]

#: Colours of the kinds of errors (Okabe and Ito), good ones quiet.
_COLOURS = dict(zip(KINDS, ("#8886", "#56B4E9", "#D55E00", "#CC79A7", "#E69F00"), strict=True))
_STYLE = """
.scale { position: relative; width: 220px; height: .8rem; background: #8882 }
.scale i { position: absolute; top: .15rem; bottom: .15rem; background: #0072B288 }
.scale b { position: absolute; top: 0; bottom: 0; width: 2px; background: currentColor }
.scale u { position: absolute; top: 0; bottom: 0; width: 1px; background: #8888 }
.stack { display: flex; width: 320px; height: .8rem }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem }
"""
_BAR = 160


def write_evaluation_page(
    found: Examination,
    path: str | Path,
    *,
    worst: Sequence[tuple[bytes, str]] = (),
    missed: Sequence[tuple[bytes, str]] = (),
) -> Path:
    """Write the page; the file needs nothing else and appears whole or not at all.

    Args:
        found: what the page shows.
        path: file to write.
        worst: JPEG and caption of people whose pose is far off.
        missed: the same of people that were not found.
    """
    return write_html(evaluation_html(found, worst=worst, missed=missed), path)


def evaluation_html(
    found: Examination,
    *,
    worst: Sequence[tuple[bytes, str]] = (),
    missed: Sequence[tuple[bytes, str]] = (),
) -> str:
    """The whole file; arguments as of `write_evaluation_page`."""
    title = f"Evaluation of {Path(found.predictions).name}"
    facts = {"predictions": found.predictions, **found.facts}
    if found.against:
        facts["against"] = found.against
    parts = [f"<h1>{html.escape(title)}</h1>", fact_table(facts)]
    for metric, figures in found.figures.items():
        intervals = found.intervals.get(metric, {})
        parts.append(section(metric, _figures(figures, intervals, found.level)))
        if metric in found.comparison:
            rows = _differences("figure", found.comparison[metric], found.level)
            parts.append(section(f"Against {found.against}", rows))
        if metric in found.keypoints:
            rows = _differences("keypoint", found.keypoints[metric], found.level)
            parts.append(section("Against it, by keypoint", rows))
        for table in found.tables.get(metric, ()):
            heading = table.title[:1].upper() + table.title[1:]
            parts.append(section(heading, _table(table)))
    parts.append(section("Worst poses", gallery(worst)))
    parts.append(section("Missed people", gallery(missed)))
    parts += [f'<p class="muted">{html.escape(note)}</p>' for note in found.notes]
    return document(title, parts, style=_STYLE)


def _figures(figures: Mapping[str, float], intervals: Mapping[str, Interval], level: float) -> str:
    """Values with their intervals, on a scale from 0 to 1 where all are shares."""
    ends = [end for own in intervals.values() for end in (own.low, own.high) if end == end]
    shares = bool(ends) and all(0 <= end <= 1 for end in ends)
    head = ["figure", "value"]
    if intervals:
        head += [f"{per_cent(level)} interval", ""]
    lines = []
    for name, value in figures.items():
        cells = [name, shown(value)]
        if intervals:
            own = intervals.get(name)
            cells += [bounds(own) if own else "", ""]
            if own and shares and own.low == own.low:
                cells[-1] = _scale(own.low, own.high, value)
        lines.append(cells)
    return html_table(head, lines)


def _differences(what: str, rows: Mapping[str, Difference], level: float) -> str:
    """Differences on a scale around 0 that holds them all."""
    ends = [abs(end) for d in rows.values() for end in (d.low, d.high) if end == end]
    reach = max(ends, default=0) or 1.0

    def place(value: float) -> float:
        return (value / reach + 1) / 2

    lines = []
    for name, d in rows.items():
        scale = ""
        if d.low == d.low:
            scale = _scale(place(d.low), place(d.high), place(d.difference), middle=True)
        cells = [shown(d.value), shown(d.against), signed(d.difference), bounds(d)]
        lines.append([name, *cells, share(d.better), scale])
    head = [what, "value", "against", "difference", f"{per_cent(level)} interval", "better in", ""]
    return html_table(head, lines)


def _table(table: Table) -> str:
    """A table of figures with the bars that it asks for."""
    stacked = set(KINDS) <= set(table.columns)
    place = list(table.columns).index(table.bar) if table.bar else -1
    longest = max((v[place] for _, v in table.rows if v[place] == v[place]), default=0)
    lines = []
    for name, values in table.rows:
        cells = [name, *map(shown, values)]
        if stacked:
            cells.append(_stack(dict(zip(table.columns, values, strict=True))))
        elif table.bar:
            cells.append(_bar(values[place], longest))
        lines.append(cells)
    head = ["", *table.columns, *[""] * (stacked or bool(table.bar))]
    about = f'<p class="muted">{html.escape(table.about)}</p>' if table.about else ""
    return about + (_key() if stacked else "") + html_table(head, lines)


def _scale(low: float, high: float, value: float, *, middle: bool = False) -> str:
    """An interval and a value, all from 0 to 1."""
    zero = '<u style="left:50%"></u>' * middle
    return (
        f'<div class="scale">{zero}<i style="left:{low:.1%};width:{high - low:.1%}"></i>'
        f'<b style="left:{value:.1%}"></b></div>'
    )


def _stack(values: Mapping[str, float]) -> str:
    """The shares of all kinds, one after another."""
    parts = "".join(
        f'<span title="{kind} {share(values[kind])}" '
        f'style="width:{values[kind]:.1%};background:{colour}"></span>'
        for kind, colour in _COLOURS.items()
        if not math.isnan(values[kind])
    )
    return f'<div class="stack">{parts}</div>'


def _key() -> str:
    parts = "".join(f'<span style="background:{c}"></span>{kind}' for kind, c in _COLOURS.items())
    return f'<p class="key">{parts}</p>'


def _bar(value: float, longest: float) -> str:
    if math.isnan(value) or value <= 0 or longest <= 0:
        return ""
    return bar(_BAR * value / longest)
