"""From 32 bits to 8: as many layers as accuracy allows."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from poise.errors import ConfigError, DataError
from poise.export.checks.accuracy import Trial
from poise.export.checks.looking import Tick, ignored, looker_of
from poise.export.checks.parity import Report
from poise.export.checks.pictures import Pictures
from poise.export.checks.timing import times_of
from poise.export.forms.quantiser import Quantiser
from poise.export.forms.writers import convert_to_openvino, write_onnx
from poise.export.plans.plan import Plan
from poise.runtimes import open_session

__all__ = ["INT8_ENDINGS", "write_int8"]

#: Forms that have 8 bits.
INT8_ENDINGS = (".onnx", ".xml")
#: Calibration inputs, more of which hardly change a range; and those on which parts are tried.
_RANGES, _TRIED = 96, 12


def write_int8(
    plan: Plan,
    path: Path,
    calibration: Pictures,
    trial: Trial,
    *,
    runtime: str,
    max_drop: float | None,
    tick: Tick = ignored,
) -> Report:
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
    plan = replace(plan, metadata={**plan.metadata, "bits": 8})
    kind = plan.metadata.get("kind")
    with tempfile.TemporaryDirectory(prefix="poise-int8-") as name:
        folder = Path(name)
        whole, file = folder / "whole.onnx", folder / "int8.onnx"
        write_onnx(plan, whole)
        inputs = looker_of(whole, kind, tick=tick).inputs(calibration, _RANGES)
        if not inputs:
            raise DataError(
                f"nobody was found in {len(calibration)} calibration pictures, so nothing tells "
                "the ranges of values; give pictures of what the model looks for"
            )
        quantiser = Quantiser(whole, inputs, folder)
        parts = range(len(quantiser.parts))
        kept: list[int] = []
        while True:
            quantiser.write(file, [part for part in parts if part not in kept])
            accuracy = trial(looker_of(file, kind, runtime, tick=tick))
            refusal = accuracy.refusal(max_drop, exact=False)
            if refusal is None:
                break
            if not kept:
                damages = np.array(quantiser.damages(inputs[:: len(inputs) // _TRIED + 1], folder))
                worst = np.argsort(-damages, kind="stable").tolist()
            if len(kept) >= len(parts) // 2:
                raise ConfigError(
                    f"{refusal}; so it is with {len(kept)} of {len(parts)} parts of the network "
                    "at 32 bits. Try more calibration pictures, a larger --max-drop, or --half"
                )
            kept = worst[: len(kept) + 1]
        sessions = {"file32": open_session(whole, runtime), "file": open_session(file, runtime)}
        times = times_of({"model": plan.run, **sessions}, inputs, sessions["file32"].batch_size)
        if path.suffix.lower() == ".onnx":
            shutil.copyfile(file, path)
        else:
            convert_to_openvino(file, path, plan.metadata)
    return Report(accuracy=accuracy, times=times, parts=len(parts), kept_parts=len(kept))
