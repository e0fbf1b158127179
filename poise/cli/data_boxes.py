"""`poise data boxes`: a detector's boxes of a data set's pictures."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted, shortened
from poise.cli import options
from poise.cli.terminal import tracked

__all__ = ["boxes"]

#: names of pictures shown that could not be read
_SHOWN = 3


def boxes(
    dataset: Any,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="JSON file to write, for bbox_file of a config.")
    ],
    detector: options.Detector = "auto",
    detector_weights: options.DetectorWeights = None,
    score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out boxes that are less sure.")
    ] = 0.1,
    iou: Annotated[
        float, typer.Option(min=0, max=1, help="Of boxes that overlap more, the surer one stays.")
    ] = 0.65,
    device: options.Device = "auto",
) -> None:
    """Write what a detector finds in a data set's pictures, to evaluate poses with its boxes.

    A config takes the file as test_dataloader.dataset.bbox_file.
    """
    from poise.data_tools.detecting import detect_boxes
    from poise.datasets.people import parsed_metainfo
    from poise.errors import ArgumentError
    from poise.inference.detectors import WholeImage, build_detector
    from poise.inference.machine.devices import pick_device

    meta = parsed_metainfo(dataset)
    if detector in ("auto", "whole-image"):
        found_here = build_detector(detector, meta)
        if isinstance(found_here, WholeImage):
            raise ArgumentError(
                f"--detector {detector}: {found_here.description}, which needs no file; "
                "name a detector: poise zoo list --task detection"
            )
    finder = build_detector(
        detector,
        meta,
        device=pick_device(device),
        weights=detector_weights,
        score_threshold=score,
        iou_threshold=iou,
    )
    pictures, found, lost = detect_boxes(
        dataset, finder, out, progress=partial(tracked, name="looking")
    )
    if lost:
        sys.stdout.write(
            f"left out: {counted(len(lost), 'picture')} that cannot be read: "
            f"{shortened(lost, _SHOWN)}\n"
        )
    sys.stdout.write(
        f"wrote {out}: {counted(found, 'box')} in {counted(pictures, 'picture')}, "
        f"by {finder.description}\n"
    )
    if not found:
        sys.stdout.write("nobody was found, so there is nothing to test: lower --score?\n")
