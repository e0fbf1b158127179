"""`poise eval`: saved predictions -> metrics."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(help="File of `poise test --dump NAME.jsonl`, or a COCO result file."),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            help="Metric, such as CocoMetric or PCKAccuracy,thr=0.05; may be repeated. Those of "
            "the test without it.",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(help="COCO annotation file, instead of the one that the test used."),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="Keypoints of a COCO result file: name of a schema, or metadata file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file for the figures.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate predictions that were saved by a test, with any metrics."""
    from poise.data_tools.evaluating import evaluate_predictions
    from poise.data_tools.formats.coco import write_text

    found = evaluate_predictions(predictions, metric or (), annotations=annotations, schema=schema)
    figures = {name: {k: float(v) for k, v in own.items()} for name, own in found.items()}
    text = json.dumps(figures, indent=1)
    if out is not None:
        write_text(out, text + "\n")
    if as_json:
        sys.stdout.write(text + "\n")
        return
    rows = [(n, k, f"{v:.4f}") for n, own in figures.items() for k, v in own.items()]
    widths = [max(len(row[i]) for row in [*rows, ("metric", "figure", "value")]) for i in (0, 1)]
    before = ""
    for name, figure, value in [("metric", "figure", "value"), *rows]:
        shown = name if name != before else ""
        before = name
        sys.stdout.write(f"{shown:{widths[0]}}  {figure:{widths[1]}}  {value}\n")
