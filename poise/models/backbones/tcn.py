"""Temporal convolutions over keypoint sequences (Pavllo 2019, arXiv 1811.11742)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError, DataError
from poise.layers import BaseModule, ConvModule, build_conv_layer
from poise.models.backbones.base import BaseBackbone
from poise.registry import MODELS

__all__ = ["TCN", "clip_weight_norm"]

Config = Mapping[str, Any]
CONV1D: Config = {"type": "Conv1d"}
BN1D: Config = {"type": "BN1d"}


def clip_weight_norm(module: nn.Module, max_norm: float) -> None:
    """Scale a layer's weight down to `max_norm` before every forward pass.

    Args:
        module: layer with `weight`.
        max_norm: largest 2-norm of the weight.
    """
    module.register_forward_pre_hook(partial(_clip, max_norm))


def _clip(max_norm: float, layer: Any, _: Any) -> None:
    with torch.no_grad():
        norm = layer.weight.norm()
        # no synchronisation with the device: the factor is 1 where nothing is to do
        layer.weight.mul_(torch.where(norm > max_norm, max_norm / (norm + 1e-6), 1.0))


class BasicTemporalBlock(BaseModule):
    """Convolution over time, one over channels, and the frames in the middle added.

    (B, C, T) -> (B, C', T'), where T' is T / kernel_size with strides, else
    T - (kernel_size - 1) * dilation.

    Args:
        in_channels, out_channels, mid_channels: C, C' and channels between.
        kernel_size: frames, odd.
        dilation: between frames; strides replace it.
        dropout: probability after each convolution.
        causal: see no frame after the one that is estimated.
        residual: add the input.
        use_stride_conv: convolve disjoint windows, for one estimate a sequence in training.
        conv_cfg, norm_cfg: for all layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int = 1024,
        kernel_size: int = 3,
        dilation: int = 3,
        dropout: float = 0.25,
        causal: bool = False,
        residual: bool = True,
        use_stride_conv: bool = False,
        conv_cfg: Config = CONV1D,
        norm_cfg: Config = BN1D,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.kernel_size, self.causal, self.residual = kernel_size, causal, residual
        self.use_stride_conv = use_stride_conv
        self.pad = (kernel_size - 1) * dilation // 2
        self.stride = kernel_size if use_stride_conv else 1
        self.dilation = 1 if use_stride_conv else dilation
        self.causal_shift = kernel_size // 2 * self.dilation if causal else 0
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        window = {"stride": self.stride, "dilation": self.dilation}
        self.conv1 = nn.Sequential(
            ConvModule(in_channels, mid_channels, kernel_size, **window, **cfgs)
        )
        self.conv2 = nn.Sequential(ConvModule(mid_channels, out_channels, 1, **cfgs))
        widens = residual and in_channels != out_channels
        self.short_cut = (
            build_conv_layer(conv_cfg, in_channels, out_channels, 1) if widens else None
        )
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def _middle(self, x: Tensor) -> Tensor:
        """Frames of the input that the outputs stand for."""
        T = x.shape[2]
        if self.use_stride_conv:
            first = self.causal_shift + self.kernel_size // 2
            if first >= T:
                raise DataError(f"a block of kernel {self.kernel_size} got only {T} frames")
            return x[:, :, first :: self.kernel_size]
        first, end = self.pad + self.causal_shift, T - self.pad + self.causal_shift
        if not 0 <= first < end <= T:
            raise DataError(f"a block that sees {2 * self.pad + 1} frames got {T}")
        return x[:, :, first:end]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T').

        Raises:
            DataError: too few frames.
        """
        middle = self._middle(x)
        out = self.dropout(self.conv2(self.dropout(self.conv1(x))))
        if not self.residual:
            return out
        return out + (middle if self.short_cut is None else self.short_cut(middle))


@MODELS.register_module()
class TCN(BaseBackbone):
    """Keypoints over time -> features: (B, K * D, T) -> (B, C, T') after each block.

    Args:
        in_channels: K * D.
        stem_channels: C.
        num_blocks: blocks, one less than `kernel_sizes`.
        kernel_sizes: of the stem and of each block, odd; their product is the frames seen.
        dropout: probability after each convolution.
        causal, residual, use_stride_conv: as `BasicTemporalBlock`.
        conv_cfg, norm_cfg: for all layers.
        max_norm: largest 2-norm of any convolution's weight; None for no limit.
        init_cfg: accepted, and without effect, as in MMPose.

    Raises:
        ConfigError: an even kernel, or another number of kernels.
    """

    def __init__(
        self,
        in_channels: int,
        stem_channels: int = 1024,
        num_blocks: int = 2,
        kernel_sizes: Sequence[int] = (3, 3, 3),
        dropout: float = 0.25,
        causal: bool = False,
        residual: bool = True,
        use_stride_conv: bool = False,
        conv_cfg: Config = CONV1D,
        norm_cfg: Config = BN1D,
        max_norm: float | None = None,
        init_cfg: Any = None,
    ) -> None:
        # MMPose drops init_cfg here; its ConvModules start themselves
        super().__init__()
        if num_blocks != len(kernel_sizes) - 1:
            raise ConfigError(
                f"kernel_sizes must have {num_blocks + 1} numbers for {num_blocks} blocks and "
                f"the stem, got {tuple(kernel_sizes)}"
            )
        if any(k % 2 == 0 for k in kernel_sizes):
            raise ConfigError(f"Only odd filter widths are supported, got {tuple(kernel_sizes)}")
        self.num_blocks, self.max_norm = num_blocks, max_norm
        first, *others = kernel_sizes
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        stride = first if use_stride_conv else 1
        self.expand_conv = ConvModule(in_channels, stem_channels, first, stride=stride, **cfgs)
        self.tcn_blocks = nn.ModuleList()
        dilation = first
        for kernel in others:
            block = BasicTemporalBlock(
                stem_channels,
                stem_channels,
                stem_channels,
                kernel,
                dilation,
                dropout,
                causal,
                residual,
                use_stride_conv,
                **cfgs,
            )
            self.tcn_blocks.append(block)
            dilation *= kernel
        if max_norm is not None:
            for module in self.modules():
                if isinstance(module, nn.modules.conv._ConvNd):
                    clip_weight_norm(module, max_norm)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, K * D, T) -> features (B, C, T') after each block."""
        x = self.dropout(self.expand_conv(x))
        outs = []
        for block in self.tcn_blocks:
            x = block(x)
            outs.append(x)
        return tuple(outs)
