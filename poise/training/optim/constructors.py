"""Parameter groups: the learning rate and weight decay that each parameter gets."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from poise.config.known import check_known
from poise.errors import ArgumentError, ConfigError
from poise.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS

__all__ = [
    "DefaultOptimWrapperConstructor",
    "ForceDefaultOptimWrapperConstructor",
    "LayerDecayOptimWrapperConstructor",
]

_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)
_DEFORMABLE = {"DeformConv2d", "ModulatedDeformConv2d"}

Group = dict[str, Any]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(scope="mmengine")
class DefaultOptimWrapperConstructor:
    """Parameter groups by what a parameter is: bias, normalisation, depthwise, or by its name.

    Parameters with equal settings share a group, so that torch's fused and foreach kernels
    see long lists; the values are those of one group per parameter.

    Args:
        optim_wrapper_cfg: dict with `optimizer` (its type and arguments).
        paramwise_cfg: multipliers of the learning rate and the weight decay:
            `bias_lr_mult`, `bias_decay_mult`, `norm_decay_mult`, `dwconv_decay_mult`,
            `flat_decay_mult`, `dcn_offset_lr_mult`; `custom_keys` maps a part of a parameter's
            name to `lr_mult`, `decay_mult` and other group settings (the longest key that fits
            wins) and switches the other rules off for it; `bypass_duplicate` skips parameters
            seen before.
    """

    options: tuple[str, ...] = (
        "bias_decay_mult",
        "bias_lr_mult",
        "bypass_duplicate",
        "custom_keys",
        "dcn_offset_lr_mult",
        "dwconv_decay_mult",
        "flat_decay_mult",
        "norm_decay_mult",
    )

    def __init__(
        self,
        optim_wrapper_cfg: Mapping[str, Any],
        paramwise_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(optim_wrapper_cfg, Mapping):
            raise ArgumentError(f"optim_wrapper must be a dict, got {optim_wrapper_cfg!r}")
        if "optimizer" not in optim_wrapper_cfg:
            raise ConfigError(
                f"optim_wrapper needs 'optimizer', got only {sorted(optim_wrapper_cfg)}"
            )
        self.optimizer_cfg = dict(optim_wrapper_cfg["optimizer"])
        # a copy knows its lines
        self.paramwise_cfg: Any = copy.copy(paramwise_cfg or {})
        self.base_lr = self.optimizer_cfg.get("lr")
        self.base_wd = self.optimizer_cfg.get("weight_decay")
        self._check()

    def _check(self) -> None:
        cfg = self.paramwise_cfg
        # a subclass elsewhere has options of its own
        if type(self).__module__ == __name__:
            check_known(cfg, self.options, "paramwise_cfg")
        custom = cfg.get("custom_keys", {})
        if not isinstance(custom, Mapping):
            raise ArgumentError(f"custom_keys must be a dict, got {custom!r}")
        decays = [k for k in cfg if k.endswith("_decay_mult") and k != "flat_decay_mult"]
        decays += [f"custom_keys[{k!r}]" for k, v in custom.items() if "decay_mult" in v]
        if decays and self.base_wd is None:
            raise ConfigError(
                f"{decays[0]} multiplies weight_decay, which the optimizer config does not set; "
                "give weight_decay in optimizer"
            )
        rates = [k for k in cfg if k.endswith("_lr_mult")] + list(custom)
        if rates and self.base_lr is None:
            raise ConfigError(f"{rates[0]} multiplies lr, which the optimizer config does not set")

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of a model."""
        model = getattr(model, "module", model)
        params: Any = model.parameters()
        if self.paramwise_cfg:
            params = []
            self.add_params(params, model)
        return OPTIMIZERS.build({**self.optimizer_cfg, "params": params})

    def add_params(
        self, params: list[Group], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """Append the groups of a model to `params`; a subclass may group in another way."""
        merged: dict[str, Group] = {}
        for param, settings in self._settings(module):
            key = repr(sorted(settings.items()))
            merged.setdefault(key, {**settings, "params": []})["params"].append(param)
        params.extend(merged.values())

    def _settings(self, model: nn.Module) -> Iterator[tuple[nn.Parameter, Group]]:
        """Each parameter with what differs from the optimizer's defaults."""
        modules = dict(model.named_modules(remove_duplicate=False))
        seen: set[int] = set()
        for prefix, module in modules.items():
            in_deformable = _is_deformable(modules.get(prefix.rpartition(".")[0])) and prefix != ""
            for name, param in module.named_parameters(recurse=False):
                full = f"{prefix}.{name}"
                if id(param) in seen:
                    if self.paramwise_cfg.get("bypass_duplicate", False):
                        continue
                    raise ConfigError(
                        f"the parameter '{full.lstrip('.')}' belongs to two modules; set "
                        "paramwise_cfg=dict(bypass_duplicate=True) to count it once"
                    )
                if not param.requires_grad:
                    yield from self._frozen(param)
                    continue
                seen.add(id(param))
                yield param, self._of(module, prefix, name, param, in_deformable)

    def _frozen(self, param: nn.Parameter) -> Iterator[tuple[nn.Parameter, Group]]:
        return iter(())

    def _of(
        self, module: nn.Module, prefix: str, name: str, param: nn.Parameter, in_deformable: bool
    ) -> Group:
        custom = self._by_name(f"{prefix}.{name}")
        return (
            self._by_kind(module, prefix, name, param, in_deformable) if custom is None else custom
        )

    def _by_name(self, full: str) -> Group | None:
        """What `custom_keys` says of a parameter; None where no key fits."""
        custom = self.paramwise_cfg.get("custom_keys", {})
        fitting = [k for k in custom if k in full]
        if not fitting:
            return None
        # longest first, then the first of the alphabet
        chosen = custom[min(fitting, key=lambda k: (-len(k), k))]
        out: Group = {"lr": self.base_lr * chosen.get("lr_mult", 1.0)}
        if self.base_wd is not None:
            out["weight_decay"] = self.base_wd * chosen.get("decay_mult", 1.0)
        return {**out, **chosen}

    def _by_kind(
        self, module: nn.Module, prefix: str, name: str, param: nn.Parameter, in_deformable: bool
    ) -> Group:
        """What the `*_mult` rules say of a parameter; the first rule that applies wins."""
        cfg = self.paramwise_cfg
        is_norm = isinstance(module, _NORMS)
        is_conv = isinstance(module, nn.Conv2d)
        plain_bias = name == "bias" and not in_deformable
        offset = in_deformable and is_conv and "conv_offset" in prefix
        rates = [
            (offset, "dcn_offset_lr_mult"),
            (plain_bias and not is_norm, "bias_lr_mult"),
        ]
        decays = [
            (is_norm, "norm_decay_mult"),
            (plain_bias, "bias_decay_mult"),
            (is_conv and module.in_channels == module.groups, "dwconv_decay_mult"),
            (param.ndim == 1 and not in_deformable, "flat_decay_mult"),
        ]
        out: Group = {}
        for setting, base, rules in (
            ("lr", self.base_lr, rates),
            ("weight_decay", self.base_wd, decays),
        ):
            mult = next((cfg[k] for yes, k in rules if yes and cfg.get(k) is not None), None)
            if mult is not None and base is not None:
                out[setting] = base * mult
        return out


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ForceDefaultOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """As the default, and `force_default_settings` lets the rules by kind overrule custom keys.

    RTMO trains its neck's encoder at a lower rate this way, still without decay of biases.
    Frozen parameters stay in the optimizer (they may thaw later).
    """

    options = (*DefaultOptimWrapperConstructor.options, "force_default_settings")

    def _frozen(self, param: nn.Parameter) -> Iterator[tuple[nn.Parameter, Group]]:
        yield param, {}

    def _of(
        self, module: nn.Module, prefix: str, name: str, param: nn.Parameter, in_deformable: bool
    ) -> Group:
        custom = self._by_name(f"{prefix}.{name}")
        if custom is not None and not self.paramwise_cfg.get("force_default_settings", False):
            return custom
        return {**(custom or {}), **self._by_kind(module, prefix, name, param, in_deformable)}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates that fall towards the first layers of a ViT (ViTPose, section 3).

    `paramwise_cfg` has `num_layers` and `layer_decay_rate`; layer l of L learns at
    rate^(L + 1 - l) of the base, the patch embedding counting as layer 0 and everything
    outside the backbone as layer L + 1. One-dimensional parameters, biases and position
    embeddings get no weight decay. `custom_keys` are taken and ignored, as in MMPose.
    """

    options = (*DefaultOptimWrapperConstructor.options, "layer_decay_rate", "num_layers")

    def add_params(
        self, params: list[Group], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """Append groups by depth and by whether they decay."""
        missing = [k for k in ("num_layers", "layer_decay_rate") if k not in self.paramwise_cfg]
        if missing:
            raise ConfigError(
                f"LayerDecayOptimWrapperConstructor needs {missing[0]} in paramwise_cfg"
            )
        last = self.paramwise_cfg["num_layers"] + 1
        out: dict[tuple[int, bool], Group] = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            layer = _vit_depth(name, last)
            decays = not (param.ndim == 1 or name.endswith(".bias") or "pos_embed" in name)
            if (layer, decays) not in out:
                scale = self.paramwise_cfg["layer_decay_rate"] ** (last - layer)
                group = {"params": [], "lr_scale": scale, "lr": scale * self.base_lr}
                # without a weight decay in the config the optimizer has its own
                if not decays or self.base_wd is not None:
                    group["weight_decay"] = self.base_wd if decays else 0.0
                out[layer, decays] = group
            out[layer, decays]["params"].append(param)
        params.extend(out.values())


def _vit_depth(name: str, last: int) -> int:
    """0 for the embeddings, l + 1 for block l of the backbone, `last` for the rest."""
    if re.match(r"backbone\.((cls_token|mask_token|pos_embed)$|patch_embed)", name):
        return 0
    block = re.match(r"backbone\.layers\.(\d+)", name)
    return int(block[1]) + 1 if block else last


def _is_deformable(module: nn.Module | None) -> bool:
    return any(c.__name__ in _DEFORMABLE for c in type(module).__mro__)
