"""Weights of released models: their addresses, and the files that are here already."""

from __future__ import annotations

from pathlib import Path

from poise._files import is_file
from poise.config.reader import WEIGHTS
from poise.zoo.hub import hub_model, is_foreign, split_part
from poise.zoo.index import find_model
from poise.zoo.places import local_copy
from poise.zoo.whole import is_whole_model

__all__ = ["default_weights", "is_checkpoint", "weights_url"]

#: Weights that come inside the package.
_EMBEDDED = Path(__file__).parent / "embedded"


def weights_url(name: str) -> str | None:
    """Address of a model's released weights; None where none were released.

    Args:
        name: model name or alias. A model of Hugging Face's hub is its own address.

    Example:
        >>> weights_url("td-hm_hrnet-w32_8xb64-210e_coco-256x192").rpartition("-")[2]
        '81c58e40_20220909.pth'
    """
    if hub_model(split_part(name)[0]) is not None:
        return name
    model = find_model(name)
    return None if model is None else model.weights


def is_checkpoint(name: str) -> bool:
    """Whether a name is that of a file of weights, perhaps with the dataset that is meant."""
    path = Path(split_part(name)[0])
    return path.suffix.lower() in WEIGHTS and is_file(path)


def default_weights(name: str) -> Path | None:
    """Weights file of a model that is on this machine, or None; nothing is downloaded.

    A file that is a whole model has its own, as have a checkpoint and a folder of Hugging Face's
    transformers; another file has none, since it wins over a name.
    Looked for inside the package, then in the folders that `POISE_WEIGHTS` names (separated as
    in PATH; files lie there directly or in MMPose's `checkpoints/` layout), then in torch's
    folder of downloads.
    """
    if is_checkpoint(name):
        return Path(name)
    if is_file(Path(name)):
        return Path(name) if is_whole_model(name) else None
    if is_foreign(name):
        from poise.zoo.huggingface import folder_weights

        return folder_weights(name)
    model = find_model(name)
    if model is None:
        return None
    embedded = _EMBEDDED / f"{model.name}.safetensors"
    if embedded.is_file():
        return embedded
    return None if model.weights is None else local_copy(model.weights, model)
