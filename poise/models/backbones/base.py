"""What every backbone is, and what they have in common as functions.

Freezing and norm modes are applied from outside, so that families share no chain of bases.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from poise.errors import ConfigError, DataError, UnknownNameError, nearest
from poise.layers import BaseModule, constant_init
from poise.zoo.variants import VARIANTS, variant_settings

__all__ = [
    "KAIMING_INIT",
    "KAIMING_LINEAR_INIT",
    "NORMAL_INIT",
    "TOKEN_INIT",
    "BaseBackbone",
    "ShortForm",
    "check_entries",
    "check_frozen_stages",
    "check_out_indices",
    "check_sides",
    "freeze",
    "maps_behind",
    "set_norm_eval",
    "start_of",
    "zero_last_norms",
]


Config = Mapping[str, Any]

#: start of most convolutional backbones
KAIMING_INIT: list[Config] = [
    {"type": "Kaiming", "layer": ["Conv2d"]},
    {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
]
#: the same, of those that may have a classifier
KAIMING_LINEAR_INIT: list[Config] = [
    *KAIMING_INIT,
    {"type": "Normal", "std": 0.01, "layer": ["Linear"]},
]
#: start of backbones that were made for poses
NORMAL_INIT: list[Config] = [
    {"type": "Normal", "std": 0.001, "layer": ["Conv2d"]},
    {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
]
#: start of layers that work on tokens
TOKEN_INIT: list[Config] = [
    {"type": "TruncNormal", "std": 0.02, "layer": ["Linear"]},
    {"type": "Constant", "val": 1, "layer": ["LayerNorm"]},
]


class BaseBackbone(BaseModule, metaclass=ABCMeta):
    """A network from pictures to feature maps.

    Subclasses define `forward(x)`: (B, 3, H, W) float32 -> a tuple of feature maps
    (B, C, H', W'), and may define `_freeze_stages()`, called at the end of the construction and
    whenever the mode changes. Arguments that mean the same everywhere: `norm_eval` (also a class
    attribute) keeps batch norms on their running statistics in training, `with_cp` computes
    activations anew in the backward pass (batch norms then see a batch twice, as in MMPose, and
    their running statistics move twice), `init_cfg` says how weights start.
    """

    norm_eval: bool = False

    #: whether maps in channels-last order give the same digits sooner (see `PictureNetwork`)
    channels_last: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let frozen stages and batch norms at rest be so from the start, not from `train()` on.

        An optimizer is often made, and a loop of one's own often runs, without a call of it.
        """
        super().__init_subclass__(**kwargs)
        init: Callable[..., None] = cls.__init__

        @wraps(init)
        def ready(self: BaseBackbone, *args: Any, **options: Any) -> None:
            init(self, *args, **options)
            # not within the constructor of a subclass, which goes on
            if type(self).__init__ is ready:
                self.train(self.training)

        if "__init__" in vars(cls):
            cls.__init__ = ready  # type: ignore[assignment]

    @abstractmethod
    def forward(self, x: Tensor) -> Any:
        """(B, 3, H, W) -> feature maps: a tuple; networks of several stages return lists."""

    @classmethod
    def published(cls) -> tuple[str, ...]:
        """Names of the published variants, smallest first; what `variant` takes."""
        return tuple(_variants_of(cls)[1])

    @classmethod
    def variant(cls, name: str | int | float, **kwargs: Any) -> Self:
        """Network of a published size, with random weights.

        Args:
            name: one of `published()`.
            **kwargs: arguments of the constructor; they win over those of the variant.

        Raises:
            UnknownNameError: no such variant.

        Example:
            >>> from poise.models.backbones import ResNet
            >>> ResNet.published()
            ('18', '34', '50', '101', '152')
            >>> ResNet.variant("18").depth
            18
        """
        family, known = _variants_of(cls)
        if str(name) not in known:
            raise UnknownNameError(
                f"{cls.__name__} has no published variant {str(name)!r}"
                f"{nearest(str(name), known)}; there are: {', '.join(known) or 'none'}"
            )
        return cls(**{**variant_settings(family, str(name)), **kwargs})

    def _freeze_stages(self) -> None:
        """Freeze what `frozen_stages` names; nothing here."""

    def train(self, mode: bool = True) -> BaseBackbone:
        """Set the mode, but keep frozen parts and, with `norm_eval`, batch norms in eval mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            set_norm_eval(self)
        return self


Network = TypeVar("Network", bound=BaseBackbone)


class ShortForm:
    """A published variant as a method of the class, which has the variant's name.

    With `tiny = ShortForm()` in the class, `SwinTransformer.tiny(drop_rate=0.1)` is
    `SwinTransformer.variant("tiny", drop_rate=0.1)`.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type[Network]) -> Callable[..., Network]:
        return partial(owner.variant, self.name)


def _variants_of(cls: type) -> tuple[str, Mapping[str, Any]]:
    """Family of a class, or of the one it extends, and its variants; empty where none."""
    for parent in cls.__mro__:
        if parent.__name__ in VARIANTS:
            return parent.__name__, VARIANTS[parent.__name__]
    return cls.__name__, {}


def maps_behind(
    stages: Iterable[Callable[[Tensor], Tensor]], x: Tensor, out_indices: Sequence[int]
) -> tuple[Tensor, ...]:
    """Maps that come out of some of several stages, which follow one another.

    Args:
        stages: parts of a network.
        x: (B, C, H, W), what the first one takes.
        out_indices: which of the stages, from 0.
    """
    outs = []
    for i, stage in enumerate(stages):
        x = stage(x)
        if i in out_indices:
            outs.append(x)
    return tuple(outs)


def freeze(modules: Iterable[nn.Module], *, evaluate: bool = True) -> None:
    """Stop gradients of modules and set them to eval mode.

    Args:
        modules: parts of a network.
        evaluate: False leaves their mode.
    """
    for module in modules:
        if evaluate:
            module.eval()
        module.requires_grad_(False)


def set_norm_eval(module: nn.Module) -> None:
    """Let every batch norm use its running statistics, and keep them."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()


def zero_last_norms(module: nn.Module, names: Mapping[type, str]) -> None:
    """Start residual blocks as identity: the last norm of each is 0 (Goyal 2017, 5.1).

    Weights that come from a file are left alone.

    Args:
        module: a network with `init_cfg`.
        names: block class -> attribute of its last norm.
    """
    if is_pretrained(module):
        return
    for part in module.modules():
        for cls, name in names.items():
            if isinstance(part, cls):
                constant_init(getattr(part, name), 0)
                break


def is_pretrained(module: nn.Module) -> bool:
    """Whether `init_cfg` of a module is one dict that reads weights from a file."""
    cfg: Any = getattr(module, "init_cfg", None)
    return isinstance(cfg, Mapping) and str(cfg.get("type")).endswith("Pretrained")


def start_of(init_cfg: Any, pretrained: str | None) -> Any:
    """`init_cfg`; else the file that MMDetection's `pretrained` names; else He's values."""
    file = {"type": "Pretrained", "checkpoint": pretrained}
    return (file if pretrained else KAIMING_INIT) if init_cfg is None else init_cfg


def check_entries(
    owner: object,
    count: int,
    of: str,
    lists: Mapping[str, Sequence[Any]],
    *,
    or_more: bool = False,
) -> None:
    """Raise ConfigError unless each of some lists of settings has `count` entries.

    Args:
        owner: network whose settings these are.
        count: how many stages, sizes or the like it has.
        of: what they are, for the error text.
        lists: settings by their names.
        or_more: further entries do no harm.
    """
    wrong = {
        name: list(values)
        for name, values in lists.items()
        if len(values) < count or (len(values) > count and not or_more)
    }
    if wrong:
        got = ", ".join(f"{name}={values}" for name, values in wrong.items())
        raise ConfigError(
            f"{' and '.join(lists)} of {type(owner).__name__} must have an entry for each of the "
            f"{count} {of}; got {got}"
        )


def check_frozen_stages(frozen_stages: int, stages: int) -> None:
    """Raise ConfigError unless `frozen_stages` is -1 (none) ... `stages`."""
    if frozen_stages not in range(-1, stages + 1):
        raise ConfigError(
            f"frozen_stages must be in range(-1, {stages + 1}), -1 for none; got {frozen_stages}"
        )


def check_out_indices(out_indices: Iterable[int], stages: int) -> None:
    """Raise ConfigError unless all `out_indices` are stages 0 ... `stages` - 1."""
    wrong = [i for i in out_indices if i not in range(stages)]
    if wrong:
        raise ConfigError(
            f"out_indices must name stages in range(0, {stages}), got {wrong} among "
            f"{tuple(out_indices)}"
        )


def check_sides(network: nn.Module, x: Tensor, multiple: int, stride: int) -> None:
    """Raise DataError unless maps that are halved and doubled again fit one another.

    Args:
        network: for the error text.
        x: (B, C, H, W), the finest map.
        multiple: what H and W must be multiples of.
        stride: pixels of the picture for a pixel of the map.
    """
    # a trace holds for one size, which was checked when its example ran
    if torch.jit.is_tracing():
        return
    height, width = x.shape[2:]
    if height % multiple or width % multiple:
        size = multiple * stride
        raise DataError(
            f"{type(network).__name__} halves its maps and doubles them again, so it takes "
            f"pictures whose sides are multiples of {size}; got a map of {height} x {width} at "
            f"stride {stride} (height x width). Set another input_size, or pad: "
            f"data_preprocessor=dict(pad_size_divisor={size})"
        )
