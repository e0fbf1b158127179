"""`poise export`: a model as a file that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from poise.export import Report

__all__ = ["export"]

#: Kind of file -> option of `poise predict` that takes it.
_USED_BY = {"boxes": "--detector", "lifter": "--lift"}


def export(
    model: Annotated[
        str, typer.Argument(help="Model name or config file; nanodet: the embedded detector.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .onnx, .xml (OpenVINO) or .pt2 (torch).",
            show_default=False,
        ),
    ],
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="Checkpoint of the model.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Run the file beside the model.")
    ] = True,
    half: Annotated[
        bool, typer.Option("--half", help="Weights of 16 bits: half the size (.onnx, .xml).")
    ] = False,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="RTMO: compute the keypoints of this many points, in place of those that could "
            "be people, so that all shapes but the batch's are fixed.",
        ),
    ] = None,
) -> None:
    """Write a model, or a detector, as a file with a free batch size that runs without torch.

    Top-down, one-stage (RTMO, YOLOX-Pose) and bottom-up models, lifters, and detectors (RTMDet,
    YOLOX, nanodet).
    Normalising, schema and codec are part of the file: `poise predict --model FILE.onnx` needs
    nothing else, not even torch. The file runs beside the model before it is kept.
    """
    from poise.errors import ConfigError
    from poise.export.forms import writer_of
    from poise.models.build import load_model
    from poise.zoo.whole import is_whole_model

    writer_of(out)
    if weights is None and Path(model).is_file() and not is_whole_model(model):
        raise ConfigError(
            f"'{model}' says nothing about weights, and a file without trained ones is of no use; "
            "give the checkpoint with --weights FILE.pth"
        )
    from poise.export import export_detector, export_model
    from poise.runtimes import read_metadata

    if model == "nanodet":
        export_detector(out, check=check, half=half)
        use = "--detector"
    else:
        network = load_model(model, weights, device="cpu")
        report = export_model(network.eval(), out, check=check, half=half, candidates=candidates)
        if check:
            _tell(report)
        use = _USED_BY.get(read_metadata(out)["kind"], "--model")
    # OpenVINO's weights lie beside the file
    files = [out, *([out.with_suffix(".bin")] if out.suffix == ".xml" else [])]
    size = sum(file.stat().st_size for file in files) / 1e6
    written = " and ".join(map(str, files))
    typer.echo(f"{written}, {size:.1f} MB; poise predict PICTURE {use} {out}")


def _tell(report: Report) -> None:
    """The comparison as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("output", "shape", "largest difference", "of its range", title="file and model")
    for row in report.outputs:
        shape = " x ".join(map(str, row.shape)) or "1"
        table.add_row(row.name, shape, f"{row.largest:.2g}", f"{row.share:.1e}")
    Console().print(table)
    if report.poses is not None:
        found = report.poses
        typer.echo(
            f"{found.file} of {found.model} poses, on made pictures: {found.same:.1%} of the "
            f"keypoints in the same place, within {found.apart:.2g} {found.unit} and "
            f"{found.scores:.1g} of the score"
        )
    if report.speed is not None:
        typer.echo(f"{report.speed:.1f} times as fast as torch on this machine (one input)")
