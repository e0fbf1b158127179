"""Parts of a run from their configs."""

from __future__ import annotations

import contextlib
import copy
import pprint
from collections.abc import Mapping
from typing import Any

from poise._words import counted
from poise.errors import ConfigError, FileMissingError
from poise.registry import HOOKS

__all__ = ["build_dataloader", "build_hooks", "build_model", "config_text"]

#: Hooks of every run, under the keys by which `default_hooks` replaces or (None) drops them.
_DEFAULT_HOOKS: dict[str, dict[str, Any]] = {
    "runtime_info": {"type": "mmengine.RuntimeInfoHook"},
    "timer": {"type": "mmengine.IterTimerHook"},
    "sampler_seed": {"type": "mmengine.DistSamplerSeedHook"},
    "logger": {"type": "mmengine.LoggerHook"},
    "param_scheduler": {"type": "mmengine.ParamSchedulerHook"},
    "checkpoint": {"type": "mmengine.CheckpointHook", "interval": 1},
    "progress": {"type": "poise.ProgressHook"},
    "report": {"type": "poise.ReportHook"},
}


def config_text(cfg: Any) -> str:
    """The whole config as Python text; built objects in it, which have none, by their repr."""
    with contextlib.suppress(ConfigError):
        text = getattr(cfg, "pretty_text", None)
        if isinstance(text, str):
            return text
    plain = cfg.to_dict() if hasattr(cfg, "to_dict") else dict(cfg)
    rows = (f"{k} = {pprint.pformat(v, sort_dicts=False)}" for k, v in plain.items())
    return "\n".join(rows) + "\n"


def build_dataloader(cfg: Any, name: str, runner: Any) -> Any:
    """Loader of a `*_dataloader` config; a built loader is returned as it is.

    Raises:
        FileMissingError: an annotation file or image folder is missing; the text names the key.
        ConfigError: the dataset is empty.
    """
    from poise.datasets.loader import build_dataloader as build

    if not isinstance(cfg, Mapping):
        return cfg
    from poise.training.machine.environment import worker_settings

    randomness = runner.cfg.get("randomness") or {}
    different = bool(randomness.get("diff_rank_seed", False))
    started = worker_settings(runner.cfg.get("env_cfg")) if cfg.get("num_workers") else {}
    try:
        loader: Any = build(
            {**started, **cfg},
            seed=runner.seed,
            diff_rank_seed=different,
        )
    except FileNotFoundError as error:
        advice = (
            f". Put the data there, or say where it is with --set {name}.dataset.data_root=FOLDER"
            if "data_root" in str(error)
            else ""
        )
        raise FileMissingError(f"{name}: {error}{advice}") from error
    if len(loader) == 0:
        raise ConfigError(
            f"{name} gives no batch: {counted(len(loader.dataset), 'sample')}, batch_size "
            f"{cfg.get('batch_size', 1)}, drop_last={cfg.get('drop_last', False)}"
        )
    return loader


def build_model(cfg: Mapping[str, Any], *, init: bool) -> Any:
    """Estimator of a whole config.

    Args:
        cfg: with `model`, a dict or a built estimator.
        init: whether its weights are initialised (`init_cfg`); not needed where all of them
            are loaded.
    """
    from poise.models.build import build_model as build

    model: Any = build(cfg["model"]) if isinstance(cfg["model"], Mapping) else cfg["model"]
    if init and hasattr(model, "init_weights"):
        model.init_weights()
    return model


def build_hooks(cfg: Mapping[str, Any]) -> list[Any]:
    """Hooks of a config in the order in which they run.

    Args:
        cfg: `default_hooks` replace those of every run by key, None drops one; `custom_hooks`
            are added.
    """
    from poise.training.hooks.base import priority_of

    chosen: dict[str, Any] = dict(_DEFAULT_HOOKS)
    for key, hook in (cfg.get("default_hooks") or {}).items():
        # --set default_hooks.checkpoint.interval=5 needs no type: it is the default's
        partial = isinstance(hook, Mapping) and "type" not in hook and key in chosen
        chosen[key] = {**chosen[key], **hook} if partial else hook
    hooks = []
    for hook_cfg in [*chosen.values(), *(cfg.get("custom_hooks") or ())]:
        if hook_cfg is None:
            continue
        if not isinstance(hook_cfg, Mapping):
            hooks.append(hook_cfg)
            continue
        # a copy knows its lines
        args: Any = copy.copy(hook_cfg)
        priority = args.pop("priority", None)
        hooks.append(HOOKS.build(args))
        if priority is not None:
            hooks[-1].priority = priority
    return sorted(hooks, key=lambda h: priority_of(h.priority))
