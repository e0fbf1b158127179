"""`poise cameras`: files of calibrated cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poise.cli import options
from poise.cli.cameras_from_people import from_people
from poise.cli.terminal import counting
from poise.report.text import aligned

__all__ = ["app"]


def calibrate(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Of each camera a folder of pictures, or a video, called like it."),
    ],
    board: Annotated[str, typer.Option(help="Inner corners along and across, such as 9x6.")],
    square: Annotated[float, typer.Option(help="Side of a square, metres.")],
    marker: Annotated[
        float | None, typer.Option(help="Side of a marker, metres: the board is a ChArUco one.")
    ] = None,
    dictionary: Annotated[str, typer.Option(help="Of the markers.")] = "4X4_50",
    lens: Annotated[
        str, typer.Option(help="standard, brown, rational, fisheye or none.")
    ] = "standard",
    intrinsics: Annotated[
        Path | None, typer.Option(help="Calibration file whose lenses are taken as they are.")
    ] = None,
    lens_only: Annotated[
        bool, typer.Option("--lens-only", help="Do not look for the cameras' places.")
    ] = False,
    origin: Annotated[
        str | None,
        typer.Option(
            help="Picture, or number of a frame, in which the board lies at the origin.",
            show_default="the first that most cameras see",
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Look at every n-th frame of videos.")] = 10,
    offset: options.Offset = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .toml, .json, .yml or .xml.")
    ] = Path("cameras.toml"),
) -> None:
    """Find matrix, lens and place of cameras from pictures of a board that is moved about.

    Pictures of one name, or frames of one number, were taken at the same time. Lay the board on
    the floor in one picture, and name that with --origin, so that z points up.
    """
    from poise.inference.multiview import Board, calibrate_cameras, read_cameras, write_cameras
    from poise.inference.multiview.camera_files import check_suffix

    check_suffix(out)
    known = None if intrinsics is None else read_cameras(intrinsics, placed=False)
    shown = Board.of(board, square, marker=marker, dictionary=dictionary)
    with counting("pictures") as told:
        found = calibrate_cameras(
            inputs,
            shown,
            lens=lens,
            known=known,
            lens_only=lens_only,
            origin=origin,
            every=every,
            offsets=options.parse_offsets(offset),
            progress=told,
        )
    typer.echo(found.text())
    write_cameras(out, found.cameras, error=found.error)
    typer.echo(f"RMS {found.error:.2f} px -> {out}")


Unit = Annotated[
    str | None, typer.Option(help="Of the file's lengths: m, cm, mm.", show_default="its own")
]


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

    cameras = read_cameras(file, unit=unit, placed=False)
    placed = len(cameras) < 2 or len({tuple(camera.center) for camera in cameras}) > 1
    if placed:
        # which also looks at the unit of lengths
        cameras = read_cameras(file, unit=unit)
    rows = [("camera", "picture", "focal px", "lens", "place, metres")]
    for camera in cameras:
        size = "?" if camera.size is None else f"{camera.size[0]} x {camera.size[1]}"
        count = int(np.count_nonzero(camera.distortion))
        lens = (
            "fisheye" if camera.fisheye else f"{count} coefficients" if count else "no distortion"
        )
        place = " ".join(f"{v:8.3f}" for v in camera.center) if placed else "not known: lenses only"
        rows.append((camera.name, size, f"{camera.matrix[0, 0]:.1f}", lens, place))
    typer.echo("\n".join(aligned(rows, right=(1, 2, 3))))
    if out is not None:
        write_cameras(out, cameras)
        typer.echo(f"-> {out}")


app = options.command_group(
    "cameras",
    "Calibrate cameras; show and convert their files.",
    calibrate=calibrate,
    **{"from-people": from_people},
    show=show,
)
