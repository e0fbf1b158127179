"""`poise zoo backbones`: every published backbone with its size and its work."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import typer

from poise.cli import options
from poise.cli.terminal import tracked
from poise.errors import ArgumentError, one_of
from poise.report.text import aligned
from poise.zoo.backbone_costs import TABLE_SIZE, known_costs, variant_names
from poise.zoo.variants import SEQUENCES

__all__ = ["backbones"]


class Row(NamedTuple):
    """A backbone: million parameters, and billion multiply-adds or None."""

    family: str
    variant: str
    parameters: float
    gflops: float | None

    @property
    def call(self) -> str:
        """What builds it in Python."""
        return f'{self.family}.variant("{self.variant}")'


#: name of an order -> key; what is not known comes last
ORDERS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: 0,
    "parameters": lambda row: row.parameters,
    "gflops": lambda row: (row.gflops is None, row.gflops),
}


def backbones(
    words: Annotated[
        list[str] | None, typer.Argument(help="Parts of names; a backbone must have them all.")
    ] = None,
    input_size: Annotated[
        str, typer.Option(help="Width x height in pixels, 192x256 for 256x192 in names.")
    ] = "192x256",
    sort: Annotated[str, typer.Option(help="name, parameters or gflops.")] = "name",
    max_parameters: Annotated[
        float | None, typer.Option(help="Only up to so many million parameters.")
    ] = None,
    max_gflops: Annotated[float | None, typer.Option(help="Only up to so many GFLOPs.")] = None,
    as_json: options.Json = False,
) -> None:
    """List published backbones: million parameters and GFLOPs at an input size.

    GFLOPs are billions of multiply-adds, as in the papers. Besides these, TIMMBackbone takes
    any model of timm.
    """
    one_of(sort, ORDERS, "--sort", ArgumentError)
    size = _size(input_size)
    wanted = [word.lower() for word in words or ()]
    chosen = [n for n in variant_names() if all(w in " ".join(n).lower() for w in wanted)]
    if not chosen:
        typer.echo(
            f"no backbone has all of: {' '.join(wanted)}; `poise zoo backbones` shows all", err=True
        )
        raise typer.Exit(1)
    rows = [
        row
        for row in sorted(_rows(chosen, size), key=ORDERS[sort])
        if (max_parameters is None or row.parameters <= max_parameters)
        and (max_gflops is None or (row.gflops is not None and row.gflops <= max_gflops))
    ]
    _print(rows, size, as_json)


def _size(text: str) -> tuple[int, int]:
    """(height, width) of "192x256" or "256"."""
    found = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if found is None or not all(int(side) for side in found.groups() if side):
        raise ArgumentError(
            f"--input-size takes width x height in pixels, such as 192x256; got {text!r}"
        )
    return int(found[2] or found[1]), int(found[1])


def _rows(chosen: Sequence[tuple[str, str]], size: tuple[int, int]) -> list[Row]:
    costs = known_costs()
    if size != TABLE_SIZE:
        costs = _counted(chosen, size)
    return [
        Row(
            *names, costs[names][0] / 1e6, None if (work := costs[names][1]) is None else work / 1e9
        )
        for names in chosen
    ]


def _counted(
    chosen: Sequence[tuple[str, str]], size: tuple[int, int]
) -> dict[tuple[str, str], tuple[int, int | None]]:
    """Costs at another size than the table's; a second or so for each backbone."""
    from poise.models import backbones as modules
    from poise.models.cost import cost

    counted = {}
    for family, variant in tracked(chosen, "counting"):
        shape = None if family in SEQUENCES else (1, 3, *size)
        found = cost(partial(getattr(modules, family).variant, variant), shape)
        counted[family, variant] = (found.parameters, found.multiply_adds)
    return counted


def _print(rows: Sequence[Row], size: tuple[int, int], as_json: bool) -> None:
    if as_json:
        records = [
            {
                "backbone": row.family,
                "variant": row.variant,
                "parameters_millions": row.parameters,
                "gflops": row.gflops,
                "input_size": [size[1], size[0]],
                "python": row.call,
            }
            for row in rows
        ]
        sys.stdout.write(json.dumps(records, indent=2) + "\n")
        return
    cells = [("backbone", "params", "GFLOPs", "in Python")]
    for row in rows:
        work = "-" if row.gflops is None else f"{row.gflops:.2f}"
        cells.append((f"{row.family} {row.variant}", f"{row.parameters:.1f} M", work, row.call))
    typer.echo("\n".join(aligned(cells, right=(1, 2))))
    refused = [row for row in rows if row.gflops is None and row.family not in SEQUENCES]
    if refused:
        typer.echo(
            f"-: takes no pictures of {size[1]} x {size[0]} (width x height); its sides must be "
            "multiples of its coarsest stride",
            err=True,
        )
