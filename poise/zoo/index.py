"""Names of models -> what makes their config, and where their weights lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from poise.zoo.families.movenet import MODELS as MOVENETS
from poise.zoo.families.movenet import movenet

__all__ = ["DEFAULT_MODEL", "default_weights", "find_recipe", "names"]

#: What `poise predict` uses where no model is named: it needs no download.
DEFAULT_MODEL = "movenet-thunder"

#: Weights that come inside the package.
_EMBEDDED = Path(__file__).parent / "embedded"

_RECIPES: dict[str, Callable[[str], dict[str, Any]]] = dict.fromkeys(MOVENETS, movenet)


def names() -> list[str]:
    """All model names that `load_config` knows without a file."""
    return sorted(_RECIPES)


def find_recipe(name: str) -> dict[str, Any] | None:
    """Config tree of a model name, or None for a name that is not known."""
    recipe = _RECIPES.get(name)
    return None if recipe is None else recipe(name)


def default_weights(name: str) -> Path | None:
    """Weights file of a model that comes inside the package, or None."""
    path = _EMBEDDED / f"{name}.safetensors"
    return path if path.is_file() else None
