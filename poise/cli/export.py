"""`poise export`: a model as a file that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    model: Annotated[
        str, typer.Argument(help="Model name or config file; nanodet: the embedded detector.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, .onnx.", show_default=False)
    ],
    weights: Annotated[
        str | None, typer.Option("--weights", "-w", help="Checkpoint of the model.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Run the file beside the model.")
    ] = True,
) -> None:
    """Write a top-down model, or the embedded detector, as an ONNX file with a free batch size.

    Normalising, schema and codec are part of the file: `poise predict --model FILE.onnx` needs
    nothing else, not even torch.
    """
    from poise.errors import ArgumentError, ConfigError
    from poise.models.build import load_model
    from poise.zoo.whole import is_whole_model

    if out.suffix.lower() != ".onnx":
        raise ArgumentError(f"--out is the name of an ONNX file, such as model.onnx, got '{out}'")
    if weights is None and Path(model).is_file() and not is_whole_model(model):
        raise ConfigError(
            f"'{model}' says nothing about weights, and a file without trained ones is of no use; "
            "give the checkpoint with --weights FILE.pth"
        )
    from poise.export import export_detector, export_onnx

    if model == "nanodet":
        path, use = export_detector(out, check=check), "--detector"
    else:
        network = load_model(model, weights, device="cpu")
        path, use = export_onnx(network.eval(), out, check=check), "--model"
    typer.echo(f"{path}, {path.stat().st_size / 1e6:.1f} MB; poise predict PICTURE {use} {path}")
