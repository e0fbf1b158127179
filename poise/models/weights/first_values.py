"""Models without their random first values, for those whose weights come from a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from poise.layers.init import trunc_normal_

__all__ = ["NoFirstValues", "take_values"]

_DRAWING = {
    torch.Tensor.uniform_,
    torch.Tensor.normal_,
    # these ask for a mode themselves, and what they call does not any more
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.kaiming_uniform_,
    trunc_normal_,
}
"""What fills a tensor with random numbers in place."""


class NoFirstValues(TorchFunctionMode):
    """Build models without drawing random numbers for their parameters.

    Drawing takes most of a network's construction, seconds for a large transformer, and a
    checkpoint overwrites it. The parameters hold whatever was in memory; those that the file
    lacks are to be given by `take_values`. Parameters made of `torch.rand` are drawn as ever.

    Example:
        >>> with NoFirstValues():
        ...     layer = nn.Linear(1000, 1000)
        >>> layer.weight.shape
        torch.Size([1000, 1000])
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Leave parameters alone that are to be drawn; everything else is done as ever."""
        kwargs = kwargs or {}
        if func in _DRAWING:
            tensor = args[0] if args else kwargs["tensor"]
            if isinstance(tensor, nn.Parameter):
                return tensor
        return func(*args, **kwargs)


def take_values(model: nn.Module, names: Iterable[str], source: nn.Module) -> None:
    """Copy parameters and buffers by name from a module of the same build.

    Args:
        model: what receives them.
        names: keys of its state dict.
        source: has the same keys and shapes.
    """
    own, other = model.state_dict(), source.state_dict()
    for name in names:
        own[name].copy_(other[name])
