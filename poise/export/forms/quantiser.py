"""Networks of 8 bits: ranges of values from real pictures, and what keeps 32 bits.

Static quantisation after training (Jacob 2018): weights have a scale for each channel, values one
for each tensor, of which calibration pictures tell the range. The file is plain ONNX with pairs of
QuantizeLinear and DequantizeLinear, which ONNX Runtime and OpenVINO turn into integer kernels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import ConfigError

__all__ = ["Quantiser"]

Array = np.ndarray

_LACKING = "INT8 needs the packages onnx and onnxruntime: pip install 'poise[export]'"
#: Operators that take the time, and those between them, which would else have to widen values.
_HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_BETWEEN = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "GlobalAveragePool",
    "MaxPool",
    "Mul",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Split",
    "Transpose",
)
_CONVOLUTIONS = ("Conv", "ConvTranspose")
#: Parts of a network that are tried one by one.
_PARTS = 12


class Quantiser:
    """Writes files of 8 bits of one network.

    Args:
        whole: ONNX file with 32 bits.
        inputs: each (1, ...), that real pictures gave, of which ranges are learnt.
        folder: for files between.

    Attributes:
        parts: names of the layers that may have 8 bits, in as many groups as are tried one by one,
            in the order of the network.

    Raises:
        MissingDependencyError: onnx or onnxruntime is not installed.
        ConfigError: no layer may have 8 bits.
    """

    def __init__(self, whole: Path, inputs: Sequence[Array], folder: Path) -> None:
        self._onnx = needed("onnx", _LACKING)
        self._tools = needed("onnxruntime.quantization", _LACKING)
        self._plain = folder / "plain.onnx"
        with _silent():
            _simplify(whole, self._plain)
            graph = self._onnx.load(str(self._plain)).graph
            self._names = [node.name for node in graph.node]
            layers = _layers_before_the_last(graph)
            self.parts = _parts(layers)
            self._input = graph.input[0].name
            self._ranges = self._measured(inputs, folder)

    def _measured(self, inputs: Sequence[Array], folder: Path) -> Any:
        """Least and largest value of every tensor."""
        calibrator = self._tools.create_calibrator(
            self._plain, [*_HEAVY, *_BETWEEN], augmented_model_path=str(folder / "ranges.onnx")
        )
        calibrator.collect_data(_Inputs(self._input, inputs))
        return calibrator.compute_data()

    def write(self, path: Path, parts: Sequence[int]) -> None:
        """A file in which these parts have 8 bits."""
        chosen = {name for part in parts for name in self.parts[part]}
        kinds = self._tools.QuantType
        with _silent():
            quantiser = self._tools.QDQQuantizer(
                self._onnx.load(str(self._plain)),
                per_channel=True,
                reduce_range=False,
                weight_qType=kinds.QInt8,
                activation_qType=kinds.QUInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=[],
                nodes_to_exclude=[name for name in self._names if name not in chosen],
                op_types_to_quantize=[*_HEAVY, *_BETWEEN],
                extra_options={},
            )
            quantiser.quantize_model()
            self._onnx.save(quantiser.model.model, str(path))

    def damages(self, inputs: Sequence[Array], folder: Path) -> list[float]:
        """How much each part alone changes the outputs when it has 8 bits.

        Args:
            inputs: each (1, ...), others than those of the ranges.
            folder: for files between.

        Returns:
            For each part the root mean square of the change, in parts of the outputs' deviation;
            of several outputs the largest.
        """
        from poise.runtimes import open_session

        whole = open_session(self._plain)
        expected = [whole(one) for one in inputs]
        found = []
        for part in range(len(self.parts)):
            path = folder / "part.onnx"
            self.write(path, [part])
            session = open_session(path)
            changes = [
                [_change(*pair) for pair in zip(session(one), own, strict=True)]
                for one, own in zip(inputs, expected, strict=True)
            ]
            found.append(float(np.mean(changes, 0).max()))
        return found


def _change(found: Array, expected: Array) -> float:
    if found.shape != expected.shape:
        # as many people as could be there
        return 1.0
    off = np.sqrt(np.mean((found.astype(float) - expected) ** 2))
    return float(off / max(float(expected.std()), 1e-6))


class _Inputs:
    """Inputs as ONNX Runtime's tools ask for them.

    Args:
        name: of the input.
        inputs: each (1, ...).
    """

    def __init__(self, name: str, inputs: Sequence[Array]) -> None:
        self._left = iter({name: one} for one in inputs)

    def get_next(self) -> dict[str, Array] | None:
        """The next one; None after the last."""
        return next(self._left, None)


@contextmanager
def _silent() -> Iterator[None]:
    """ONNX Runtime's tools give advice for their own command line."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _simplify(whole: Path, plain: Path) -> None:
    """Fold constants and fuse, and write down the shapes of all tensors."""
    prepare = needed("onnxruntime.quantization.shape_inference", _LACKING).quant_pre_process
    # where its symbolic shapes give up they leave files in the working folder; ONNX's are enough
    prepare(str(whole), str(plain), skip_symbolic_shape=True)


def _layers_before_the_last(graph: Any) -> list[Any]:
    """Nodes that may have 8 bits: between the first layer and the last convolutions.

    What comes before the first one is normalising, what comes after the last one is decoding: both
    are cheap, and their numbers are pixels.
    """
    made = {name: node for node in graph.node for name in node.output}
    leading: set[str] = set()
    waiting = [
        made[name]
        for node in graph.node
        if node.op_type in _CONVOLUTIONS
        for name in node.input
        if name in made
    ]
    while waiting:
        node = waiting.pop()
        if node.name in leading:
            continue
        leading.add(node.name)
        waiting += [made[name] for name in node.input if name in made]
    names = [node for node in graph.node if node.name in leading]
    first = next((i for i, node in enumerate(names) if node.op_type in _HEAVY), len(names))
    layers = [node for node in names[first:] if node.op_type in (*_HEAVY, *_BETWEEN)]
    if not any(node.op_type in _HEAVY for node in layers):
        raise ConfigError(
            "this network has no convolution before its last one, so nothing of it can have 8 bits"
        )
    return layers


def _parts(layers: Sequence[Any]) -> list[list[str]]:
    """Names of layers in groups with equally many of the heavy ones."""
    heavy = [i for i, node in enumerate(layers) if node.op_type in _HEAVY]
    starts = [group[0] for group in np.array_split(heavy, min(_PARTS, len(heavy)))]
    ends = [*starts[1:], len(layers)]
    return [
        [node.name for node in layers[start:end]] for start, end in zip(starts, ends, strict=True)
    ]
