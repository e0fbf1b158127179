"""`poise data prepare`: data sets as their makers publish them, into what configs ask for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from poise._words import numbered, shortened
from poise.cli.terminal import tracked

__all__ = ["prepare"]

#: places shown for each reason why something was left out
_SHOWN = 3


def prepare(
    name: Annotated[
        str | None, typer.Argument(help="Data set, such as wflw; without it they are listed.")
    ] = None,
    root: Annotated[
        Path | None, typer.Argument(help="Its folder, as downloaded and unpacked.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write into this folder instead of ROOT.")
    ] = None,
) -> None:
    """Write the annotation files that configs ask for, from a data set as it is published.

    For example `poise data prepare wflw data/wflw`.
    """
    from poise.data_tools.preparing import SOURCES
    from poise.data_tools.preparing import prepare as prepare_data
    from poise.errors import ArgumentError
    from poise.report.evaluation import text_table

    if name is None:
        rows = [[key, source.text, source.has] for key, source in SOURCES.items()]
        lines = text_table(["name", "data set", "its folder has"], rows, left=3)
        sys.stdout.write("\n".join(lines) + "\n")
        return
    if root is None and name in SOURCES:
        raise ArgumentError(
            f"the folder of {name} is missing: poise data prepare {name} FOLDER, which has "
            f"{SOURCES[name].has}"
        )
    report = prepare_data(name, root or Path(), out, progress=tracked)
    for sentence in report.said:
        sys.stdout.write(f"{sentence}\n")
    for reason, where in report.lost.items():
        sys.stdout.write(f"left out: {numbered(len(where), reason)}: {shortened(where, _SHOWN)}\n")
    for file, content in report.files.items():
        sys.stdout.write(f"wrote {file}: {content}\n")
