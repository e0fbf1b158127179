"""ProgressHook: a live line on a terminal, beside the lines of the log."""

from __future__ import annotations

import datetime
import sys
from typing import Any

from poise.registry import HOOKS
from poise.training.hooks.base import Hook
from poise.training.machine.environment import memory_mb

__all__ = ["ProgressHook"]

#: Batches whose means the live line shows.
_WINDOW = 20


@HOOKS.register_module(scope="poise")
class ProgressHook(Hook):
    """Shows epoch, loss, accuracy, learning rate, times, memory and what is left, live.

    `left` is the time to the end of the run; the bar's own is that of the epoch.

    Does nothing where the output is not a terminal: a log file gets LoggerHook's lines.
    """

    priority = "LOWEST"

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def _start(self, runner: Any, total: int, what: str) -> None:
        if not runner.is_main or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, values="")
        self._bar.start()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _before_epoch(self, runner: Any, mode: str = "train") -> None:
        self._stop()
        loop = runner.train_loop
        if mode == "train" and not loop.by_epoch:
            self._start(runner, loop.max_iters, "train")
            return
        at = (
            f" {loop.epoch + (mode == 'train')}/{loop.max_epochs}" if loop and loop.by_epoch else ""
        )
        self._start(runner, len(getattr(runner, f"{mode}_dataloader")), f"{mode}{at}")

    def _after_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        if self._bar is None:
            return
        done = (
            runner.iter + 1 if mode == "train" and not runner.train_loop.by_epoch else batch_idx + 1
        )
        means = runner.log_processor.means(runner.message_hub, mode, _WINDOW)
        shown = [
            f"{k} {v:.2e}" if k == "lr" else f"{k} {v:.4g}"
            for k, v in means.items()
            if k in ("lr", "loss", "time", "data_time") or k.startswith("acc")
        ]
        shown.append(f"memory {memory_mb()} MB")
        if mode == "train":
            seconds = means.get("time", 0.0) * (runner.max_iters - runner.iter - 1)
            shown.append(f"left {datetime.timedelta(seconds=int(seconds))}")
        self._bar.update(self._task, completed=done, values="  ".join(shown))

    def _after_epoch(self, runner: Any, mode: str = "train") -> None:
        self._stop()

    def before_run(self, runner: Any) -> None:
        """See that the terminal is left as it was: a live line hides the cursor."""
        runner.closing.callback(self._stop)
