"""ONNX files of top-down models: pictures of crops in, what the head decodes out."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poise._files import whole_file
from poise._lazy import needed
from poise.errors import ConfigError
from poise.export.description import describe_model
from poise.export.rewriting import with_gathered_kernels
from poise.runtimes.sessions import METADATA_KEY, open_session

__all__ = ["export_onnx", "write_checked"]

_LOG = logging.getLogger(__name__)

OPSET = 17
#: Largest difference between file and model, in parts of the largest output.
TOLERANCE = 1e-3


class _FromPixels(nn.Module):
    """The network with its preprocessor in front.

    Args:
        model: top-down estimator.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Any:
        """(B, H, W, 3) uint8 BGR -> what the head decodes."""
        preprocessor = self.model.data_preprocessor
        inputs = preprocessor.normalize(pixels.permute(0, 3, 1, 2).float())
        return self.model.head.test_forward(self.model.extract_feat(inputs))


def export_onnx(model: Any, path: str | os.PathLike[str], *, check: bool = True) -> Path:
    """Write a top-down model as an ONNX file with a free batch size.

    Input `pixels` (B, H, W, 3) uint8, BGR: crops as they are cut from pictures; normalising is part
    of the file. Outputs: heatmaps (B, K, h, w), or SimCC vectors (B, K, W) and (B, K, H), or
    coordinates (B, K, D). Schema, codec and pipeline are in the file's metadata, so that
    `poise.Inferencer("file.onnx")` needs nothing else, not even torch.

    Args:
        model: estimator with `cfg` and `dataset_meta`, in eval mode.
        path: file to write; it appears when it is complete.
        check: run the file beside the model, with one crop and with three.

    Returns:
        `path`.

    Raises:
        ConfigError: a model of another kind, or one whose file gives other outputs.
        MissingDependencyError: the packages onnx and onnxruntime are not installed.
    """
    from poise.models.estimators import TopdownPoseEstimator

    if type(model) is not TopdownPoseEstimator:
        raise ConfigError(
            f"only top-down models (TopdownPoseEstimator) are exported, not "
            f"{type(model).__name__}; run it with backend='torch'"
        )
    network = _FromPixels(model).cpu().eval()
    width, height = _input_size(model)
    generator = torch.Generator().manual_seed(0)
    sample = torch.randint(0, 256, (3, height, width, 3), generator=generator, dtype=torch.uint8)
    return write_checked(network, sample, Path(path), describe_model(model), check=check)


def write_checked(
    network: nn.Module, sample: Tensor, path: Path, metadata: dict[str, Any], *, check: bool
) -> Path:
    """Write a network as an ONNX file with a free batch size; the file appears when it is complete.

    Args:
        network: in eval mode, on the CPU.
        sample: (3, ...) input.
        path: file to write.
        metadata: plain values for the file.
        check: run the file beside the network, with one item of the sample and with all.

    Returns:
        `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as place:
        _write(network, sample[:2], place, metadata)
        if check:
            _check(network, sample, place)
    return path


def _input_size(model: Any) -> tuple[int, int]:
    size = getattr(model.head.decoder, "input_size", None)
    if size is None:
        raise ConfigError("the model's codec does not know the size of its input")
    return int(size[0]), int(size[1])


def _write(network: nn.Module, sample: Tensor, path: Path, metadata: dict[str, Any]) -> None:
    onnx = needed(
        "onnx",
        "exporting needs the package onnx: pip install 'poise[export]'",
    )
    with torch.no_grad(), warnings.catch_warnings():
        # the tracing exporter is called outdated, and shapes that it fixes are checked below
        warnings.simplefilter("ignore")
        outputs = network(sample)
        count = len(outputs) if isinstance(outputs, (tuple, list)) else 1
        names = [f"output_{i}" for i in range(count)]
        torch.onnx.export(
            with_gathered_kernels(network),
            (sample,),
            str(path),
            input_names=["pixels"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("pixels", *names)},
            opset_version=OPSET,
            dynamo=False,
        )
    file = onnx.load(str(path))
    entry = file.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(metadata)
    onnx.save(file, str(path))


def _check(network: nn.Module, sample: Tensor, path: Path) -> None:
    """Compare the file with the model."""
    session = open_session(path, "onnxruntime")
    for pixels in (sample[:1], sample):
        with torch.no_grad():
            expected = network(pixels)
        expected = expected if isinstance(expected, (tuple, list)) else (expected,)
        for i, (found, wanted) in enumerate(zip(session(pixels.numpy()), expected, strict=True)):
            want = wanted.numpy()
            error = float(np.abs(found - want).max()) / max(float(np.abs(want).max()), 1e-6)
            if error > TOLERANCE:
                raise ConfigError(
                    f"the exported network gives another output {i} than the model for a batch of "
                    f"{len(pixels)}: off by {error:.2g} of its range, {TOLERANCE:g} is allowed"
                )
            _LOG.info("output %d of a batch of %d agrees to %.1e", i, len(pixels), error)
