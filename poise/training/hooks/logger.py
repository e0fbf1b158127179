"""LoggerHook: what a run says, as text, as JSON lines and to TensorBoard and its like."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import torch

from poise.errors import ConfigError
from poise.registry import HOOKS
from poise.training.hooks.base import Hook
from poise.training.machine.environment import memory_mb

__all__ = ["LoggerHook"]


@HOOKS.register_module(scope="mmengine")
class LoggerHook(Hook):
    """Logs means of the losses at intervals, and the metrics of each validation.

    Beside the text log, `vis_data/scalars.json` gets one JSON object a line, with the keys
    that MMEngine writes.

    Args:
        interval: batches between two lines.
        ignore_last: whether a last interval cut short by the end of the epoch is not logged.
        interval_exp_name: kept for configs; the name of the run stands at its start.
        out_dir, out_suffix, keep_local, file_client_args, backend_args: of remote storage in
            MMPose; not used.
        log_metric_by_epoch: whether metrics carry the epoch or the iteration as step.
    """

    priority = "BELOW_NORMAL"

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        out_dir: str | Path | None = None,
        out_suffix: Any = (".json", ".log", ".py", "yaml"),
        keep_local: bool = True,
        file_client_args: dict[str, Any] | None = None,
        log_metric_by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        if interval < 1:
            raise ConfigError(f"interval of LoggerHook must be at least 1, got {interval}")
        self.interval = interval
        self.ignore_last = ignore_last
        self.log_metric_by_epoch = log_metric_by_epoch

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log at every `interval`-th batch of an epoch."""
        length = len(runner.train_dataloader)
        cut_short = batch_idx + 1 == length and (not self.ignore_last or length <= self.interval)
        if not self.every_n_inner_iters(batch_idx, self.interval) and not cut_short:
            return
        done = batch_idx + 1
        means = runner.log_processor.means(runner.message_hub, "train", batches=done)
        loop = runner.train_loop
        left = means.get("time", 0.0) * (loop.max_iters - loop.iter - 1)
        head = f"Epoch(train) [{loop.epoch + 1}][{done}/{length}]"
        if not loop.by_epoch:
            head = f"Iter(train) [{loop.iter + 1}/{loop.max_iters}]"
        eta = datetime.timedelta(seconds=int(left)) if math.isfinite(left) else "unknown"
        line: dict[str, Any] = dict(means)
        if torch.cuda.is_available():
            line["memory"] = memory_mb()
        runner.logger.info(f"{head}  eta: {eta}  {runner.log_processor.text(line)}")
        line |= {"epoch": loop.epoch + 1, "iter": loop.iter + 1, "step": loop.iter + 1}
        runner.scalars.write(line, step=loop.iter + 1, group="train")

    def _after_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        """Log how far a validation or a test is."""
        if not self.every_n_inner_iters(batch_idx, self.interval):
            return
        length = len(getattr(runner, f"{mode}_dataloader"))
        done = batch_idx + 1
        means = runner.log_processor.means(runner.message_hub, mode, batches=done)
        eta = datetime.timedelta(seconds=int(means.get("time", 0.0) * (length - done)))
        at = f"[{runner.epoch}]" if mode == "val" and runner.train_loop else ""
        head = f"Epoch({mode}) {at}[{done}/{length}]"
        runner.logger.info(f"{head}  eta: {eta}  {runner.log_processor.text(means)}")

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Log the metrics of a validation."""
        at = f"[{runner.epoch}]" if runner.train_loop else ""
        runner.logger.info(f"Epoch(val) {at}  {runner.log_processor.text(metrics or {})}")
        step = runner.epoch if self.log_metric_by_epoch else runner.iter
        runner.scalars.write({**_numbers(metrics), "step": step}, step=runner.iter, group="val")

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Log the metrics of a test, and write them to a JSON file of their own."""
        text = f"Epoch(test)  {runner.log_processor.text(metrics or {})}"
        runner.logger.info(text, extra={"only_file": not runner.shows_metrics})
        if runner.is_main:
            path = Path(runner.log_dir) / f"{runner.timestamp}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(_numbers(metrics), indent=1) + "\n", encoding="utf-8")


def _numbers(metrics: dict[str, Any] | None) -> dict[str, Any]:
    """Metrics as JSON values: numpy scalars become floats."""
    return {k: float(v) if hasattr(v, "__float__") else str(v) for k, v in (metrics or {}).items()}
