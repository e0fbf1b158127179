"""The newer style of configs, in which types are imported classes: names -> dotted paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["imported"]

#: keys whose values name classes
_TYPES = ("type", "ema_type", "dataset_type")


def imported(tree: Any, modules: Mapping[str, str], renamed: Mapping[str, str]) -> Any:
    """A tree with the names of classes as the paths that a config imports them by.

    Args:
        tree: a config or a part of one; stays as it is.
        modules: module -> names of its classes, with spaces between.
        renamed: names that say otherwise what the class is called, such as BN.
    """
    places = {
        name: f"{module}.{name}" for module, names in modules.items() for name in names.split()
    }

    def path(name: str) -> str:
        bare = name.rpartition(".")[2]
        return places[renamed.get(bare, bare)]

    def changed(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: path(v) if k in _TYPES else changed(v) for k, v in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)(map(changed, part))
        return part

    return changed(tree)
