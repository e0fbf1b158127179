"""What a runtime must know besides the network: schema, codec, how inputs are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.errors import ConfigError

__all__ = ["VERSION", "describe", "describe_model", "input_of", "plain"]

#: Version of this description; raised when a key changes its meaning.
VERSION = 1


def describe(model: Any, kind: str, **more: Any) -> dict[str, Any]:
    """Plain values that JSON can hold, and that `poise.inference` reads.

    Args:
        model: with `cfg` and `dataset_meta`, and a `calibration` where its scores have one.
        kind: how the outputs are read: "topdown", "people", "maps", "boxes" or "lifter".
        **more: what that needs to know.
    """
    from poise.inference.networks.crops import pipeline_config

    calibration = getattr(model, "calibration", None)
    if calibration is not None:
        more["calibration"] = calibration.plain()
    return {
        "version": VERSION,
        "kind": kind,
        "dataset_meta": plain(model.dataset_meta),
        "default_scope": model.cfg.get("default_scope"),
        "pipeline": plain(pipeline_config(model.cfg)),
        **plain(more),
    }


def describe_model(model: Any) -> dict[str, Any]:
    """The description of a top-down estimator.

    Raises:
        ConfigError: the config does not say how outputs are decoded.
    """
    head = model.cfg.get("model", {}).get("head") or {}
    # beside visibilities stands a head of its own
    codec = (head.get("pose_cfg") or head).get("decoder")
    if codec is None:
        raise ConfigError("the config has no model.head.decoder, so nobody could decode the file")
    flips = model.dataset_meta.get("flip_indices")
    return describe(
        model,
        "topdown",
        codec=codec,
        flip_indices=flips,
        covariance_options=model.head.covariance_options(),
    )


def input_of(cfg: Any) -> tuple[int, int, Any]:
    """Width and height of the input of whole pictures, and the level of what lies beside them.

    Raises:
        ConfigError: the test pipeline gives no fixed size.
    """
    from poise.inference.networks.crops import pipeline_config

    steps = {str(s.get("type")).rpartition(".")[2]: s for s in pipeline_config(cfg)}
    fit, size = steps.get("BottomupResize", {}), steps.get("Resize", {})
    if fit and fit.get("resize_mode", "fit") == "fit":
        return (*fit["input_size"], fit.get("pad_val", 0))
    pad = steps.get("Pad") or {}
    scale = size.get("scale", ())
    square = isinstance(scale, (list, tuple)) and len(set(scale)) == 1
    if size.get("keep_ratio") and square and (pad.get("pad_to_square") or pad.get("size")):
        value = pad.get("pad_val", 0)
        return (*scale, value.get("img", 0) if isinstance(value, Mapping) else value)
    if size.get("keep_ratio") is False and len(scale) == 2 and not pad:
        return (*scale, 0)
    drawn = steps.get("BottomupRandomChoiceResize", {})
    if drawn.get("keep_ratio") is False and len(drawn["scales"]) == 1:
        return (*drawn["scales"][0], 0)
    raise ConfigError(
        "models of whole pictures are exported with a fixed input size, which the test pipeline "
        "should say: expected BottomupResize(resize_mode='fit'), or a Resize and a Pad to a square"
    )


def plain(value: Any) -> Any:
    """Nested values with lists in place of tuples and arrays, and text keys."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
