"""The page of somebody's motion: curves of angles over time, and tables; one file of HTML."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from poise._arrays import Array
from poise.report.page import document, fact_table, html_table, section

__all__ = ["Motion", "motion_html"]

#: Size of a panel and its margins at the left, top, right and bottom; pixels.
_WIDTH, _HEIGHT, _MARGINS = 530, 190, (44, 8, 22, 22)
#: Degrees that a panel shows at least, so that noise stays small.
_LEAST_REACH = 20.0
#: Contacts of a foot that a panel can show.
_MOST_CONTACTS = 60
#: Points of a curve that a panel can show.
_MOST_POINTS = 1500
#: Left or middle, and right (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#D55E00")
_STYLE = """
.panels { display: flex; flex-wrap: wrap; gap: 6px 18px } .panels figure { width: 530px }
.panels figcaption { font-size: 14px; font-weight: 600 } .panels svg { max-width: 100% }
.panels text { font-size: 11px; fill: currentColor } .panels output { font-weight: 400 }
.panels path { fill: none; stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round }
.grid { stroke: #8884; stroke-width: 1 } .zero { stroke: #888a } .now { stroke: currentColor }
.step { stroke-width: 1; stroke-dasharray: 2 3 } body { max-width: 1140px }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem }
"""
_SCRIPT = """<script>
for (const box of document.querySelectorAll('.panels')) {
  const svgs = [...box.querySelectorAll('svg')]
  const curves = svgs.map(svg => [...svg.querySelectorAll('[data-name]')].map(path => ({
    name: path.dataset.name,
    low: +svg.dataset.low, unit: +svg.dataset.unit, base: +svg.dataset.base,
    points: [...path.getAttribute('d').matchAll(/([-\\d.]+) ([-\\d.]+)/g)]
      .map(found => [+found[1], +found[2]])})))
  box.addEventListener('pointermove', event => {
    const svg = event.target.closest('svg')
    if (!svg) return
    const place = svg.getBoundingClientRect()
    const x = (event.clientX - place.left) * svg.viewBox.baseVal.width / place.width
    svgs.forEach((other, i) => {
      const line = other.querySelector('.now')
      line.setAttribute('x1', x); line.setAttribute('x2', x)
      const said = curves[i].filter(c => c.points.length).map(c => {
        const near = c.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a)
        return c.name + ' ' + (c.low + (c.base - near[1]) * c.unit).toFixed(0) + '\\u00b0'
      })
      const time = (x - +svg.dataset.left) * +svg.dataset.second + +svg.dataset.begin
      other.parentElement.querySelector('output').textContent =
        time.toFixed(2) + ' s: ' + said.join(', ')
    })
  })
}
</script>"""


@dataclass(frozen=True)
class Motion:
    """What the page shows of a person.

    Attributes:
        title: heading.
        facts: short facts.
        table: rows of text, the head first.
        times: (T,) seconds.
        panels: title -> "left", "right" or "" -> (T,) degrees.
        folded: titles of panels that are shown only when asked for.
        contacts: "left", "right" -> seconds at which a foot came down.
    """

    title: str
    facts: Mapping[str, str]
    table: Sequence[Sequence[str]]
    times: Array
    panels: Mapping[str, Mapping[str, Array]]
    folded: Collection[str] = ()
    contacts: Mapping[str, Array] = field(default_factory=dict)


def motion_html(title: str, people: Sequence[Motion], notes: Sequence[str] = ()) -> str:
    """The whole file, which needs nothing else.

    Args:
        title: heading.
        people: a section each.
        notes: sentences about what is missing, and why.
    """
    key = "".join(
        f'<span style="background:{c}"></span>{name}'
        for c, name in zip(_COLOURS, ("left or middle", "right"), strict=True)
    )
    if any(person.contacts for person in people):
        key += "; dotted: a foot comes down"
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="key">{key}</p>']
    for person in people:
        drawn = {title: _panel(title, person) for title in person.panels}
        shown = "".join(figure for title, figure in drawn.items() if title not in person.folded)
        more = "".join(drawn[title] for title in person.folded)
        table = html_table(person.table[0], person.table[1:])
        content = [
            fact_table(person.facts),
            f"<details><summary>ranges</summary>{table}</details>",
            f'<div class="panels">{shown}</div>',
            f'<details><summary>more</summary><div class="panels">{more}</div></details>'
            * bool(more),
        ]
        parts.append(section(person.title, "".join(content)))
    parts += [f'<p class="muted">{html.escape(note)}</p>' for note in notes]
    return document(title, [*parts, _SCRIPT], style=_STYLE)


def _panel(title: str, person: Motion) -> str:
    """A figure with an SVG of its curves; empty where nothing is known."""
    curves = person.panels[title]
    values = np.concatenate(list(curves.values()))
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    middle, reach = (known.max() + known.min()) / 2, max(np.ptp(known), _LEAST_REACH) / 2
    left, top, right, bottom = _MARGINS
    begin, end = float(person.times[0]), float(person.times[-1])
    second = max(end - begin, 1e-6) / (_WIDTH - left - right)
    ticks = _ticks(middle - reach, middle + reach)
    low, base = ticks[0], _HEIGHT - bottom
    unit = (ticks[-1] - low) / (base - top)
    parts = []
    for tick in ticks:
        y = base - (tick - low) / unit
        kind = "grid zero" if tick == 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{left} {y:.1f}H{_WIDTH - right}"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}°</text>')
    for tick in _ticks(begin, end):
        x = left + (tick - begin) / second
        if left <= x <= _WIDTH - right:
            parts.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{tick:g} s</text>'
            )
    for side, colour in zip(("left", "right"), _COLOURS, strict=True):
        contacts = person.contacts.get(side, ()) if side in curves else ()
        # so many would be a grey area
        for moment in contacts if len(contacts) <= _MOST_CONTACTS else ():
            x = left + (moment - begin) / second
            parts.append(f'<path class="step" stroke="{colour}" d="M{x:.1f} {top}V{base}"/>')
    for name, curve in curves.items():
        times, thin = _thinned(person.times, curve)
        way = _path(left + (times - begin) / second, base - (thin - low) / unit)
        colour = _COLOURS[name == "right"]
        parts.append(f'<path data-name="{name}" stroke="{colour}" d="{way}"/>')
    parts.append(f'<line class="now" x1="-9" x2="-9" y1="{top}" y2="{base}"/>')
    about = f'data-low="{low}" data-unit="{unit}" data-base="{base}" data-left="{left}"'
    about += f' data-second="{second}" data-begin="{begin}"'
    return (
        f"<figure><figcaption>{html.escape(title)} <output></output></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" {about}>{"".join(parts)}</svg></figure>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers that reach beyond both ends."""
    reach = max(high - low, 1e-3)
    size = 10.0 ** np.floor(np.log10(reach / 3))
    step = next(float(size * f) for f in (1, 2, 5, 10) if reach / (size * f) <= 5)
    first, last = np.floor(low / step), np.ceil(high / step)
    return [round(float(n * step), 6) for n in np.arange(first, max(last, first + 1) + 1)]


def _thinned(times: Array, values: Array) -> tuple[Array, Array]:
    """Least and greatest value of pieces of a long curve, which keeps its peaks."""
    piece = int(np.ceil(len(values) / (_MOST_POINTS / 2)))
    if piece < 3:
        return times, values
    count = -(-len(values) // piece)
    padded = np.concatenate((values, np.full(count * piece - len(values), np.nan)))
    parts = np.ma.masked_invalid(padded.reshape(count, piece))
    ends = np.ma.stack((parts.min(1), parts.max(1)), -1).filled(np.nan).ravel()
    return np.repeat(times[::piece], 2), ends


def _path(x: Array, y: Array) -> str:
    """Lines through points, broken where one is not known; a point that is alone is a dot."""
    known = np.isfinite(y)
    begins = known & ~np.concatenate(([False], known[:-1]))
    pairs = zip(x[known].tolist(), y[known].tolist(), begins[known].tolist(), strict=True)
    return "".join(f"M{a:.1f} {b:.1f}h0" if new else f"L{a:.1f} {b:.1f}" for a, b, new in pairs)
