"""Freezing parts of a model by name: fine-tuning on few samples."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from poise.errors import ConfigError, nearest

__all__ = ["freeze"]


def freeze(model: nn.Module, parts: str | Sequence[str]) -> dict[str, int]:
    """Stop parts of a model from learning: neither weights nor running statistics change.

    Args:
        model: estimator.
        parts: names of modules or parameters as in `named_modules()` ("backbone",
            "backbone.stage1", "head.final_layer.bias"), or patterns with `*`.

    Returns:
        part -> how many parameters it freezes.

    Raises:
        ConfigError: a name that the model does not have, or nothing is left to learn.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        >>> freeze(model, "0")
        {'0': 6}
        >>> [p.requires_grad for p in model.parameters()]
        [False, False, True, True]
    """
    modules = {name: module for name, module in model.named_modules() if name}
    parameters = dict(model.named_parameters())
    frozen = {}
    for part in [parts] if isinstance(parts, str) else parts:
        chosen = [m for n, m in modules.items() if fnmatch.fnmatchcase(n, part)]
        single = [p for n, p in parameters.items() if fnmatch.fnmatchcase(n, part)]
        if not chosen and not single:
            raise ConfigError(
                f"freeze names '{part}', which the model does not have; its parts are "
                f"{', '.join(name for name, _ in model.named_children())}"
                f"{nearest(part, [*modules, *parameters])}"
            )
        weights = {id(p): p for p in [*single, *(p for m in chosen for p in m.parameters())]}
        for weight in weights.values():
            weight.requires_grad = False
        for module in chosen:
            _keep_in_eval(module)
        frozen[part] = sum(w.numel() for w in weights.values())
    if parameters and not any(p.requires_grad for p in parameters.values()):
        raise ConfigError(f"freeze={list(frozen)} leaves nothing of the model to train")
    return frozen


def _keep_in_eval(module: nn.Module) -> None:
    """Let `train()` leave a module in eval mode: its norms and dropouts do not change."""
    changed: Any = module
    changed.train = partial(_stay, module)
    module.train()


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return nn.Module.train(module, mode=False)
