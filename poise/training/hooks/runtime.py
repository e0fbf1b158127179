"""Hooks that keep a run going: where it stands, times, schedules, memory."""

from __future__ import annotations

import time
from typing import Any

import torch

from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = [
    "DistSamplerSeedHook",
    "EmptyCacheHook",
    "IterTimerHook",
    "ParamSchedulerHook",
    "RuntimeInfoHook",
]


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
        """Note the iteration and the learning rates in effect, the first of each kind."""
        hub = runner.message_hub
        hub.update_info("iter", runner.iter)
        for name, rates in runner.optim_wrapper.get_lr().items():
            hub.update_scalar(f"train/{name}", rates[0])

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
