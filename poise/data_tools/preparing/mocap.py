"""What motion capture needs to be read: boxes, statistics, and files of arrays."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._files import whole_file
from poise._words import counted
from poise.data_tools.preparing.coco_writer import UNIT
from poise.data_tools.preparing.report import Prepared

__all__ = [
    "_BOX_FACTOR",
    "Frames",
    "center_and_scale",
    "write_arrays",
    "write_pickle",
    "write_stats",
]

#: boxes are so much longer than what the keypoints span
_BOX_FACTOR = 1.2


class Frames:
    """Frames of many sequences, gathered for one file."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._parts.get("S", ())))

    def add(self, names: list[str], flat: Array, solid: Array) -> None:
        """Take in frames that have a picture each.

        Args:
            names: of N pictures.
            flat: (N, K, 3) pixels and visibility. solid: (N, K, 4) metres and visibility.
        """
        center, scale = center_and_scale(flat[..., :2])
        values = {"center": center, "scale": scale, "part": flat, "S": solid}
        for key, value in {"imgname": np.array(names), **values}.items():
            self._parts.setdefault(key, []).append(value)

    def joined(self) -> dict[str, Array]:
        """`imgname` (N,), `center` (N, 2), `scale` (N,), `part` (N, K, 3) and `S` (N, K, 4)."""
        return {key: np.concatenate(parts) for key, parts in self._parts.items()}


def center_and_scale(points: Array) -> tuple[Array, Array]:
    """Centres (N, 2) and scales (N,) of boxes around points (N, K, 2), image space."""
    low, high = points.min(axis=1), points.max(axis=1)
    return (low + high) / 2, _BOX_FACTOR * (high - low).max(axis=1) / UNIT


def write_stats(
    folder: Path, arrays: Mapping[str, Array], root: int, report: Prepared, *, keep_root: bool
) -> None:
    """Means and standard deviations of poses, as `ImagePoseLifting` and others take them.

    Args:
        folder: for the files.
        arrays: as of `Frames.joined`.
        root: keypoint that relative poses are relative to.
        report: where the files are told.
        keep_root: relative poses hold the root too, with what it has in absolute ones.
    """
    for axes, poses in ((3, arrays["S"][..., :3]), (2, arrays["part"][..., :2])):
        relative = poses - poses[:, root : root + 1]
        absolute = {"mean": poses.mean(axis=0), "std": poses.std(axis=0)}
        others = {"mean": relative.mean(axis=0), "std": relative.std(axis=0)}
        for key, values in others.items():
            if keep_root:
                values[root] = absolute[key][root]
            else:
                others[key] = np.delete(values, root, axis=0)
        write_pickle(folder / f"joint{axes}d_stats.pkl", absolute, "statistics", report)
        write_pickle(folder / f"joint{axes}d_rel_stats.pkl", others, "statistics", report)


def write_arrays(path: Path, arrays: Mapping[str, Array], report: Prepared) -> None:
    """Write an .npz file, which appears whole or not at all."""
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez(
            stream,
            imgname=arrays["imgname"],
            center=arrays["center"],
            scale=arrays["scale"],
            part=arrays["part"],
            S=arrays["S"],
        )
    report.files[path] = counted(len(arrays["S"]), "frame")


def write_pickle(path: Path, content: Any, what: str, report: Prepared) -> None:
    """Write a pickle file of plain data, which appears whole or not at all."""
    with whole_file(path) as part, part.open("wb") as stream:
        pickle.dump(content, stream)
    report.files[path] = what
