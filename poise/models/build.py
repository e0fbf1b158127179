"""From a name, a path or a tree to a model; with weights, ready to use."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from torch import nn

from poise.config import Config, apply_custom_imports
from poise.errors import ArgumentError, ConfigError
from poise.registry import MODELS, use_scope
from poise.structures.config_metainfo import class_names, classes_of, dataset_meta_of

__all__ = ["build_model", "load_model"]


def _is_whole_config(tree: Any) -> bool:
    return isinstance(tree, Mapping) and "type" not in tree and "model" in tree


def build_model(config: Any) -> nn.Module:
    """Model of a model config, a whole config, a zoo name or a path of a config file.

    Args:
        config: dict with `type`; a dict or `Config` with `model`; text; or a built model,
            which comes back as it is.

    Returns:
        The model; of a whole config it has `cfg`, and `dataset_meta` where the config names
        a dataset: a schema, or of a detector `classes`.

    Raises:
        ConfigError: a tree with neither `type` nor `model`.
        ArgumentError: anything else.

    Example:
        >>> model = build_model({"type": "mmengine.BaseDataPreprocessor"})
        >>> type(model).__name__
        'BaseDataPreprocessor'
    """
    if isinstance(config, nn.Module):
        return config
    if isinstance(config, (str, PathLike)):
        from poise.zoo import load_config

        config = load_config(fspath(config))
    # the inner tree, not a copy: it remembers the file and line of every key
    tree = config._cfg_dict if isinstance(config, Config) else config
    if not isinstance(tree, Mapping):
        raise ArgumentError(
            "build_model takes a config dict, a Config, a zoo name, a path of a config file or "
            f"a model, got {type(config).__name__}"
        )
    if not _is_whole_config(tree):
        if "type" not in tree:
            raise ConfigError(
                "a config to build a model of has 'type' (a model) or 'model' (a whole "
                f"config), got the keys {sorted(map(str, tree))}"
            )
        return MODELS.build(tree)
    # by the config, which knows its folder
    apply_custom_imports(config)
    with use_scope(tree.get("default_scope")):
        model = MODELS.build(tree["model"])
        model.cfg = config if isinstance(config, Config) else Config(tree)
        _describe(model, dataset_meta_of(tree), classes_of(tree))
    return model


def load_model(config: Any, weights: Any = None, device: Any = None) -> nn.Module:
    """Model with weights on a device, in eval mode.

    Args:
        config: as for `build_model`.
        weights: path or URL of a checkpoint, or a state dict; None takes the zoo's released
            weights for a zoo name and those inside a whole model (`.safetensors`), and leaves
            other models as they start.
        device: as for `torch.nn.Module.to`; None stays on the CPU.

    Returns:
        The model with `cfg` and `dataset_meta`; what the checkpoint says about its dataset
        wins over the config.

    Raises:
        CheckpointError: weights that cannot be read or do not fit.
    """
    if weights is None and isinstance(config, (str, PathLike)):
        weights = released_weights(fspath(config))
    model, _ = build_with_weights(config, weights)
    if device is not None:
        model = model.to(device)
    return model.eval()


def build_with_weights(config: Any, weights: Any) -> tuple[Any, bool]:
    """Model with weights, and whether the checkpoint says what its keypoints are.

    Args:
        config: as for `build_model`.
        weights: path or URL of a checkpoint, or a state dict; None leaves the model as it starts.

    Raises:
        CheckpointError: weights that cannot be read or do not fit.
    """
    if weights is None:
        return build_model(config), False
    from poise.models.weights.first_values import NoFirstValues
    from poise.models.weights.loading import load_checkpoint

    with NoFirstValues():
        model = build_model(config)
    again = None if model is config else lambda: build_model(config)
    checkpoint = load_checkpoint(model, weights, same_shapes=True, first_values=again)
    meta = checkpoint.get("meta")
    if not isinstance(meta, Mapping):
        return model, False
    schema = _checkpoint_schema(meta)
    # files of 0.x keep the class names in `meta` itself
    _describe(model, schema, class_names(meta.get("dataset_meta")) or class_names(meta))
    return model, schema is not None


def released_weights(name: str) -> str | PathLike[str] | None:
    """Weights of a zoo name: a file that is here, else the address; None where none were released.

    A config file on disk wins over a name, and has no weights of its own; a whole model has.
    """
    from poise.zoo import default_weights, weights_url

    here = default_weights(name)
    return here if here is not None or Path(name).is_file() else weights_url(name)


def _describe(
    model: Any, schema: Mapping[str, Any] | None, classes: tuple[str, ...] | None
) -> None:
    """Let a model say what it finds: keypoints, or of a detector classes; nothing else is known."""
    if schema is not None:
        model.dataset_meta = schema
    elif classes is not None and hasattr(model, "last_head"):
        model.dataset_meta = {"classes": classes}


def _checkpoint_schema(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """Schema that a checkpoint's `meta` carries, in today's form."""
    found = meta.get("dataset_meta")
    # files of 0.x keep only the class names there
    if not isinstance(found, Mapping) or "flip_indices" not in found:
        return None
    from poise.structures.metainfo import restore_metainfo

    return restore_metainfo(found)
