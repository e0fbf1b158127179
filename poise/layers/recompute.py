"""Activation checkpointing: less memory for more time."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["maybe_checkpoint"]


def maybe_checkpoint(function: Callable[..., Tensor], enabled: bool, x: Tensor) -> Tensor:
    """`function(x)`, its inner activations computed again in the backward pass if `enabled`.

    Args:
        function: part of a network.
        enabled: the `with_cp` of configs; without gradients it has no effect.
        x: input.
    """
    if enabled and x.requires_grad:
        return checkpoint(function, x, use_reentrant=False)
    return function(x)
