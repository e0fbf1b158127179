"""`poise cameras`: files of calibrated cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="cameras",
    help="Calibrate cameras; show and convert their files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Unit = Annotated[
    str | None, typer.Option(help="Of the file's lengths: m, cm, mm.", show_default="its own")
]


@app.callback()
def _group() -> None:
    """Calibrate cameras; show and convert their files."""


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Calibration file.")],
    unit: Unit = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Also write it as .toml, .json, .yml or .xml, in metres."),
    ] = None,
) -> None:
    """Show where cameras stand and what they see; convert their file."""
    import numpy as np

    from poise.inference.multiview import read_cameras, write_cameras

    cameras = read_cameras(file, unit=unit)
    typer.echo(f"{'camera':16}{'picture':>12}{'focal px':>10}{'lens':>18}   place, metres")
    for camera in cameras:
        size = "?" if camera.size is None else f"{camera.size[0]} x {camera.size[1]}"
        count = int(np.count_nonzero(camera.distortion))
        lens = (
            "fisheye" if camera.fisheye else f"{count} coefficients" if count else "no distortion"
        )
        place = " ".join(f"{v:8.3f}" for v in camera.center)
        typer.echo(f"{camera.name:16}{size:>12}{camera.matrix[0, 0]:10.1f}{lens:>18}  {place}")
    if out is not None:
        write_cameras(out, cameras)
        typer.echo(f"-> {out}")
