"""Operators of ONNX that torch's exporter does not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["opset_for", "traceable"]

#: Version of ONNX's operators that runtimes of the last years have, and the first one with
#: deformable convolutions.
OPSET, OPSET_DEFORMABLE = 17, 19


def opset_for(network: nn.Module) -> int:
    """The lowest version of ONNX's operators that says what a network does."""
    from poise.layers.deform_conv import DeformConv2d, ModulatedDeformConv2d

    deformable = (DeformConv2d, ModulatedDeformConv2d)
    if not any(isinstance(module, deformable) for module in network.modules()):
        return OPSET
    torch.onnx.register_custom_op_symbolic(
        "torchvision::deform_conv2d", _deformable, OPSET_DEFORMABLE
    )
    return OPSET_DEFORMABLE


@contextmanager
def traceable(*, free: bool = False) -> Iterator[None]:
    """Let functions of torch be traced as ONNX wants it.

    Pooling to the size of another map has that size as a number.

    Args:
        free: the network takes inputs of any size: an axis that is divided does not fix the
            others, as `unflatten` does, which torch's own multi-head attention calls.
    """
    pool, unflatten = F.adaptive_avg_pool2d, torch.Tensor.unflatten

    def pool_to_numbers(x: Tensor, size: Any) -> Tensor:
        sizes = [int(side) for side in (size if isinstance(size, (tuple, list)) else (size,) * 2)]
        have = [int(side) for side in x.shape[2:]]
        if any(side % to for side, to in zip(have, sizes, strict=True)) or sizes == [1, 1]:
            return pool(x, (sizes[0], sizes[1]))
        # windows of one size: plain pooling, for which no size need be known
        return F.avg_pool2d(x, [side // to for side, to in zip(have, sizes, strict=True)])

    def divided(x: Tensor, dim: int, sizes: Any) -> Tensor:
        axis = dim % x.ndim
        return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])

    F.adaptive_avg_pool2d = pool_to_numbers  # type: ignore[assignment]
    if free:
        torch.Tensor.unflatten = divided  # type: ignore[method-assign]
    try:
        yield
    finally:
        F.adaptive_avg_pool2d = pool
        torch.Tensor.unflatten = unflatten  # type: ignore[method-assign]


def _deformable(graph: Any, *values: Any) -> Any:
    """ONNX's node of torchvision's `deform_conv2d`."""
    constant = torch.onnx.symbolic_helper._maybe_get_const
    x, weight, offset, mask, bias = values[:5]
    stride_y, stride_x, pad_y, pad_x, tall, wide, groups, offset_groups, use_mask = (
        constant(value, "b" if i == 8 else "i") for i, value in enumerate(values[5:])
    )
    inputs = [x, weight, offset, bias]
    return graph.op(
        "DeformConv",
        *([*inputs, mask] if use_mask else inputs),
        strides_i=[stride_y, stride_x],
        pads_i=[pad_y, pad_x, pad_y, pad_x],
        dilations_i=[tall, wide],
        group_i=groups,
        offset_group_i=offset_groups,
    )
