"""Where files of weights are on this machine."""

from __future__ import annotations

import os
import sys
import urllib.parse
from pathlib import Path

from poise._files import is_file
from poise.zoo.index import Model

__all__ = ["FOLDER_VARIABLE", "cache_folder", "local_copy", "named_folders", "weights_file"]

#: Names folders of weights files that are found without a download.
FOLDER_VARIABLE = "POISE_WEIGHTS"


def weights_file(address: str) -> str:
    """Name of the file at an address.

    Example:
        >>> weights_file("https://download.openmmlab.com/mmpose/net-788b5fa3.pth?raw=1")
        'net-788b5fa3.pth'
    """
    return Path(urllib.parse.unquote(urllib.parse.urlparse(address).path)).name


def named_folders() -> list[Path]:
    """Folders that a user keeps weights in, as `POISE_WEIGHTS` names them."""
    named = filter(None, os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep))
    return [Path(folder).expanduser() for folder in named]


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
    places = [folder / inner for folder in named_folders() for inner in below]
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
