"""Forms of files, by ending: how each is written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from poise._lazy import needed
from poise.errors import ArgumentError, ConfigError
from poise.export.forms.mobile import write_ncnn, write_tflite
from poise.export.forms.operators import opset_for, traceable
from poise.export.forms.rewriting import rewritten
from poise.export.plans.plan import Plan
from poise.runtimes import METADATA_KEY, runtime_of

__all__ = ["FORMS", "convert_to_openvino", "files_of", "write_onnx", "writer_of"]

_LACKING = "exporting to {} needs the package {}: pip install 'poise[export]'"
#: Weights of fewer numbers than this keep 32 bits: they take no room, and some are exact.
_SMALL = 256


def write_onnx(plan: Plan, path: Path, *, half: bool = False) -> None:
    """An ONNX file, for ONNX Runtime and most others.

    Args:
        plan: what to write.
        path: file.
        half: weights of 16 bits, which are widened as the network computes.
    """
    onnx = needed("onnx", _LACKING.format("ONNX", "onnx"))
    names = plan.output_names()
    axes = {name: {0: "batch"} for name in (plan.input, *names)}
    axes[plan.input] |= plan.free_axes
    for name, free in plan.free_outputs.items():
        axes[name] |= free
    network = rewritten(plan.network)
    with _told_plainly(plan, "ONNX"), torch.no_grad(), traceable(free=bool(plan.free_axes)):
        torch.onnx.export(
            network,
            (plan.sample[:2],),
            str(path),
            input_names=[plan.input],
            output_names=list(names),
            dynamic_axes=axes,
            opset_version=opset_for(network),
            dynamo=False,
        )
    file = onnx.load(str(path))
    if half:
        _halve(onnx, file.graph)
    entry = file.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(plan.metadata)
    onnx.save(file, str(path))


@contextmanager
def _told_plainly(plan: Plan, form: str) -> Iterator[None]:
    """Keep what an exporter prints and warns to itself, and say in one line why it fails.

    It calls itself outdated, warns of shapes that it fixes, which are checked later, and prints the
    whole graph where it fails.

    Raises:
        ConfigError: it fails.
    """
    logs = torch._C._jit_is_onnx_log_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._C._jit_set_onnx_log_enabled(False)
        try:
            yield
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ConfigError(
                f"torch cannot write {plan.title()} in {form}: {line[:200]}; try another form "
                f"({', '.join(FORMS)}), or run the model itself"
            ) from error
        finally:
            torch._C._jit_set_onnx_log_enabled(logs)


def _halve(onnx: Any, graph: Any) -> None:
    """Keep weights of a graph with 16 bits, each followed by a cast."""
    casts = []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _SMALL or np.abs(values).max() > _HALF_MAX:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
        )
    for cast in reversed(casts):
        graph.node.insert(0, cast)


#: Largest number of 16 bits.
_HALF_MAX = float(np.finfo(np.float16).max)


def write_openvino(plan: Plan, path: Path, *, half: bool = False) -> None:
    """OpenVINO's form: the network in `path`, its weights beside it in a file `.bin`."""
    between = path.with_suffix(".onnx")
    write_onnx(plan, between)
    convert_to_openvino(between, path, plan.metadata, half=half)
    between.unlink()


def convert_to_openvino(
    source: Path, path: Path, metadata: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write OpenVINO's form of an ONNX file."""
    openvino = needed("openvino", _LACKING.format("OpenVINO's form", "openvino"))
    model = openvino.convert_model(str(source))
    model.set_rt_info(json.dumps(metadata), [METADATA_KEY])
    openvino.save_model(model, str(path), compress_to_fp16=half)


def write_torch(plan: Plan, path: Path, *, half: bool = False) -> None:
    """`torch.export`'s form, which `torch.export.load` reads where there is torch alone.

    Raises:
        ArgumentError: `half`, which this form does not have.
    """
    if half:
        raise ArgumentError(
            "--half is for .onnx, .xml, .param and .tflite; torch files keep 32 bits"
        )
    dynamic = {0: torch.export.Dim.DYNAMIC}
    dynamic |= dict.fromkeys(plan.free_axes, torch.export.Dim.DYNAMIC)
    with _told_plainly(plan, "torch.export's form"), torch.no_grad():
        program = torch.export.export(
            _Alone(rewritten(plan.network)), (plan.sample[:2],), dynamic_shapes=(dynamic,)
        )
    torch.export.save(program, path, extra_files={METADATA_KEY: json.dumps(plan.metadata)})


class _Alone(nn.Module):
    """A network without training: what is exported asks no module for its mode."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def forward(self, sample: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Outputs as a tuple, in any case."""
        found = self.network(sample)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)


Writer = Callable[..., None]
#: Ending -> writer: of (plan, place, half=).
FORMS: dict[str, Writer] = {
    ".onnx": write_onnx,
    ".xml": write_openvino,
    ".pt2": write_torch,
    ".param": write_ncnn,
    ".tflite": write_tflite,
}


#: Endings of forms whose weights lie beside them.
_PAIRS = (".xml", ".param")
#: Endings of forms that other tools write, and how.
_TENSORRT = (
    "TensorRT's engines are made on the machine that runs them: export .onnx, then trtexec "
    "--onnx=model.onnx --saveEngine=model.engine with --minShapes, --optShapes and --maxShapes"
)
_CORE_ML = (
    "Core ML has no pictures of bytes as plain inputs, so its tools do not read these files; "
    "on Apple's machines .onnx runs with ONNX Runtime"
)
_MADE_ELSEWHERE = dict.fromkeys((".engine", ".plan", ".trt"), _TENSORRT)
_MADE_ELSEWHERE |= dict.fromkeys((".mlpackage", ".mlmodel"), _CORE_ML)


def writer_of(path: Path) -> Writer:
    """How a file is written, by its ending.

    Raises:
        ArgumentError: an unknown ending, or one of a form that other tools write.
    """
    ending = path.suffix.lower()
    if ending in _MADE_ELSEWHERE:
        raise ArgumentError(f"'{path}' is not written by Poise. {_MADE_ELSEWHERE[ending]}")
    writer = FORMS.get(ending)
    if writer is None:
        raise ArgumentError(
            f"the name of an exported file ends in {', '.join(FORMS)}, such as model.onnx, or in "
            f".html for a web page; got '{path}'"
        )
    return writer


def files_of(path: Path) -> list[Path]:
    """All files of an exported network.

    Raises:
        ArgumentError: their names would be those of another form's.
    """
    ending = path.suffix.lower()
    if ending not in _PAIRS:
        return [path]
    weights = path.with_suffix(".bin")
    for other in (path.with_suffix(pair) for pair in _PAIRS if pair != ending):
        if other.is_file():
            raise ArgumentError(
                f"'{path}' would have its weights in '{weights.name}', which '{other.name}' has; "
                f"take another name, such as {path.stem}.{runtime_of(path)}{ending}"
            )
    return [path, weights]
