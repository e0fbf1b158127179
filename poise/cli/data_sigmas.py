"""`poise data sigmas`: labels made twice, or a model's errors -> sigmas of the keypoints."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from poise._words import counted
from poise.cli import options

__all__ = ["sigmas"]


def sigmas(
    annotations: Annotated[Path, typer.Argument(help="COCO annotation file.")],
    repeat: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="In which others labelled the same pictures; may be repeated."
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Take the distances of a model's keypoints instead: file of `poise test --dump "
            "NAME.jsonl`, or a COCO result file."
        ),
    ] = None,
    both_sides: Annotated[
        bool, typer.Option("--both-sides", help="One sigma for left and right together.")
    ] = False,
    box_area: Annotated[
        bool, typer.Option("--box-area", help="The area is 0.53 of the box, not 'area'.")
    ] = False,
    schema: options.Schema = None,
    as_json: options.Json = False,
) -> None:
    """Estimate the sigmas that OKS needs, from repeated labels or from a model's errors."""
    from poise.data_tools.sigma_estimation import estimate_sigmas
    from poise.report.evaluation import text_table

    found = estimate_sigmas(
        annotations,
        repeats=repeat or (),
        predictions=predictions,
        box_area=box_area,
        both_sides=both_sides,
        schema=schema,
    )
    if as_json:
        sys.stdout.write(json.dumps(found.to_json(), indent=1) + "\n")
        return
    known = found.known or [math.nan] * len(found.names)
    rows = [
        [name, f"{s.points:,}", f"{s.outliers:,}", *map(_number, (s.value, s.error, before))]
        for name, s, before in zip(found.names, found.sigmas, known, strict=True)
    ]
    head = ["keypoint", "points", "outliers", "sigma", "+-", "schema's"]
    lines = [f"{found.source} of {counted(found.pairs, 'person')}", *text_table(head, rows)]
    lines += ["", found.setting()] * bool(found.setting())
    for note in found.warnings():
        lines += ["", f"warning: {note}"]
    sys.stdout.write("\n".join(lines) + "\n")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
