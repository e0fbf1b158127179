"""A model in one file: `.safetensors` with config, schema and origin in its header."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import poise
from poise.config import Config
from poise.errors import CheckpointError
from poise.models.weights.reading import read_checkpoint
from poise.models.weights.rf_detr import rf_detr_config
from poise.models.weights.saving import plain_values, save_checkpoint, stored
from poise.models.weights.sources import locate
from poise.models.weights.unpickle import Inert
from poise.models.weights.vitpose_config import vitpose_config
from poise.zoo.hub import is_foreign, split_part
from poise.zoo.weights import default_weights
from poise.zoo.whole import CONFIG_KEY, SUFFIX

__all__ = ["config_for", "config_of_checkpoint", "convert"]

#: parts of a config that a model needs to predict, to be tested and to be exported
KEPT = (
    "default_scope",
    "custom_imports",
    "codec",
    "model",
    "test_dataloader",
    "test_evaluator",
    "test_cfg",
    "visualizer",
)


def config_for(
    path: Path, content: Mapping[str, Any], given: str | None, dataset: str | None = None
) -> tuple[Any, str]:
    """Config of a checkpoint, and where it is from.

    Args:
        path: the file.
        content: what it holds.
        given: model name or config file that the user named; None looks into the checkpoint, then
            for a released file of this name, then at the shapes of its weights.
        dataset: of a file with several, which one is meant.

    Raises:
        CheckpointError: nothing says which model it is.
    """
    from poise.zoo import load_config, models
    from poise.zoo.places import weights_file

    if given is not None:
        return load_config(given), given
    released = {weights_file(m.weights): m.name for m in models().values() if m.weights}
    if path.name in released:
        return load_config(released[path.name]), released[path.name]
    held = _config_in((content.get("meta") or {}).get("cfg"))
    if held is not None:
        return held, "the checkpoint"
    told = vitpose_config(content, dataset, path)
    if told is not None:
        return told, "ViTPose, by the shapes of its weights"
    told = rf_detr_config(content, dataset, path)
    if told is not None:
        return told, "RF-DETR, by the shapes of its weights"
    raise CheckpointError(
        f"{path} does not say of which model it is: give the config or the name of a model, and "
        "this file as its weights (--weights, or behind it), or make one file of both with `poise "
        f"zoo convert {path} --model NAME_OR_CONFIG`"
    )


def config_of_checkpoint(source: str) -> Config:
    """Config of a checkpoint that was given as the model, by what is in it.

    Args:
        source: path; behind "#" the dataset whose keypoints are meant.

    Raises:
        CheckpointError: a file that cannot be read, or does not say which model it is of.
    """
    name, dataset = split_part(source)
    config, _ = config_for(Path(name), read_checkpoint(name), None, dataset)
    return config


def _config_in(held: Any) -> Config | None:
    """Config of a checkpoint's `meta`: a text, or what stands for an object of MMEngine."""
    if isinstance(held, str) and held.strip():
        return Config.fromstring(held, ".py")
    if isinstance(held, Inert) and isinstance(held.state, tuple) and held.state:
        # such an object keeps its settings first
        held = held.state[0]
    return Config(plain_values(held)) if isinstance(held, Mapping) and held else None


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str] | None = None,
    *,
    model: str | None = None,
    half: bool = False,
) -> Path:
    """Write a checkpoint as one file that needs no config beside it.

    Keys of old files are renamed on the way, since the weights go through the model.

    Args:
        source: checkpoint: path, address, or name such as for `locate`; or a folder of Hugging
            Face's transformers.
        target: file to write; None puts it beside the source, or of a folder or a model of the hub
            into the working folder.
        model: model name or config file, where the checkpoint does not say it.
        half: store weights with 16 bits; they become 32 bits again when they are read.

    Raises:
        CheckpointError: a file that cannot be read, weights that do not fit the config, or a target
            that would replace the source.
    """
    from poise.models.build import load_model

    given = fspath(source)
    if is_foreign(given):
        model, source = model or given, default_weights(given) or source
    path = locate(source)
    where = Path(target) if target is not None else _beside(given, path)
    if where.suffix != SUFFIX:
        raise CheckpointError(f"a whole model is a file that ends in {SUFFIX}, got {where}")
    if where.resolve() == path.resolve():
        raise CheckpointError(f"{where} is the source itself; give another name with --out")
    content = read_checkpoint(path)
    config, origin = config_for(path, content, model, split_part(source)[1])
    network: Any = load_model(config, source)
    tree = config.to_dict()
    kept = Config({key: tree[key] for key in KEPT if key in tree})
    meta = {
        CONFIG_KEY: kept.dumps(".py"),
        "provenance": json.dumps(_provenance(path, source, content, origin, half=half)),
    }
    if getattr(network, "dataset_meta", None) is None:
        raise CheckpointError(f"neither {path} nor its config says what the keypoints are")
    state = {key: stored(value, half=half) for key, value in network.state_dict().items()}
    held = {"dataset_meta": dict(network.dataset_meta), **meta}
    return save_checkpoint({"state_dict": state, "meta": held}, where)


def _beside(given: str, path: Path) -> Path:
    """Where a whole model goes that was not told where."""
    name, part = split_part(given)
    ending = f"-{part}{SUFFIX}" if part else SUFFIX
    if is_foreign(given):
        return Path(f"{Path(name.partition('@')[0]).resolve().name}{ending}")
    return path.with_name(f"{path.stem}{ending}")


def _provenance(
    path: Path, source: Any, content: Mapping[str, Any], origin: str, *, half: bool
) -> dict[str, Any]:
    """Where the weights are from."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    meta = content.get("meta") or {}
    found = {
        "source": str(source) if "://" in str(source) else path.name,
        "source_sha256": digest.hexdigest(),
        "model": origin,
        "converted": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "poise_version": poise.__version__,
        "half": half,
    }
    trained = {
        key: meta[key] for key in ("epoch", "iter", "time", "experiment_name") if key in meta
    }
    return found | {k: v for k, v in trained.items() if isinstance(v, (int, str))}
