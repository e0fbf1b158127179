"""`poise config show` and `poise config diff`: what a config says once its bases are merged."""

from __future__ import annotations

import enum
import sys
from typing import Annotated

import typer

from poise.cli.run_options import override
from poise.config import Config
from poise.zoo import load_config

__all__ = ["app"]

app = typer.Typer(
    name="config",
    help="Show and compare configs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class Format(enum.StrEnum):
    """Languages in which a config can be printed."""

    py = "py"
    json = "json"
    yaml = "yaml"


Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as model.backbone.depth=50 or train_pipeline.0.type=A.",
    ),
]
Trust = Annotated[
    bool, typer.Option("--trust-config", help="Execute the file, for configs that hold code.")
]


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="FILE", help="Config file or model name.")],
    overrides: Overrides = None,
    trust_config: Trust = False,
    output: Annotated[Format, typer.Option("--format", help="Language to print.")] = Format.py,
) -> None:
    """Print the whole config, bases merged.

    What is printed is a config file that reads back the same.
    """
    cfg = load_config(source, trusted=trust_config)
    if overrides:
        override(cfg, overrides)
    sys.stdout.write(cfg.dumps(f".{output.value}"))


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="Config file or model name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Config file or model name.")],
    trust_config: Trust = False,
) -> None:
    """Print what differs between two configs.

    The exit status is 1 where something does.
    """
    a, b = (load_config(source, trusted=trust_config) for source in (first, second))
    text = Config.diff(a, b, names=(first, second))
    if text:
        sys.stdout.write(f"{text}\n")
        raise typer.Exit(1)
