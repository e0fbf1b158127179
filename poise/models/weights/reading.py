"""Weights files -> plain dicts of tensors: `.pth`, `.ckpt`, `.safetensors`."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poise.errors import CheckpointError
from poise.models.weights import unpickle
from poise.models.weights.experts import has_experts, of_dataset
from poise.models.weights.keys import strip_prefix, with_versions
from poise.models.weights.sources import locate
from poise.zoo.downloads.fetching import hash_in_name
from poise.zoo.hub import pieces_of, split_part

__all__ = ["read_checkpoint", "read_state_dict", "state_dict_of"]

#: keys under which programs keep the weights in their files
_CONTAINERS = ("state_dict", "model_state_dict", "model", "module", "network", "params")


def read_checkpoint(source: str | PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Everything in a weights file, as inert values.

    Args:
        source: path, URL, or a name such as "torchvision://resnet50"; see `locate`. Of files with
            weights for several datasets, `FILE#NAME` has those for one; of others `#NAME` says
            what the keypoints are.
        map_location: device of the tensors.

    Returns:
        What the file holds; for `.safetensors` `state_dict` and `meta`.

    Raises:
        FileMissingError: no such file.
        CheckpointError: a file that is no checkpoint, or whose pickle could run code.
    """
    path = locate(source)
    content = _read(path, map_location)
    _, dataset = split_part(source)
    return content if dataset is None else _part(content, dataset, path)


def _part(content: dict[str, Any], dataset: str, path: Path) -> dict[str, Any]:
    """What a file holds for one of its datasets, with the keypoints of that."""
    from poise.structures.metainfo import parse_pose_metainfo
    from poise.zoo.parts.datasets import metainfo_of
    from poise.zoo.parts.vitpose import dataset_name, schema_of

    state: Mapping[str, Tensor] = state_dict_of(content, str(path))
    several = has_experts(state)
    schema = schema_of(dataset_name(dataset, experts=several, where=path))
    if several:
        state = of_dataset(state, dataset, str(path))
    meta = {**(content.get("meta") or {}), "dataset_meta": parse_pose_metainfo(metainfo_of(schema))}
    return {"state_dict": state, "meta": meta}


def _read(path: Path, map_location: Any) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path, map_location)
    pieces = pieces_of(path)
    if pieces:
        return {"state_dict": _joined(path, pieces, map_location), "meta": {}}
    try:
        content = _read_pickle(path, map_location)
    except CheckpointError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    except Exception as error:
        # a damaged pickle can stop at any operation, with any kind of error
        raise CheckpointError(
            f"cannot read {path} ({path.stat().st_size:,} bytes) as a checkpoint: {_why(path)}; "
            f"download it again, and compare its size with that of the source ({_first(error)})"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"No state_dict found in checkpoint file {path}: it holds a {type(content).__name__}, "
            f"expected a dict"
        )
    return content if isinstance(content, dict) else dict(content)


def _joined(path: Path, pieces: list[Path], map_location: Any) -> dict[str, Tensor]:
    """Weights of all pieces that a list names."""
    missing = [piece.name for piece in pieces if not piece.is_file()]
    if missing:
        raise CheckpointError(
            f"cannot read {path}: of its {len(pieces)} pieces {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not in {path.parent}; download the model again"
        )
    state: dict[str, Tensor] = {}
    for piece in pieces:
        state |= state_dict_of(_read(piece, map_location), str(piece))
    return state


def _why(path: Path) -> str:
    """What a file that is no checkpoint looks like."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    looks = {
        b"": "it is empty",
        b"<": "it is a web page",
        b"version https://git-lfs": "it is a pointer of Git LFS, not the file (git lfs pull)",
        b"PK": "it is cut off",
    }
    said = next(
        (text for sign, text in looks.items() if start.startswith(sign) and (sign or not start)),
        "it is cut off, or no file of weights",
    )
    expected = hash_in_name(path.name)
    if expected and not _digest(path).startswith(expected):
        said += f", and its SHA-256 does not begin with {expected} as its name says"
    return said


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first(error: Exception) -> str:
    """The first sentence of an error's text."""
    return str(error).partition(". ")[0].partition("\n")[0].rstrip(".")


def _read_pickle(path: Path, map_location: Any) -> Any:
    zipped = zipfile.is_zipfile(path)
    if zipped:
        with zipfile.ZipFile(path) as archive:
            if any(n.endswith("/constants.pkl") for n in archive.namelist()):
                raise CheckpointError("it is a TorchScript program, not a checkpoint")
    return torch.load(
        path,
        map_location=map_location,
        # our reader is stricter than weights_only about calls and knows more plain classes
        pickle_module=unpickle,
        weights_only=False,
        # tensors that are only copied into a model need not be read twice
        mmap=zipped and str(map_location) == "cpu",
    )


def _read_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=str(map_location or "cpu")) as file:
            tensors = OrderedDict((key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118
            meta = {k: _plain_or_json(v) for k, v in (file.metadata() or {}).items()}
    except SafetensorError as error:
        raise CheckpointError(
            f"cannot read {path} ({path.stat().st_size:,} bytes) as safetensors: {_why(path)} "
            f"({error})"
        ) from error
    return {"state_dict": tensors, "meta": meta}


def _plain_or_json(text: str) -> Any:
    """Value of a metadata entry, which the format keeps as text."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def state_dict_of(checkpoint: Mapping[str, Any], where: str = "checkpoint") -> dict[str, Tensor]:
    """Weights inside a checkpoint, with the module versions in `_metadata`.

    Args:
        checkpoint: what a file holds, or a state dict itself.
        where: name of the file for the error text.

    Raises:
        CheckpointError: no tensors anywhere.
    """
    inner = next(
        (checkpoint[k] for k in _CONTAINERS if isinstance(checkpoint.get(k), Mapping)), None
    )
    found = checkpoint if inner is None else inner
    state = OrderedDict((k, v) for k, v in found.items() if isinstance(v, Tensor))
    if not state:
        keys = ", ".join(map(str, list(checkpoint)[:8])) or "nothing"
        raise CheckpointError(
            f"No state_dict found in {where}: it holds {keys}; expected tensors, or a dict of "
            f"them under one of {', '.join(_CONTAINERS)}"
        )
    return with_versions(state, getattr(found, "_metadata", None))


def read_state_dict(
    source: str | PathLike[str], *, prefix: str | None = None, map_location: Any = "cpu"
) -> Mapping[str, Tensor]:
    """Weights of a file, under bare names.

    `module.` and, for a backbone on its own, `backbone.` are taken off.

    Args:
        source: as for `read_checkpoint`.
        prefix: part of the network to take, such as "backbone"; None takes all.
        map_location: device of the tensors.
    """
    state: Mapping[str, Tensor] = state_dict_of(read_checkpoint(source, map_location), str(source))
    for wrapper in ("module.", "backbone."):
        if prefix is None and any(k.startswith(wrapper) for k in state):
            state = strip_prefix(state, wrapper, only=False)
    return state if prefix is None else strip_prefix(state, prefix)
