"""The report of a run: one HTML file that needs nothing else, not even the network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise._files import write_whole
from poise.report.cases import THRESHOLDS, KeypointScores

__all__ = [
    "Page",
    "bar",
    "document",
    "fact_table",
    "gallery",
    "html_table",
    "section",
    "write_html",
    "write_page",
]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #0072B2; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto }
body { padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse }
td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line) }
th { text-align: left; font-weight: 600 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.curves img { max-width: 100%; background: #fff } pre { overflow-x: auto; font-size: 12px }
.bar { background: var(--bar); height: .7rem; display: inline-block; vertical-align: middle }
.cases { display: flex; flex-wrap: wrap; gap: 12px } figure { margin: 0; width: min-content }
figcaption { font-size: 12px; overflow-wrap: anywhere } .muted { opacity: .7 }
summary { cursor: pointer; font-weight: 600 }
"""
#: Widest bar of the table of keypoints, in pixels.
_BAR = 220


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a report shows; parts that are empty are left out.

    Attributes:
        title: name of the run.
        facts: short facts below the title. metrics: of the last validation.
        curves: PNG of the curves.
        keypoints: a row per keypoint.
        worst, best: JPEG and caption of single cases.
        notes: sentences about what is missing, and why.
        config: the whole config as text. environment: name -> version or value.
    """

    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: bytes = b""
    keypoints: Sequence[KeypointScores] = ()
    worst: Sequence[tuple[bytes, str]] = ()
    best: Sequence[tuple[bytes, str]] = ()
    notes: Sequence[str] = ()
    config: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def html(self) -> str:
        """The whole file."""
        parts = [
            f"<h1>{html.escape(self.title)}</h1>",
            fact_table(self.facts),
            section("Metrics of the last validation", fact_table(_shown(self.metrics))),
            section("Curves", _curves(self.curves)),
            section("Keypoints, the worst first", _keypoints(self.keypoints)),
            section("Worst cases", gallery(self.worst)),
            section("Best cases", gallery(self.best)),
            "".join(f'<p class="muted">{html.escape(n)}</p>' for n in self.notes),
            _folded("Config", f"<pre>{html.escape(self.config)}</pre>" if self.config else ""),
            _folded("Environment", fact_table(self.environment)),
        ]
        return document(self.title, parts)


def write_page(page: Page, path: str | Path) -> Path:
    """Write a report; the file appears whole or not at all."""
    return write_html(page.html(), path)


def write_html(text: str, path: str | Path) -> Path:
    """Write a file of HTML; it appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
    return path


def document(title: str, parts: Iterable[str], *, style: str = "") -> str:
    """A whole file of HTML; parts that are empty are left out.

    Args:
        title: plain text.
        parts: HTML.
        style: rules beside those of all reports.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}{style}</style></head>\n<body>\n"
        + "\n".join(p for p in parts if p)
        + "\n</body></html>\n"
    )


def section(title: str, content: str) -> str:
    """HTML below a heading; empty without any."""
    return f"<h2>{html.escape(title)}</h2>\n{content}" if content else ""


def _folded(title: str, content: str) -> str:
    if not content:
        return ""
    return f"<h2></h2><details><summary>{html.escape(title)}</summary>\n{content}</details>"


def _shown(values: Mapping[str, float]) -> dict[str, str]:
    return {k: f"{v:.4f}" if isinstance(v, float) else str(v) for k, v in values.items()}


def fact_table(values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    rows = (
        f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>"
        for k, v in values.items()
    )
    return f"<table>{''.join(rows)}</table>" if values else ""


def _curves(png: bytes) -> str:
    return f'<div class="curves">{_picture(png, "png", "curves of the run")}</div>' if png else ""


def _picture(content: bytes, kind: str, text: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{data}">'


def _keypoints(rows: Sequence[KeypointScores]) -> str:
    """A table with a bar for the share found within the last threshold."""
    if not rows:
        return ""
    head = ["keypoint", "labelled", "median", *(f"within {t:.0%}" for t in THRESHOLDS), ""]
    lines = []
    for row in sorted(rows, key=lambda r: r.within[::-1]):
        shares = [f"{share:.1%}" for share in row.within]
        found = bar(_BAR * row.within[-1])
        lines.append([row.name, str(row.count), f"{row.median:.3f}", *shares, found])
    about = (
        "Distances to the annotation in shares of the longer side of the box; the columns count "
        "keypoints that are nearer than that."
    )
    return f'<p class="muted">{about}</p>{html_table(head, lines)}'


def html_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text; cells that begin with <div are HTML."""
    if not lines:
        return ""

    def row(cells: Sequence[str], tag: str) -> str:
        made = []
        for place, cell in enumerate(cells):
            drawn = cell.startswith("<div")
            number = "" if drawn or place == 0 else ' class="n"'
            made.append(f"<{tag}{number}>{cell if drawn else html.escape(cell)}</{tag}>")
        return f"<tr>{''.join(made)}</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in lines)}</table>"


def bar(pixels: float) -> str:
    """A cell of `html_table` with a bar so wide."""
    return f'<div><span class="bar" style="width:{pixels:.0f}px"></span></div>'


def gallery(
    cases: Sequence[tuple[bytes, str]], about: str = "Left the annotation, right the prediction."
) -> str:
    """Pictures of cases, each JPEG and caption, after a sentence about them."""
    if not cases:
        return ""
    figures = (
        f"<figure>{_picture(jpeg, 'jpeg', caption)}<figcaption>{html.escape(caption)}"
        "</figcaption></figure>"
        for jpeg, caption in cases
    )
    told = f'<p class="muted">{html.escape(about)}</p>'
    return f'{told}<div class="cases">{"".join(figures)}</div>'
