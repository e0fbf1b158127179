"""Where base configs are found: on disk, in installed packages, then in named sources.

A source answers for files that need not exist, such as the zoo's recipes. It is named by a
string, so that this layer does not import the ones above it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.errors import ConfigError

__all__ = ["add_source", "from_sources", "installed_file", "is_name", "module_file"]

_SOURCES: dict[str, str] = {
    "mmpose::": "poise.zoo:source",
    "mmpose.configs.": "poise.zoo:source",
    "configs/": "poise.zoo:source",
    "projects/": "poise.zoo:source",
    "_base_/": "poise.zoo:source",
    # the detectors of MMPose's demos and inferencer
    "demo/": "poise.zoo:source",
    "mmdet::": "poise.zoo:source",
}


def add_source(prefix: str, target: str) -> None:
    """Name a function to ask for configs that are not on disk.

    Args:
        prefix: start of the names it answers for, such as "mmpose::", "configs/" or
            "mypackage.configs."; a missing file is asked for by the part of its path that
            starts with the prefix.
        target: "module:function". The function takes the name and returns a Config, a dict, or
            None where it does not know the name.
    """
    _SOURCES[prefix] = target


def is_name(asked: str) -> bool:
    """Whether a text begins as the names do that a source answers for."""
    return asked.startswith(tuple(_SOURCES))


def from_sources(asked: str) -> tuple[str, Mapping[Any, Any]] | None:
    """(name, tree) from the first source that knows a path or name, else None."""
    asked = asked.replace(os.sep, "/")
    for prefix in sorted(_SOURCES, key=len, reverse=True):
        name = _from_prefix(asked, prefix)
        tree = None if name is None else _ask(_SOURCES[prefix], name)
        if name is not None and tree is not None:
            return name, tree if isinstance(tree, Mapping) else tree.to_dict()
    return None


def _from_prefix(asked: str, prefix: str) -> str | None:
    if asked.startswith(prefix):
        return asked
    position = asked.rfind(f"/{prefix}") if prefix.endswith("/") else -1
    return asked[position + 1 :] if position >= 0 else None


def _ask(target: str, name: str) -> Any:
    module, _, function = target.partition(":")
    if module not in sys.modules and importlib.util.find_spec(module) is None:
        return None
    ask = getattr(importlib.import_module(module), function, None)
    if ask is None:
        raise ConfigError(f"the config source '{target}' does not exist, asked for '{name}'")
    return ask(name)


def installed_file(scope: str, path: str, asking: Path) -> Path | None:
    """File of `scope::path`: in a checkout around the asking file, or in an installed package."""
    if scope == "mmpose":
        # a checkout of MMPose names its own files this way too
        for folder in asking.parents:
            if folder.name == "configs" and (folder / path).is_file():
                return folder / path
    package = _package_folder(scope)
    for folder in (package / ".mim" / "configs", package / "configs") if package else ():
        if (folder / path).is_file():
            return folder / path
    return None


def module_file(dotted: str, asking: Path) -> Path | None:
    """File of a base module such as `mmpose.configs._base_.default_runtime`, without importing."""
    relative = Path(*dotted.split(".")).with_suffix(".py")
    for folder in asking.parents:
        if (folder / relative).is_file():
            return folder / relative
    package = _package_folder(dotted.split(".")[0])
    found = package.parent / relative if package else relative
    return found if found.is_file() else None


def _package_folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) if folders else None
