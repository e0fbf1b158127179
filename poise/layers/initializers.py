"""What `init_cfg=dict(type="Kaiming", layer="Conv2d", ...)` builds.

An initialiser walks a module and fills those layers whose class is named. `initialize` adds
`override`: other values for one attribute of the module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from poise.config import where
from poise.errors import ArgumentError, ConfigError
from poise.layers import init
from poise.registry import WEIGHT_INITIALIZERS

__all__ = [
    "Caffe2XavierInit",
    "ConstantInit",
    "Initializer",
    "KaimingInit",
    "NormalInit",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "initialize",
]


class Initializer:
    """Fills every layer of a module whose class, or direct base class, is named.

    Args:
        bias: value of biases.
        bias_prob: probability that a sigmoid after the bias answers; replaces `bias`.
        layer: class name or names, such as "Conv2d" or "_BatchNorm". None names no layer.
        *args, **options: arguments for the class's fill function.

    Raises:
        ArgumentError: an option of the wrong type, or that the function does not take.
    """

    #: function (module, **options, bias=) of `poise.layers.init`
    fill: Callable[..., None] = staticmethod(init.normal_init)

    def __init__(
        self,
        *args: Any,
        bias: float = 0,
        bias_prob: float | None = None,
        layer: str | Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(bias, (int, float)):
            raise ArgumentError(f"bias must be a number, got {bias!r}")
        if bias_prob is not None and not isinstance(bias_prob, float):
            raise ArgumentError(f"bias_prob must be a float, got {bias_prob!r}")
        if layer is not None and not isinstance(layer, (str, list, tuple)):
            raise ArgumentError(f"layer must be a class name or a list of them, got {layer!r}")
        self.bias = bias if bias_prob is None else init.bias_init_with_prob(bias_prob)
        self.layer = [layer] if isinstance(layer, str) else list(layer or ())
        self.options = self._bound(*args, **options)
        #: fill all layers instead of the named ones; `override` sets it
        self.wholemodule = False

    def _bound(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Arguments of the fill function by name, but for the module and its bias."""
        fill = inspect.signature(type(self).fill)
        own = [p for p in fill.parameters.values() if p.name not in ("module", "bias")]
        try:
            bound = inspect.Signature(own).bind(*args, **options)
        except TypeError as error:
            taken = ", ".join(str(p) for p in own)
            raise ArgumentError(f"{type(self).__name__}: {error}; it takes {taken}") from error
        return dict(bound.arguments)

    def __repr__(self) -> str:
        """Class with its options."""
        return f"{type(self).__name__}(layer={self.layer}, bias={self.bias}, {self.options})"

    def __call__(self, module: nn.Module) -> None:
        """Fill the layers of `module`, itself among them."""
        for part in module.modules():
            if self.wholemodule or self._names(type(part)):
                type(self).fill(part, **self.options, bias=self.bias)

    def _names(self, cls: type) -> bool:
        return any(c.__name__ in self.layer for c in (cls, *cls.__bases__))


@WEIGHT_INITIALIZERS.register_module(name="Constant", scope="mmengine")
class ConstantInit(Initializer):
    """All weights equal; arguments: `val`."""

    fill = staticmethod(init.constant_init)


@WEIGHT_INITIALIZERS.register_module(name="Xavier", scope="mmengine")
class XavierInit(Initializer):
    """Glorot's; arguments as `xavier_init`."""

    fill = staticmethod(init.xavier_init)


@WEIGHT_INITIALIZERS.register_module(name="Normal", scope="mmengine")
class NormalInit(Initializer):
    """Gaussian; arguments as `normal_init`."""

    fill = staticmethod(init.normal_init)


@WEIGHT_INITIALIZERS.register_module(name="TruncNormal", scope="mmengine")
class TruncNormalInit(Initializer):
    """Gaussian without tails; arguments as `trunc_normal_init`."""

    fill = staticmethod(init.trunc_normal_init)


@WEIGHT_INITIALIZERS.register_module(name="Uniform", scope="mmengine")
class UniformInit(Initializer):
    """Even; arguments as `uniform_init`."""

    fill = staticmethod(init.uniform_init)


@WEIGHT_INITIALIZERS.register_module(name="Kaiming", scope="mmengine")
class KaimingInit(Initializer):
    """He's; arguments as `kaiming_init`."""

    fill = staticmethod(init.kaiming_init)


@WEIGHT_INITIALIZERS.register_module(name="Caffe2Xavier", scope="mmengine")
class Caffe2XavierInit(Initializer):
    """Caffe2's XavierFill."""

    fill = staticmethod(init.caffe2_xavier_init)


def initialize(module: nn.Module, init_cfg: Mapping | Sequence[Mapping]) -> None:
    """Apply one `init_cfg` dict or a list of them to a module, in order.

    Args:
        module: what is filled.
        init_cfg: `type` and its arguments, plus `override`: one dict or a list, each with
            `name` (an attribute of `module`) and either another `type` with arguments or
            nothing, which repeats the outer one.

    Raises:
        ArgumentError: `init_cfg` or `override` is not a dict or a list of dicts.
        ConfigError: an override without `name`, with arguments but no `type`, or of an
            attribute that the module does not have.
    """
    for cfg in _dicts("init_cfg", init_cfg):
        outer = {k: v for k, v in cfg.items() if k != "override"}
        WEIGHT_INITIALIZERS.build(outer)(module)
        for special in _dicts("override", cfg.get("override") or []):
            _override(module, dict(special), {k: v for k, v in outer.items() if k != "layer"})


def _override(module: nn.Module, cfg: dict[str, Any], outer: Mapping[str, Any]) -> None:
    """Fill one attribute of `module`; `outer` is used where `cfg` has only a name."""
    place = where(cfg) and f" ({where(cfg)})"
    name = cfg.pop("name", None)
    if name is None:
        raise ConfigError(
            f"`override` of an init_cfg must contain the key 'name', the attribute of "
            f"{type(module).__name__} it is for; got {cfg}{place}"
        )
    if cfg and "type" not in cfg:
        raise ConfigError(
            f"`override` for '{name}' has arguments {sorted(cfg)} but no 'type'{place}. Give "
            f"the type, or only the name to repeat {outer.get('type')!r}"
        )
    if not hasattr(module, name):
        raise ConfigError(
            f"`override` names the attribute '{name}', which {type(module).__name__} does not "
            f"have{place}"
        )
    filler = WEIGHT_INITIALIZERS.build(cfg or dict(outer))
    filler.wholemodule = True
    filler(getattr(module, name))


def _dicts(what: str, value: Mapping | Sequence[Mapping]) -> list[Mapping]:
    """`value` as a list of dicts."""
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, Mapping) for i in items):
        raise ArgumentError(f"{what} must be a dict or a list of dicts, got {value!r}")
    return list(items)
