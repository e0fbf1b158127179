"""`poise smooth`: results that are there already, smoothed, lifted, in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted
from poise.cli import options
from poise.errors import ArgumentError

__all__ = ["smooth"]


def smooth(
    files: Annotated[list[Path], typer.Argument(help="Files that --save jsonl wrote.")],
    method: Annotated[
        str,
        typer.Option("--method", "-m", help="savgol, gaussian, kalman, one-euro, or none."),
    ] = "savgol",
    window: Annotated[
        int | None,
        typer.Option(min=3, help="Frames that savgol and gaussian look at.", show_default="11"),
    ] = None,
    max_gap: options.MaxGap = None,
    track: Annotated[
        bool, typer.Option("--track", help="Give people new ids, also where they have some.")
    ] = False,
    lift: Annotated[str | None, typer.Option(help="Lift the smooth poses to 3D.")] = None,
    lift_weights: options.LiftWeights = None,
    save: Annotated[
        str, typer.Option(help="What to write, comma separated: jsonl, csv, coco, dlc, bvh ...")
    ] = "jsonl",
    out: options.Out = Path("smooth"),
) -> None:
    """Smooth poses of an earlier run, fill gaps, and write them in any format.

    People without ids are tracked first. Pictures are not read, so nothing is drawn.
    """
    from poise.errors import DataError
    from poise.inference.results.reading import read_results
    from poise.inference.sinks import SinkGroup, open_sinks
    from poise.inference.stages import build_stages, chain_stages

    for file in files:
        if file.resolve().parent == out.resolve():
            raise DataError(f"'{file}' lies in the folder of the results; give another --out")
    options.refuse_drawn(
        save, "which `poise smooth` does not read; `poise predict ... --smooth` draws smooth poses"
    )
    sinks = open_sinks(save, out)
    lifter = options.lifter_of(lift, lift_weights)
    stages = build_stages(track=track, smooth=_spec(method, window, max_gap), lift=lifter)
    frames = filled = 0
    came_from: dict[str, Path] = {}
    with SinkGroup(sinks) as group:
        for file in files:
            for result in chain_stages(read_results(file), stages):
                if came_from.setdefault(result.name, file) != file:
                    raise DataError(
                        f"'{came_from[result.name]}' and '{file}' both hold poses of "
                        f"{result.name}; smooth them one by one, each with an --out of its own"
                    )
                frames += 1
                flags = result.instances.get("keypoints_filled")
                filled += 0 if flags is None else int(flags.sum())
                group.write(result)
    where = ", ".join(map(str, group.written)) or "nothing written"
    held = f"{counted(frames, 'frame')}, {counted(filled, 'keypoint')} filled in"
    typer.echo(f"{held} -> {where}")


def _spec(method: str, window: int | None, max_gap: int | None) -> Any:
    """What `build_smoother` takes; None for no smoothing."""
    given = {"window": window, "max_gap": max_gap}
    given = {name: value for name, value in given.items() if value is not None}
    if method != "none":
        return {"type": method, **given}
    if given:
        raise ArgumentError("--window and --max-gap are for smoothing, and --method none has none")
    return None
