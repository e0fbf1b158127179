"""`load_config`: one call for a config file, a tree, or the name of a released model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from poise.config import Config
from poise.errors import FileMissingError

__all__ = ["load_config"]

_SUFFIXES = (".py", ".json", ".yaml", ".yml")


def load_config(
    source: str | os.PathLike[str] | Config | dict[str, Any], *, trusted: bool = False
) -> Config:
    """Config of a file, or a config that is there already.

    Args:
        source: path of a config file, a `Config`, or its tree.
        trusted: execute the file where it holds code that the reader refuses.

    Raises:
        FileMissingError: no such file.
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, dict):
        return Config(source)
    path = Path(source)
    if path.is_file():
        return Config.fromfile(path, trusted=trusted)
    hint = "" if path.suffix in _SUFFIXES else " A config file ends in .py, .json or .yaml."
    raise FileMissingError(f"there is no config file '{source}' (looked in {Path.cwd()}).{hint}")
