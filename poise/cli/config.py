"""`poise config show` and `poise config diff`: what a config says once its bases are merged."""

from __future__ import annotations

import enum
import sys
from typing import Annotated, Any

import typer

from poise.cli import options, run_options
from poise.config import Config
from poise.zoo import load_config

__all__ = ["app"]


class Format(enum.StrEnum):
    """Languages in which a config can be printed."""

    py = "py"
    json = "json"
    yaml = "yaml"


def show(
    source: Annotated[str, typer.Argument(metavar="FILE", help="Config file or model name.")],
    overrides: run_options.Settings = None,
    trust_config: run_options.TrustConfig = False,
    output: Annotated[Format, typer.Option("--format", help="Language to print.")] = Format.py,
) -> None:
    """Print the whole config, bases merged.

    What is printed is a config file that reads back the same.
    """
    cfg = load_config(source, trusted=trust_config)
    if overrides:
        run_options.override(cfg, overrides)
    sys.stdout.write(cfg.dumps(f".{output.value}"))


def _without_scopes(cfg: Config) -> Config:
    """Config without the scopes that say what `default_scope` says: `mmpose::` bases get them."""
    usual = cfg.get("default_scope")

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            scope = value.get("_scope_")
            return {k: plain(v) for k, v in value.items() if k != "_scope_" or scope != usual}
        return type(value)(map(plain, value)) if isinstance(value, (list, tuple)) else value

    return Config(plain(cfg.to_dict()), filename=cfg.filename, cfg_text=cfg.text)


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="Config file or model name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Config file or model name.")],
    trust_config: run_options.TrustConfig = False,
) -> None:
    """Print what differs between two configs.

    The exit status is 1 where something does.
    """
    a, b = (
        _without_scopes(load_config(source, trusted=trust_config)) for source in (first, second)
    )
    text = Config.diff(a, b, names=(first, second))
    if text:
        sys.stdout.write(f"{text}\n")
        raise typer.Exit(1)


app = options.command_group("config", "Show and compare configs.", show=show, diff=diff)
