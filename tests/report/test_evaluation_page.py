"""The page of an evaluation is whole HTML that shows what was found, and asks for nothing else."""

from __future__ import annotations

import html.parser
import math

from poise.metrics.analysis import Difference, Interval
from poise.metrics.analysis.tables import Table
from poise.report import Examination, examination_lines, write_evaluation_page
from poise.report.evaluation_page import evaluation_html

KINDS = ("good", "jitter", "inversion", "swap", "miss")


def found() -> Examination:
    nothing = Interval(math.nan, math.nan, math.nan, 0)
    known = Interval(0.5, 0.4, 0.65, 200)
    errors = [("nose", (9, 0.5, 0.2, 0, 0, 0.3))]
    keypoints = [("nose", (9, 0.5)), ("tail", (0, math.nan))]
    tables = [
        Table("errors by keypoint", ("labelled", *KINDS), errors),
        Table("keypoints", ("labelled", "PCK"), keypoints, "About <it>.", bar="PCK"),
    ]
    return Examination(
        predictions="a<b>.jsonl",
        against="other.jsonl",
        resamples=200,
        figures={"CocoMetric": {"coco/AP": 0.5, "coco/AP (L)": -1.0}},
        intervals={"CocoMetric": {"coco/AP": known, "coco/AP (L)": nothing}},
        comparison={"CocoMetric": {"coco/AP": Difference(0.5, 0.4, 0.1, -0.05, 0.2, 0.93, 200)}},
        tables={"CocoMetric": tables},
        notes=["EPE has no <table>"],
    )


class Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.styles: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.styles.append(values.get("style") or "")
        self.sources += [v for k, v in values.items() if k in ("src", "href") and v]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(tmp_path) -> None:
    path = write_evaluation_page(
        found(), tmp_path / "deep/page.html", worst=[(b"\xff\xd8", "OKS 0.1 <1>")], missed=[]
    )
    text = path.read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert all(source.startswith("data:") for source in reader.sources)
    assert len(reader.sources) == 1
    for shown in ("a&lt;b&gt;.jsonl", "About &lt;it&gt;.", "no &lt;table&gt;", "0.1 &lt;1&gt;"):
        assert shown in text
    for shown in ("[0.4000, 0.6500]", "+0.1000", "[-0.0500, +0.2000]", "93.0%", "Worst poses"):
        assert shown in text
    assert "Missed people" not in text


def test_bars_stand_where_the_numbers_say() -> None:
    reader = Reader()
    reader.feed(evaluation_html(found()))
    styles = " ".join(reader.styles)
    # the interval from 0.4 to 0.65, and the difference between -0.05 and 0.2 around 0
    assert "left:40.0%;width:25.0%" in styles
    assert "left:37.5%;width:62.5%" in styles
    assert "left:75.0%" in styles
    for width in ("50.0%", "20.0%", "30.0%"):
        assert f"width:{width};background" in styles
    assert "width:160px" in styles


def test_the_text_of_a_terminal_fits() -> None:
    lines = list(examination_lines(found()))
    assert lines[0] == "metric      figure         value     95 % interval"
    assert lines[2].split() == ["coco/AP", "(L)", "-1.0000", "-"]
    assert "tail         0       -" in lines
    assert lines[-1] == "EPE has no <table>"
    assert all(line == line.rstrip() for line in lines)
