"""Lazy re-exports: a package lists its public names, the modules load when one is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from poise.errors import MissingDependencyError, nearest

__all__ = ["alias", "attach", "needed"]


def attach(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__`, `__all__` for a package.

    Args:
        package: `__name__` of the calling package.
        names: module (absolute, or relative to the package, such as "resnet") -> its public
            names, space separated. An empty string exports the module itself.

    Example:
        In `poise/codecs/__init__.py`:
        `__getattr__, __dir__, __all__ = attach(__name__, {"msra_heatmap": "MSRAHeatmap"})`
    """
    home: dict[str, str] = {}
    modules: set[str] = set()
    for module, exported in names.items():
        path = module if module.startswith("poise.") else f"{package}.{module}"
        if not exported:
            modules.add(module)
        for name in exported.split():
            home[name] = path

    def load(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name not in home:
            raise AttributeError(
                f"module '{package}' has no attribute '{name}'{nearest(name, public)}"
            )
        value = getattr(importlib.import_module(home[name]), name)
        # later look-ups do not come here again
        setattr(sys.modules[package], name, value)
        return value

    public = sorted(home) + sorted(modules)
    return load, lambda: sorted(public), public


def needed(module: str, text: str) -> Any:
    """A module of a library that not every installation has.

    Args:
        module: its name.
        text: what needs it, and which `pip install` brings it.

    Raises:
        MissingDependencyError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(text) from error


def alias(target: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__`, `__dir__` of a package that has another package's names.

    MMPose keeps transforms below datasets, losses below models and so on; such paths lead here.

    Args:
        target: the package whose names are meant, as text: it may lie in a higher layer.
    """

    def load(name: str) -> Any:
        if name == "__all__":
            return list(importlib.import_module(target).__all__)
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(target), name)

    return load, lambda: sorted(importlib.import_module(target).__all__)
