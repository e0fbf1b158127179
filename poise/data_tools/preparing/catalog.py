"""The data sets that are known, and the one function that prepares them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from poise.data_tools.preparing.report import Prepared
from poise.errors import ArgumentError, FileMissingError, one_of

__all__ = ["SOURCES", "Source", "prepare"]


class Source(NamedTuple):
    """A data set as its makers publish it.

    Attributes:
        module, function: who prepares it.
        text: what it is.
        has: what must be in its folder.
        options: of the function.
    """

    module: str
    function: str
    text: str
    has: str
    options: dict[str, Any] = {}


_H5 = "annotation_data_release.h5"
_H36M = "metadata.xml, s1/*.tgz (or S1 unpacked), s5 ..."

SOURCES = {
    "wflw": Source("faces", "wflw", "WFLW, faces, 98 keypoints", "WFLW_annotations, WFLW_images"),
    "lapa": Source(
        "faces", "lapa", "LaPa, faces, 106 keypoints", "train, val, test with images, landmarks"
    ),
    "300wlp": Source(
        "faces", "face300wlp", "300W-LP, faces, 68 keypoints", "300W_LP with AFW ..., landmarks"
    ),
    "300vw": Source(
        "faces", "face300vw", "300VW, faces in videos, 68 keypoints", "001/annot, 001/vid.avi ..."
    ),
    "cofw": Source(
        "faces", "cofw", "COFW, hidden faces, 29 keypoints", "COFW_train_color.mat, COFW_test_..."
    ),
    "animalpose": Source(
        "animals",
        "animalpose",
        "Animal-Pose, 20 keypoints",
        "PASCAL2011_animal_annotation, animalpose_anno2, pictures",
    ),
    "macaque": Source("animals", "macaque", "MacaquePose, 17 keypoints", "annotations.csv, images"),
    "fly": Source("animals", "fly", "Vinegar flies, 32 keypoints", _H5),
    "locust": Source("animals", "locust", "Desert locusts, 35 keypoints", _H5),
    "zebra": Source("animals", "zebra", "Grevy's zebras, 9 keypoints", _H5),
    "h36m": Source("human36m", "human36m", "Human3.6M, 10 frames a second", _H36M),
    "h36m-fps50": Source(
        "human36m", "human36m", "Human3.6M, 50 frames a second", _H36M, {"every": 1}
    ),
    "h36m-coco": Source(
        "human36m",
        "human36m_coco",
        "Human3.6M as prepared, as COCO files",
        "annotation_body3d, images",
    ),
    "mpi_inf_3dhp": Source(
        "mpi_inf_3dhp", "mpi_inf_3dhp", "MPI-INF-3DHP, 17 keypoints in 3D", "train/S1 ..., test/TS1"
    ),
    "ubody": Source(
        "ubody", "ubody", "UBody, whole bodies, 133 keypoints", "annotations, images, splits"
    ),
}


def prepare(
    name: str,
    root: Path,
    out: Path | None = None,
    *,
    progress: Callable[[Iterable[Any], str], Iterable[Any]] | None = None,
) -> Prepared:
    """Write the annotation files that MMPose's configs ask for.

    Args:
        name: of the data set, a key of `SOURCES`.
        root: its folder, as downloaded and unpacked.
        out: where files are written; the folder itself without it.
        progress: wraps long iterations; takes the items and what is done with them.

    Returns:
        what was written, and what was left out and why.

    Raises:
        ArgumentError: no such data set.
        FileMissingError: the folder lacks what the data set has.
        DataError: a file of it is broken, or nothing could be kept.
        MissingDependencyError: a file needs a package that is not installed.
    """
    source = SOURCES[one_of(name, SOURCES, "the data set", ArgumentError)]
    if root.is_file():
        raise FileMissingError(
            f"{root} is a file; unpack it and give the folder, which has {source.has}"
        )
    if not root.is_dir():
        raise FileMissingError(f"there is no folder {root}; {name} has {source.has}")
    report = Prepared() if progress is None else Prepared(progress=progress)
    module = importlib.import_module(f"poise.data_tools.preparing.{source.module}")
    getattr(module, source.function)(root, out or root, report, **source.options)
    return report
