"""ONNX Runtime and OpenVINO: an ONNX file becomes a function of arrays."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from poise.errors import (
    CheckpointError,
    FileMissingError,
    MissingDependencyError,
    UnknownNameError,
    nearest,
)

__all__ = ["RUNTIMES", "OnnxRuntimeSession", "OpenVinoSession", "Session", "open_session"]

#: Where an exported file keeps what Poise needs to use it (schema, codec, pipeline), as JSON.
METADATA_KEY = "poise"
#: Crops per call: what fits a processor's cache is soonest done; GPUs want many.
_BATCH_ON_CPU, _BATCH_ON_GPU = 8, 16


class Session(Protocol):
    """A network that is ready to run.

    Attributes:
        metadata: what the export wrote into the file; empty for other files.
        batch_size: pictures per call that are soonest done, where there are enough.
    """

    metadata: dict[str, Any]
    batch_size: int

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs (B, ...) of a batch (B, ...) of the file's input."""


def open_session(
    path: str | os.PathLike[str], runtime: str = "onnxruntime", *, half: bool = False
) -> Session:
    """Session of an ONNX file.

    Args:
        path: file.
        runtime: a key of `RUNTIMES`.
        half: let the runtime compute in bfloat16 or float16 where the machine can; outputs change
            in the third digit.

    Raises:
        UnknownNameError: another runtime.
        MissingDependencyError: it is not installed.
        FileMissingError, CheckpointError: no such file; not a network that it can run.
    """
    if runtime not in RUNTIMES:
        raise UnknownNameError(
            f"there is no runtime '{runtime}'{nearest(runtime, RUNTIMES)}; expected one of "
            f"{', '.join(RUNTIMES)}"
        )
    path = Path(path)
    if not path.is_file():
        raise FileMissingError(f"there is no exported network '{path}'")
    return RUNTIMES[runtime](path, half=half)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"the backend {name} needs the package {name}: pip install {name}"
        ) from error


class OnnxRuntimeSession:
    """ONNX Runtime, on CUDA where its build has that, else on the CPU.

    Args:
        path: ONNX file.
        half: has no effect: the file's own types count.
    """

    def __init__(self, path: Path, *, half: bool = False) -> None:
        runtime = _library("onnxruntime")
        options = runtime.SessionOptions()
        threads = os.environ.get("OMP_NUM_THREADS")
        if threads and threads.isdecimal():
            options.intra_op_num_threads = int(threads)
        # threads that have nothing to do leave their core to those that read, crop, draw and write
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        known = runtime.get_available_providers()
        wanted = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in known]
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # the library has no common base for what it raises
            raise CheckpointError(f"ONNX Runtime cannot read '{path}': {error}") from error
        on_cpu = self._session.get_providers()[0] == "CPUExecutionProvider"
        self.batch_size = _BATCH_ON_CPU if on_cpu else _BATCH_ON_GPU
        self._input = self._session.get_inputs()[0].name
        found = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self.metadata: dict[str, Any] = json.loads(found) if found else {}

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch."""
        return tuple(self._session.run(None, {self._input: pixels}))


class OpenVinoSession:
    """OpenVINO on the CPU, or on another device that `POISE_OPENVINO_DEVICE` names.

    Args:
        path: ONNX file.
        half: compute in bfloat16 where the processor can.
    """

    def __init__(self, path: Path, *, half: bool = False) -> None:
        openvino = _library("openvino")
        core = openvino.Core()
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        device = os.environ.get("POISE_OPENVINO_DEVICE", "CPU")
        threads = os.environ.get("OMP_NUM_THREADS")
        if threads and threads.isdecimal() and device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = int(threads)
        able = half and "BF16" in core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        settings["INFERENCE_PRECISION_HINT"] = "bf16" if able else "f32"
        self._settings, self._core, self._device = settings, core, device
        self.batch_size = _BATCH_ON_CPU if device == "CPU" else _BATCH_ON_GPU
        try:
            self._model = core.read_model(str(path))
            self._requests: dict[int | None, Any] = {None: self._request(None)}
        except RuntimeError as error:
            raise CheckpointError(f"OpenVINO cannot read '{path}': {error}") from error
        self.metadata = _metadata_of(self._model)

    def _request(self, size: int | None) -> Any:
        """What runs batches of one size, or of any."""
        model = self._model
        shape = model.inputs[0].partial_shape
        if size is not None and shape[0].is_dynamic:
            model = model.clone()
            shape[0] = size
            model.reshape(shape)
        return self._core.compile_model(model, self._device, self._settings).create_infer_request()

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch; copies, since the next call writes over the request's own."""
        # batches of a size that is known beforehand are done a tenth sooner; whole ones are most
        size = len(pixels) if len(pixels) == self.batch_size else None
        if size not in self._requests:
            self._requests[size] = self._request(size)
        request = self._requests[size]
        request.infer([pixels])
        return tuple(
            np.array(request.get_output_tensor(i).data) for i in range(len(self._model.outputs))
        )


def _metadata_of(model: Any) -> dict[str, Any]:
    for place in (["framework", METADATA_KEY], [METADATA_KEY]):
        if model.has_rt_info(place):
            return json.loads(str(model.get_rt_info(place).value))
    return {}


RUNTIMES: dict[str, Any] = {"onnxruntime": OnnxRuntimeSession, "openvino": OpenVinoSession}
