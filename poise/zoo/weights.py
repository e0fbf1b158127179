"""Weights of released models: their addresses, and the files that are here already."""

from __future__ import annotations

import os
import sys
import urllib.parse
from pathlib import Path

from poise._files import is_file
from poise.zoo.hub import folder_weights, hub_model, is_foreign, split_part
from poise.zoo.index import Model, find_model
from poise.zoo.whole import is_whole_model

__all__ = [
    "FOLDER_VARIABLE",
    "cache_folder",
    "default_weights",
    "local_copy",
    "weights_file",
    "weights_url",
]

#: Names folders of weights files that are found without a download.
FOLDER_VARIABLE = "POISE_WEIGHTS"

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


def weights_file(address: str) -> str:
    """Name of the file at an address.

    Example:
        >>> weights_file("https://download.openmmlab.com/mmpose/net-788b5fa3.pth?raw=1")
        'net-788b5fa3.pth'
    """
    return Path(urllib.parse.unquote(urllib.parse.urlparse(address).path)).name


def default_weights(name: str) -> Path | None:
    """Weights file of a model that is on this machine, or None; nothing is downloaded.

    A file that is a whole model has its own, as has a folder of Hugging Face's transformers;
    another file has none, since it wins over a name.
    Looked for inside the package, then in the folders that `POISE_WEIGHTS` names (separated as
    in PATH; files lie there directly or in MMPose's `checkpoints/` layout), then in torch's
    folder of downloads.
    """
    if Path(name).is_file():
        return Path(name) if is_whole_model(name) else None
    if is_foreign(name):
        return folder_weights(name)
    model = find_model(name)
    stem = name if model is None else model.name
    embedded = _EMBEDDED / f"{stem}.safetensors"
    if embedded.is_file():
        return embedded
    if model is None or model.weights is None:
        return None
    return local_copy(model.weights, model)


def local_copy(address: str, model: Model | None = None) -> Path | None:
    """File of an address that is on this machine, found by its name; None if it is not.

    Args:
        address: http(s) address.
        model: released model whose weights it is; files may lie in MMPose's folder of its config.
    """
    file = weights_file(address)
    below = [Path(), Path("checkpoints")]
    if model is not None:
        below += [Path(model.folder), Path("configs") / model.folder]
    # as `wget --recursive` lays files out
    below.append(Path(urllib.parse.urlparse(address).path.lstrip("/")).parent)
    named = filter(None, os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep))
    places = [Path(folder).expanduser() / inner for folder in named for inner in below]
    for place in (*places, cache_folder()):
        if is_file(place / file):
            return place / file
    return None


def cache_folder() -> Path:
    """Folder to which weights are downloaded: torch's own, which MMPose uses, too."""
    if "torch" in sys.modules:
        # a program may have set another one
        return Path(sys.modules["torch"].hub.get_dir()) / "checkpoints"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints"
