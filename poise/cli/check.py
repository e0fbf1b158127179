"""`poise check`: do a config, its data and a checkpoint fit together?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import run_options
from poise.cli.options import Json
from poise.cli.train import open_config
from poise.errors import PoiseError

__all__ = ["check"]


def check(
    config: run_options.Config,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint that the run starts from, or that is tested; none, backbone: as of "
            "poise train."
        ),
    ] = None,
    options: run_options.Settings = None,
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="Look only at train, val or test; may be repeated."),
    ] = None,
    data_root: run_options.DataRoot = None,
    train_ann: run_options.TrainAnn = None,
    val_ann: run_options.ValAnn = None,
    train_images: run_options.TrainImages = None,
    val_images: run_options.ValImages = None,
    num_keypoints: run_options.NumKeypoints = "auto",
    category: run_options.Category = None,
    as_json: Json = False,
    trust_config: run_options.TrustConfig = False,
) -> None:
    """Check a config with its data and a checkpoint, in seconds, without training.

    All faults are printed, each with its place and what to change; the exit status is 1 where one
    would stop a run or make it worthless. With --data-root a released model is checked with your
    own data, as poise train would fine-tune it.
    """
    from poise.check import Report
    from poise.check import check as check_all
    from poise.training.own_data import OwnData
    from poise.training.run.start import BACKBONE, NOTHING

    own = OwnData(data_root, train_ann, val_ann, train_images, val_images, num_keypoints, category)
    found: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="poise-check-") as folder:
        cfg = open_config(
            config,
            options,
            trusted=trust_config,
            change=lambda read: _on_own_data(read, config, own, weights, Path(folder), found),
        )
        report = check_all(
            cfg,
            # what poise train takes in place of a file is none
            weights=None if weights in (NOTHING, BACKBONE) else weights,
            parts=part,
            released=not Path(config).is_file() and (not own or bool(found)),
        )
    report = Report([*found, *report], report.checked, report.seconds)
    typer.echo(report.to_json() if as_json else _text(report))
    if not report.fits:
        raise typer.Exit(1)


def _on_own_data(
    cfg: Any, name: str, own: Any, weights: str | None, folder: Path, found: list[Any]
) -> Any:
    """Config as `poise train` makes it of the user's data; as it is where these are at fault.

    Args:
        cfg: config of the model.
        name: what the user called it.
        own: the user's data.
        weights: that training starts from; nothing is downloaded.
        folder: for annotations that are split or converted.
        found: gets what is wrong with the data.
    """
    from poise.check.context import finding_of
    from poise.data_tools import with_coco_files
    from poise.training.own_data import prepare
    from poise.zoo import default_weights

    if not own:
        return cfg
    start = weights or default_weights(name) or "none"
    try:
        own, told = with_coco_files(own, folder)
        cfg, said = prepare(cfg, own, name=name, work_dir=folder, weights=str(start))
    except PoiseError as error:
        found.append(finding_of(error, "data"))
        return cfg
    for line in [*told, *said]:
        typer.echo(line, err=True)
    return cfg


def _text(report: Any) -> str:
    """Findings with empty lines between them, and the verdict."""
    return "\n\n".join([*map(str, report), f"{report.summary} ({report.seconds:.1f} s)"])
