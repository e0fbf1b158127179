"""`speed` of a config: what makes training faster or smaller and leaves its numbers alone.

None of it is MMPose's, and everything is off by default; what each one gives on a machine,
`python -m benchmarks training_options` measures.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from poise.config.known import check_known
from poise.errors import ConfigError
from poise.registry import OPTIMIZERS

__all__ = ["blocks_of", "checkpoint_blocks", "fuse_optimizer", "prepare_model"]

_KEYS = ("channels_last", "checkpointing", "compile", "fused")
#: Parts of an estimator that are compiled; what is around them handles lists of samples.
_COMPILED = ("backbone", "neck")


def prepare_model(model: nn.Module, speed: Mapping[str, Any] | None) -> None:
    """Apply `speed` of a config to a model, in place; names of weights stay.

    Args:
        model: estimator.
        speed: `channels_last`: memory order of convolutions; `compile`: True, or arguments of
            `torch.compile`, for backbone and neck; `checkpointing`: compute the backbone's
            blocks again in the backward pass instead of keeping what they gave.

    Raises:
        ConfigError: an unknown key.
    """
    speed = speed or {}
    check_known(speed, _KEYS, "speed")
    if speed.get("channels_last"):
        model.to(memory_format=torch.channels_last)
    if speed.get("checkpointing"):
        checkpoint_blocks(getattr(model, "backbone", model))
    if speed.get("compile"):
        arguments = speed["compile"] if isinstance(speed["compile"], Mapping) else {}
        for name in _COMPILED:
            part = getattr(model, name, None)
            if isinstance(part, nn.Module):
                part.compile(**arguments)


def fuse_optimizer(optimizer_cfg: Mapping[str, Any], speed: Mapping[str, Any] | None) -> Any:
    """Config of an optimizer that makes a step in one kernel, where `speed.fused` asks for it.

    Raises:
        ConfigError: torch has no such kernel for it.
    """
    wanted = (speed or {}).get("fused")
    if wanted is None or "fused" in optimizer_cfg:
        return optimizer_cfg
    kind: Any = OPTIMIZERS.get(str(optimizer_cfg["type"]))
    if wanted and "fused" not in inspect.signature(kind).parameters:
        raise ConfigError(
            f"speed.fused=True: {optimizer_cfg['type']} has no fused step; Adam, AdamW, SGD and "
            "Adagrad have"
        )
    return {**optimizer_cfg, "fused": bool(wanted)}


# ------------------------------------------------------------------- checkpointing


def checkpoint_blocks(backbone: nn.Module) -> int:
    """Let each block of a backbone be computed again for the backward pass.

    Running statistics of norms are updated once, as without.

    Returns:
        how many blocks there are.
    """
    blocks = list(blocks_of(backbone))
    for block in blocks:
        changed: Any = block
        changed.forward = partial(_again, block, block.forward)
    return len(blocks)


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that stand in a list or sequence and hold several layers."""
    listed = isinstance(module, (nn.Sequential, nn.ModuleList))
    for child in module.children():
        if listed and not isinstance(child, (nn.Sequential, nn.ModuleList)) and _layers(child) > 1:
            yield child
        else:
            yield from blocks_of(child)


def _layers(module: nn.Module) -> int:
    return sum(bool(list(m.parameters(recurse=False))) for m in module.modules())


def _again(block: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)
    contexts = lambda: (contextlib.nullcontext(), _without_statistics(block))  # noqa: E731
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextlib.contextmanager
def _without_statistics(block: nn.Module) -> Iterator[None]:
    """Norms of the block see the batch, and leave their running statistics as they are."""
    norms: list[Any] = [
        m
        for m in block.modules()
        if isinstance(m, nn.modules.batchnorm._NormBase) and m.training and m.track_running_stats
    ]
    before = [(n.momentum, n.num_batches_tracked.clone()) for n in norms]
    for norm in norms:
        # the same tensors must be kept as in the first pass, so no switching off
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)
