"""`poise analyze`: what the logs of runs say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="analyze",
    help="Tables and curves of finished runs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Tables and curves of finished runs."""


@app.command()
def logs(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs, or files of JSON lines; MMPose's, too."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture of the curves: .png, .svg, .pdf.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", "-k", help="Scalar to show; may be repeated. Default: all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print last losses, best metrics and mean times of runs side by side, and draw curves."""
    from poise.report import draw_curves, read_run
    from poise.report.curves import choose_panels

    read = [read_run(path) for path in runs]
    chosen = list(keys or ())
    choose_panels(read, chosen)
    summaries = [
        {
            name: value
            for name, value in run.summary().items()
            if not chosen or name.partition(" (")[0] in chosen
        }
        for run in read
    ]
    names = _distinct([run.name for run in read])
    if as_json:
        typer.echo(json.dumps(dict(zip(names, summaries, strict=True)), indent=1))
    else:
        _show(names, summaries)
    if out is not None:
        draw_curves(read, out, keys=chosen)
        typer.echo(f"curves: {out}")


def _distinct(names: list[str]) -> list[str]:
    """Names, numbered where two runs have the same."""
    return [f"{n} ({i})" if names.count(n) > 1 else n for i, n in enumerate(names, 1)]


def _show(names: list[str], summaries: list[dict[str, float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", *names)
    for key in dict.fromkeys(k for summary in summaries for k in summary):
        table.add_row(key, *(_text(summary.get(key)) for summary in summaries))
    Console().print(table)


def _text(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:g}" if value == int(value) or abs(value) < 1e-3 else f"{value:.4f}"
