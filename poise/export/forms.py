"""Forms of files, by ending: how each is written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from poise._lazy import needed
from poise.errors import ArgumentError
from poise.export.plan import Plan
from poise.export.rewriting import rewritten
from poise.runtimes.sessions import METADATA_KEY

__all__ = ["FORMS", "writer_of"]

OPSET = 17


def write_onnx(plan: Plan, path: Path) -> None:
    """An ONNX file.

    Raises:
        MissingDependencyError: the package onnx is not installed.
    """
    onnx = needed("onnx", "exporting needs the package onnx: pip install 'poise[export]'")
    names = plan.outputs or tuple(f"output_{i}" for i in range(len(plan.answers(plan.sample[:1]))))
    axes = {name: {0: "batch"} for name in (plan.input, *names)}
    axes[plan.input] |= plan.free_axes
    for name, free in plan.free_outputs.items():
        axes[name] |= free
    with torch.no_grad(), warnings.catch_warnings():
        # the tracing exporter is called outdated, and shapes that it fixes are checked later
        warnings.simplefilter("ignore")
        torch.onnx.export(
            rewritten(plan.network),
            (plan.sample[:2],),
            str(path),
            input_names=[plan.input],
            output_names=list(names),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    file = onnx.load(str(path))
    entry = file.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(plan.metadata)
    onnx.save(file, str(path))


#: Ending -> writer: of (plan, place).
FORMS: dict[str, Callable[[Plan, Path], None]] = {".onnx": write_onnx}


def writer_of(path: Path) -> Callable[[Plan, Path], None]:
    """How a file is written, by its ending.

    Raises:
        ArgumentError: an unknown ending.
    """
    writer = FORMS.get(path.suffix.lower())
    if writer is None:
        raise ArgumentError(
            f"the name of an exported file ends in {', '.join(FORMS)}, such as model.onnx; got "
            f"'{path}'"
        )
    return writer
