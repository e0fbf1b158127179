"""Models into weights files that Poise and MMPose open."""

from __future__ import annotations

import functools
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import poise
from poise._files import whole_file
from poise.errors import CheckpointError
from poise.models.weights.keys import with_versions

__all__ = ["save_checkpoint", "stored"]


def save_checkpoint(
    checkpoint: nn.Module | Mapping[str, Any],
    filename: str | os.PathLike[str],
    *,
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Write weights, on the CPU, in the form of MMPose: `state_dict` and `meta`.

    The file appears whole or not at all, so that an interrupted run leaves the last one.

    Args:
        checkpoint: a model, or a dict that is written as it is.
        filename: path ending in `.pth`, or in `.safetensors` for weights alone.
        meta: entries beside `dataset_meta` of the model and Poise's version.

    Returns:
        The path.

    Raises:
        CheckpointError: the folder cannot be written to.
    """
    path = Path(filename).expanduser()
    if isinstance(checkpoint, nn.Module):
        content = {"state_dict": _on_cpu(checkpoint), "meta": _meta_of(checkpoint)}
    else:
        content = dict(checkpoint)
    if meta:
        content["meta"] = {**content.get("meta", {}), **meta}
    if path.suffix == ".safetensors":
        write = _safetensors_writer(content)
    else:
        write = functools.partial(torch.save, content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as place:
            write(place)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error
    return path


def stored(value: torch.Tensor, *, half: bool) -> torch.Tensor:
    """Tensor as it is written: on the CPU, by itself, with `half` float32 as 16 bits."""
    # a view would bring the whole of what it is a part of into the file
    value = value.detach().cpu().clone()
    return value.half() if half and value.dtype == torch.float32 else value


def _on_cpu(model: nn.Module) -> OrderedDict[str, torch.Tensor]:
    """State dict on the CPU, with the versions of its modules."""
    state = model.state_dict()
    cpu = OrderedDict((k, v.detach().cpu()) for k, v in state.items())
    return with_versions(cpu, getattr(state, "_metadata", None))


def _meta_of(model: nn.Module) -> dict[str, Any]:
    meta: dict[str, Any] = {"poise_version": poise.__version__}
    dataset_meta = getattr(model, "dataset_meta", None)
    if dataset_meta is not None:
        meta["dataset_meta"] = dict(dataset_meta)
    return meta


def _safetensors_writer(content: Mapping[str, Any]) -> Callable[[Path], None]:
    from safetensors.torch import save_file

    # the format refuses views that share memory
    tensors = {k: v.contiguous().clone() for k, v in content["state_dict"].items()}
    texts = {
        k: v if isinstance(v, str) else json.dumps(v, default=_json_form)
        for k, v in content.get("meta", {}).items()
    }
    return lambda target: save_file(tensors, target, texts)


def plain_values(value: Any) -> Any:
    """Mappings as dicts and NumPy's numbers as Python's, at any depth: what every reader opens."""
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain_values, value))
    return value.item() if isinstance(value, np.generic) else value


def _json_form(value: Any) -> Any:
    """JSON form of arrays and sets."""
    return value.tolist() if hasattr(value, "tolist") else list(value)
