"""`poise measure`: joint angles, ranges and steps of an earlier run's poses."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import options

__all__ = ["measure"]


def measure(
    files: Annotated[list[Path], typer.Argument(help="Files that --save jsonl wrote.")],
    side: Annotated[
        str,
        typer.Option(
            help="Side of the people that pictures show: left, right, front, back, or auto."
        ),
    ] = "auto",
    min_score: Annotated[
        float, typer.Option(help="Angles of keypoints with a lower score are left out.")
    ] = 0.3,
    angles: Annotated[
        Path | None, typer.Option(help="TOML or JSON file of angles of your own.")
    ] = None,
    velocity: Annotated[
        bool, typer.Option("--velocity", help="Also degrees a second (Savitzky-Golay).")
    ] = False,
    window: Annotated[int, typer.Option(min=3, help="Frames that --velocity looks at, odd.")] = 7,
    flat: Annotated[
        bool, typer.Option("--flat", help="Measure the 2D poses also where there are 3D ones.")
    ] = False,
    smooth: Annotated[
        str | None, typer.Option(help="Smooth poses first and fill gaps, such as savgol.")
    ] = None,
    save: Annotated[
        str, typer.Option(help="What to write, comma separated: csv, mot, json, html.")
    ] = "csv,json,html",
    out: options.Out = Path("measured"),
) -> None:
    """Measure joint angles of people and animals over time, and steps of those who walk.

    3D poses are measured where there are some, else the angles of the picture's plane.
    """
    from poise.errors import ArgumentError, DataError, one_of
    from poise.inference.measuring import Measuring
    from poise.inference.measuring.views import SIDES
    from poise.inference.results.reading import read_results
    from poise.inference.sinks.angles import MEASURES, AnglesSink
    from poise.inference.stages import build_stages, chain_stages
    from poise.schemas.angles import read_angles

    kinds = list(dict.fromkeys(kind.strip() for kind in save.split(",") if kind.strip()))
    for kind in kinds:
        one_of(kind, tuple(MEASURES), "--save", ArgumentError)
    one_of(side, tuple(SIDES), "--side", ArgumentError)
    measuring = Measuring(
        side=side,
        min_score=min_score,
        angles=read_angles(angles) if angles is not None else (),
        window=window if velocity else None,
        flat=flat,
    )
    stages = build_stages(smooth=smooth)
    # a file that is not there is told before others are measured
    read = [(file, read_results(file)) for file in files]
    came_from: dict[str, Path] = {}
    with AnglesSink(out, measuring=measuring, files=kinds, told=typer.echo) as sink:
        for file, results in read:
            for result in chain_stages(_with_ids(results), stages):
                if came_from.setdefault(result.name, file) != file:
                    raise DataError(
                        f"'{came_from[result.name]}' and '{file}' both hold poses of "
                        f"{result.name}; measure them one by one, each with an --out of its own"
                    )
                if result.source is not None:
                    # one of several cameras bears the name of the first one's video
                    result.source = dataclasses.replace(result.source, relative=Path(file.stem))
                sink.write(result)
    where = ", ".join(map(str, sink.written)) or "nothing written: nobody is there"
    typer.echo(f"-> {where}")


def _with_ids(results: Iterator[Any]) -> Iterator[Any]:
    """Results of a video with ids; pictures that are none have people of their own."""
    from poise.inference.tracking.stage import with_ids

    first = next(results)
    whole = itertools.chain([first], results)
    return with_ids(whole) if first.moves else whole
