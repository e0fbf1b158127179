"""What a network costs: parameters and multiplications, found without weights or arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from poise.errors import DataError

__all__ = ["Cost", "cost"]


@dataclass(frozen=True)
class Cost:
    """Size and work of a network.

    Attributes:
        parameters: how many.
        multiply_adds: of convolutions and matrix products for one input; None where the
            network refuses its size. Papers on pose estimation call this number FLOPs.
    """

    parameters: int
    multiply_adds: int | None


def cost(make: Callable[[], nn.Module], shape: Sequence[int] | None = None) -> Cost:
    """Parameters and multiply-adds of the network that `make` builds.

    Nothing is computed or stored: the network lives on torch's meta device, so that a network
    of a billion parameters takes a second.

    Args:
        make: builds the network, such as `HRNet.w32`.
        shape: of its input, such as (1, 3, 256, 192); None leaves the work uncounted.

    Example:
        >>> from poise.models.backbones import ResNet
        >>> cost(lambda: ResNet(50), (1, 3, 256, 192))
        Cost(parameters=23508032, multiply_adds=4003725312)
    """
    with torch.device("meta"):
        network = make().eval()
        parameters = sum(p.numel() for p in network.parameters())
        if shape is None:
            return Cost(parameters, None)
        counter = FlopCounterMode(display=False)
        try:
            with torch.no_grad(), counter:
                network(torch.empty(tuple(shape)))
        except DataError:
            return Cost(parameters, None)
    # the counter's unit is an operation, of which a multiply-add has two
    return Cost(parameters, counter.get_total_flops() // 2)
