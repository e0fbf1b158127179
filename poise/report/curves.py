"""Curves of one or several runs as a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poise._files import write_whole
from poise.errors import ArgumentError, one_of
from poise.report.logs import RunLog

__all__ = ["choose_panels", "draw_curves"]

#: Scalars of a training line that get a panel by themselves, where they are there.
_PANELS = (("lr", "base_lr"), ("grad_norm",))
#: Never drawn unless asked for.
_NOT_DRAWN = ("time", "data_time", "memory", "epoch", "iter", "step")
_WIDTH, _HEIGHT = 4.6, 3.0
_COLUMNS = 3
#: Colours that differ for the colour-blind, too (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def choose_panels(runs: Sequence[RunLog], keys: Sequence[str] = ()) -> list[list[str]]:
    """Which scalars are drawn together.

    Args:
        runs: whose scalars there are.
        keys: scalars to draw, a panel each; without them losses share one, accuracies one,
            and metrics of one prefix ("coco/") one.

    Raises:
        ArgumentError: no run has one of `keys`.
    """
    train = list(dict.fromkeys(k for run in runs for k in run.keys("train")))
    val = list(dict.fromkeys(k for run in runs for k in run.keys("val")))
    if keys:
        for key in keys:
            one_of(key, [*train, *val], "a scalar of the runs", ArgumentError)
        return [[k] for k in keys]
    losses = [k for k in train if "loss" in k]
    accuracies = [k for k in train if k.startswith("acc")]
    single = [[k for k in panel if k in train] for panel in _PANELS if panel[0] in train]
    metrics: dict[str, list[str]] = {}
    for key in val:
        if key not in _NOT_DRAWN:
            # COCO's ten figures share a panel
            metrics.setdefault(key.partition("/")[0], []).append(key)
    return [p for p in (losses, accuracies) if p] + list(metrics.values()) + single


def draw_curves(
    runs: RunLog | Sequence[RunLog],
    path: str | Path | None = None,
    *,
    keys: Sequence[str] = (),
    kind: str = "png",
) -> bytes:
    """Picture of curves over iterations, a panel per group of scalars.

    Args:
        runs: one or several; each has its own colour where there are several.
        path: file to write; its ending (.png, .svg, .pdf) says the kind.
        keys: scalars to draw, instead of losses, accuracies, metrics and the learning rate.
        kind: of the picture that is returned, where no path says it.

    Returns:
        the file's content.
    """
    from matplotlib.figure import Figure

    runs = [runs] if isinstance(runs, RunLog) else list(runs)
    panels = choose_panels(runs, keys)
    columns = min(_COLUMNS, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _draw_panel(axis, runs, panel)
    if path is not None:
        kind = Path(path).suffix.lstrip(".") or kind
        if kind not in figure.canvas.get_supported_filetypes():
            raise ArgumentError(f"pictures of curves are .png, .svg or .pdf, got '{path}'")
    content = io.BytesIO()
    # no date in it: the same run gives the same file
    undated: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    figure.savefig(content, format=kind, dpi=110, metadata=undated)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), content.getvalue())
    return content.getvalue()


def _draw_panel(axis: Any, runs: Sequence[RunLog], panel: Sequence[str]) -> None:
    """Lines of a panel: a colour per run, or per scalar where there is one run."""
    lines = [(run, key) for run in runs for key in panel]
    number = 0
    for run, key in lines:
        steps, values = run.curve(key)
        if not steps:
            continue
        label = key if len(runs) == 1 else run.name if len(panel) == 1 else f"{run.name} {key}"
        few = len(steps) < 30
        colour = _COLOURS[number % len(_COLOURS)]
        style = "-" if number < len(_COLOURS) else "--"
        axis.plot(
            steps, values, style, color=colour, label=label, marker="." if few else "", lw=1.2
        )
        number += 1
    axis.set_title(panel[0] if len(panel) == 1 else _common(panel), fontsize=10)
    axis.set_xlabel("iteration", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    if number > 1:
        axis.legend(fontsize=7)


def _common(panel: Sequence[str]) -> str:
    """Title of a panel of several scalars."""
    if "loss" in panel[0]:
        return "losses"
    return "accuracies" if panel[0].startswith("acc") else panel[0].partition("/")[0]
