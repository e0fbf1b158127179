"""From 32 bits to 8: as many layers as accuracy allows."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import ConfigError, DataError
from poise.export.accuracy import Accuracy, Trial
from poise.export.forms import write_onnx
from poise.export.int8 import Quantiser
from poise.export.looking import Tick, ignored, looker_of
from poise.export.pictures import Pictures
from poise.export.plan import Plan
from poise.export.timing import times_of
from poise.runtimes import METADATA_KEY, open_session

__all__ = ["INT8_ENDINGS", "Reduced", "write_int8"]

#: Forms that have 8 bits.
INT8_ENDINGS = (".onnx", ".xml")
#: Calibration inputs, more of which hardly change a range; and those on which parts are tried.
_RANGES, _TRIED = 96, 12


@dataclass(frozen=True)
class Reduced:
    """What came of it.

    Attributes:
        accuracy: beside the model.
        times: milliseconds an input of "model", "file32" (the file with 32 bits) and "file".
        parts: of the network.
        kept: how many of them keep 32 bits.
    """

    accuracy: Accuracy
    times: dict[str, float]
    parts: int
    kept: int


def write_int8(
    plan: Plan,
    path: Path,
    calibration: Pictures,
    trial: Trial,
    *,
    runtime: str,
    max_drop: float | None,
    tick: Tick = ignored,
) -> Reduced:
    """Write a file of which the layers between the first and the last ones have 8 bits.

    If it says something else than the model, each part of the network is tried alone, and those
    that change most keep 32 bits, one after the other, until it does not.

    Args:
        plan: what to write.
        path: file, .onnx or .xml.
        calibration: pictures that tell the ranges of values.
        trial: of the model.
        runtime: that shall run the file.
        max_drop: see `Accuracy.refusal`; None: any file is good.
        tick: is told how many more pictures were looked at.

    Raises:
        ConfigError: also with half of the network at 32 bits it says something else.
        DataError: no inputs come of the calibration pictures.
    """
    kind = plan.metadata.get("kind")
    with tempfile.TemporaryDirectory(prefix="poise-int8-") as name:
        folder = Path(name)
        whole, file = folder / "whole.onnx", folder / "int8.onnx"
        write_onnx(dataclasses.replace(plan, metadata={**plan.metadata, "bits": 8}), whole)
        inputs = looker_of(whole, kind, tick=tick).inputs(calibration, _RANGES)
        if not inputs:
            raise DataError(
                f"nobody was found in {len(calibration)} calibration pictures, so nothing tells "
                "the ranges of values; give pictures of what the model looks for"
            )
        quantiser = Quantiser(whole, inputs, folder)
        parts = list(range(len(quantiser.parts)))
        order: list[int] = []
        while True:
            quantiser.write(file, [part for part in parts if part not in order])
            accuracy = trial(looker_of(file, kind, runtime, tick=tick))
            refusal = accuracy.refusal(max_drop, exact=False)
            if refusal is None:
                break
            if not order:
                damages = np.array(quantiser.damages(inputs[:: len(inputs) // _TRIED + 1], folder))
                worst = np.argsort(-damages, kind="stable").tolist()
            if len(order) >= len(parts) // 2:
                raise ConfigError(
                    f"{refusal}; so it is with {len(order)} of {len(parts)} parts of the network "
                    "at 32 bits. Try more calibration pictures, a larger --max-drop, or --half"
                )
            order = worst[: len(order) + 1]
        times = _times(plan, whole, file, inputs, runtime)
        _finish(plan, file, path)
    return Reduced(accuracy, times, len(parts), len(order))


def _times(
    plan: Plan, whole: Path, file: Path, inputs: Sequence[np.ndarray], runtime: str
) -> dict[str, float]:
    sessions = [open_session(path, runtime) for path in (whole, file)]
    runs = dict(zip(("model", "file32", "file"), (plan.run, *sessions), strict=True))
    return times_of(runs, inputs, sessions[0].batch_size)


def _finish(plan: Plan, file: Path, path: Path) -> None:
    """Put an ONNX file in its place, or OpenVINO's form of it."""
    if path.suffix.lower() == ".onnx":
        shutil.copyfile(file, path)
        return
    openvino: Any = needed(
        "openvino", "exporting to OpenVINO's form needs openvino: pip install 'poise[export]'"
    )
    model = openvino.convert_model(str(file))
    model.set_rt_info(json.dumps({**plan.metadata, "bits": 8}), [METADATA_KEY])
    openvino.save_model(model, str(path), compress_to_fp16=False)
