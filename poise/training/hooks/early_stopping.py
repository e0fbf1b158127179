"""EarlyStoppingHook: an end where a metric gets no better."""

from __future__ import annotations

import math
from typing import Any

from poise.errors import ConfigError
from poise.registry import HOOKS
from poise.training.hooks.base import Hook
from poise.training.hooks.direction import rule_for

__all__ = ["EarlyStoppingHook"]


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
            text = f"early stopping watches '{self.monitor}', validation gave {sorted(metrics)}"
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
