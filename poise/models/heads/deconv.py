"""Layers between a feature map and heatmaps: upsampling, 3x3 convolutions, the last 1x1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import build_conv_layer, build_upsample_layer

__all__ = ["Finish", "batch_norm_relu", "check_lengths", "conv_stack", "deconv_stack", "last_conv"]

#: kernel size -> (padding, output padding) with which a stride of 2 doubles the size exactly
DECONV_PADDING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}


def check_lengths(owner: object, **sequences: Sequence[Any] | None) -> None:
    """Check that all named sequences are given and of equal length.

    Raises:
        ConfigError: one is None or shorter than another.
    """
    lengths = {None if values is None else len(values) for values in sequences.values()}
    if len(lengths) > 1 or None in lengths:
        names = " and ".join(f'"{name}"' for name in sequences)
        raise ConfigError(
            f"{type(owner).__name__}: {names} should be integer sequences with the same "
            f"length, got {dict(sequences)}"
        )


#: What follows a layer of so many channels: a norm and an activation.
Finish = Callable[[int], list[nn.Module]]


def batch_norm_relu(channels: int) -> list[nn.Module]:
    """Batch norm and ReLU, as all heads of MMPose have them."""
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


class Deconvolutions(nn.Sequential):
    """Layers that begin with a transposed convolution: (B, C, H, W) -> (B, C', H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        """Row by row: from maps in channels-last order torch would copy every kernel first."""
        return super().forward(x.contiguous())


def deconv_stack(
    owner: object,
    in_channels: int,
    out_channels: Sequence[int],
    kernel_sizes: Sequence[int],
    groups: Sequence[int] | None = None,
    finish: Finish = batch_norm_relu,
) -> nn.Sequential:
    """Transposed convolutions with norm and activation, each doubling the size.

    Args:
        owner: the head, for error texts.
        in_channels: channels of the feature map.
        out_channels: of each layer.
        kernel_sizes: of each layer: 2, 3 or 4.
        groups: of each layer; None is 1.
        finish: norm and activation.

    Raises:
        ConfigError: another kernel size.
    """
    layers: list[nn.Module] = []
    for out, kernel, group in zip(
        out_channels, kernel_sizes, groups or [1] * len(out_channels), strict=True
    ):
        if kernel not in DECONV_PADDING:
            raise ConfigError(
                f"{type(owner).__name__}: unsupported kernel size {kernel} for deconvolutional "
                f"layers, choose one of {sorted(DECONV_PADDING)}"
            )
        padding, output_padding = DECONV_PADDING[kernel]
        deconv = build_upsample_layer(
            {
                "type": "deconv",
                "in_channels": in_channels,
                "out_channels": out,
                "kernel_size": kernel,
                "stride": 2,
                "padding": padding,
                "output_padding": output_padding,
                "groups": group,
                "bias": False,
            }
        )
        layers += [deconv, *finish(out)]
        in_channels = out
    return Deconvolutions(*layers)


def conv_stack(
    in_channels: int,
    out_channels: Sequence[int],
    kernel_sizes: Sequence[int],
    finish: Finish = batch_norm_relu,
) -> nn.Sequential:
    """Convolutions with norm and activation that keep the size (odd kernels)."""
    layers: list[nn.Module] = []
    for out, kernel in zip(out_channels, kernel_sizes, strict=True):
        conv = build_conv_layer(
            {"type": "Conv2d"}, in_channels, out, kernel, padding=(kernel - 1) // 2
        )
        layers += [conv, *finish(out)]
        in_channels = out
    return nn.Sequential(*layers)


def last_conv(
    final_layer: Mapping[str, Any] | None, in_channels: int, out_channels: int
) -> nn.Module | None:
    """The layer that makes heatmaps of features; None where `final_layer` is None."""
    if final_layer is None:
        return None
    settings = {
        "type": "Conv2d",
        "in_channels": in_channels,
        "out_channels": out_channels,
        "kernel_size": 1,
    }
    return build_conv_layer({**settings, **final_layer})
