"""Forms for phones and small boards: NCNN and TFLite (LiteRT).

Both take one input at a time, of one size, as float32. Levels stay 0..255 in BGR order, since
swapping and normalising are part of the network.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poise._lazy import needed
from poise.errors import ConfigError, PoiseError
from poise.export.forms.mobile_words import PlainMethods, plainly
from poise.export.plans.plan import Plan
from poise.runtimes import METADATA_FILE

__all__ = ["write_ncnn", "write_tflite"]

_LACKING = "exporting to {} needs the package {}: pip install 'poise[{}]'"
#: Layers that have the weights of a TFLite file.
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")


class _Called(nn.Module):
    """A network as phones call it: floats in, outputs by their names.

    Args:
        plan: whose network it is.
        planes: pictures come as (1, 3, H, W), not as (1, H, W, 3).
        named: outputs are a dict, else a tuple.
    """

    def __init__(self, plan: Plan, *, planes: bool, named: bool) -> None:
        super().__init__()
        self.network = plainly(plan.network)
        self.planes = planes
        self.names = plan.output_names() if named else ()
        self.eval()

    def forward(self, sample: Tensor) -> Any:
        """Outputs for one input."""
        found = self.network(sample.permute(0, 2, 3, 1) if self.planes else sample)
        outputs = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        return dict(zip(self.names, outputs, strict=True)) if self.names else outputs


def write_ncnn(plan: Plan, path: Path, *, half: bool = False) -> None:
    """NCNN's form: layers in `path` (.param), weights and metadata beside it in a file `.bin`.

    Args:
        plan: what to write.
        path: file.
        half: weights of 16 bits, which are widened as the network is read.

    Raises:
        ConfigError: NCNN has no layer for something that the network does.
        MissingDependencyError: pnnx is not installed.
    """
    _check_sizes(plan, "NCNN")
    pnnx = needed("pnnx", _LACKING.format("NCNN", "pnnx", "ncnn"))
    planes = _is_pictures(plan)
    sample = plan.sample[:1].float()
    sample = sample.permute(0, 3, 1, 2).contiguous() if planes else sample
    weights = path.with_suffix(".bin")
    with _told_plainly(plan, "NCNN"), tempfile.TemporaryDirectory(prefix="poise-ncnn-") as name:
        traced = Path(name, "m.pt")
        network = _Called(plan, planes=planes, named=False)
        torch.jit.trace(network, sample, check_trace=False).save(str(traced))
        shape = ",".join(map(str, sample.shape))
        command = [pnnx.EXEC_PATH, str(traced), f"inputshape=[{shape}]f32", f"fp16={int(half)}"]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, check=False)
        layers = Path(name, "m.ncnn.param")
        if done.returncode or not layers.is_file():
            raise RuntimeError(f"pnnx fails with the exit status {done.returncode}")
        text = layers.read_text(encoding="utf-8")
        unknown = _unknown_layers(text)
        if unknown:
            raise RuntimeError(f"it has no layers for {', '.join(unknown)}")
        path.write_text(text, encoding="utf-8")
        weights.write_bytes(Path(name, "m.ncnn.bin").read_bytes())
    tensors = [f"out{i}" for i in range(len(plan.output_names()))]
    _append_metadata(weights, plan, "in0", tensors, sample, "CHW")


def _unknown_layers(text: str) -> list[str]:
    """What pnnx has left in the words of torch, such as `Tensor.index`: NCNN has no dots."""
    kinds = {line.split(maxsplit=1)[0] for line in text.splitlines()[2:] if line.strip()}
    return sorted(kind for kind in kinds if "." in kind or ":" in kind)


def write_tflite(plan: Plan, path: Path, *, half: bool = False) -> None:
    """TFLite's form, which LiteRT runs; metadata stands in a zip behind the network.

    Args:
        plan: what to write.
        path: file.
        half: weights of 16 bits, which are widened as the network is read.

    Raises:
        ConfigError: TFLite has no operator for something that the network does.
        MissingDependencyError: litert-torch is not installed.
    """
    _check_sizes(plan, "TFLite")
    litert = needed("litert_torch", _LACKING.format("TFLite", "litert-torch", "tflite"))
    litert.config.show_progress = False
    sample = plan.sample[:1].float()
    with _told_plainly(plan, "TFLite"):
        network = _Called(plan, planes=False, named=True)
        litert.convert(network, sample_kwargs={"sample": sample}).export(str(path))
        if half:
            _halve(path)
    _append_metadata(path, plan, "sample", plan.output_names(), sample, "HWC")


def _halve(path: Path) -> None:
    """Keep the weights of a TFLite file with 16 bits."""
    lacking = _LACKING.format("TFLite with --half", "ai-edge-quantizer", "tflite")
    quantizer = needed("ai_edge_quantizer.quantizer", lacking)
    kinds = needed("ai_edge_quantizer.qtyping", lacking)
    weights = kinds.TensorQuantizationConfig(num_bits=16, dtype=kinds.TensorDataType.FLOAT)
    halving = quantizer.Quantizer(str(path))
    for operation in _WEIGHTED:
        halving.update_quantization_recipe(
            regex=".*",
            operation_name=kinds.TFLOperationName(operation),
            algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
            op_config=kinds.OpQuantizationConfig(
                weight_tensor_config=weights, compute_precision=kinds.ComputePrecision.FLOAT
            ),
        )
    halving.quantize().export_model(str(path), overwrite=True)


def _is_pictures(plan: Plan) -> bool:
    return plan.input == "pixels"


def _check_sizes(plan: Plan, form: str) -> None:
    """See that inputs have one size.

    Raises:
        ConfigError: they have not.
    """
    if plan.free_axes:
        raise ConfigError(
            f"{plan.title()} takes inputs of any {' and '.join(plan.free_axes.values())}, and "
            f"{form} files have one size; export .onnx, which runs on phones with ONNX Runtime"
        )


@contextmanager
def _told_plainly(plan: Plan, form: str) -> Iterator[None]:
    """Say in one line why a network cannot be written.

    Raises:
        ConfigError: the converter fails.
    """
    with warnings.catch_warnings(), torch.no_grad(), PlainMethods():
        warnings.simplefilter("ignore")
        try:
            yield
        except PoiseError:
            raise
        except Exception as error:  # converters have no common base for what they raise
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ConfigError(
                f"{form} cannot be written of {plan.title()}: {line[:300]}; export .onnx, which "
                "runs on phones with ONNX Runtime"
            ) from error


def _append_metadata(
    file: Path, plan: Plan, entry: str, exits: Any, sample: Tensor, layout: str
) -> None:
    """Put the metadata behind the weights, as a zip: readers of weights stop before it."""
    inputs: dict[str, Any] = {"tensor": entry, "shape": list(sample.shape[1:]), "dtype": "float32"}
    if _is_pictures(plan):
        inputs |= {"layout": layout, "channels": "BGR", "levels": [0, 255]}
    answers = plan.answers(plan.sample[:1])
    outputs = [
        {"name": name, "tensor": tensor, "shape": list(answer.shape[1:])}
        for name, tensor, answer in zip(plan.output_names(), exits, answers, strict=True)
    ]
    about = {**plan.metadata, "tensors": {"input": inputs, "outputs": outputs}}
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(METADATA_FILE, json.dumps(about))
