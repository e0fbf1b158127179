"""NCNN and LiteRT: what phones and small boards run, here on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import ArgumentError, CheckpointError, ConfigError, FileMissingError
from poise.runtimes.lanes import available_cores, chosen_threads
from poise.runtimes.metadata import METADATA_FILE, read_metadata

__all__ = ["LiteRtSession", "NcnnSession"]

_LACKING = "files {} are run by {}, which needs the package {}: pip install 'poise[{}]'"


class NcnnSession:
    """NCNN on the CPU, one input at a time.

    Args:
        path: file `.param` that Poise wrote; the weights lie beside it in a file `.bin`.
        half: compute in bfloat16 or float16 where the processor can.
    """

    batch_size = lanes = 1

    def __init__(self, path: Path, *, half: bool = False) -> None:
        ncnn = self._ncnn = needed("ncnn", _LACKING.format(".param", "NCNN", "ncnn", "ncnn"))
        weights = path.with_suffix(".bin")
        if not weights.is_file():
            raise FileMissingError(
                f"the weights of '{path}' should lie beside it, in '{weights.name}', which is not "
                "there; the two files go together"
            )
        net = self._net = ncnn.Net()
        net.opt.num_threads = chosen_threads() or available_cores()
        if not half:
            net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
            net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
        if net.load_param(str(path)) or net.load_model(str(weights)):
            raise CheckpointError(
                f"NCNN cannot read '{path}' with '{weights.name}': expected the two files that "
                "one `poise export` wrote"
            )
        self.metadata = read_metadata(path)
        self._tensors = _tensors_of(self.metadata, path, weights)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch."""
        about = self._tensors["input"]
        planes = pixels.transpose(0, 3, 1, 2) if about.get("layout") == "CHW" else pixels
        return _one_by_one(self._one, planes, about["shape"])

    def _one(self, sample: np.ndarray) -> list[np.ndarray]:
        """Outputs of one input; sizes of 1 that NCNN drops come back."""
        extractor = self._net.create_extractor()
        # a copy, whose rows lie as NCNN wants them
        extractor.input(self._tensors["input"]["tensor"], self._ncnn.Mat(sample).clone())
        outputs = []
        for about in self._tensors["outputs"]:
            status, found = extractor.extract(about["tensor"])
            if status:
                raise CheckpointError(f"NCNN gives no '{about['tensor']}' (status {status})")
            outputs.append(np.array(found).reshape(about["shape"]))
        return outputs


class LiteRtSession:
    """LiteRT, TFLite's runtime, on the CPU, one input at a time.

    Args:
        path: file `.tflite` that Poise wrote.
        half: has no effect: the file's own types count.
    """

    batch_size = lanes = 1

    def __init__(self, path: Path, *, half: bool = False) -> None:
        lacking = _LACKING.format(".tflite", "LiteRT", "ai-edge-litert", "tflite")
        interpreter = needed("ai_edge_litert.interpreter", lacking)
        threads = chosen_threads() or available_cores()
        try:
            self._interpreter = interpreter.Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            self._run = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"LiteRT cannot read '{path}': {error}") from error
        self.metadata = read_metadata(path)
        self._tensors = _tensors_of(self.metadata, path, path)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Outputs of a batch."""
        return _one_by_one(self._one, pixels, self._tensors["input"]["shape"])

    def _one(self, sample: np.ndarray) -> list[np.ndarray]:
        found = self._run(**{self._tensors["input"]["tensor"]: sample[None]})
        return [found[about["tensor"]][0] for about in self._tensors["outputs"]]


def _one_by_one(
    run: Callable[[np.ndarray], list[np.ndarray]], inputs: np.ndarray, shape: Sequence[int]
) -> tuple[np.ndarray, ...]:
    """Outputs of a batch by what runs one input; a wrong shape would read beside its memory."""
    if inputs.shape[1:] != tuple(shape):
        raise ArgumentError(
            f"the file takes inputs of the shape {tuple(shape)}, got {inputs.shape[1:]}"
        )
    rows = [run(np.ascontiguousarray(sample, np.float32)) for sample in inputs]
    return tuple(np.stack(outputs) for outputs in zip(*rows, strict=True))


def _tensors_of(metadata: dict[str, Any], path: Path, holder: Path) -> dict[str, Any]:
    """What goes in and comes out, as the export wrote it.

    Raises:
        ConfigError: the file says nothing of it.
    """
    if "tensors" not in metadata:
        raise ConfigError(
            f"'{path}' does not say what goes in and comes out: expected {METADATA_FILE} in a zip "
            f"at the end of '{holder.name}', where `poise export` puts it; tools that write "
            "weights anew leave it out, so export the model again"
        )
    tensors: dict[str, Any] = metadata["tensors"]
    return tensors
