"""Blocks that train with branches and run as one convolution (Ding 2021, RepVGG)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.layers.base import BaseModule
from poise.layers.builders import build_activation_layer, build_norm_layer
from poise.layers.conv_module import ConvModule

__all__ = ["RepVGGBlock"]

Config = Mapping[str, Any]


def _fold(kernel: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with the batch norm after it."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    return kernel * factor.view(-1, 1, 1, 1), norm.bias - norm.running_mean * factor


class RepVGGBlock(BaseModule):
    """Sum of a 3 x 3 and a 1 x 1 convolution and perhaps the input, each with a norm.

    (B, C, H, W) -> (B, C', H / stride, W / stride).

    Args:
        in_channels, out_channels: C and C'.
        stride, padding, dilation, groups: of the 3 x 3 convolution.
        padding_mode: accepted for MMPose's configs; zeros in any case.
        norm_cfg, act_cfg: norms of branches and activation of the sum.
        without_branch_norm: leave the input out of the sum.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        norm_cfg: Config = {"type": "BN"},  # noqa: B006 (never changed)
        act_cfg: Config = {"type": "ReLU"},  # noqa: B006 (never changed)
        without_branch_norm: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        keeps_shape = in_channels == out_channels and stride == 1 and padding == dilation
        passes = keeps_shape and not without_branch_norm
        self.branch_norm = build_norm_layer(norm_cfg, in_channels)[1] if passes else None
        plain: dict[str, Any] = {"groups": groups, "norm_cfg": norm_cfg, "act_cfg": None}
        self.branch_3x3 = ConvModule(
            in_channels, out_channels, 3, stride, padding, dilation, **plain
        )
        # as in MMPose without the stride: a block of stride 2 has no fitting 1 x 1 branch
        self.branch_1x1 = ConvModule(in_channels, out_channels, 1, **plain)
        self.act = build_activation_layer(act_cfg)
        self.conv_reparam: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        if self.conv_reparam is not None:
            return self.act(self.conv_reparam(x))
        out = self.branch_3x3(x) + self.branch_1x1(x)
        return self.act(out if self.branch_norm is None else out + self.branch_norm(x))

    def get_equivalent_kernel_bias(self) -> tuple[Tensor, Tensor]:
        """Kernel (C', C / groups, 3, 3) and bias (C',) that give the sum of all branches."""
        kernel, bias = _fold(self.branch_3x3.conv.weight, self.branch_3x3.norm)
        small, small_bias = _fold(self.branch_1x1.conv.weight, self.branch_1x1.norm)
        kernel, bias = kernel + F.pad(small, [1, 1, 1, 1]), bias + small_bias
        if self.branch_norm is not None:
            width = self.in_channels // self.groups
            identity = torch.zeros_like(self.branch_3x3.conv.weight)
            rows = torch.arange(self.in_channels, device=identity.device)
            identity[rows, rows % width, 1, 1] = 1
            same, same_bias = _fold(identity, self.branch_norm)
            kernel, bias = kernel + same, bias + same_bias
        return kernel, bias

    def switch_to_deploy(self, test_cfg: Config | None = None) -> None:
        """Replace the branches by one convolution; for inference and export only.

        Args:
            test_cfg: accepted, as other modules need it.
        """
        if self.conv_reparam is not None:
            return
        conv = self.branch_3x3.conv
        with torch.no_grad():
            kernel, bias = self.get_equivalent_kernel_bias()
            self.conv_reparam = single = nn.Conv2d(
                conv.in_channels,
                conv.out_channels,
                conv.kernel_size,
                stride=conv.stride,
                padding=conv.padding,
                dilation=conv.dilation,
                groups=conv.groups,
            ).to(kernel)
            single.load_state_dict({"weight": kernel, "bias": bias})
        self.requires_grad_(False)
        del self.branch_3x3, self.branch_1x1
        self.branch_norm = None
