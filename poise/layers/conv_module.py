"""Convolution, norm and activation as one layer: the brick of most networks here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from poise.errors import ArgumentError, ConfigError
from poise.layers.builders import (
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
    build_padding_layer,
)
from poise.layers.init import constant_init, kaiming_init
from poise.registry import MODELS

__all__ = ["ConvModule", "DepthwiseSeparableConvModule"]

Config = Mapping[str, Any]

#: padding modes that need no layer of their own
_NATIVE_PADDING = ("zeros", "circular")

#: activations whose constructors have no `inplace`
_NO_INPLACE = ("Tanh", "PReLU", "Sigmoid", "HSigmoid", "Swish", "GELU")

#: what ConvModule shows of its convolution
_SHOWN = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "dilation",
    "transposed",
    "output_padding",
    "groups",
)


def _check_configs(**configs: Config | None) -> None:
    for name, cfg in configs.items():
        if cfg is not None and not isinstance(cfg, Mapping):
            raise ArgumentError(f"{name} must be a dict or None, got {cfg!r}")


@MODELS.register_module(scope="mmcv")
class ConvModule(nn.Module):
    """Convolution, norm, activation, in any order: (B, C, H, W) -> (B, C', H', W').

    Weights stand under `conv`, the norm's name (`bn`, `gn`, `ln`, `in`) and `activate`.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups: as of
            `nn.Conv2d`.
        bias: True, False, or "auto": only where no norm follows.
        conv_cfg: convolution for `build_conv_layer`; None is `nn.Conv2d`.
        norm_cfg: norm for `build_norm_layer`, or None.
        act_cfg: activation for `build_activation_layer`, or None.
        inplace: let the activation write over its input.
        with_spectral_norm: divide the weight by its largest singular value (Miyato 2018).
        padding_mode: "zeros", or a padding layer such as "reflect". "circular" pads with zeros,
            as it does in MMCV, which never hands it to the convolution.
        order: sequence of "conv", "norm" and "act".
        efficient_conv_bn_eval: compute conv and batch norm as one convolution while the norm
            is in eval mode (You 2023, arXiv 2305.11624): less memory when fine-tuning.

    Raises:
        ArgumentError: a config that is not a dict.
        ConfigError: `order` is not a permutation of the three.
    """

    _abbr_ = "conv_block"

    in_channels: int
    out_channels: int
    #: of a class that `conv_cfg` names, with the attributes of `nn.Conv2d`
    conv: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool | str = "auto",
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = {"type": "ReLU"},  # noqa: B006 (never changed)
        inplace: bool = True,
        with_spectral_norm: bool = False,
        padding_mode: str = "zeros",
        order: tuple[str, ...] = ("conv", "norm", "act"),
        efficient_conv_bn_eval: bool = False,
    ) -> None:
        super().__init__()
        _check_configs(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        if sorted(order) != ["act", "conv", "norm"]:
            raise ConfigError(f"order must name 'conv', 'norm' and 'act' once each, got {order}")
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.inplace = inplace
        self.order = tuple(order)
        self.with_spectral_norm = with_spectral_norm
        self.with_norm = norm_cfg is not None
        self.with_activation = act_cfg is not None
        # a norm takes the mean away, and a bias with it
        self.with_bias = not self.with_norm if bias == "auto" else bool(bias)
        self.with_explicit_padding = padding_mode not in _NATIVE_PADDING
        if self.with_explicit_padding:
            self.padding_layer = build_padding_layer({"type": padding_mode}, padding)
        conv = build_conv_layer(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if self.with_explicit_padding else padding,
            dilation=dilation,
            groups=groups,
            bias=self.with_bias,
        )
        for name in _SHOWN:
            setattr(self, name, getattr(conv, name, None))
        self.padding = padding
        self.conv = nn.utils.spectral_norm(conv) if with_spectral_norm else conv
        self._add_norm()
        self.turn_on_efficient_conv_bn_eval(efficient_conv_bn_eval)
        self._add_activation()
        self.init_weights()

    def _add_norm(self) -> None:
        self.norm_name: str | None = None
        if self.norm_cfg is None:
            return
        after = self.order.index("norm") > self.order.index("conv")
        channels = self.out_channels if after else self.in_channels
        self.norm_name, norm = build_norm_layer(self.norm_cfg, channels)
        self.add_module(self.norm_name, norm)

    def _add_activation(self) -> None:
        if self.act_cfg is None:
            return
        options = dict(self.act_cfg)
        if options.get("type") not in _NO_INPLACE:
            options.setdefault("inplace", self.inplace)
        self.activate = build_activation_layer(options)

    @property
    def norm(self) -> Any:
        """The norm layer, of a class that `norm_cfg` names, or None."""
        return getattr(self, self.norm_name) if self.norm_name else None

    def init_weights(self) -> None:
        """Kaiming for the convolution, 1 and 0 for the norm.

        A convolution with its own `init_weights` has started itself already.
        """
        if not hasattr(self.conv, "init_weights"):
            act = self.act_cfg or {}
            leaky = act.get("type") == "LeakyReLU"
            slope = act.get("negative_slope", 0.01) if leaky else 0
            kaiming_init(self.conv, a=slope, nonlinearity="leaky_relu" if leaky else "relu")
        if self.norm is not None:
            constant_init(self.norm, 1, bias=0)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """Run the steps in order.

        Args:
            x: (B, C, H, W), or as the convolution takes.
            activate: False leaves the activation out.
            norm: False leaves the norm out.
        """
        folded = norm and self._folds()
        for step in self.order:
            if step == "conv":
                x = self._padded(x)
                x = _folded_conv(self.norm, self.conv, x) if folded else self.conv(x)
            elif step == "norm":
                x = self.norm(x) if norm and self.with_norm and not folded else x
            elif activate and self.with_activation:
                x = self.activate(x)
        return x

    def _padded(self, x: Tensor) -> Tensor:
        return self.padding_layer(x) if self.with_explicit_padding else x

    def _folds(self) -> bool:
        """Whether conv and norm run as one convolution now."""
        return self.efficient_conv_bn_eval and not self.norm.training

    def turn_on_efficient_conv_bn_eval(self, efficient_conv_bn_eval: bool = True) -> None:
        """Fold the norm into the convolution in eval mode, where that is possible."""
        norm = self.norm
        self.efficient_conv_bn_eval = (
            efficient_conv_bn_eval
            and isinstance(norm, _BatchNorm)
            and bool(norm.track_running_stats)
            and self.order.index("norm") == self.order.index("conv") + 1
        )


def _folded_conv(bn: _BatchNorm, conv: nn.modules.conv._ConvNd, x: Tensor) -> Tensor:
    """`bn(conv(x))` as one convolution with scaled weights; gradients reach both layers."""
    mean, variance = bn.running_mean, bn.running_var
    if mean is None or variance is None:
        raise ConfigError("a batch norm without running statistics cannot be folded")
    scale = torch.rsqrt(variance + bn.eps)
    if bn.weight is not None:
        scale = scale * bn.weight
    shift = -mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    if bn.bias is not None:
        shift = shift + bn.bias
    weight = conv.weight * scale.view(-1, *[1] * (conv.weight.dim() - 1))
    return conv._conv_forward(x, weight, shift)


@MODELS.register_module(scope="mmcv")
class DepthwiseSeparableConvModule(nn.Module):
    """Depthwise k x k, then pointwise 1 x 1 convolution: (B, C, H, W) -> (B, C', H', W').

    About k^2 times cheaper than one full convolution (Howard 2017, MobileNet).

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation: as of `nn.Conv2d`;
            all but `out_channels` go to the depthwise one.
        norm_cfg, act_cfg: for both parts.
        dw_norm_cfg, dw_act_cfg: for the depthwise part; "default" takes the common one.
        pw_norm_cfg, pw_act_cfg: for the pointwise part; "default" takes the common one.
        **kwargs: further arguments for both ConvModules, not `groups`.

    Raises:
        ArgumentError: `groups` is given.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = {"type": "ReLU"},  # noqa: B006 (never changed)
        dw_norm_cfg: Config | str | None = "default",
        dw_act_cfg: Config | str | None = "default",
        pw_norm_cfg: Config | str | None = "default",
        pw_act_cfg: Config | str | None = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if "groups" in kwargs:
            raise ArgumentError("a depthwise separable convolution sets 'groups' itself")

        def pick(own: Any, common: Any) -> Any:
            return common if own == "default" else own

        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=in_channels,
            norm_cfg=pick(dw_norm_cfg, norm_cfg),
            act_cfg=pick(dw_act_cfg, act_cfg),
            **kwargs,
        )
        self.pointwise_conv = ConvModule(
            in_channels,
            out_channels,
            1,
            norm_cfg=pick(pw_norm_cfg, norm_cfg),
            act_cfg=pick(pw_act_cfg, act_cfg),
            **kwargs,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.pointwise_conv(self.depthwise_conv(x))
