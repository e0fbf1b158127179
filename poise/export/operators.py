"""Operators of ONNX that torch's exporter does not know."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["opset_for"]

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
