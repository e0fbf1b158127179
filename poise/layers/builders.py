"""Layers from config dicts: convolutions, norms, activations, paddings, upsampling, plugins.

Networks take `norm_cfg=dict(type="SyncBN")` and the like instead of a class, so that one
config line changes every layer. Names are MMCV's; the registry knows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from poise.config.tree import beside
from poise.errors import ArgumentError, ConfigError, UnknownNameError
from poise.layers.conv2d import Conv2d
from poise.registry import MODELS

__all__ = [
    "build_activation_layer",
    "build_conv_layer",
    "build_dropout",
    "build_norm_layer",
    "build_padding_layer",
    "build_plugin_layer",
    "build_upsample_layer",
    "infer_abbr",
    "is_norm",
]

_NORM_BASES = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)

#: attribute names of norm layers, as they stand in checkpoints
_NORM_NAMES: tuple[tuple[type, str], ...] = (
    (_InstanceNorm, "in"),
    (_BatchNorm, "bn"),
    (nn.GroupNorm, "gn"),
    (nn.LayerNorm, "ln"),
)
_NORM_WORDS = {"batch": "bn", "group": "gn", "layer": "ln", "instance": "in"}


class _LayerTypeError(UnknownNameError, ConfigError):
    """An unknown or missing layer type: a KeyError in MMCV, and a fault of the config."""


def _layer_class(what: str, cfg: Any) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    """(class, remaining arguments) of a layer config.

    Args:
        what: kind of layer, for the error text.
        cfg: dict with `type`, a name or a class.
    """
    if not isinstance(cfg, Mapping):
        raise ArgumentError(f"the config of a {what} layer must be a dict, got {cfg!r}")
    args = dict(cfg)
    kind = args.pop("type", None)
    if kind is None:
        raise _LayerTypeError(
            f'the cfg of a {what} layer must contain the key "type", got {args}{beside(cfg)}'
        )
    if not isinstance(kind, str):
        return kind, args
    found = MODELS.get(kind)
    if found is None:
        raise MODELS.unknown(kind, f" as a {what} layer{beside(cfg, 'type')}")
    return found, args


def build_conv_layer(cfg: Mapping[str, Any] | None, *args: Any, **kwargs: Any) -> nn.Module:
    """Convolution of a config; `Conv2d` where `cfg` is None.

    Args:
        cfg: `type` (Conv1d, Conv2d, Conv3d, Conv, DCN, DCNv2, deconv, ...) and arguments.
        *args: positional arguments of the layer: in and out channels, kernel size.
        **kwargs: named arguments of the layer.
    """
    if cfg is None:
        return Conv2d(*args, **kwargs)
    layer, options = _layer_class("convolution", cfg)
    return layer(*args, **kwargs, **options)


def build_norm_layer(
    cfg: Mapping[str, Any], num_features: int, postfix: int | str = ""
) -> tuple[str, nn.Module]:
    """Norm layer of a config, with the attribute name that checkpoints use for it.

    Args:
        cfg: `type` (BN, BN1d, BN3d, SyncBN, GN, LN, LN2d, IN, ...), its arguments, and
            `requires_grad` (default True).
        num_features: channels.
        postfix: end of the name: `bn` and 1 give `bn1`.

    Returns:
        Name such as "bn1", and the layer.
    """
    layer, options = _layer_class("norm", cfg)
    requires_grad = options.pop("requires_grad", True)
    options.setdefault("eps", 1e-5)
    if layer is nn.GroupNorm:
        if "num_groups" not in options:
            raise ConfigError(f"a GN norm needs 'num_groups', got {dict(cfg)}{beside(cfg)}")
        options["num_channels"] = num_features
        norm: nn.Module = layer(**options)
    else:
        norm = layer(num_features, **options)
    for parameter in norm.parameters():
        parameter.requires_grad = requires_grad
    return f"{_norm_abbr(layer)}{postfix}", norm


def _norm_abbr(layer: Any) -> str:
    """Short name of a norm class: `bn`, `gn`, `ln`, `in`, or `norm_layer`."""
    own = getattr(layer, "_abbr_", None)
    if own is not None:
        return own
    if isinstance(layer, type):
        for base, name in _NORM_NAMES:
            if issubclass(layer, base):
                return name
    label = getattr(layer, "__name__", "").lower()
    return next((name for word, name in _NORM_WORDS.items() if word in label), "norm_layer")


def is_norm(layer: nn.Module, exclude: type | tuple[type, ...] | None = None) -> bool:
    """Whether a layer normalises: batch, instance, group or layer norm.

    Args:
        layer: a module.
        exclude: classes that do not count.
    """
    classes = exclude if isinstance(exclude, tuple) else () if exclude is None else (exclude,)
    if not all(isinstance(c, type) for c in classes):
        raise ArgumentError(f"exclude must be a class or a tuple of classes, got {exclude!r}")
    return isinstance(layer, _NORM_BASES) and not isinstance(layer, classes)


def build_activation_layer(cfg: Mapping[str, Any]) -> nn.Module:
    """Activation of a config: ReLU, LeakyReLU, PReLU, SiLU, Swish, GELU, HSwish, HSigmoid, ..."""
    layer, options = _layer_class("activation", cfg)
    return layer(**options)


def build_dropout(
    cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None
) -> nn.Module:
    """Dropout of a config: Dropout or DropPath, with `drop_prob`."""
    layer, options = _layer_class("dropout", cfg)
    return layer(**{**(default_args or {}), **options})


def build_padding_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Padding of a config: `zero`, `reflect` or `replicate`; arguments as of the torch class."""
    layer, options = _layer_class("padding", cfg)
    return layer(*args, **kwargs, **options)


def build_upsample_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Upsampling layer of a config.

    Args:
        cfg: `type` `nearest` or `bilinear` (interpolation, `scale_factor`), `deconv`
            (transposed convolution) or `pixel_shuffle`, and arguments.
        *args: positional arguments of the layer.
        **kwargs: named arguments of the layer.

    Raises:
        ConfigError: `carafe`, whose kernel exists only in MMCV's compiled operators.
    """
    if isinstance(cfg, Mapping) and cfg.get("type") == "carafe":
        raise ConfigError(
            f"the upsampling 'carafe' needs a compiled operator that Poise does not have"
            f"{beside(cfg, 'type')}; use 'bilinear', 'nearest', 'deconv' or 'pixel_shuffle'"
        )
    layer, options = _layer_class("upsample", cfg)
    if layer is nn.Upsample:
        options["mode"] = cfg["type"]
    return layer(*args, **kwargs, **options)


def build_plugin_layer(
    cfg: Mapping[str, Any], postfix: int | str = "", **kwargs: Any
) -> tuple[str, nn.Module]:
    """Extra block of a network, with its attribute name.

    Args:
        cfg: `type` and arguments.
        postfix: end of the name.
        **kwargs: further arguments of the layer.

    Returns:
        Name such as "conv_block1", and the layer.
    """
    layer, options = _layer_class("plugin", cfg)
    return f"{infer_abbr(layer)}{postfix}", layer(**kwargs, **options)


def infer_abbr(class_type: Any) -> str:
    """Attribute name of a plugin class: its `_abbr_`, or the class name in snake case.

    Example:
        >>> infer_abbr(type("FancyBlock", (), {}))
        'fancy_block'
    """
    if not isinstance(class_type, type):
        raise ArgumentError(f"class_type must be a class, got {class_type!r}")
    own = getattr(class_type, "_abbr_", None)
    if own is not None:
        return own
    # a break before a capital that starts a word: "HTTPNet" -> http_net, "FancyBlock2D"
    words = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_type.__name__)
    return words.replace("-", "_").lower()
