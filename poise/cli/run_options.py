"""Options that commands of runs share: the config, its settings, own data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.config import parse_overrides

__all__ = [
    "Category",
    "Config",
    "DataRoot",
    "NumKeypoints",
    "Settings",
    "TrainAnn",
    "TrainImages",
    "TrustConfig",
    "ValAnn",
    "ValImages",
    "override",
]

Config = Annotated[str, typer.Argument(help="Config file, or name of a released model.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting: train_cfg.max_epochs=5; may be repeated.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="Your own data: folder of COCO-style annotations and pictures, or labels of a tool."
    ),
]
TrainAnn = Annotated[
    Path | None, typer.Option(help="Annotation file of training; else found in --data-root.")
]
ValAnn = Annotated[
    Path | None, typer.Option(help="The same of validation; else found, or a tenth held out.")
]
TrainImages = Annotated[
    Path | None, typer.Option(help="Folder of the training pictures; else found.")
]
ValImages = Annotated[
    Path | None, typer.Option(help="Folder of the validation pictures; else found.")
]
NumKeypoints = Annotated[
    str, typer.Option(help="With your own data: how many keypoints; auto: as in the file.")
]
Category = Annotated[
    str | None,
    typer.Option(
        help="With your own data: only this category; else all, with the keypoints of all."
    ),
]
TrustConfig = Annotated[bool, typer.Option(help="Execute the config file where it holds code.")]


def override(cfg: Any, texts: Iterable[str]) -> None:
    """Change a config as `--set` says.

    Args:
        cfg: whole config.
        texts: `key=value`, later ones win.

    Raises:
        ConfigError: a key that neither the config nor Poise has.
    """
    from poise.check.keys import check_overrides

    changes = parse_overrides(texts)
    check_overrides(cfg, changes)
    cfg.merge_from_dict(changes)
