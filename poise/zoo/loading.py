"""`load_config`: one call for a config file, a tree, or the name of a released model."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

from poise import schemas
from poise._files import is_file
from poise.config import Config
from poise.config.reader import SUFFIXES, WEIGHTS
from poise.config.sources import from_sources, is_name
from poise.errors import ConfigError, FileMissingError, UnknownNameError, nearest
from poise.zoo.hub import CONFIG, is_foreign
from poise.zoo.index import find_recipe, models, spellings, suggestion
from poise.zoo.older_configs import in_todays_words
from poise.zoo.parts.runtime import dotted, runtime
from poise.zoo.refused import refusal
from poise.zoo.weights import is_checkpoint
from poise.zoo.whole import SUFFIX, whole_config

__all__ = ["load_config", "source"]

#: module and function that tell of a checkpoint which model it is; they need torch
_TELLER = ("poise.models.weights.whole", "config_of_checkpoint")


def load_config(
    source: str | os.PathLike[str] | Config | dict[str, Any], *, trusted: bool = False
) -> Config:
    """Config of a model name or a file, or a config that is there already.

    Args:
        source: name of a released model or an alias of it, path of its config in MMPose, path of
            a config file, a whole model (`.safetensors`), a checkpoint that tells which model it
            is (ViTPose's and RF-DETR's own, and those with a config inside; behind "#" perhaps
            whose keypoints they are), a folder of Hugging Face's transformers or a model of its
            hub ("hf:ORGANISATION/NAME"), a `Config`, or its tree. A file that exists wins over a
            name.
        trusted: execute the file where it holds code that the reader refuses.

    Raises:
        FileMissingError: a path that does not exist.
        UnknownNameError: neither a file nor a name.
        ConfigError: a model of MMPose that Poise does not have.

    Example:
        >>> load_config("movenet-thunder").model.backbone.width
        1.75
        >>> load_config("td-hm_hrnet-w32_8xb64-210e_coco-256x192").model.head.in_channels
        32
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, dict):
        return in_todays_words(Config(source))
    path, text = Path(source), os.fspath(source)
    if path.suffix.lower() == ".html":
        raise ConfigError(
            f"'{text}' is called as web pages are, which hold a model for browsers; give the model "
            "itself: its name or config, or the .onnx that poise export writes"
        )
    if is_checkpoint(text):
        tell = getattr(importlib.import_module(_TELLER[0]), _TELLER[1])
        told: Config = tell(text)
        return told
    if is_file(path):
        if path.name == CONFIG:
            _refuse_foreign(path)
        if path.suffix == SUFFIX:
            return whole_config(path)
        return in_todays_words(Config.fromfile(path, trusted=trusted))
    if is_foreign(text):
        from poise.zoo.huggingface import transformers_config

        return transformers_config(text)
    if is_name(text):
        found = from_sources(text)
        tree = None if found is None else found[1]
    else:
        tree = find_recipe(text)
    if tree is None:
        raise _not_found(text, path)
    return Config(tree)


def _not_found(text: str, path: Path) -> ConfigError | FileMissingError | UnknownNameError:
    """The error for what is neither a file nor a name."""
    refused = refusal(text)
    if refused is not None:
        return ConfigError(refused)
    if is_name(text):
        stem = re.split("[/.:]", text.removesuffix(".py"))[-1]
        return FileMissingError(
            f"there is no config file '{text}' (looked in {Path.cwd()}), and the zoo has no model "
            f"'{stem}'{nearest(stem, spellings())}"
        )
    if path.suffix.lower() in WEIGHTS:
        return FileMissingError(
            f"there is no file '{text}' (looked in {Path.cwd()}); it is called as weights are, "
            "which go beside a config or the name of a model (--weights) and not in its place"
        )
    inside = _files_of(path) if text else None
    if inside is not None:
        return FileMissingError(
            f"'{text}' is a folder without {CONFIG}, which folders of Hugging Face's transformers "
            f"have; it has {', '.join(inside[:12]) or 'nothing'}. Other models are named by a file "
            "or by the zoo's name"
        )
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        hint = nearest(path.name, [n for n in _files_of(path.parent) or () if n.endswith(SUFFIXES)])
        if path.stem in models():
            hint = f"; '{path.stem}' alone is the name of a model"
        return FileMissingError(f"there is no config file '{text}' (looked in {Path.cwd()}){hint}")
    return UnknownNameError(
        f"'{text}' is neither a config file nor the name of a model{suggestion(text)}"
    )


def _files_of(folder: Path) -> list[str] | None:
    """Names of what is in a folder; None where it is none."""
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return None


def _refuse_foreign(path: Path) -> None:
    """See that a file is not the settings of a folder of transformers, which is a model itself.

    Raises:
        ConfigError: it is.
    """
    if '"model_type"' in path.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(
            f"{path} has settings of Hugging Face's transformers; give its folder, {path.parent}, "
            "as the model"
        )


def _hyphenated(module: str) -> str:
    """Model whose name is that of a module but for its hyphens; the module's name if none is."""
    plain = module.replace("-", "_")
    return next((name for name in models() if name.replace("-", "_") == plain), module)


def source(name: str) -> dict[str, Any] | None:
    """Tree of a base file that is not on disk; `poise.config` asks here.

    Args:
        name: path below MMPose's repository, "mmpose::...", "configs/...", "_base_/...",
            "projects/...", "demo/...", a module "mmpose.configs...", or a detector of MMDetection,
            "mmdet::...".

    Returns:
        A new tree, or None for a file that is none of MMPose's.

    Example:
        >>> source("_base_/default_runtime.py")["default_scope"]
        'mmpose'
    """
    if name == "mmpose.configs._base_.default_runtime":
        return dotted(runtime())
    if name.startswith("mmpose.configs."):
        name = "configs/" + name.removeprefix("mmpose.configs.").replace(".", "/")
        # names of modules cannot have hyphens
        return source(name) or find_recipe(_hyphenated(name.rpartition("/")[2]))
    name = name.removeprefix("mmpose::")
    if name.startswith(("mmdet::", "demo/", "projects/")):
        return find_recipe(name)
    path = name.removeprefix("configs/").removesuffix(".py")
    if path == "_base_/default_runtime":
        return runtime()
    folder, _, stem = path.rpartition("/")
    if folder == "_base_/datasets":
        return dict(dataset_info=schemas.get(stem)) if schemas.known(stem) else None
    return find_recipe(f"configs/{path}")
