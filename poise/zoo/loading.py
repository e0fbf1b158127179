"""`load_config`: one call for a config file, a tree, or the name of a released model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from poise.config import Config
from poise.errors import FileMissingError, UnknownNameError, nearest
from poise.zoo.index import find_recipe, names

__all__ = ["load_config"]

_SUFFIXES = (".py", ".json", ".yaml", ".yml")


def load_config(
    source: str | os.PathLike[str] | Config | dict[str, Any], *, trusted: bool = False
) -> Config:
    """Config of a model name or a file, or a config that is there already.

    Args:
        source: name of a released model, path of a config file, a `Config`, or its tree.
        trusted: execute the file where it holds code that the reader refuses.

    Raises:
        FileMissingError: a path that does not exist.
        UnknownNameError: neither a file nor a name.

    Example:
        >>> load_config("movenet-thunder").model.backbone.width
        1.75
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, dict):
        return Config(source)
    path = Path(source)
    if path.is_file():
        return Config.fromfile(path, trusted=trusted)
    recipe = find_recipe(str(source))
    if recipe is not None:
        return Config(recipe)
    if path.suffix in _SUFFIXES or len(path.parts) > 1:
        raise FileMissingError(f"there is no config file '{source}' (looked in {Path.cwd()})")
    hint = nearest(str(source), names()) or f". Names: {', '.join(names())}"
    raise UnknownNameError(f"'{source}' is neither a config file nor the name of a model{hint}")
