"""What `poise export` says about a file: outputs, poses, accuracy, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from poise._words import numbered
from poise.cli.terminal import show_table

if TYPE_CHECKING:
    from poise.export import Accuracy, Report
    from poise.export.checks.agreement import Agreement

__all__ = ["tell"]

#: Rows of the table of keypoints; of more keypoints the farthest ones are shown.
_ROWS = 23
#: A file must be quicker than that of 32 bits by this factor to be worth its errors.
_QUICKER = 1.05


def tell(report: Report) -> None:
    """Print all that was measured."""
    if report.outputs:
        rows = (
            (
                row.name,
                " x ".join(map(str, row.shape)) or "1",
                f"{row.largest:.2g}",
                f"{row.share:.1e}",
            )
            for row in report.outputs
        )
        show_table(
            ("output", "shape", "largest difference", "of its range"), rows, "file and model"
        )
    if report.poses is not None:
        _tell_agreement(report.poses)
    if report.accuracy is not None:
        _tell_accuracy(report.accuracy)
    if report.parts:
        layers = (
            f"{report.kept_parts} of its {report.parts} parts keep 32 bits, since the file would "
            "say something else"
            if report.kept_parts
            else "all layers between the first and the last ones have 8 bits"
        )
        typer.echo(f"INT8: {layers}")
    if report.times:
        _tell_times(report)
    elif report.speed is not None:
        typer.echo(f"{report.speed:.1f} times as fast as torch on this machine (one input)")


def _tell_agreement(found: Agreement) -> None:
    things = found.things
    if not found.model and not found.file:
        typer.echo(
            f"neither finds {things.name} in made pictures; --data tries both on pictures of yours"
        )
        return
    typer.echo(
        f"{found.file} of {numbered(found.model, things.name)}, on made pictures: {found.same:.1%} "
        f"of the {things.place}s in the same place, within {found.apart:.2g} {found.unit} and "
        f"{found.scores:.1g} of the score"
    )


def _tell_accuracy(found: Accuracy) -> None:
    pictures, things = (
        numbered(count, name)
        for count, name in ((found.pictures, "pictures"), (found.people, found.things.name))
    )
    if found.figures:
        rows = (
            (name, f"{model:.4f}", f"{file:.4f}", f"{file - model:+.4f}")
            for name, (model, file) in found.figures.items()
        )
        show_table(("metric", "model", "file", "difference"), rows, f"{pictures}, {things}")
    far = sorted(found.keypoints.items(), key=lambda item: -item[1].p95)[:_ROWS]
    shown = [item for item in found.keypoints.items() if item in far]
    rows = (
        (name, f"{own.median:.2f}", f"{own.p95:.2f}", f"{own.largest:.2f}") for name, own in shown
    )
    left = len(found.keypoints) - len(shown)
    title = "file and model, pixels apart" + (f" (the {_ROWS} farthest)" if left else "")
    show_table((found.things.place, "median", "95 %", "largest"), rows, title)
    apart = found.apart
    typer.echo(
        f"{things} in {pictures}: file and model are "
        f"{apart.median:.2f} px apart in the median, {apart.p95:.2f} px in 95 of 100, "
        f"{apart.largest:.2f} px at most; likeness (OKS) {found.likeness:.4f}"
    )
    if found.main:
        model, file = (100 * value for value in found.figures[found.main])
        typer.echo(f"{found.main}: {model:.2f} -> {file:.2f}, {file - model:+.2f} points")


def _tell_times(report: Report) -> None:
    times = report.times
    words = {"model": "torch", "file32": "32 bits", "file": "this file"}
    shown = ", ".join(f"{words[name]} {ms:.2f} ms" for name, ms in times.items())
    typer.echo(f"time an input, on this machine: {shown}")
    if "file32" in times:
        ratio = times["file32"] / times["file"]
        typer.echo(f"{ratio:.2f} times as fast as with 32 bits")
        if ratio < _QUICKER:
            typer.echo(
                "INT8 is no quicker here: keep 32 bits, try the other --backend, or measure on "
                "the machine that the file is for"
            )
