"""Dotted paths in `type=`: which may be imported, and to what they lead."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from poise.config.custom_imports import allowed_imports
from poise.errors import ConfigError

__all__ = ["import_path", "import_target"]

#: Public namespaces of torch whose classes a config may name. `torch.hub` and the like are
#: not among them: a config must not be able to run code of its choice.
_TORCH_PREFIXES = ("torch.nn.", "torch.optim.", "torch.utils.data.", "torchvision.ops.")


def import_target(target: str) -> Any:
    """Object of a "module:name" string."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def import_path(path: str) -> Any | None:
    """Object of a dotted path, or None where the path names nothing.

    Raises:
        ConfigError: the package is not one that configs may import.
    """
    module, _, name = path.rpartition(".")
    if path.startswith(_TORCH_PREFIXES):
        value = _import_attribute(module, name)
        return value if inspect.isclass(value) else None
    top = path.split(".", 1)[0]
    if top not in allowed_imports():
        raise ConfigError(
            f"'{path}' would import the package '{top}', which a config may not do by itself. "
            f"List it under custom_imports, or call poise.registry.allow_imports('{top}') first"
        )
    return _import_attribute(module, name)


def _import_attribute(module: str, name: str) -> Any | None:
    """Attribute of a module, or of a class inside a module; None if absent."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        # a missing parent means a wrong path; a missing dependency of the module does not
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
    outer, _, inner = module.rpartition(".")
    if not outer:
        return None
    return getattr(_import_attribute(outer, inner), name, None)
