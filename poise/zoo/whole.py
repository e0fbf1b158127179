"""Files that are whole models: weights with config and schema in the header of a `.safetensors`.

The header is read here without torch; `poise.models.weights.whole` writes such files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from poise.config import Config
from poise.errors import CheckpointError

__all__ = ["CONFIG_KEY", "SUFFIX", "is_whole_model", "read_header", "whole_config"]

SUFFIX = ".safetensors"
#: entry of the header that holds the config as Python text
CONFIG_KEY = "config"
#: longest header that the format allows
MAX_HEADER_BYTES = 100_000_000


def read_header(path: str | os.PathLike[str]) -> dict[str, str]:
    """Texts that a `.safetensors` file holds beside its tensors.

    Raises:
        CheckpointError: another kind of file, or one that is cut off.
    """
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        header = json.loads(text)
        found = header.get("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"cannot read {path}: it is no file of safetensors, or it is cut off"
        ) from error
    return dict(found)


def is_whole_model(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a file with weights and config in one."""
    path = Path(path)
    return path.suffix == SUFFIX and path.is_file() and CONFIG_KEY in read_header(path)


def whole_config(path: str | os.PathLike[str]) -> Config:
    """Config inside a file; like any other it is read as data.

    Raises:
        CheckpointError: a file of weights alone.
    """
    header = read_header(path)
    if CONFIG_KEY not in header:
        folder = Path(path).parent
        if (folder / "config.json").is_file():
            raise CheckpointError(
                f"{path} holds weights alone, and {folder / 'config.json'} its settings: give the "
                f"folder, {folder}, as the model"
            )
        raise CheckpointError(
            f"{path} holds weights alone; give the config or the model's name as well, or put both "
            f"into one file with `poise zoo convert {path} --model NAME`"
        )
    read = Config.fromstring(header[CONFIG_KEY], ".py")
    return Config(read.to_dict(), cfg_text=header[CONFIG_KEY], filename=path)
