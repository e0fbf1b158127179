"""`poise data pick`: the frames most worth labelling, with a model's poses to correct."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted
from poise.cli import options
from poise.cli.terminal import tracked

__all__ = ["pick"]


def pick(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Videos, pictures, folders, COCO files of pictures, or .jsonl of poise predict "
            "or test --dump.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pictures and labels.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Model whose doubts count and whose poses are proposed."
        ),
    ] = None,
    weights: options.Weights = None,
    support: options.Support = None,
    num: Annotated[int, typer.Option("--num", "-n", help="How many frames.")] = 50,
    by: Annotated[
        str | None,
        typer.Option(
            help="doubt (where the model is unsure), spread (frames that differ) or both.",
            show_default="both, or spread without poses",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--to",
            help="coco (for poise data label), labelme, cvat, label-studio, deeplabcut or sleap: "
            "form of labels.",
        ),
    ] = "coco",
    labelled: Annotated[
        Path | None,
        typer.Option(help="Labels that there are, in any form: such frames are not picked."),
    ] = None,
    labelled_images: Annotated[
        Path | None, typer.Option(help="Folder of their pictures; else looked for around them.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pictures or videos of .json and .jsonl.")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            help="Look at every n-th frame of a video.", show_default="about 2,000 of each"
        ),
    ] = None,
    keypoint_threshold: Annotated[
        float, typer.Option(help="Keypoints with a lower score are proposed as not labelled.")
    ] = 0.3,
    category: Annotated[
        str | None,
        typer.Option(
            help="What boxes are called, unless --labelled says it: mouse, hand ...",
            show_default="by the keypoints",
        ),
    ] = None,
    detector: options.Detector = "auto",
    detector_weights: options.DetectorWeights = None,
    device: options.Device = "auto",
    seed: Annotated[int, typer.Option(help="Of the groups of like frames.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite labels that are there already.")
    ] = False,
) -> None:
    """Choose the frames most worth labelling, and propose labels to correct.

    Writes the frames as pictures, a model's poses as labels in the form of your tool, a table of
    what was chosen and why (picked.csv), and a sheet to look at (sheet.jpg). Labels that are
    there already stay.
    """
    from poise.data_tools.formats.coco import check_writable
    from poise.data_tools.picking import Wishes, pick_frames
    from poise.data_tools.picking.proposals import Proposals, picked_before, write_proposals
    from poise.errors import ArgumentError

    if weights is not None and model is None:
        raise ArgumentError("--weights belongs to --model, which is not there")
    how = Proposals(
        form=form,
        threshold=keypoint_threshold,
        model=model or "poise",
        category=category,
        replace=force,
    )
    wishes = Wishes(
        num=num,
        by=by,
        every=every,
        images=images,
        labelled=labelled,
        labelled_images=labelled_images,
        done=() if force else picked_before(out),
        seed=seed,
    )
    how.check(out, inputs)
    # said now, and not after hours of a model's work
    check_writable(out / "picked.csv")
    inferencer = None
    if model is not None:
        inferencer = options.open_inferencer(
            model,
            weights,
            detector=detector,
            detector_weights=detector_weights,
            device=device,
            support=support,
        )
    bar = partial(tracked, name="looking")
    picked = pick_frames(inputs, inferencer, wishes, progress=bar)
    for fault in picked.faults:
        typer.echo(f"skipped: {fault}", err=True)
    bar = partial(tracked, name="writing")
    files = write_proposals(picked, out, how, inferencer, progress=bar)
    _show(picked)
    for file in files:
        typer.echo(f"wrote {file}")


def _show(picked: Any) -> None:
    from poise.report.evaluation import text_table

    columns = {
        "picture": [frame.name for frame in picked.frames],
        "time": ["" if f.time is None else f"{f.time:.2f} s" for f in picked.frames],
        "doubt": [f"{doubt:.1f}" for doubt in picked.doubts],
        "why": picked.reasons,
    }
    # nobody doubts without poses, and pictures have no time
    shown = {k: v for k, v in columns.items() if any(v) and (picked.metainfo or k != "doubt")}
    rows = [list(row) for row in zip(*shown.values(), strict=True)]
    if rows:
        table = text_table(list(shown), rows, left=len(shown))
        sys.stdout.writelines(f"{line}\n" for line in table)
    sys.stdout.write(f"{len(rows):,} of {counted(picked.seen, 'frame')}\n")
    for sentence in picked.said:
        sys.stdout.write(f"{sentence}\n")
