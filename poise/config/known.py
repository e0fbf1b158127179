"""Keys that a part of a config may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from poise.config.tree import beside
from poise.errors import ConfigError, nearest

__all__ = ["check_known"]


def check_known(part: Mapping[str, Any], known: Iterable[str], name: str) -> None:
    """See that a part of a config has no keys but those that count.

    Args:
        part: the dict.
        known: its keys.
        name: what an error text calls it.

    Raises:
        ConfigError: another key; with the nearest, and its line.

    Example:
        >>> check_known({"max_epoch": 3}, ("max_epochs", "max_iters"), "train_cfg")
        Traceback (most recent call last):
        poise.errors.ConfigError: train_cfg does not know 'max_epoch'; did you mean 'max_epochs'? \
It knows: max_epochs, max_iters
    """
    known = list(known)
    for key in part:
        if key not in known:
            raise ConfigError(
                f"{name} does not know '{key}'{beside(part, key)}"
                f"{nearest(str(key), known) or '.'} It knows: {', '.join(known)}"
            )
