"""Loops: which batch comes next, where an epoch ends, when to validate."""

from __future__ import annotations

import bisect
import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from poise._failures import noting
from poise._words import listed
from poise.config.known import check_known
from poise.errors import ConfigError
from poise.metrics.evaluator import meta_for_metrics
from poise.registry import LOOPS
from poise.training.naming import position_of, sample_names

__all__ = [
    "EpochBasedTrainLoop",
    "EvalLoop",
    "IterBasedTrainLoop",
    "TestLoop",
    "TrainLoop",
    "ValLoop",
    "build_train_loop",
]

#: Samples that a note about a fault names.
_MAX_NAMED = 3


class TrainLoop:
    """Position of a training run, as a stream of batches for the engine.

    `epoch` and `iter` count what is finished; `inner` the batches of the epoch that are
    finished; `validated` is the epoch (iteration) up to which validations are done. The engine
    asks `batches()` for the next batch and reports each as done with `after_batch()`; everything
    that happens between two batches happens there. Subclasses have these two, and `max_epochs` and
    `max_iters`, the length of the whole run.

    Args:
        runner: the run. dataloader: its training data.
        val_begin: first epoch (iteration) that is validated after.
        val_interval: epochs (iterations) between two validations.
        dynamic_intervals: (epoch, interval) pairs that replace `val_interval` from then on.
    """

    by_epoch = True
    max_epochs: Any
    max_iters: Any

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        *,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.runner = runner
        self.dataloader = dataloader
        self.val_begin = val_begin
        pairs = [(0, val_interval), *(tuple(p) for p in dynamic_intervals or ())]
        self._milestones, self._intervals = zip(*pairs, strict=True)
        if 0 in self._intervals:
            raise ConfigError(
                f"val_interval of train_cfg cannot be 0, got {pairs}; to train without validation "
                "use --no-validate, or leave out val_dataloader, val_cfg and val_evaluator"
            )
        self.epoch = self.iter = self.inner = 0
        self.validated = 0
        self.stop_training = False

    @property
    def val_interval(self) -> int:
        """Distance of validations at the present position."""
        return self._intervals[bisect.bisect(self._milestones, self.position + 1) - 1]

    @property
    def position(self) -> int:
        """Epochs or iterations finished, whichever the run is counted in."""
        return self.epoch if self.by_epoch else self.iter

    @property
    def is_over(self) -> bool:
        """Whether no batch is left to train on; loaders may give fewer than their length says."""
        last = self.max_epochs if self.by_epoch else self.max_iters
        return self.stop_training or self.position >= last

    @property
    def batch_index(self) -> int:
        """Number of the next batch, from 0, as hooks get it: in the epoch, or in the run."""
        return self.inner if self.by_epoch else self.iter

    @property
    def is_validated(self) -> bool:
        """Whether no validation of what is trained so far is left to do."""
        # the batches of an epoch begin after the validation of the one before
        return (self.by_epoch and self.inner > 0) or self.validated >= self.position

    def _validate_if_due(self, last: int) -> None:
        number = self.position
        due = number >= self.val_begin and (number % self.val_interval == 0 or number == last)
        if due and self.runner.val_loop is not None and number > self.validated:
            self.runner.val_loop.run()
        self.validated = number

    def _pass(self, number: int, start: int) -> Iterator[Any]:
        """One pass over the data, the `number`-th shuffle, from batch `start` on."""
        with noting(lambda: f"while loading the batch of {position_of(self.runner)}"):
            yield from self._placed(number, start)

    def _placed(self, number: int, start: int) -> Iterator[Any]:
        if hasattr(self.dataloader, "place"):
            self.dataloader.place(number, start)
            return iter(self.dataloader)
        for sampler in _samplers(self.dataloader):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(number)
        return iter(_starting_at(self.dataloader, start) if start else self.dataloader)


@LOOPS.register_module(scope="mmengine")
class EpochBasedTrainLoop(TrainLoop):
    """`max_epochs` passes over the data."""

    def __init__(self, runner: Any, dataloader: Any, max_epochs: int, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, **kwargs)
        self.max_epochs = _whole(max_epochs, "max_epochs")

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run."""
        return self.max_epochs * len(self.dataloader)

    def batches(self) -> Iterator[Any]:
        """The batches of all epochs that are left."""
        # a run that was killed between the checkpoint of an epoch and the end of its validation
        self._validate_if_due(self.max_epochs)
        while self.epoch < self.max_epochs and not self.stop_training:
            self.runner.call_hook("before_train_epoch")
            self.runner.model.train()
            epoch = self.epoch
            yield from self._pass(epoch, self.inner)
            if self.epoch == epoch:
                # a loader without or with a wrong length: it ended before the count did
                self._end_epoch()

    def after_batch(self) -> None:
        """Count the batch; after the last of an epoch end it, and validate."""
        self.iter += 1
        self.inner += 1
        if self.inner >= len(self.dataloader):
            self._end_epoch()

    def _end_epoch(self) -> None:
        # hooks see an epoch that is not counted yet, but whose batches are: a checkpoint
        # written now must go on with the next epoch
        self.inner = 0
        self.runner.call_hook("after_train_epoch")
        self.epoch += 1
        self._validate_if_due(self.max_epochs)


@LOOPS.register_module(scope="mmengine")
class IterBasedTrainLoop(TrainLoop):
    """`max_iters` batches, the data being gone over as often as it takes."""

    by_epoch = False
    #: hooks see the run as a single epoch
    max_epochs = 1

    def __init__(
        self, runner: Any, dataloader: Any, max_iters: int, val_interval: int = 1000, **kwargs: Any
    ) -> None:
        super().__init__(runner, dataloader, val_interval=val_interval, **kwargs)
        self.max_iters = _whole(max_iters, "max_iters")

    def batches(self) -> Iterator[Any]:
        """The batches that are left."""
        self._validate_if_due(self.max_iters)
        self.runner.call_hook("before_train_epoch")
        length = len(self.dataloader)
        while self.iter < self.max_iters and not self.stop_training:
            number, self.inner = divmod(self.iter, length)
            yield from self._some(number)
        self.runner.call_hook("after_train_epoch")

    def _some(self, number: int) -> Iterator[Any]:
        """Batches of the `number`-th pass that are left, until the run is over."""
        began = self.iter
        for batch in self._pass(number, self.inner):
            self.runner.model.train()
            yield batch
            if self.iter >= self.max_iters or self.stop_training:
                return
        if self.iter == began:
            raise ConfigError(
                f"the training data gave no batch in a pass that should have {len(self.dataloader)}"
            )

    def after_batch(self) -> None:
        """Count the batch, and validate."""
        self.iter += 1
        self.inner += 1
        self._validate_if_due(self.max_iters)


class EvalLoop:
    """Predictions for a whole dataset, and their metrics.

    Args:
        runner: the run. dataloader: data with annotations.
        evaluator: takes predictions, gives metrics.
        fp16: predict in half precision.
    """

    mode = "val"

    def __init__(self, runner: Any, dataloader: Any, evaluator: Any, fp16: bool = False) -> None:
        self.runner = runner
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.fp16 = fp16
        meta = meta_for_metrics(dataloader.dataset)
        if meta is not None:
            evaluator.dataset_meta = meta

    def run(self) -> dict[str, float]:
        """Predict, evaluate; the metrics by name."""
        call, mode = self.runner.call_hook, self.mode
        call(f"before_{mode}")
        call(f"before_{mode}_epoch")
        self.runner.model.eval()
        for index, batch in enumerate(self.dataloader):
            call(f"before_{mode}_iter", batch_idx=index, data_batch=batch)
            outputs = self._predict(batch)
            self.evaluator.process(data_samples=outputs, data_batch=batch)
            call(f"after_{mode}_iter", batch_idx=index, data_batch=batch, outputs=outputs)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        call(f"after_{mode}_epoch", metrics=metrics)
        self._note_done()
        call(f"after_{mode}")
        return metrics

    def _note_done(self) -> None:
        """Called once metrics and what hooks make of them are known."""

    @torch.no_grad()
    def _predict(self, batch: Any) -> Any:
        device = self.runner.device
        with (
            torch.autocast(device.type, enabled=self.fp16),
            noting(lambda: f"while predicting {listed(sample_names(batch), _MAX_NAMED)}"),
        ):
            data = self.runner.model.data_preprocessor(batch, False)
            return self.runner.model(**data, mode="predict")


@LOOPS.register_module(scope="mmengine")
class ValLoop(EvalLoop):
    """Evaluation between epochs of training."""

    def _note_done(self) -> None:
        if self.runner.train_loop is not None:
            self.runner.train_loop.validated = self.runner.train_loop.position


@LOOPS.register_module(scope="mmengine")
class TestLoop(EvalLoop):
    """Evaluation of a finished model."""

    __test__ = False  # not a test of pytest's
    mode = "test"


#: What `train_cfg` may hold.
_TRAIN_KEYS = (
    "by_epoch",
    "dynamic_intervals",
    "max_epochs",
    "max_iters",
    "type",
    "val_begin",
    "val_interval",
)


def build_train_loop(train_cfg: Mapping[str, Any], runner: Any, dataloader: Any) -> TrainLoop:
    """Loop of a `train_cfg`; without `type`, `by_epoch` chooses it.

    Raises:
        ConfigError: an unknown key, or no length of the run.
    """
    cfg = dict(train_cfg)
    if "type" not in cfg:
        check_known(train_cfg, _TRAIN_KEYS, "train_cfg")
        by_epoch = cfg.pop("by_epoch", "max_iters" not in cfg)
        length = "max_epochs" if by_epoch else "max_iters"
        if length not in cfg:
            raise ConfigError(
                f"train_cfg with by_epoch={by_epoch} needs {length}, got {sorted(train_cfg)}"
            )
        cfg["type"] = "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
    return LOOPS.build(cfg, runner=runner, dataloader=dataloader)


def _whole(value: float, name: str) -> int:
    if int(value) != value or value < 1:
        raise ConfigError(f"{name} must be a whole number, at least 1, got {value}")
    return int(value)


def _samplers(dataloader: Any) -> list[Any]:
    batch_sampler = getattr(dataloader, "batch_sampler", None)
    found = [getattr(dataloader, "sampler", None), batch_sampler]
    return [s for s in [*found, getattr(batch_sampler, "sampler", None)] if s is not None]


def _starting_at(dataloader: Any, start: int) -> Any:
    """The loader without its first `start` batches, which are not even read.

    A loader cannot be given another batch sampler, hence the copy's own dictionary.
    """
    if getattr(dataloader, "batch_sampler", None) is None:
        return itertools.islice(dataloader, start, None)
    rest = copy.copy(dataloader)
    rest.__dict__["batch_sampler"] = _Rest(dataloader.batch_sampler, start)
    return rest


class _Rest:
    """A batch sampler from its `start`-th batch on."""

    def __init__(self, batch_sampler: Any, start: int) -> None:
        self.batch_sampler = batch_sampler
        self.start = start

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(iter(self.batch_sampler), self.start, None)

    def __len__(self) -> int:
        return len(self.batch_sampler) - self.start
