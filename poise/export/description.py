"""What a runtime must know besides the network: schema, codec, how crops are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.errors import ConfigError

__all__ = ["describe_model"]

#: Version of this description; raised when a key changes its meaning.
VERSION = 1


def describe_model(model: Any) -> dict[str, Any]:
    """Plain values that JSON can hold, and that `poise.inference.exported` reads.

    Args:
        model: a top-down estimator with `cfg` and `dataset_meta`.

    Raises:
        ConfigError: the config does not say how outputs are decoded.
    """
    from poise.inference.crops import pipeline_config

    head = model.cfg.get("model", {}).get("head") or {}
    codec = head.get("decoder")
    if codec is None:
        raise ConfigError("the config has no model.head.decoder, so nobody could decode the file")
    return {
        "version": VERSION,
        "dataset_meta": plain(model.dataset_meta),
        "codec": plain(codec),
        "pipeline": plain(pipeline_config(model.cfg)),
        "flip_indices": plain(model.dataset_meta.get("flip_indices")),
    }


def plain(value: Any) -> Any:
    """Nested values with lists in place of tuples and arrays, and text keys."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
