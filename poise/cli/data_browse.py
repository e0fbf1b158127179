"""`poise data browse`: samples as training sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poise.cli import run_options

__all__ = ["browse"]


def browse(
    config: run_options.Config,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Picture file; more sheets get numbers.")
    ] = Path("browse.jpg"),
    part: Annotated[str, typer.Option("--part", help="train, val or test.")] = "train",
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="How many samples.")] = 16,
    times: Annotated[
        int, typer.Option(min=1, help="How often each is drawn, with the draws of so many epochs.")
    ] = 1,
    seed: Annotated[
        int, typer.Option(help="Of the choice of samples; -1 takes the first ones.")
    ] = 0,
    size: Annotated[int, typer.Option(min=32, help="Pixels of a picture on the sheet.")] = 320,
    targets: Annotated[
        bool, typer.Option(help="Draw the heatmaps that are learnt beside it.")
    ] = True,
    settings: run_options.Settings = None,
) -> None:
    """Draw samples as training sees them: augmented, in the network's space, with targets."""
    from poise.config import parse_overrides
    from poise.data_tools.browsing import browse as draw

    files = draw(
        config,
        out,
        part=part,
        num=num,
        times=times,
        seed=None if seed < 0 else seed,
        size=size,
        targets=targets,
        settings=parse_overrides(settings or []),
    )
    for file in files:
        typer.echo(f"wrote {file}")
