"""Averaged weights: exponential moving averages and stochastic weight averaging."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poise._options import options_of
from poise.errors import ConfigError
from poise.registry import MODELS
from poise.training.machine.sharding import is_split, lay_out

__all__ = [
    "AveragedWeights",
    "ExpMomentumEMA",
    "ExponentialMovingAverage",
    "MomentumAnnealingEMA",
    "StochasticWeightAverage",
]


class AveragedWeights:
    """A second set of a model's weights that follows the first one.

    Args:
        model: whose weights are averaged.
        interval: updates between two averagings.
        device: where the averages live; None for where the weights are.
        update_buffers: average the floating-point buffers too (integer buffers then stay as
            at the first update); else all buffers are copies.
    """

    def __init__(
        self,
        model: nn.Module,
        interval: int = 1,
        device: Any = None,
        update_buffers: bool = False,
    ) -> None:
        self.interval = interval
        self.update_buffers = update_buffers
        self.steps = 0
        parameters = {n for n, _ in model.named_parameters(remove_duplicate=False)}
        source = model.state_dict()
        self.shadow = {n: t.detach().clone().to(device or t.device) for n, t in source.items()}
        self._averaged = [
            n
            for n, t in source.items()
            if t.is_floating_point() and (n in parameters or update_buffers)
        ]
        self._copied = [n for n in source if n not in parameters and not update_buffers]
        self._swapped = [n for n in source if n in parameters or update_buffers]

    def weight(self, steps: int) -> float:
        """Share of the new weights in an update, 0 to 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define `weight`")

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the model's weights of now into the average."""
        source = model.state_dict()
        if self.steps == 0:
            self.copy_from(source)
        elif self.steps % self.interval == 0:
            # split tensors and whole ones do not go into one call
            for split in (False, True):
                names = [n for n in self._averaged if is_split(source[n]) == split]
                if not names:
                    continue
                mean = [self.shadow[n] for n in names]
                new = [source[n].detach().to(m.device) for n, m in zip(names, mean, strict=True)]
                torch._foreach_lerp_(mean, new, self.weight(self.steps))
        for name in self._copied:
            self.shadow[name].copy_(source[name])
        self.steps += 1

    @torch.no_grad()
    def copy_from(self, source: Mapping[str, Tensor]) -> None:
        """Start the average anew from these weights."""
        for name, tensor in self.shadow.items():
            tensor.copy_(lay_out(source[name], tensor))

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights with the averages; twice restores both."""
        source = model.state_dict()
        for name in self._swapped:
            mine, theirs = self.shadow[name], source[name]
            kept = theirs.detach().clone()
            theirs.copy_(mine)
            mine.copy_(kept)


@MODELS.register_module(scope="mmengine")
class StochasticWeightAverage(AveragedWeights):
    """Plain mean of the weights at every `interval`-th update (Izmailov 2018)."""

    def weight(self, steps: int) -> float:
        """1 / (how many were averaged before, and this)."""
        return 1 / (steps // self.interval + 1)


@MODELS.register_module(scope="mmengine")
class ExponentialMovingAverage(AveragedWeights):
    """Mean in which old weights fade: new = (1 - momentum) old + momentum current."""

    @options_of(AveragedWeights, positional=True)
    def __init__(self, model: nn.Module, momentum: float = 0.0002, **options: Any) -> None:
        super().__init__(model, **options)
        if not 0 < momentum < 1:
            raise ConfigError(f"momentum of an EMA must lie between 0 and 1, got {momentum}")
        self.momentum = momentum

    def weight(self, steps: int) -> float:
        """The momentum."""
        return self.momentum


class _Annealed(ExponentialMovingAverage):
    """EMA whose momentum falls from 1 to `momentum`, `gamma` updates being the scale."""

    @options_of(ExponentialMovingAverage, positional=True)
    def __init__(
        self, model: nn.Module, momentum: float = 0.0002, gamma: int = 2000, **options: Any
    ) -> None:
        super().__init__(model, momentum, **options)
        if gamma <= 0:
            raise ConfigError(f"gamma of an EMA must be positive, got {gamma}")
        self.gamma = gamma


@MODELS.register_module()
class ExpMomentumEMA(_Annealed):
    """EMA with an exponentially falling momentum (YOLOX): quick at first, smooth later."""

    def weight(self, steps: int) -> float:
        """The momentum of this update."""
        return (1 - self.momentum) * math.exp(-(1 + steps) / self.gamma) + self.momentum


@MODELS.register_module(scope="mmengine")
class MomentumAnnealingEMA(_Annealed):
    """EMA with a hyperbolically falling momentum (StyleGAN)."""

    @options_of(_Annealed, positional=True, gamma=100)
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def weight(self, steps: int) -> float:
        """The momentum of this update."""
        return max(self.momentum, self.gamma / (self.gamma + steps))
