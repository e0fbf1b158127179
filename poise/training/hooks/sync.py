"""Hooks that bring buffers and norms of several processes together."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = ["SyncBuffersHook", "SyncNormHook"]


@HOOKS.register_module(scope="mmengine")
class SyncBuffersHook(Hook):
    """Averages buffers (running means of batch norms) over processes after each epoch."""

    def after_train_epoch(self, runner: Any) -> None:
        """Average the floating-point buffers."""
        _average(runner, [b for b in runner.model.buffers() if b.is_floating_point()])


@HOOKS.register_module()
class SyncNormHook(Hook):
    """Averages the statistics of normalisation layers over processes before validation."""

    def before_val_epoch(self, runner: Any) -> None:
        """Average parameters and buffers of batch and instance norms."""
        norms = [m for m in runner.model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        tensors = [t for m in norms for t in m.state_dict().values() if t.is_floating_point()]
        _average(runner, tensors)


def _average(runner: Any, tensors: list[torch.Tensor]) -> None:
    if runner.world_size == 1 or not tensors:
        return
    with torch.no_grad():
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)
            tensor /= runner.world_size
