"""DeepLabCut: a table of x, y and likelihood, a row a frame."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from poise._files import whole_file
from poise.inference.sinks.spool import Motion, MotionSink

__all__ = ["DeepLabCutSink"]

_SCORER = "poise"


class DeepLabCutSink(MotionSink):
    """`NAMEDLC_poise.csv`, with `individuals` in the header where there are several people."""

    suffix = "DLC_poise.csv"

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """One file."""
        people = motion.ids
        tracks = [motion.track(i, whole=True) for i in people]
        coordinates = ("x", "y", "likelihood")
        columns = [
            (f"individual{i}", name, c)
            for i in people
            for name in motion.names
            for c in coordinates
        ]
        levels = (
            ("individuals", "bodyparts", "coords") if len(people) > 1 else ("bodyparts", "coords")
        )
        header: list[list[Any]] = [["scorer", *[_SCORER] * len(columns)]]
        for level, index in zip(levels, range(3 - len(levels), 3), strict=True):
            header.append([level, *(column[index] for column in columns)])
        values = np.concatenate(
            [
                np.concatenate(
                    (points, np.where(np.isnan(points[..., :1]), np.nan, s[..., None])), -1
                )
                for _, points, s in tracks
            ],
            axis=1,
        )
        with whole_file(path) as place, place.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows(header)
            for number, row in enumerate(values.reshape(len(values), -1), start=motion.span[0]):
                writer.writerow(
                    [number, *("" if np.isnan(v) else f"{v:.4f}" for v in row.tolist())]
                )
        return [path]
