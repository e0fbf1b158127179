"""Models as files: written, run beside the model, and kept only if both say the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poise.export.forms import writer_of
from poise.export.kinds import plan_of
from poise.export.parity import TOLERANCE, TOLERANCE_HALF, Report, compare
from poise.export.people import CANDIDATES
from poise.export.plan import Plan

__all__ = ["export_for_session", "export_model", "export_onnx", "write_plan"]


def export_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    check: bool = True,
    half: bool = False,
    candidates: int | None = None,
) -> Report:
    """Write a model as a file that runs without torch, and without its config.

    Normalising, the pipeline's settings, schema and codec are in the file. Inputs have a free
    batch size; their size is fixed, but for models of whole pictures of any size.

    Args:
        model: estimator with `cfg` and `dataset_meta`: top-down or one-stage.
        path: file to write; it appears when it is complete. The ending says the form: .onnx,
            .xml (OpenVINO, with its weights in a .bin beside it) or .pt2 (torch.export).
        check: run the file beside the model, and keep it only if it says the same.
        half: weights of 16 bits: half the size, and differences in the third digit.
        candidates: of RTMO: compute the keypoints of a fixed number of points, the best ones, so
            that all shapes but the batch's are fixed; None: of those above the model's threshold.

    Raises:
        ConfigError: a model that cannot be exported, or one whose file says something else.
        ArgumentError: an unknown ending.
        MissingDependencyError: the packages that the form needs are not installed.
    """
    path = Path(path)
    writer_of(path)
    if candidates is None and path.suffix.lower() == ".pt2":
        # what torch.export writes has no shapes that follow from the picture
        candidates = CANDIDATES
    return write_plan(plan_of(model, candidates=candidates), path, check=check, half=half)


def write_plan(
    plan: Plan, path: Path, *, check: bool = True, half: bool = False, poses: bool = True
) -> Report:
    """Write what a plan says; see `export_model`. `poses`: compare them, not outputs alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _whole_files(path) as place:
        writer_of(path)(plan, place, half=half)
        tolerance = TOLERANCE_HALF if half else TOLERANCE
        return compare(plan, place, tolerance=tolerance, poses=poses) if check else Report()


@contextmanager
def _whole_files(path: Path) -> Iterator[Path]:
    """Place to write to, in a folder whose files move beside `path` at the end.

    Some forms are two files, which find one another by their names.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        # the file of the name itself last: who sees it sees all
        for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
            file.replace(path.parent / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def export_onnx(model: Any, path: str | os.PathLike[str], *, check: bool = True) -> Path:
    """`export_model` to an ONNX file; returns its path."""
    export_model(model, path, check=check)
    return Path(path)


def export_for_session(model: Any, path: Path) -> None:
    """An ONNX file for this machine's own use: outputs are compared, as that is soon done."""
    write_plan(plan_of(model), path, poses=False)
