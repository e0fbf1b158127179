"""Models as files: written, run beside the model, and kept only if both say the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import EISDIR
from pathlib import Path
from typing import Any

from poise._files import put_in_place, writing
from poise.errors import ArgumentError, ConfigError, DataError, PoiseError
from poise.export.checks.accuracy import MAX_DROP, MAX_DROP_INT8, Trial
from poise.export.checks.looking import Tick, ignored, looker_of
from poise.export.checks.parity import TOLERANCE, TOLERANCE_HALF, Report, compare
from poise.export.checks.pictures import Pictures
from poise.export.checks.scoring import metrics_of
from poise.export.checks.timing import times_of
from poise.export.forms.writers import files_of, writer_of
from poise.export.int8 import INT8_ENDINGS, write_int8
from poise.export.plans.kinds import plan_of
from poise.export.plans.one_stage import CANDIDATES
from poise.export.plans.plan import Plan
from poise.inference.detectors import NanoDetDetector
from poise.runtimes import RUNTIMES, open_session, runtime_of

__all__ = ["Pictured", "export_detector", "export_for_session", "export_model", "export_onnx"]

#: Pictures on which times are taken, of which ranges of values are learnt at most, and where these
#: are all that there is, each so many-th is kept for the comparison.
_TIMED, _MOST, _HELD_OUT = 8, 100, 4
#: Endings of forms that have no shapes that follow from the picture.
_FIXED_SHAPES = (".pt2", ".param", ".tflite")


@dataclass(frozen=True)
class Pictured:
    """Real pictures for an export, and what the file may lose on them.

    Attributes:
        data: pictures on which file and model are compared, with labels where there are any:
            folder, list of files, or a data set (`poise.data_tools.opening.open_dataset`).
        calibration: pictures that tell INT8 the ranges of values, of the same kinds; None: `data`.
        max_drop: points of the metric that the file may lose; None: 0.3, with INT8 1.
        runtime: that the file is tried with, "onnxruntime" or "openvino"; None: by its ending.
        tick: is told how many more pictures were looked at.
    """

    data: Any = None
    calibration: Any = None
    max_drop: float | None = None
    runtime: str | None = None
    tick: Tick = ignored


def export_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    check: bool = True,
    half: bool = False,
    candidates: int | None = None,
    int8: bool = False,
    pictured: Pictured | None = None,
) -> Report:
    """Write a model as a file that runs without torch, and without its config.

    Normalising, the pipeline's settings, schema and codec are in the file. Inputs have a free
    batch size, but for the forms of phones; their size is fixed, but for models of whole pictures
    of any size.

    Args:
        model: estimator, lifter or detector with `cfg` and, but for detectors, `dataset_meta`; or
            `poise.inference.detectors.NanoDetDetector`.
        path: file to write; it appears when it is complete. The ending says the form: .onnx,
            .xml (OpenVINO, with its weights in a .bin beside it), .pt2 (torch.export), .param
            (NCNN, with a .bin) or .tflite (LiteRT); the last two take one input at a time.
        check: run the file beside the model, and keep it only if it says the same.
        half: weights of 16 bits: half the size, and differences in the third digit.
        candidates: of RTMO: compute the keypoints of a fixed number of points, the best ones, so
            that all shapes but the batch's are fixed; None: of those above the model's threshold.
        int8: weights and values of 8 bits, but for the first and last layers and those without
            which the file would say something else. Needs `pictured`.
        pictured: real pictures to try the file on.

    Raises:
        ConfigError: a model that cannot be exported, or one whose file says something else.
        ArgumentError: an unknown ending, or options that exclude each other.
        DataError: pictures that are not there, or that show nobody; a full disk.
        MissingDependencyError: the packages that the form needs are not installed.
    """
    path = Path(path)
    writer_of(path)
    files_of(path)
    given = candidates
    if candidates is None and path.suffix.lower() in _FIXED_SHAPES:
        candidates = CANDIDATES
    plan = plan_of(model, candidates=candidates)
    if given is not None and not plan.metadata.get("candidates"):
        raise ArgumentError(f"--candidates is for RTMO; {plan.title()} has no such points")
    return _write(plan, path, check=check, half=half, int8=int8, pictured=pictured)


def _write(
    plan: Plan,
    path: Path,
    *,
    check: bool = True,
    half: bool = False,
    poses: bool = True,
    int8: bool = False,
    pictured: Pictured | None = None,
) -> Report:
    """Write what a plan says; see `export_model`. `poses`: compare them, not outputs alone."""
    pictured = pictured or Pictured()
    _check_options(path, pictured, half=half, int8=int8)
    with _whole_files(path) as place:
        if int8:
            return _write_int8(plan, place, pictured, check=check)
        writer_of(path)(plan, place, half=half)
        tolerance = TOLERANCE_HALF if half else TOLERANCE
        report = Report()
        if check:
            report = compare(plan, place, pictured.runtime, tolerance=tolerance, poses=poses)
        if pictured.data is None:
            return report
        return _tried(plan, place, report, pictured, check=check)


def _check_options(path: Path, pictured: Pictured, *, half: bool, int8: bool) -> None:
    """See that options fit together, before anything takes time.

    Raises:
        ArgumentError: they do not.
    """
    ending = path.suffix.lower()
    fitting = RUNTIMES if ending == ".onnx" else (runtime_of(path),)
    if pictured.runtime not in (None, *fitting):
        raise ArgumentError(
            f"a file {ending} is run by {' or '.join(fitting)}, not by {pictured.runtime}"
        )
    if int8 and half:
        raise ArgumentError("give --int8 or --half, not both")
    if int8 and ending not in INT8_ENDINGS:
        raise ArgumentError(f"--int8 is for {' and '.join(INT8_ENDINGS)}; other forms have none")
    if int8 and pictured.data is None and pictured.calibration is None:
        raise ArgumentError(
            "--int8 learns the ranges of values from real pictures; give --calibration FOLDER (or "
            "an annotation file), a hundred pictures of what the model is for"
        )


def _write_int8(plan: Plan, place: Path, pictured: Pictured, *, check: bool) -> Report:
    """A file of 8 bits, beside the model on real pictures."""
    given = pictured.data if pictured.calibration is None else pictured.calibration
    calibration = Pictures.of(given)
    if pictured.data is None:
        pictures, calibration = calibration.split(_HELD_OUT)
    else:
        pictures = Pictures.of(pictured.data)
    calibration.check()
    max_drop = MAX_DROP_INT8 if pictured.max_drop is None else pictured.max_drop
    return write_int8(
        plan,
        place,
        calibration.spread(_MOST),
        _trial(plan, pictures, pictured),
        runtime=pictured.runtime or runtime_of(place),
        max_drop=max_drop if check else None,
        tick=pictured.tick,
    )


def _tried(plan: Plan, place: Path, report: Report, pictured: Pictured, *, check: bool) -> Report:
    """A report with what real pictures say.

    Raises:
        ConfigError: the file loses too much.
    """
    kind, runtime = plan.metadata.get("kind"), pictured.runtime or runtime_of(place)
    pictures = Pictures.of(pictured.data)
    trial = _trial(plan, pictures, pictured)
    accuracy = trial(looker_of(place, kind, runtime, tick=pictured.tick))
    max_drop = MAX_DROP if pictured.max_drop is None else pictured.max_drop
    refusal = accuracy.refusal(max_drop if check else None, exact=True)
    if refusal is not None:
        raise ConfigError(f"{refusal}; the file is not kept")
    timed = trial.pictures.spread(_TIMED)
    inputs = looker_of(place, kind, runtime).inputs(timed, _TIMED)
    session = open_session(place, runtime)
    times = times_of({"model": plan.run, "file": session}, inputs, session.batch_size)
    return replace(report, accuracy=accuracy, times=times)


def _trial(plan: Plan, pictures: Pictures, pictured: Pictured) -> Trial:
    pictures.check()
    kind = plan.metadata.get("kind")
    metrics = metrics_of(plan.model.cfg) if kind not in (None, "boxes") else None
    return Trial(looker_of(plan.model, kind, tick=pictured.tick), pictures, metrics)


@contextmanager
def _whole_files(path: Path) -> Iterator[Path]:
    """Place to write to, in a folder whose files move beside `path` at the end.

    Some forms are two files, which find one another by their names.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder", str(path))
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        # the file of the name itself last: who sees it sees all
        with writing(path):
            for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
                put_in_place(file, path.parent / file.name)
    except OSError as error:
        # of a full disk the system says no name
        if error.filename is None and not isinstance(error, PoiseError):
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def export_onnx(model: Any, path: str | os.PathLike[str], *, check: bool = True) -> Path:
    """`export_model` to an ONNX file; returns its path."""
    export_model(model, path, check=check)
    return Path(path)


def export_detector(
    path: str | os.PathLike[str], *, check: bool = True, half: bool = False
) -> Path:
    """`export_model` of the embedded person detector, NanoDet; returns the path of its file.

    `poise.Inferencer("model.onnx", detector="nanodet.onnx")` then finds people without torch.
    """
    export_model(NanoDetDetector(), path, check=check, half=half)
    return Path(path)


def export_for_session(model: Any, path: Path) -> None:
    """An ONNX file for this machine's own use: outputs are compared, as that is soon done."""
    _write(plan_of(model), path, poses=False)
