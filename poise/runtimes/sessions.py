"""ONNX Runtime and OpenVINO: an ONNX file becomes a function of arrays."""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from poise.errors import (
    ArgumentError,
    CheckpointError,
    FileMissingError,
    MissingDependencyError,
    UnknownNameError,
    nearest,
)
from poise.runtimes.lanes import Lanes, available_cores, chosen_threads
from poise.runtimes.metadata import read_metadata
from poise.runtimes.mobile import LiteRtSession, NcnnSession

__all__ = [
    "RUNTIMES",
    "OnnxRuntimeSession",
    "OpenVinoSession",
    "Session",
    "Signature",
    "is_exported_name",
    "open_onnx",
    "open_session",
    "runtime_of",
]

#: Ending of a file -> what runs it.
_RUNTIME_OF = {
    ".onnx": "onnxruntime",
    ".xml": "openvino",
    ".pt2": "torch",
    ".param": "ncnn",
    ".tflite": "litert",
}
#: Crops per call: what fits a processor's cache is soonest done; GPUs want many.
_BATCH_ON_CPU, _BATCH_ON_GPU = 8, 16


class Signature(NamedTuple):
    """Shapes of a network, None for what the file leaves open.

    Attributes:
        input: shape of the first input.
        dtype: numpy's name of its type.
        outputs: name -> shape, in the file's order.
    """

    input: tuple[int | None, ...]
    dtype: str
    outputs: dict[str, tuple[int | None, ...]]


class Session(Protocol):
    """A network that is ready to run.

    Attributes:
        metadata: what the export wrote into the file; empty for other files.
        batch_size: pictures per call that are soonest done, where there are enough.
        lanes: calls that may come at once, from several threads.
    """

    metadata: dict[str, Any]
    batch_size: int
    lanes: int

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs (B, ...) of a batch (B, ...) of the file's input."""


def open_session(
    path: str | os.PathLike[str], runtime: str = "onnxruntime", *, half: bool = False
) -> Session:
    """Session of an exported file.

    Args:
        path: file.
        runtime: a key of `RUNTIMES` for an ONNX file; for others what `runtime_of` says.
        half: let the runtime compute in bfloat16 or float16 where the machine can; outputs change
            in the third digit.

    Raises:
        UnknownNameError: another runtime.
        ArgumentError: one that does not run such files.
        MissingDependencyError: it is not installed.
        FileMissingError, CheckpointError: no such file; not a network that it can run.
    """
    if runtime not in _SESSIONS:
        raise UnknownNameError(
            f"there is no runtime '{runtime}'; expected one of "
            f"{', '.join(RUNTIMES)}{nearest(runtime, RUNTIMES)}"
        )
    path = Path(path)
    fitting = RUNTIMES if path.suffix.lower() == ".onnx" else (runtime_of(path),)
    if runtime not in fitting:
        raise ArgumentError(f"'{path}' is run by {' or '.join(fitting)}, not by {runtime}")
    if not path.is_file():
        raise FileMissingError(f"there is no exported network '{path}'")
    session: Session = _SESSIONS[runtime](path, half=half)
    return session


def is_exported_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name ends as exported networks' do."""
    return Path(path).suffix.lower() in _RUNTIME_OF


def runtime_of(path: str | os.PathLike[str]) -> str:
    """What runs a file where nobody says, by its ending."""
    return _RUNTIME_OF.get(Path(path).suffix.lower(), "onnxruntime")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"the backend {name} needs the package {name}: pip install {name}"
        ) from error


def open_onnx(path: Path, threads: int | None = None) -> Any:
    """ONNX Runtime's own session of a file, on CUDA where its build has that, else on the CPU.

    Args:
        path: ONNX file.
        threads: for one call; None: as many as the user has asked for, or as it thinks best.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        CheckpointError: no network that it can run.
    """
    runtime = _library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or chosen_threads() or 0
    # what goes wrong comes as an exception, once
    options.log_severity_level = 4
    # threads that have nothing to do leave their core to those that read, crop, draw and write
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    known = runtime.get_available_providers()
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in known]
    try:
        return runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the library has no common base for what it raises
        raise CheckpointError(f"ONNX Runtime cannot read '{path}': {error}") from error


def _sizes(shape: Any) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _openvino_sizes(port: Any) -> tuple[int | None, ...]:
    return _sizes(None if d.is_dynamic else d.get_length() for d in port.partial_shape)


class OnnxRuntimeSession:
    """ONNX Runtime, on CUDA where its build has that, else on the CPU.

    Args:
        path: ONNX file.
        half: has no effect: the file's own types count.
    """

    def __init__(self, path: Path, *, half: bool = False) -> None:
        self._path, threads = path, chosen_threads()
        self._session = open_onnx(path)
        on_cpu = self._session.get_providers()[0] == "CPUExecutionProvider"
        self.batch_size = _BATCH_ON_CPU if on_cpu else _BATCH_ON_GPU
        self._lanes = Lanes((threads or available_cores()) if on_cpu else 1)
        self.lanes = self._lanes.count
        self._narrow: Any = None
        self._opening = threading.Lock()
        self._input = self._session.get_inputs()[0].name
        self.metadata = read_metadata(path)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch."""
        with self._lanes.entered() as alone:
            session = self._session if alone else self._with_few_threads()
            return tuple(session.run(None, {self._input: pixels}))

    def signature(self) -> Signature:
        """What goes in and comes out."""
        first = self._session.get_inputs()[0]
        outputs = {o.name: _sizes(o.shape) for o in self._session.get_outputs()}
        # ONNX Runtime writes "tensor(float16)"
        kind = first.type.removeprefix("tensor(").removesuffix(")")
        return Signature(_sizes(first.shape), {"float": "float32"}.get(kind, kind), outputs)

    def _with_few_threads(self) -> Any:
        """What runs calls that come while others are under way; made when the first one does."""
        with self._opening:
            if self._narrow is None:
                self._narrow = open_onnx(self._path, self._lanes.share)
        return self._narrow


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
        on_cpu, threads = device == "CPU", chosen_threads()
        if threads and on_cpu:
            settings["INFERENCE_NUM_THREADS"] = threads
        able = half and "BF16" in core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        settings["INFERENCE_PRECISION_HINT"] = "bf16" if able else "f32"
        self._settings, self._core, self._device = settings, core, device
        self.metadata = read_metadata(path)
        # integer kernels of free shapes take up to twice the time: each size gets its own
        self._sized = self.metadata.get("bits") == 8
        self.batch_size = _BATCH_ON_CPU if on_cpu else _BATCH_ON_GPU
        self._lanes = Lanes((threads or available_cores()) if on_cpu else 1)
        self.lanes = self._lanes.count
        # (size, alone) -> what runs such batches, and its requests that nobody uses
        self._compiled: dict[tuple[int | None, bool], Any] = {}
        self._idle: dict[tuple[int | None, bool], list[Any]] = {}
        self._compiling = threading.Lock()
        try:
            self._model = core.read_model(str(path))
            self._outputs = len(self._model.outputs)
            self._idle[None, True] = [self._request(None, alone=True)]
        except RuntimeError as error:
            raise CheckpointError(f"OpenVINO cannot read '{path}': {error}") from error

    def signature(self) -> Signature:
        """What goes in and comes out."""
        first = self._model.inputs[0]
        outputs = {o.get_any_name(): _openvino_sizes(o) for o in self._model.outputs}
        return Signature(
            _openvino_sizes(first), str(np.dtype(first.get_element_type().to_dtype())), outputs
        )

    def _request(self, size: int | None, *, alone: bool) -> Any:
        """What runs one batch at a time, of one size or of any, on all threads or on a share."""
        with self._compiling:
            if (size, alone) not in self._compiled:
                model, settings = self._model, dict(self._settings)
                shape = model.inputs[0].partial_shape
                if size is not None and shape[0].is_dynamic:
                    model = model.clone()
                    shape[0] = size
                    model.reshape(shape)
                if not alone:
                    settings["NUM_STREAMS"] = self.lanes
                compiled = self._core.compile_model(model, self._device, settings)
                self._compiled[size, alone] = compiled
        return self._compiled[size, alone].create_infer_request()

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch; copies, since the next call writes over the request's own."""
        # batches of a size that is known beforehand are done a tenth sooner; whole ones are most
        known = len(pixels) == self.batch_size or (self._sized and len(pixels) < self.batch_size)
        size = len(pixels) if known else None
        with self._lanes.entered() as alone:
            idle = self._idle.setdefault((size, alone), [])
            try:
                request = idle.pop()
            except IndexError:
                request = self._request(size, alone=alone)
            request.infer([pixels])
            outputs = [np.array(request.get_output_tensor(i).data) for i in range(self._outputs)]
            idle.append(request)
        return tuple(outputs)


class TorchSession:
    """A network that `torch.export` wrote, on the CPU.

    Args:
        path: file of `torch.export.save`.
        half: has no effect: the file's own types count.
    """

    lanes = 1

    def __init__(self, path: Path, *, half: bool = False) -> None:
        torch = self._torch = _library("torch")
        try:
            self._network = torch.export.load(path).module()
        except Exception as error:  # the library has no common base for what it raises
            raise CheckpointError(f"torch cannot read '{path}': {error}") from error
        self.batch_size = _BATCH_ON_CPU
        self.metadata = read_metadata(path)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch."""
        with self._torch.inference_mode():
            found = self._network(self._torch.from_numpy(np.ascontiguousarray(pixels)))
        return tuple(output.numpy() for output in found)


RUNTIMES: dict[str, Any] = {"onnxruntime": OnnxRuntimeSession, "openvino": OpenVinoSession}
#: The same with what runs only the files that are made for it.
_SESSIONS = {**RUNTIMES, "torch": TorchSession, "ncnn": NcnnSession, "litert": LiteRtSession}
