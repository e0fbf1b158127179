"""`poise cameras from-people`: calibrate cameras by the people whom they see."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from poise.cli import options
from poise.cli.triangulate import check_inputs, kept_view, naming_kept, saved, views_of

__all__ = ["from_people"]


def from_people(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Of each camera a video, a folder of pictures, or what `poise predict` saved of "
            "it as JSON Lines, called like the camera."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .toml, .json, .yml or .xml.")
    ] = Path("cameras.toml"),
    height: Annotated[
        float | None, typer.Option(help="Metres that the people are tall; of several the mean.")
    ] = None,
    limb: Annotated[
        str | None,
        typer.Option(
            metavar="A:B=METRES", help="Or a limb's length, such as left_knee:left_ankle=0.43."
        ),
    ] = None,
    distance: Annotated[
        str | None,
        typer.Option(metavar="CAMERA:CAMERA=METRES", help="Or how far two cameras stand apart."),
    ] = None,
    intrinsics: Annotated[
        Path | None,
        typer.Option(help="Calibration file whose matrices and lenses are taken as they are."),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            help="Degrees that pictures show along their longer side.", show_default="found"
        ),
    ] = None,
    same_focal: Annotated[
        bool,
        typer.Option("--same-focal", help="Cameras with pictures of one size have one lens."),
    ] = False,
    offset: options.Offset = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Find the offsets: frames that fit together best.")
    ] = False,
    person: Annotated[
        str, typer.Option(help="all; one person: the most confident or largest in each picture.")
    ] = "all",
    model: options.Model = "auto",
    weights: options.Weights = None,
    mode: options.Mode = "accurate",
    detector: options.Detector = "auto",
    detector_weights: options.DetectorWeights = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    backend: options.Backend = "torch",
) -> None:
    """Find matrix and place of cameras from people who walk about before them, without a board.

    Let somebody walk about for 20 seconds or more, wherever two or more cameras look, turning and
    moving arms. What was found in videos is kept in `views/` beside the file, for other settings
    and for `poise triangulate`.
    """
    from poise.errors import ArgumentError
    from poise.inference.multiview import calibrate_from_people, read_cameras, write_cameras
    from poise.inference.multiview.camera_files import check_suffix

    check_suffix(out)
    if sync and offset:
        raise ArgumentError("--sync finds the offsets, --offset says them; give one of them")
    check_inputs(inputs)
    known = None if intrinsics is None else read_cameras(intrinsics, placed=False)
    a_limb, between = _length(limb, "--limb"), _length(distance, "--distance")
    names = [Path(name).stem if not Path(name).is_dir() else Path(name).name for name in inputs]
    files = [kept_view(out.parent, name) for name in names]
    views = views_of(
        inputs,
        files,
        dict(batch_size=batch_size),
        model,
        weights,
        detector=detector,
        detector_weights=detector_weights,
        mode=mode,
        device=device,
        backend=backend,
    )
    with naming_kept("cameras from-people", inputs, files):
        found = calibrate_from_people(
            views,
            names=names,
            known=known,
            fov=fov,
            same_focal=same_focal,
            offsets="auto" if sync else options.parse_offsets(offset),
            person=person,
            height=height,
            limb=a_limb and (":".join(a_limb[:2]), a_limb[2]),
            distance=between,
        )
    typer.echo(found.text())
    write_cameras(out, found.cameras, error=found.error)
    typer.echo(f"median error {found.error:.2f} px -> {out}")
    lines = [n if saved(n) else str(file) for n, file in zip(inputs, files, strict=True)]
    given = f"{shlex.join(lines)} --cameras {shlex.quote(str(out))}{found.offset_options()}"
    typer.echo(f"next: poise triangulate {given}")


def _length(text: str | None, option: str) -> tuple[str, str, float] | None:
    """Two names and metres, of a text such as "left:right=2.5"."""
    from poise.errors import DataError

    if text is None:
        return None
    pair, _, metres = text.rpartition("=")
    first, _, second = pair.partition(":")
    try:
        length = float(metres)
    except ValueError:
        length = 0.0
    if not first or not second or not length > 0:
        raise DataError(f"{option} takes NAME:NAME=METRES, such as a:b=0.43; got '{text}'")
    return first, second, length
