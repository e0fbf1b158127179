"""Weights of released models: their addresses, and the files that are here already."""

from __future__ import annotations

import os
from pathlib import Path

from poise.zoo.index import find_model

__all__ = ["FOLDER_VARIABLE", "default_weights", "weights_url"]

#: Names a folder of weights files that are found without a download.
FOLDER_VARIABLE = "POISE_WEIGHTS"

#: Weights that come inside the package.
_EMBEDDED = Path(__file__).parent / "embedded"


def weights_url(name: str) -> str | None:
    """Address of a model's released weights; None where none were released.

    Args:
        name: model name or alias.

    Example:
        >>> weights_url("td-hm_hrnet-w32_8xb64-210e_coco-256x192").rpartition("-")[2]
        '81c58e40_20220909.pth'
    """
    model = find_model(name)
    return None if model is None else model.weights


def default_weights(name: str) -> Path | None:
    """Weights file of a model that is on this machine, or None; nothing is downloaded.

    Looked for inside the package, then in the folders that `POISE_WEIGHTS` names (separated as
    in PATH; files lie there directly or in MMPose's `checkpoints/` layout), then in torch's
    folder of downloads.
    """
    model = find_model(name)
    stem = name if model is None else model.name
    embedded = _EMBEDDED / f"{stem}.safetensors"
    if embedded.is_file():
        return embedded
    if model is None or model.weights is None:
        return None
    file = model.weights.rpartition("/")[2]
    for folder in _folders():
        for place in (folder, folder / "checkpoints", folder / model.folder):
            if (place / file).is_file():
                return place / file
    return None


def _folders() -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    torch_home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    places = [*filter(None, named), f"{torch_home}/hub/checkpoints"]
    return [Path(place).expanduser() for place in places]
