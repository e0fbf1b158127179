"""Folders of transformers: which network is in one, its config, and its weights."""

from __future__ import annotations

import json
from pathlib import Path

from poise._files import is_file
from poise.config import Config
from poise.errors import CheckpointError, ConfigError, PoiseError
from poise.zoo.downloads.hub import bring
from poise.zoo.hub import CONFIG, WEIGHTS, hub_model, split_part
from poise.zoo.huggingface import sapiens2, vitpose
from poise.zoo.parts.assembly import Tree

__all__ = ["config_of_settings", "folder_weights", "transformers_config"]

PREPROCESSOR = "preprocessor_config.json"

#: `model_type` of a network -> what makes the config tree of its settings
_KINDS = {"sapiens2": sapiens2.tree, "vitpose": vitpose.tree}
#: `model_type` of networks without a head that finds keypoints -> their class
_HEADLESS = {"vitpose_backbone": "VitPoseBackbone"}


def transformers_config(source: str) -> Config:
    """Config of a folder of transformers, or of a model on the hub, which is fetched.

    Args:
        source: folder, or "hf:ORGANISATION/NAME"; behind "#" the dataset whose keypoints are meant.

    Raises:
        ConfigError: another network, or settings that Poise cannot honour.
        CheckpointError: a file of the hub that cannot be fetched.
    """
    name, dataset = split_part(source)
    path = _file(name, CONFIG)
    assert path is not None  # it is not optional
    beside = _file(name, PREPROCESSOR, optional=True)
    return config_of_settings(_read(path), dataset, path, beside)


def config_of_settings(
    settings: Tree, dataset: str | None, path: Path, beside: Path | None = None
) -> Config:
    """Config of what a `config.json` says.

    Args:
        settings: of the network.
        dataset: whose keypoints are meant; None takes what the settings say.
        path: the file of the settings, for error texts and names.
        beside: file with settings of the processor; None takes its defaults.

    Raises:
        ConfigError: another network, or settings that Poise cannot honour.
    """
    kind = settings.get("model_type")
    if kind not in _KINDS:
        raise ConfigError(_refusal(settings, path))
    processor = {} if beside is None else _read(beside)
    try:
        return Config(_KINDS[kind](settings, path, processor, beside or path, dataset))
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, PoiseError):
            raise
        files = path if beside is None else f"{path} or {beside.name} beside it"
        raise ConfigError(
            f"{files}: a setting is of another kind than transformers writes it "
            f"({type(error).__name__}: {error})"
        ) from error


def _refusal(settings: Tree, path: Path) -> str:
    """Why a network is not read, and what is."""
    kind = settings.get("model_type")
    if kind in _HEADLESS:
        return (
            f"{path}: a {_HEADLESS[kind]} alone, without the head that finds keypoints. Training "
            "can start from it: model.backbone.init_cfg=dict(type='Pretrained', checkpoint='"
            f"{path.parent / WEIGHTS[0]}')"
        )
    named = ", ".join(settings.get("architectures") or ()) or "none"
    return (
        f"{path}: model_type is {kind!r} (architectures: {named}), which Poise does not read; of "
        "Hugging Face's folders it reads 'vitpose' (VitPoseForPoseEstimation: ViTPose, ViTPose++) "
        "and 'sapiens2' (Sapiens2ForPoseEstimation)"
    )


def _file(name: str, file: str, *, optional: bool = False) -> Path | None:
    model = hub_model(name)
    if model is None:
        path = Path(name).expanduser() / file
        return path if is_file(path) or not optional else None
    return bring(model, file, optional=optional)


def _read(path: Path) -> Tree:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON file: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object of settings, got {content!r:.80}")
    return content


def folder_weights(source: str) -> Path | None:
    """Weights that are on this machine, with the dataset that is meant behind; None if absent.

    Raises:
        CheckpointError: a folder without weights.
    """
    name, dataset = split_part(source)
    model = hub_model(name)
    folder = Path(name).expanduser()
    files = [folder / file if model is None else model.local_copy(file) for file in WEIGHTS]
    found = next((file for file in files if file is not None and is_file(file)), None)
    if found is None:
        if model is None:
            # another network is the greater fault
            transformers_config(source)
            has = ", ".join(sorted(p.name for p in folder.iterdir())[:12])
            raise CheckpointError(
                f"{folder} has no weights: expected {' or '.join(WEIGHTS)}, it has {has}"
            )
        return None
    return found if dataset is None else found.with_name(f"{found.name}#{dataset}")
