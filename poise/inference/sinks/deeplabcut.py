"""DeepLabCut: a table of x, y and likelihood, a row a frame."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._files import whole_file
from poise.inference.sinks.spool import Motion, MotionSink

__all__ = ["DeepLabCutSink"]

_SCORER = "poise"
_COORDINATES = ("x", "y", "likelihood")


class DeepLabCutSink(MotionSink):
    """`NAMEDLC_poise.csv`, with `individuals` in the header where there are several people."""

    suffix = "DLC_poise.csv"

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """One file."""
        people = motion.ids
        columns = list(
            itertools.product((f"individual{i}" for i in people), motion.names, _COORDINATES)
        )
        levels = list(
            zip(("individuals", "bodyparts", "coords"), zip(*columns, strict=True), strict=True)
        )
        with whole_file(path) as place, place.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["scorer", *[_SCORER] * len(columns)])
            # nobody needs to be told who the only one is
            writer.writerows([level, *names] for level, names in levels[len(people) == 1 :])
            writer.writerows(_rows(motion))
        return [path]


def _rows(motion: Motion) -> Iterator[list[Any]]:
    """Number and cells of each frame, one after the other: all at once may not fit into memory."""
    width = len(_COORDINATES) * len(motion.names)
    starts = {identity: width * place for place, identity in enumerate(motion.ids)}
    numbers = np.arange(motion.span[0], motion.span[1] + 1)
    places = np.searchsorted(motion.records["frame"], numbers).tolist()
    for number, (low, high) in zip(numbers.tolist(), itertools.pairwise(places), strict=False):
        cells = [""] * (width * len(starts))
        part = motion.records[low:high]
        for identity, points in zip(part["id"].tolist(), part["points"].tolist(), strict=True):
            start = starts[identity]
            cells[start : start + width] = itertools.chain(*map(_cells, points))
        yield [number, *cells]


def _cells(point: Sequence[float]) -> Sequence[str]:
    """Texts of x, y and likelihood; empty for a keypoint without a place."""
    x, y, score = point
    if math.isnan(x) or math.isnan(y):
        return ("",) * len(point)
    return f"{x:.4f}", f"{y:.4f}", f"{0.0 if math.isnan(score) else score:.4f}"
