"""The page of somebody's motion."""

import re

import numpy as np

from poise.report.motion_page import Motion, motion_html

TIMES = np.arange(5000) / 50


def page(panels, times=TIMES, **more):
    person = Motion("Person 1", {"seen": "a <b>"}, [["a", "b"], ["c", "d"]], times, panels, **more)
    return motion_html("Angles of <clip>", [person], ["not measured: toes"])


def paths(text):
    """Name -> (P, 2) points of each curve."""
    found = re.findall(r'data-name="(\w*)" stroke="#\w+" d="([^"]*)"', text)
    return {
        name: np.array(
            [[float(v) for v in pair] for pair in re.findall(r"([-\d.]+) ([-\d.]+)", way)]
        )
        for name, way in found
    }


def test_long_curves_are_thinned_and_keep_their_peaks():
    curve = np.sin(TIMES)
    curve[3211] = 40
    text = page({"knee flexion": {"left": curve, "right": -curve}})
    left = paths(text)["left"]
    assert len(left) < 1600
    low, unit, base = (
        float(re.search(rf'data-{k}="([-\d.]+)"', text)[1]) for k in ("low", "unit", "base")
    )
    degrees = low + (base - left[:, 1]) * unit
    assert abs(degrees.max() - 40) < 0.1
    assert abs(np.median(degrees)) < 0.2


def test_lines_break_where_nothing_is_known_and_what_is_alone_is_a_dot():
    curve = np.array([1.0, 2, np.nan, 3, np.nan, 4, 5])
    text = page({"knee": {"": curve}}, TIMES[:7])
    way = re.search(r'data-name="" stroke="#\w+" d="([^"]*)"', text)[1]
    assert re.sub(r"[-\d.]+ [-\d.]+", "p", way) == "Mph0LpMph0Mph0Lp"


def test_what_is_unknown_has_no_panel_and_texts_are_escaped():
    text = page(
        {"knee": {"left": np.full(5000, np.nan)}, "thumb": {"left": np.ones(5000)}},
        folded=["thumb"],
        contacts={"left": np.array([1.0, 2]), "right": np.array([3.0])},
    )
    assert "<figcaption>knee" not in text
    assert text.index("<summary>more</summary>") < text.index("<figcaption>thumb")
    assert "Angles of &lt;clip&gt;" in text
    assert "a &lt;b&gt;" in text
    assert text.count('class="step"') == 2
    assert "dotted: a foot comes down" in text
    # noise of a degree does not fill a panel
    assert float(re.search(r'data-unit="([\d.]+)"', text)[1]) > 0.1
