"""`poise check`: do a config, its data and a checkpoint fit together?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli.train import open_config
from poise.errors import ConfigError, nearest

__all__ = ["check"]


def check(
    config: Annotated[str, typer.Argument(help="Config file, or name of a released model.")],
    weights: Annotated[
        str | None, typer.Option(help="Checkpoint that the run starts from, or that is tested.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting: train_cfg.max_epochs=5; may be repeated."),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(help="Look only at this part: train, val or test; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    trust_config: Annotated[
        bool, typer.Option(help="Execute the config file where it holds code.")
    ] = False,
) -> None:
    """Check a config with its data and a checkpoint, in seconds, without training.

    All faults are printed, each with its place and what to change; the exit status is 1 where one
    would stop a run or make it worthless.
    """
    from poise.check import check as check_all
    from poise.check.context import PARTS

    for name in part or ():
        if name not in PARTS:
            raise ConfigError(f"--part is train, val or test, got '{name}'{nearest(name, PARTS)}")
    cfg = open_config(config, options, trusted=trust_config)
    report = check_all(
        cfg,
        weights=weights,
        parts=tuple(part or PARTS),
        released=not Path(config).is_file(),
    )
    typer.echo(report.to_json() if as_json else _text(report))
    if not report.fits:
        raise typer.Exit(1)


def _text(report: Any) -> str:
    """Findings with empty lines between them, and the verdict."""
    return "\n\n".join([*map(str, report), f"{report.summary} ({report.seconds:.1f} s)"])
