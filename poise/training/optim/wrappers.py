"""Optimizers from `optim_wrapper` configs, and how a step uses them: clipping, accumulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from poise.errors import ConfigError, one_of
from poise.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from poise.training.machine.sharding import whole

__all__ = ["AmpOptimWrapper", "OptimWrapper", "StepSettings", "build_optimizer"]

_PRECISIONS = {None: "16-mixed", "float16": "16-mixed", "bfloat16": "bf16-mixed"}


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """How a training step uses the optimizer: what an `optim_wrapper` says beside `optimizer`.

    Args:
        accumulative_counts: batches whose gradients make one step.
        clip_grad: arguments of `clip_grad_norm_`, or with `type="value"` of
            `clip_grad_value_`; None does not clip.
        precision: Lightning's name of the arithmetic ("32-true", "16-mixed", "bf16-mixed").
        loss_scale: "dynamic", a fixed factor, or arguments of `torch.amp.GradScaler`.
    """

    accumulative_counts: int = 1
    clip_grad: Mapping[str, Any] | None = None
    precision: str = "32-true"
    loss_scale: Any = "dynamic"
    optimizer: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.accumulative_counts < 1:
            raise ConfigError(
                f"accumulative_counts must be at least 1, got {self.accumulative_counts}"
            )
        one_of((self.clip_grad or {}).get("type", "norm"), ("norm", "value"), "type of clip_grad")

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> StepSettings:
        """Settings of an `optim_wrapper` config."""
        skip = ("constructor", "paramwise_cfg")
        args = {"type": "OptimWrapper"} | {k: v for k, v in cfg.items() if k not in skip}
        return OPTIM_WRAPPERS.build(args)

    def clip(self, parameters: list[torch.Tensor]) -> float | None:
        """Limit the gradients in place; the norm before, where the norm is what is limited."""
        having = [p for p in parameters if p.grad is not None]
        if not self.clip_grad or not having:
            return None
        args = dict(self.clip_grad)
        if args.pop("type", "norm") == "value":
            nn.utils.clip_grad_value_(having, **args)
            return None
        return float(whole(nn.utils.clip_grad_norm_(having, **args)))


@OPTIM_WRAPPERS.register_module(scope="mmengine")
def OptimWrapper(  # noqa: N802 - a name of MMEngine
    optimizer: Any = None,
    accumulative_counts: int = 1,
    clip_grad: Mapping[str, Any] | None = None,
) -> StepSettings:
    """Plain float32 steps."""
    return StepSettings(
        accumulative_counts=accumulative_counts, clip_grad=clip_grad, optimizer=optimizer
    )


@OPTIM_WRAPPERS.register_module(scope="mmengine")
def AmpOptimWrapper(  # noqa: N802 - a name of MMEngine
    loss_scale: Any = "dynamic",
    dtype: Any = None,
    use_fsdp: bool = False,
    optimizer: Any = None,
    accumulative_counts: int = 1,
    clip_grad: Mapping[str, Any] | None = None,
) -> StepSettings:
    """Steps in mixed precision; `dtype` is "float16" (the default) or "bfloat16"."""
    name = str(dtype).removeprefix("torch.") if dtype is not None else None
    if name not in _PRECISIONS:
        raise ConfigError(
            f"dtype of AmpOptimWrapper must be 'float16' or 'bfloat16', got {dtype!r}"
        )
    return StepSettings(
        accumulative_counts=accumulative_counts,
        clip_grad=clip_grad,
        precision=_PRECISIONS[name],
        loss_scale=loss_scale,
        optimizer=optimizer,
    )


def build_optimizer(model: nn.Module, optim_wrapper_cfg: Any) -> torch.optim.Optimizer:
    """Optimizer of a model, with the learning rate and weight decay that each parameter gets.

    Args:
        model: what is trained; a wrapper with `.module` is looked into.
        optim_wrapper_cfg: `optim_wrapper` of a config (`optimizer`, `constructor`,
            `paramwise_cfg` count here; clipping and the like are `StepSettings`), or a built
            optimizer, which is returned.

    Raises:
        ConfigError: no `optimizer`, unknown `paramwise_cfg` keys, or a multiplier of a value
            that the optimizer config does not set.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> cfg = dict(optimizer=dict(type="SGD", lr=0.1, weight_decay=0.01),
        ...            paramwise_cfg=dict(bias_decay_mult=0))
        >>> [g["weight_decay"] for g in build_optimizer(layer, cfg).param_groups]
        [0.01, 0.0]
    """
    if isinstance(optim_wrapper_cfg, torch.optim.Optimizer):
        return optim_wrapper_cfg
    cfg = dict(optim_wrapper_cfg)
    if isinstance(cfg.get("optimizer"), torch.optim.Optimizer):
        return cfg["optimizer"]
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {
            "type": cfg.pop("constructor", "DefaultOptimWrapperConstructor"),
            "optim_wrapper_cfg": cfg,
            "paramwise_cfg": cfg.pop("paramwise_cfg", None),
        }
    )
    built = constructor(model)
    return getattr(built, "optimizer", built)
