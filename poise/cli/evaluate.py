"""`poise eval`: saved predictions -> metrics, how sure they are, and what they hide."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from poise.cli import options
from poise.errors import ArgumentError

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
            metavar="NAME",
            help="Such as CocoMetric or PCKAccuracy,thr=0.05; may be repeated. Those of "
            "the test without it.",
        ),
    ] = None,
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="With metrics of your own, in this folder or on the Python path; may be repeated.",
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
    interval: Annotated[
        float | None,
        typer.Option(
            help="Interval of each figure, by drawing pictures anew: the share of draws within "
            "it. 0.95 where no number follows."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Predictions of another run of the same pictures, to compare with."),
    ] = None,
    breakdown: Annotated[
        bool,
        typer.Option(
            "--breakdown",
            help="Tell errors apart (jitter, inversion, swap, miss, background, missed people) and "
            "what AP gains without each; for metrics by OKS.",
        ),
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="Table by keypoint, size, visible, crowding, occlusion or category; may be "
            "repeated.",
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Show so many people and pictures that are farthest off.")
    ] = 0,
    page: Annotated[
        Path | None,
        typer.Option(help="HTML file of all of this together, with the worst cases drawn."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the pictures for --page; where the predictions say else."),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=1, help="Draws of pictures for intervals and comparisons.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Draw pictures together, such as the frames of a video: a field of the images, "
            "such as vid_id, or a regular expression on their names."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file for the figures.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Evaluate predictions that were saved by a test, with any metrics."""
    from poise.check.files import write_text
    from poise.cli.terminal import counting
    from poise.config import apply_custom_imports
    from poise.data_tools.examining import examine_predictions
    from poise.report.evaluation import examination_lines

    if images is not None and page is None:
        raise ArgumentError("--images is the folder of the pictures for --page; give that, too")
    apply_custom_imports({"custom_imports": {"imports": imports or []}})
    closer = bool(interval is not None or against is not None or breakdown or by or worst)
    with counting("drawing pictures") as tick:
        found = examine_predictions(
            predictions,
            metric or (),
            annotations=annotations,
            schema=schema,
            interval=interval,
            resamples=resamples,
            seed=seed,
            group_by=group_by,
            against=against,
            breakdown=breakdown,
            by=by or (),
            worst=worst,
            page=page,
            images=images,
            tick=tick,
        )
    text = json.dumps(found.to_json() if closer else found.figures, indent=1) + "\n"
    if out is not None:
        write_text(out, text)
    if as_json:
        sys.stdout.write(text)
        return
    for line in examination_lines(found):
        sys.stdout.write(f"{line}\n")
    if page is not None:
        sys.stdout.write(f"\nwrote {page}\n")
