"""Hooks that keep a run going: schedules, timing, seeds, synchronisation, early stopping."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import nn

from poise.errors import ConfigError
from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = [
    "DistSamplerSeedHook",
    "EarlyStoppingHook",
    "EmptyCacheHook",
    "IterTimerHook",
    "ParamSchedulerHook",
    "RuntimeInfoHook",
    "SyncBuffersHook",
    "SyncNormHook",
    "rule_for",
]

#: Parts of metric names that say which direction is better, for `rule=None`.
GREATER_KEYS = ("acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc")
LESS_KEYS = ("loss",)
#: MMEngine has no rule for these names of pose metrics and asks for one.
_POSE_GREATER = ("ap", "ar", "pck")
_POSE_LESS = ("epe", "nme", "mpjpe", "p-mpjpe", "mpjve")


def rule_for(
    name: str,
    rule: str | None = None,
    greater_keys: Any = GREATER_KEYS,
    less_keys: Any = LESS_KEYS,
) -> str:
    """Which direction of a metric is better: "greater" or "less".

    Args:
        name: of the metric, such as "coco/AP".
        rule: what the config says, or None to go by the name.

    Raises:
        ConfigError: neither the config nor the name tells.
    """
    if rule is not None:
        if rule not in ("greater", "less"):
            raise ConfigError(f"rule must be 'greater', 'less' or None, got {rule!r}")
        return rule
    lower = name.lower()
    known = [("greater", greater_keys), ("less", less_keys)]
    # an exact name counts before a part of one
    for fits in (lower.__eq__, lower.__contains__):
        for found, keys in known:
            if any(fits(k.lower()) for k in keys):
                return found
    last = lower.rpartition("/")[2].replace("(", " ").split()[0]
    for found, keys in (("greater", _POSE_GREATER), ("less", _POSE_LESS)):
        if last in keys:
            return found
    raise ConfigError(
        f"whether more or less of '{name}' is better cannot be told from its name; "
        "set rule='greater' or rule='less'"
    )


@HOOKS.register_module(scope="mmengine")
class RuntimeInfoHook(Hook):
    """Writes epoch, iteration, learning rates, losses and metrics to the message hub."""

    priority = "VERY_HIGH"

    def before_run(self, runner: Any) -> None:
        """Note the config and the seed."""
        runner.message_hub.update_info_dict(
            {"seed": runner.seed, "experiment_name": runner.experiment_name}
        )

    def before_train(self, runner: Any) -> None:
        """Note where the run stands and how long it is."""
        loop = runner.train_loop
        runner.message_hub.update_info_dict(
            {k: getattr(loop, k) for k in ("epoch", "iter", "max_epochs", "max_iters")}
        )

    def before_train_epoch(self, runner: Any) -> None:
        """Note the epoch."""
        runner.message_hub.update_info("epoch", runner.epoch)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note the iteration and the learning rates in effect."""
        hub = runner.message_hub
        hub.update_info("iter", runner.iter)
        hub.update_scalar("train/lr", runner.optim_wrapper.get_lr()["base_lr"][0])

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Note the losses."""
        for key, value in (outputs or {}).items():
            runner.message_hub.update_scalar(f"train/{key}", value)


@HOOKS.register_module(scope="mmengine")
class IterTimerHook(Hook):
    """Measures seconds per batch, and the part of them that waited for data."""

    priority = "NORMAL"

    def _before_epoch(self, runner: Any, mode: str = "train") -> None:
        self._mark = time.perf_counter()

    def _before_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, mode: str = "train"
    ) -> None:
        waited = time.perf_counter() - self._mark
        runner.message_hub.update_scalar(f"{mode}/data_time", waited)

    def _after_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        now = time.perf_counter()
        runner.message_hub.update_scalar(f"{mode}/time", now - self._mark)
        self._mark = now

    def after_val(self, runner: Any) -> None:
        """Leave the validation out of the next batch's time."""
        self._mark = time.perf_counter()


@HOOKS.register_module(scope="mmengine")
class ParamSchedulerHook(Hook):
    """Moves the schedules on, after each iteration or each epoch."""

    priority = "LOW"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Step what goes by iterations."""
        for schedule in runner.param_schedulers:
            if not schedule.by_epoch:
                schedule.step()

    def after_train_epoch(self, runner: Any) -> None:
        """Step what goes by epochs."""
        for schedule in runner.param_schedulers:
            if schedule.by_epoch:
                schedule.step()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Step what goes by metrics."""
        for schedule in runner.param_schedulers:
            if schedule.need_val_args and metrics is not None:
                schedule.step(metrics)


@HOOKS.register_module(scope="mmengine")
class DistSamplerSeedHook(Hook):
    """Shuffles differently in every epoch; the loop does it, the name is kept for configs."""


@HOOKS.register_module(scope="mmengine")
class SyncBuffersHook(Hook):
    """Averages buffers (running means of batch norms) over processes after each epoch."""

    def after_train_epoch(self, runner: Any) -> None:
        """Average the floating-point buffers."""
        _average(runner, [b for b in runner.model.buffers() if b.is_floating_point()])


@HOOKS.register_module()
class SyncNormHook(Hook):
    """Averages the statistics of normalisation layers over processes before validation."""

    def before_val_epoch(self, runner: Any) -> None:
        """Average parameters and buffers of batch and instance norms."""
        norms = [m for m in runner.model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        tensors = [t for m in norms for t in m.state_dict().values() if t.is_floating_point()]
        _average(runner, tensors)


def _average(runner: Any, tensors: list[torch.Tensor]) -> None:
    if runner.world_size == 1 or not tensors:
        return
    with torch.no_grad():
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)
            tensor /= runner.world_size


@HOOKS.register_module(scope="mmengine")
class EmptyCacheHook(Hook):
    """Gives cached GPU memory back at the points named; costs time, helps where it is scarce."""

    def __init__(
        self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False
    ) -> None:
        self._at = {"before_epoch": before_epoch, "after_epoch": after_epoch, "iter": after_iter}

    def _empty(self, point: str) -> None:
        if self._at[point] and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _before_epoch(self, runner: Any, mode: str = "train") -> None:
        self._empty("before_epoch")

    def _after_epoch(self, runner: Any, mode: str = "train") -> None:
        self._empty("after_epoch")

    def _after_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        self._empty("iter")


@HOOKS.register_module(scope="mmengine")
class EarlyStoppingHook(Hook):
    """Ends training when a metric has stopped improving.

    Args:
        monitor: name of the metric.
        rule: "greater", "less", or None to go by the name.
        min_delta: smallest change that counts as better.
        strict: whether a missing metric is an error; else it is skipped with a warning.
        check_finite: stop when the metric is infinite or not a number.
        patience: validations without improvement that are waited for.
        stopping_threshold: value at which training is good enough.
    """

    priority = "LOWEST"

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        self.monitor = monitor
        self.sign = 1 if rule_for(monitor, rule) == "greater" else -1
        self.min_delta = min_delta
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self.wait_count = 0
        self.best_score = -self.sign * math.inf

    def before_train(self, runner: Any) -> None:
        """Go on with what a resumed run had seen."""
        state = runner.message_hub.get_info(self._key)
        if state is not None:
            self.best_score, self.wait_count = float(state[0]), int(state[1])

    @property
    def _key(self) -> str:
        return f"early_stopping_{self.monitor}"

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Judge the metric."""
        metrics = metrics or {}
        if self.monitor not in metrics:
            text = (
                f"early stopping watches '{self.monitor}', validation gave {sorted(metrics or {})}"
            )
            if self.strict:
                raise ConfigError(text)
            runner.logger.warning(text)
            return
        reason = self._reason_to_stop(metrics[self.monitor])
        runner.message_hub.update_info(self._key, [float(self.best_score), self.wait_count])
        if reason:
            runner.train_loop.stop_training = True
            runner.logger.info(f"Training stops early: {self.monitor} {reason}")

    def _reason_to_stop(self, score: float) -> str:
        if self.check_finite and not math.isfinite(score):
            return f"is {score}, the best was {self.best_score:.4f}"
        limit = self.stopping_threshold
        if limit is not None and self.sign * score > self.sign * limit:
            self.best_score = score
            return f"= {score:.4f} has reached {limit}"
        # the sum, not the difference, as MMEngine rounds
        if self.sign * score >= self.sign * (self.best_score + self.sign * self.min_delta):
            self.best_score, self.wait_count = score, 0
            return ""
        self.wait_count += 1
        if self.wait_count < self.patience:
            return ""
        return (
            f"has not improved in {self.wait_count} validations, the best is {self.best_score:.4f}"
        )
