"""The estimator as Lightning sees it: one training step, with MMEngine's arithmetic."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from poise._failures import noting
from poise._words import counted, listed
from poise.errors import DataError
from poise.models.base_model import parse_losses
from poise.training.machine.memory import (
    BatchTooLargeError,
    explain_out_of_memory,
    is_out_of_memory,
)
from poise.training.machine.sharding import shard
from poise.training.machine.sync_norm import join_norms
from poise.training.naming import position_of, sample_names
from poise.training.optim.overflows import Overflows
from poise.training.optim.wrappers import StepSettings

__all__ = ["BatchStream", "PoseDataModule", "PoseModule"]

#: Samples that the error of a loss names, and a note about any other fault.
_MAX_NAMED, _MAX_NOTED = 16, 3
#: Batches, more than any run has.
_ENDLESS = 2**40


class PoseModule(pl.LightningModule):
    """Wraps an estimator and its optimizer; what happens between steps is the loop's.

    Optimisation is manual: MMEngine counts batches where Lightning counts optimizer steps,
    and scales the loss by the batches that the last, shorter step of a run really has.

    Args:
        estimator: what is trained.
        settings: clipping, accumulation.
        runner: builds the optimizer, knows the position, gets the hook calls.
    """

    def __init__(self, estimator: Any, settings: StepSettings, runner: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.estimator: Any = estimator
        self.settings = settings
        self.runner = runner
        self._outputs: dict[str, Tensor] = {}
        self._overflows = Overflows(None)

    def on_train_start(self) -> None:
        """See whether losses are scaled."""
        scale = self.settings.loss_scale
        fixed = scale if isinstance(scale, (int, float)) else None
        self._overflows = Overflows(self.runner.scaler, fixed)

    def on_train_end(self) -> None:
        """Say how many steps were left out."""
        self._overflows.report()

    def configure_model(self) -> None:
        """Join the norms of several processes; split the weights, where the strategy is to."""
        if self.trainer.world_size > 1:
            every = bool(self.runner.cfg.get("sync_bn"))
            join_norms(self.estimator, self.trainer.strategy.root_device, every=every)
        if self.device_mesh is not None:
            strategy: Any = self.trainer.strategy
            shard(self.estimator, self.device_mesh["data_parallel"], strategy.root_device)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the run."""
        return self.runner.setup_optimizer()

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Loss, gradients, and where enough are gathered an optimizer step."""
        runner, loop = self.runner, self.runner.train_loop
        runner.call_hook("before_train_iter", batch_idx=loop.batch_index, data_batch=batch)
        runner.share_progress()
        every = self.settings.accumulative_counts
        done, last = loop.iter, loop.max_iters
        remainder = last % every
        share = remainder if remainder and done >= last - remainder else every
        steps = (done + 1) % every == 0 or done + 1 == last
        # gradients of several processes meet only where a step is made of them
        no_sync = getattr(self.trainer.strategy, "block_backward_sync", contextlib.nullcontext)
        try:
            with contextlib.nullcontext() if steps else no_sync():
                shown = self._gradients(batch, share)
            if steps:
                self._step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            too_large = error
        else:
            self._outputs = {k: v.detach() for k, v in shown.items()}
            return
        # out of the except block, whose traceback holds on to what filled the memory
        raise self._too_large(batch) from too_large.with_traceback(None)

    def _step(self) -> None:
        """Move the weights; with a loss scale only where the gradients are finite."""
        optimizer: Any = self.optimizers()
        scale = self._overflows.step(optimizer.step, where=position_of(self.runner))
        optimizer.zero_grad()
        if scale is not None:
            self.runner.message_hub.update_scalar("train/loss_scale", scale)

    def _gradients(self, batch: Any, share: int) -> dict[str, Tensor]:
        """Add a batch's part of the gradients; its losses by name."""
        with noting(lambda: f"while training at {position_of(self.runner)}, {_some(batch)}"):
            data = self.estimator.data_preprocessor(batch, True)
            parse = getattr(self.estimator, "parse_losses", parse_losses)
            loss, shown = parse(self.estimator(**data, mode="loss"))
        if not torch.isfinite(loss):
            # a loss scale leaves the step out, and lowers itself
            if not self._overflows.expected:
                raise _not_finite(shown, batch, self.runner)
            self._overflows.lost(partial(_not_finite, shown, batch, self.runner))
        self.manual_backward(loss / share)
        return shown

    def _too_large(self, batch: Any) -> Exception:
        """The error that says which batch would fit."""
        if self.runner.world_size > 1 or not isinstance(batch, Mapping):
            # trying in one process of several would leave the others waiting
            size = len(sample_names(batch))
            return BatchTooLargeError(
                f"memory ran out with {counted(size, 'sample')} in the batch of process "
                f"{self.runner.rank}; "
                "`poise train CONFIG --find-batch-size` measures on one device which would fit"
            )
        self.zero_grad()
        counts = self.settings.accumulative_counts
        return explain_out_of_memory(batch, self._attempt, accumulative_counts=counts)

    def _attempt(self, batch: Any) -> None:
        try:
            self._gradients(batch, 1)
        finally:
            self.zero_grad()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip, after gradients were unscaled."""
        params = [p for g in optimizer.param_groups for p in g["params"]]
        norm = self.settings.clip(params)
        if norm is not None:
            self.runner.message_hub.update_scalar("train/grad_norm", norm)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell the hooks and the loop that a batch is done."""
        runner, loop = self.runner, self.runner.train_loop
        runner.call_hook(
            "after_train_iter",
            batch_idx=loop.batch_index,
            data_batch=batch,
            outputs=self._outputs,
        )
        loop.after_batch()
        runner.after_batch()


class BatchStream(Iterable[Any]):
    """The whole run as one iterable: for Lightning it is a single epoch.

    Epochs, switches of the data and resuming are then one matter of the loop. It claims a
    length so that no batch is fetched before the one in front of it is trained on; the true
    end is where the loop stops.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop

    def __iter__(self) -> Iterator[Any]:
        return self.loop.batches()

    def __len__(self) -> int:
        return _ENDLESS


class PoseDataModule(pl.LightningDataModule):
    """Builds the data of a run, and hands its batches to Lightning."""

    def __init__(self, runner: Any) -> None:
        super().__init__()
        self.runner = runner

    def setup(self, stage: str) -> None:
        """Build the data, now that the processes know each other."""
        trainer: Any = self.trainer
        self.runner.rank, self.runner.world_size = trainer.global_rank, trainer.world_size
        self.runner.setup_data()

    def train_dataloader(self) -> BatchStream:
        """The stream of batches."""
        return BatchStream(self.runner.train_loop)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Leave the batch: the data preprocessor moves what it needs."""
        return batch


def _not_finite(shown: Mapping[str, Tensor], batch: Any, runner: Any) -> DataError:
    values = ", ".join(f"{k} = {v.item():g}" for k, v in shown.items())
    names = sample_names(batch)
    saved = Path(runner.log_dir) / f"not_finite_rank{runner.rank}.json"
    saved.parent.mkdir(parents=True, exist_ok=True)
    position = {"epoch": runner.epoch + 1, "iter": runner.iter + 1}
    shown_plain = {k: str(v.item()) for k, v in shown.items()}
    saved.write_text(
        json.dumps({**position, "losses": shown_plain, "samples": names}, indent=1),
        encoding="utf-8",
    )
    return DataError(
        f"the loss is not a finite number at {position_of(runner)}: {values}. Samples of the "
        f"batch: {listed(names, _MAX_NAMED)} (all of them: {saved}). "
        "Look at their annotations, lower the learning rate, or limit gradients "
        "with optim_wrapper.clip_grad=dict(max_norm=1)"
    )


def _some(batch: Any) -> str:
    return listed(sample_names(batch), _MAX_NOTED)
