"""Functions that fill the weight and bias of one module with a distribution.

The starting point of training is part of a recipe: which distribution and gain a layer starts
from changes the result. Signatures are MMEngine's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from poise.errors import ArgumentError, one_of

__all__ = [
    "bias_init_with_prob",
    "caffe2_xavier_init",
    "constant_init",
    "kaiming_init",
    "normal_init",
    "trunc_normal_",
    "trunc_normal_init",
    "uniform_init",
    "xavier_init",
]


def trunc_normal_(
    tensor: torch.Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Draw from N(mean, std^2) cut to [a, b], in place; a torch function mode may step in."""
    if has_torch_function_unary(tensor):
        return handle_torch_function(
            trunc_normal_, (tensor,), tensor, mean=mean, std=std, a=a, b=b, generator=generator
        )
    return nn.init.trunc_normal_(tensor, mean, std, a, b, generator)


def _fill(module: nn.Module, fill_weight: Callable[[torch.Tensor], object], bias: float) -> None:
    """Fill `module.weight` by a function and `module.bias` by a number, where they exist."""
    weight, offset = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(weight, torch.Tensor):
        fill_weight(weight)
    if isinstance(offset, torch.Tensor):
        nn.init.constant_(offset, bias)


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Set every weight to `val`; 1 for norms, 0 for a residual branch that starts as nothing."""
    _fill(module, lambda w: nn.init.constant_(w, val), bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Draw weights from N(mean, std^2)."""
    _fill(module, lambda w: nn.init.normal_(w, mean, std), bias)


def trunc_normal_init(
    module: nn.Module,
    mean: float = 0,
    std: float = 1,
    a: float = -2,
    b: float = 2,
    bias: float = 0,
) -> None:
    """Draw weights from N(mean, std^2) cut to [a, b]; transformers start from it."""
    _fill(module, lambda w: trunc_normal_(w, mean, std, a, b), bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Draw weights evenly from [a, b]."""
    _fill(module, lambda w: nn.init.uniform_(w, a, b), bias)


def xavier_init(
    module: nn.Module, gain: float = 1, bias: float = 0, distribution: str = "normal"
) -> None:
    """Keep the variance of signals and gradients through a linear layer (Glorot 2010)."""
    draw = _pick(distribution, nn.init.xavier_normal_, nn.init.xavier_uniform_)
    _fill(module, lambda w: draw(w, gain=gain), bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: str = "fan_out",
    nonlinearity: str = "relu",
    bias: float = 0,
    distribution: str = "normal",
) -> None:
    """Keep the variance of signals through layers with rectifiers (He 2015).

    Args:
        module: what has `weight` and perhaps `bias`.
        a: negative slope of the leaky rectifier that follows.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: name known to `torch.nn.init.calculate_gain`.
        bias: value of the bias.
        distribution: "normal" or "uniform".
    """
    draw = _pick(distribution, nn.init.kaiming_normal_, nn.init.kaiming_uniform_)
    _fill(module, lambda w: draw(w, a=a, mode=mode, nonlinearity=nonlinearity), bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Caffe2's XavierFill, which PyTorch calls Kaiming uniform of a = 1 over the fan-in."""
    kaiming_init(module, 1, "fan_in", "leaky_relu", bias, "uniform")


def bias_init_with_prob(prior_prob: float) -> float:
    """Bias before a sigmoid that makes it answer `prior_prob` (focal loss, Lin 2017, 4.1).

    Example:
        >>> round(bias_init_with_prob(0.01), 3)
        -4.595
    """
    return -math.log((1 - prior_prob) / prior_prob)


def _pick(distribution: str, normal: Callable, uniform: Callable) -> Callable:
    kinds = {"normal": normal, "uniform": uniform}
    return kinds[one_of(distribution, kinds, "distribution", ArgumentError)]
