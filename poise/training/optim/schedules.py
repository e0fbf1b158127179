"""Learning rate and momentum over time: `param_scheduler` configs, with MMEngine's numbers.

A schedule is a rule (how a value goes on from one step to the next) applied to one setting of
the optimizer's groups between `begin` and `end`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from poise.errors import ArgumentError, ConfigError, nearest, one_of
from poise.registry import PARAM_SCHEDULERS
from poise.training.optim import rules
from poise.training.optim.rules import FOREVER, Rule

__all__ = [
    "ParamScheduler",
    "PlateauScheduler",
    "build_schedulers",
    "momentum_of",
    "set_momentum",
]


# ---------------------------------------------------------------------- appliers


def momentum_of(group: Mapping[str, Any]) -> float:
    """Momentum of a parameter group; of Adam and its kin, the first beta."""
    return group["betas"][0] if "betas" in group else group["momentum"]


def set_momentum(group: dict[str, Any], value: float) -> None:
    """Counterpart of `momentum_of`."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class _Setting:
    """One setting of the groups of an optimizer, to read, write and count steps for."""

    def __init__(self, optimizer: Any, param_name: str, by_epoch: bool, last_step: int) -> None:
        self.optimizer = getattr(optimizer, "optimizer", optimizer)
        if not isinstance(self.optimizer, torch.optim.Optimizer):
            raise ArgumentError(f"a schedule needs a torch optimizer, got {type(optimizer)}")
        self.param_name = param_name
        self.by_epoch = by_epoch
        self.last_step = last_step
        self._global_step = -1
        if param_name == "momentum" and not {"betas", "momentum"} & set(self.groups[0]):
            raise ConfigError(
                f"{type(self.optimizer).__name__} has no momentum that could be scheduled"
            )

    @property
    def groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    def values(self) -> list[float]:
        """Value of each group now."""
        if self.param_name == "momentum":
            return [momentum_of(g) for g in self.groups]
        return [g[self.param_name] for g in self.groups]

    get_last_value = values

    def write(self, values: Sequence[float]) -> None:
        """Set the value of each group."""
        for group, value in zip(self.groups, values, strict=True):
            if self.param_name == "momentum":
                set_momentum(group, value)
            else:
                group[self.param_name] = value

    def state_dict(self) -> dict[str, Any]:
        """Counters, under MMEngine's names.

        Base values are not among them: they stand in the optimizer's groups, of which a file
        may have another number.
        """
        skip = ("optimizer", "rule", "base_values")
        return {k: v for k, v in self.__dict__.items() if k not in skip}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where a state of `state_dict()` stood, or one that MMPose saved.

        The optimizer's own state must have been loaded before.
        """
        own = self.state_dict()
        self.__dict__.update({k: v for k, v in state_dict.items() if k in own})
        if "base_values" in self.__dict__:
            self.base_values = [g[f"initial_{self.param_name}"] for g in self.groups]


class ParamScheduler(_Setting):
    """A rule applied to one setting of an optimizer's groups; `step()` moves on.

    The first value is written when the schedule is made, so schedules act in the order in
    which they are listed.

    Args:
        optimizer: torch optimizer.
        rule: what the values do between `rule.begin` and `rule.end`.
        param_name: "lr", "momentum" (of Adam: the first beta) or another group setting.
        by_epoch: whether `step()` is called after epochs rather than iterations.
        last_step: steps already made, -1 for none.

    Raises:
        ConfigError: `end` is not after `begin`.
    """

    need_val_args = False

    def __init__(
        self,
        optimizer: Any,
        rule: Rule,
        *,
        param_name: str = "lr",
        by_epoch: bool = True,
        last_step: int = -1,
    ) -> None:
        super().__init__(optimizer, param_name, by_epoch, last_step)
        if rule.end <= rule.begin:
            raise ConfigError(
                f"a schedule must end after it begins, got begin={rule.begin}, end={rule.end}"
            )
        self.rule = rule
        rule.prepare(self.groups)
        for group, value in zip(self.groups, self.values(), strict=True):
            group.setdefault(f"initial_{param_name}", value)
        self.base_values = [g[f"initial_{param_name}"] for g in self.groups]
        self.step()

    def __repr__(self) -> str:
        """Rule and setting."""
        return f"ParamScheduler({self.rule}, {self.param_name}, by_epoch={self.by_epoch})"

    def step(self) -> None:
        """Count one epoch (`by_epoch`) or iteration, and set the values that follow."""
        self._global_step += 1
        if not self.rule.begin <= self._global_step < self.rule.end:
            return
        self.last_step += 1
        rows = zip(self.values(), self.base_values, self.groups, strict=True)
        self.write([self.rule.next(self.last_step, v, b, g) for v, b, g in rows])


class PlateauScheduler(_Setting):
    """Lowers a value when a metric has stopped improving; `step(metrics)` after validation.

    Args:
        optimizer: torch optimizer.
        monitor: metric to watch. rule: "less" or "greater", which is better.
        factor: what the value is multiplied with, < 1.
        patience: validations without improvement that are waited for; cooldown: validations
            after a change during which none counts.
        threshold, threshold_rule: how much better counts, relative ("rel") or absolute ("abs").
        min_value: floor, one or one per group. eps: smallest change that is made.
    """

    need_val_args = True

    def __init__(
        self,
        optimizer: Any,
        *,
        param_name: str = "lr",
        monitor: str = "loss",
        rule: str = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: str = "rel",
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        begin: int = 0,
        end: int = FOREVER,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        super().__init__(optimizer, param_name, by_epoch, last_step)
        one_of(rule, ("less", "greater"), "rule")
        one_of(threshold_rule, ("rel", "abs"), "threshold_rule")
        if not by_epoch or factor >= 1:
            raise ConfigError("a plateau schedule needs by_epoch=True and a factor below 1")
        self._global_step = 0
        self.begin, self.end = begin, end
        self.monitor, self.factor, self.eps = monitor, factor, eps
        self.patience, self.cooldown = patience, cooldown
        self.sign = 1 if rule == "greater" else -1
        self.threshold, self.relative = threshold, threshold_rule == "rel"
        floors = min_value if isinstance(min_value, (list, tuple)) else [min_value]
        self.floors = list(floors) * (len(self.groups) if len(floors) == 1 else 1)
        self.best = -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metrics: Mapping[str, float] | None = None) -> None:
        """Count an epoch (without metrics), or judge the metrics of a validation."""
        if metrics is None:
            self._global_step += 1
            return
        if not self.begin <= self._global_step < self.end:
            return
        if self.monitor not in metrics:
            raise ConfigError(
                f"the plateau schedule watches '{self.monitor}', validation gave "
                f"{sorted(metrics)}{nearest(self.monitor, metrics)}"
            )
        self.last_step += 1
        score = self.sign * metrics[self.monitor]
        # of the value itself, as in torch: below zero a little worse counts as better
        margin = self.threshold * (self.sign * self.best if self.relative else 1)
        first = self.best == -math.inf and not math.isnan(score)
        if first or score > self.best + margin:
            self.best, self.num_bad_epochs = score, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            lower = [
                max(v * self.factor, f) for v, f in zip(self.values(), self.floors, strict=True)
            ]
            self.write(
                [n if v - n > self.eps else v for v, n in zip(self.values(), lower, strict=True)]
            )
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0


# ------------------------------------------------------------------------ names


def _factory(rule_class: type[Rule], name: str, param: str | None) -> Any:
    """What a config's `type` builds: takes MMEngine's arguments, gives a ParamScheduler."""
    known = {f.name for f in fields(rule_class)}

    def build(
        optimizer: Any,
        *,
        param_name: str = param or "lr",
        by_epoch: bool = True,
        last_step: int = -1,
        verbose: bool = False,
        convert_to_iter_based: bool = False,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> ParamScheduler:
        for key in kwargs:
            if key not in known:
                raise ArgumentError(
                    f"{name} does not take the argument '{key}'{nearest(key, known)}"
                    f" It takes: {', '.join(sorted(known))}"
                )
        try:
            rule = rule_class(**kwargs)
        except TypeError as error:
            raise ArgumentError(f"{name}: {str(error).partition(') ')[2]}") from error
        if convert_to_iter_based:
            if not by_epoch or not epoch_length:
                raise ConfigError(
                    f"{name}: convert_to_iter_based needs by_epoch=True and the length of an "
                    f"epoch, got by_epoch={by_epoch}, epoch_length={epoch_length}"
                )
            rule, by_epoch = rule.in_iterations(epoch_length), False
        return ParamScheduler(
            optimizer, rule, param_name=param_name, by_epoch=by_epoch, last_step=last_step
        )

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"{(rule_class.__doc__ or '').splitlines()[0]} Acts on {param or 'param_name'}."
    return build


def _plateau(param: str | None, name: str) -> Any:
    def build(
        optimizer: Any,
        *,
        param_name: str = param or "lr",
        convert_to_iter_based: bool = False,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> PlateauScheduler:
        return PlateauScheduler(optimizer, param_name=param_name, **kwargs)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"Lowers {param or 'param_name'} when a metric has stopped improving."
    return build


_RULES: tuple[type[Rule], ...] = tuple(
    getattr(rules, name) for name in rules.__all__ if name not in ("FOREVER", "Rule")
)
#: Suffix of a config name -> the setting that it moves.
_SETTINGS = {"LR": "lr", "Momentum": "momentum", "ParamScheduler": None}
#: Rules that MMPose has, or has with wider bounds, and MMEngine has not.
_OF_MMPOSE = ("QuadraticWarmup",)

for _rule in _RULES:
    for _suffix, _param in _SETTINGS.items():
        _name = f"{_rule.__name__}{_suffix}"
        if _name == "OneCycleMomentum":
            continue
        __all__ += [_name]
        globals()[_name] = PARAM_SCHEDULERS.register_module(
            module=_factory(_rule, _name, _param),
            scope="mmpose" if _rule.__name__ in _OF_MMPOSE else "mmengine",
        )
for _suffix, _param in _SETTINGS.items():
    _name = f"ReduceOnPlateau{_suffix}"
    __all__ += [_name]
    globals()[_name] = PARAM_SCHEDULERS.register_module(
        module=_plateau(_param, _name), scope="mmengine"
    )


def build_schedulers(
    optimizer: torch.optim.Optimizer,
    param_scheduler: Any,
    *,
    train_cfg: Mapping[str, Any],
    epoch_length: int,
) -> list[ParamScheduler | PlateauScheduler]:
    """Schedules of a `param_scheduler` config; their first values are in effect on return.

    Args:
        optimizer: what is scheduled.
        param_scheduler: a dict, a list of dicts, or None; built schedules are kept.
        train_cfg: the training loop (`max_epochs` or `max_iters`): where a schedule without
            `end` ends.
        epoch_length: iterations of an epoch.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> cfg = dict(type="MultiStepLR", milestones=[1], gamma=0.5)
        >>> s, = build_schedulers(sgd, cfg, train_cfg=dict(max_epochs=3), epoch_length=10)
        >>> s.step()
        >>> sgd.param_groups[0]["lr"]
        0.5
    """
    if param_scheduler is None:
        return []
    many = param_scheduler if isinstance(param_scheduler, (list, tuple)) else [param_scheduler]
    # an iteration-based loop is one epoch long
    max_epochs = train_cfg.get("max_epochs", 1)
    max_iters = train_cfg.get("max_iters", max_epochs * epoch_length)
    out: list[Any] = []
    for cfg in many:
        if isinstance(cfg, _Setting):
            out.append(cfg)
            continue
        if not isinstance(cfg, Mapping):
            raise ArgumentError(f"param_scheduler holds dicts with 'type', got {cfg!r}")
        end = max_epochs if cfg.get("by_epoch", True) else max_iters
        defaults = {"optimizer": optimizer, "epoch_length": epoch_length, "end": end}
        out.append(PARAM_SCHEDULERS.build(cfg, defaults))
    return out
