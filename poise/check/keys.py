"""Keys of a config that a run knows, and numbers of keypoints that must agree with the data."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from poise._words import counted
from poise.check.context import PARTS, Context, bare_type, finding_of
from poise.check.report import Finding
from poise.config.tree import beside
from poise.errors import CheckpointError, ConfigError, nearest
from poise.zoo.refused import INFERENCE_ONLY, no_training

__all__ = [
    "RUN_KEYS",
    "check_keypoints",
    "check_keys",
    "check_overrides",
    "check_training_config",
    "converts",
    "key_faults",
    "note_keypoints",
]

#: Keys of a config that training, validation and testing look at.
RUN_KEYS = (
    "auto_scale_lr",
    "custom_hooks",
    "default_hooks",
    "default_scope",
    "env_cfg",
    "experiment_name",
    "find_unused_parameters",
    "freeze",
    "load_from",
    "log_level",
    "log_processor",
    "model",
    "model_wrapper_cfg",
    "optim_wrapper",
    "param_scheduler",
    "randomness",
    "resume",
    "speed",
    "sync_bn",
    "test_cfg",
    "test_dataloader",
    "test_evaluator",
    "train_cfg",
    "train_dataloader",
    "val_cfg",
    "val_dataloader",
    "val_evaluator",
    "vis_backends",
    "visualizer",
    "work_dir",
)
_NEEDED = ("model", "train_dataloader", "train_cfg", "optim_wrapper")


_DICT, _LIST = (Mapping, "a dict"), ((list, tuple), "a list")
_TEXT = ((str, NoneType), "a text")
_SEVERAL = ((Mapping, list, tuple), "a dict or a list")
_NUMBER, _NAMES = ((int, float), "a number"), ((str, list, tuple, NoneType), "one or more names")
#: settings that other checks count with -> what they are; of `param_scheduler`, of each of several
_FORMS: dict[str, tuple[Any, str]] = {
    "default_scope": ((str, NoneType), "a name"),
    **dict.fromkeys(("model", "train_cfg", "auto_scale_lr"), _DICT),
    **dict.fromkeys(("optim_wrapper", "optim_wrapper.optimizer"), _DICT),
    **{f"{part}_dataloader{inner}": _DICT for part in PARTS for inner in ("", ".dataset")},
    **{
        f"{part}_dataloader.dataset.{k}": _TEXT for part in PARTS for k in ("ann_file", "data_root")
    },
    **{f"{part}_dataloader.dataset.pipeline": _LIST for part in PARTS},
    **dict.fromkeys(("val_evaluator", "test_evaluator", "param_scheduler"), _SEVERAL),
    **dict.fromkeys(("val_evaluator.ann_file", "test_evaluator.ann_file"), _TEXT),
    "default_hooks": _DICT,
    "default_hooks.checkpoint": _DICT,
    "default_hooks.checkpoint.interval": _NUMBER,
    "default_hooks.checkpoint.save_best": _NAMES,
    "custom_hooks": _LIST,
    "param_scheduler.begin": _NUMBER,
    "param_scheduler.milestones": _LIST,
    "param_scheduler.milestones.*": _NUMBER,
    "train_cfg.val_interval": _NUMBER,
    "train_cfg.val_begin": _NUMBER,
    "train_dataloader.batch_size": _NUMBER,
    "auto_scale_lr.base_batch_size": _NUMBER,
}
#: of these nothing may stand for "not there"
_OPTIONAL = frozenset(k for k, form in _FORMS.items() if "." not in k or form in (_DICT, _NAMES))
#: what a config is written with; objects may stand for the dicts that they are built from
_PLAIN = (str, int, float, list, tuple, Mapping, NoneType)


def check_overrides(cfg: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """See that each override speaks of a key that the config has or that a run knows.

    Below the first level anything goes: arguments that a config leaves at their defaults.

    Raises:
        ConfigError: with the nearest key.
    """
    known = {*cfg, *RUN_KEYS}
    for key in overrides:
        first = key.partition(".")[0]
        if first not in known:
            raise ConfigError(
                f"--set {key}=...: the config has no '{first}'"
                f"{nearest(first, known) or '; it has: ' + ', '.join(sorted(map(str, cfg)))}"
            )


def check_training_config(cfg: Mapping[str, Any]) -> None:
    """See that what training needs is there, and that no key is a misspelling of one.

    Raises:
        ConfigError: with the line of the key.
    """
    for fault in key_faults(cfg):
        raise fault


def check_trains(cfg: Mapping[str, Any]) -> None:
    """See that the model of a config is one that is trained here.

    Raises:
        ConfigError: a detector, or an RF-DETR, that only predicts.
    """
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        return
    kind, head = bare_type(model), bare_type(model.get("bbox_head"))
    # a detector of one stage may have a head that trains
    if kind in INFERENCE_ONLY and (kind, head != "SSDHead") != ("SingleStageDetector", True):
        raise ConfigError(f"{no_training(kind)}{_at(cfg, 'model')}")
    if bare_type(model.get("head")) == "RFDETRHead":
        raise ConfigError(
            "RF-DETR only predicts here: train it with its package, rfdetr, whose checkpoints are "
            "models (`poise predict -m FILE.pth`), or train RTMO for one-stage pose estimation"
            f"{_at(cfg, 'model')}"
        )


def key_faults(cfg: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Keys that are misspelt, and keys that training needs and that are not there.

    A config may hold variables of its own (`codec`, `data_root`), so an unknown key is a fault
    only where it is close to a known one that is missing. Of a model that is not trained here,
    that alone is said.
    """
    try:
        check_trains(cfg)
    except ConfigError as fault:
        yield fault
        return
    for key in cfg:
        if key in RUN_KEYS:
            continue
        hint = nearest(key, [k for k in RUN_KEYS if k not in cfg], limit=1)
        if hint and _is_misspelling(key, hint):
            yield ConfigError(f"'{key}' is not a key that training knows{_at(cfg, key)}{hint}")
    for key in _NEEDED:
        if not cfg.get(key):
            name = getattr(cfg, "filename", None)
            yield ConfigError(
                f"training needs '{key}', which {f'the config {name}' if name else 'this config'} "
                "does not have; `poise config show NAME` prints a whole config as a pattern"
            )


def check_keys(context: Context) -> Iterator[Finding]:
    """Misspelt and missing keys, and settings of another kind than others count with."""
    for key, (kind, words) in _FORMS.items():
        for value, path in _values(context.tree, key.split("."), ()):
            absent = value is None and key in _OPTIONAL
            fits = not isinstance(value, _PLAIN) or isinstance(value, kind) or absent
            if not fits and not context.repeats(str(path[0])):
                # what is built of it would say the same in words of its own
                context.broken |= {"course", str(path[0])}
                text = f"expected {words}, got {value!r:.80}"
                yield Finding("error", "config", text, context.at(*path))
    if context.trains:
        for fault in key_faults(context.cfg):
            yield finding_of(fault, "config")


def _values(tree: Any, keys: list[str], path: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """Values with their paths; in a list each item is meant, with or without "*"."""
    if not keys:
        yield tree, path
    elif isinstance(tree, (list, tuple)):
        for i, item in enumerate(tree):
            yield from _values(item, keys[1:] if keys[0] == "*" else keys, (*path, i))
    elif isinstance(tree, Mapping) and keys[0] in tree:
        yield from _values(tree[keys[0]], keys[1:], (*path, keys[0]))


def _is_misspelling(key: str, hint: str) -> bool:
    """Whether two names are so alike that one is a slip of the other."""
    return difflib.SequenceMatcher(None, key, hint.split("'")[1]).ratio() > 0.85


def _at(cfg: Any, key: str) -> str:
    # a `Config` is a view of the tree that knows the lines
    return beside(getattr(cfg, "_cfg_dict", cfg), key)


#: Settings by which a model answers for fewer or other keypoints than it was trained for.
_CONVERSIONS = {"output_keypoint_indices", "pred_converter", "gt_converter", "KeypointConverter"}


def converts(tree: Any) -> bool:
    """Whether a tree has one of `_CONVERSIONS` as a key or a type."""
    if isinstance(tree, Mapping):
        return any((k in _CONVERSIONS and v is not None) or converts(v) for k, v in tree.items())
    if isinstance(tree, (list, tuple)):
        return any(map(converts, tree))
    return isinstance(tree, str) and tree.rpartition(".")[2] in _CONVERSIONS


def check_keypoints(
    content: Mapping[str, Any],
    metainfo: Mapping[str, Any] | None,
    path: str | Path,
    cfg: Mapping[str, Any] | None = None,
) -> None:
    """See that a checkpoint was trained for as many keypoints as the data has.

    A head of a union of datasets may be tested on one of them: a config that selects or
    converts keypoints is left alone.

    Args:
        content: what the file holds.
        metainfo: parsed schema of the data.
        path: the file.
        cfg: whole config.

    Raises:
        CheckpointError: another number, where the checkpoint says for what it was trained.
    """
    parts = ("model", "test_dataloader", "test_evaluator", "val_dataloader", "val_evaluator")
    if any(converts((cfg or {}).get(part)) for part in parts):
        return
    trained = (content.get("meta") or {}).get("dataset_meta") or {}
    have = (metainfo or {}).get("num_keypoints")
    saved = trained.get("num_keypoints")
    if saved is not None and have is not None and int(saved) != int(have):
        raise CheckpointError(
            f"{path} was trained for {counted(saved, 'keypoint')} (dataset "
            f"{trained.get('dataset_name', 'unknown')}), the test data has {have}; give a "
            "checkpoint of the same keypoints, or another config; a model of the union of "
            "several datasets needs model.test_cfg.output_keypoint_indices"
        )


#: Arguments by which heads say for how many keypoints they are.
_COUNTS = ("out_channels", "num_joints", "num_keypoints")


def note_keypoints(error: BaseException, cfg: Mapping[str, Any], loader: str) -> None:
    """Add to an error about numbers of keypoints where head and dataset are written.

    Args:
        error: gets one note each.
        cfg: the whole config.
        loader: key of the data that was in use, such as "train_dataloader".
    """
    model = cfg.get("model")
    head = model.get("head") if isinstance(model, Mapping) else None
    key = next((k for k in _COUNTS if isinstance(head, Mapping) and k in head), None)
    if key is not None:
        error.add_note(f"head: {key}={head[key]}{_at(head, key)}")  # type: ignore[index]
    dataset = (cfg.get(loader) or {}).get("dataset")
    if isinstance(dataset, Mapping):
        meta = dataset.get("metainfo")
        source = meta.get("from_file") if isinstance(meta, Mapping) else None
        said = f"metainfo from_file='{source}'" if source else "metainfo"
        text = said if meta else f"the keypoints of {dataset.get('type')}"
        place = _at(dataset, "metainfo" if meta else "type")
        error.add_note(f"{loader}.dataset: {text}{place}")
