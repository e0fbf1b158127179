"""`poise data label`: a page in which a person corrects or makes poses."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted
from poise.cli import options

__all__ = ["label"]


def label(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="PLACE",
            help="COCO file, folder that `poise data pick` wrote, or folder of pictures.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write instead of the one that is read.",
            show_default="PLACE, or labels.json in it",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pictures; else looked for around the file.")
    ] = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            help="Of pictures without labels: schema (coco), metadata file, or names "
            "(nose,left_ear,right_ear,tail)."
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            help="What is labelled, unless labels say it: mouse, hand ...",
            show_default="by the keypoints",
        ),
    ] = None,
    doubts: Annotated[
        Path | None,
        typer.Option(help="Show what this file of `poise data audit --out` doubts, worst first."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model that proposes the pose in a box that you draw."),
    ] = None,
    weights: options.Weights = None,
    support: options.Support = None,
    keypoint_threshold: Annotated[
        float, typer.Option(help="Keypoints with a lower score are proposed as not labelled.")
    ] = 0.3,
    device: options.Device = "auto",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of this machine; 0: any that is free.")
    ] = 0,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite --out if it is there already.")
    ] = False,
) -> None:
    """Label pictures in the browser: correct poses, or make them from nothing.

    Every change is saved at once; the file as it was before is kept as NAME.first.bak. Only this
    machine reaches the page. Ctrl-C ends it.
    """
    from poise.data_tools.labelling import LabelServer, Proposer, open_labels
    from poise.errors import ArgumentError

    if weights is not None and model is None:
        raise ArgumentError("--weights belongs to --model, which is not there")
    store = open_labels(
        place,
        out=out,
        images=images,
        keypoints=keypoints,
        category=category,
        doubts=doubts,
        replace=force,
    )
    proposer = None
    if model is not None:
        inferencer = options.open_inferencer(
            model,
            weights,
            detector="whole-image",
            detector_weights=None,
            boxes_given=True,
            device=device,
            support=support,
        )
        kinds = store.labels.kinds.values()
        proposer = Proposer(inferencer, kinds, threshold=keypoint_threshold)
    with LabelServer(store, port=port, proposer=proposer) as server:
        _say_begin(store, server)
        if show:
            _open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            # how it is meant to end
            _say_end(store)


def _open(address: str) -> None:
    """Open a browser that has a window; one of the terminal would take that."""
    windows = os.name == "nt" or sys.platform == "darwin"
    if windows or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        return
    port = address.partition("/#")[0].rpartition(":")[2]
    typer.echo(
        "this machine has no window to open it in; from another one: "
        f"ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}, then open the address there"
    )


def _say_begin(store: Any, server: Any) -> None:
    for sentence in store.labels.said:
        typer.echo(sentence)
    for kind in store.labels.kinds.values():
        pairs = sum(other > k for k, other in enumerate(kind.swap))
        sides = f", {counted(pairs, 'pair')} of left and right" if pairs else ""
        typer.echo(f"{kind.name}: {counted(len(kind.asked), 'keypoint')}{sides}")
    typer.echo(f"{counted(len(store), 'picture')}, {store.reviewed:,} of them reviewed")
    typer.echo(f"labels: {store.out}, saved at every change")
    typer.echo(f"label at {server.address} (Ctrl-C ends it)")


def _say_end(store: Any) -> None:
    from poise.data_tools.formats.reading import usual_folders

    typer.echo(f"\nreviewed: {store.reviewed:,} of {counted(len(store), 'picture')}")
    labels = shlex.quote(str(store.out))
    if store.unseen:
        typer.echo(
            f"with labels that nobody reviewed: {store.unseen:,}; `poise data convert {labels} "
            "--reviewed -o train.json` leaves these out"
        )
    if store.file.backup is not None:
        typer.echo(f"as they were before: {store.file.backup}")
    if not store.out.exists():
        typer.echo("nothing was labelled, so nothing was written")
        return
    typer.echo(f"labels: {store.out}; next:")
    folder, home = store.labels.folder.resolve(), store.out.resolve().parent
    audit, train = "", ""
    if folder not in usual_folders(home):
        audit, train = (
            f" {option} {shlex.quote(str(folder))}" for option in ("--images", "--train-images")
        )
    typer.echo(f"  poise data audit {labels}{audit}")
    typer.echo(f"  poise train MODEL --train-ann {labels}{train}")
