"""EMAHook: validates and saves averaged weights, trains the plain ones."""

from __future__ import annotations

from typing import Any

import torch

from poise._words import counted
from poise.errors import CheckpointError, ConfigError
from poise.registry import HOOKS, MODELS
from poise.training.hooks.base import Hook
from poise.training.run.checkpoint import to_cpu

__all__ = ["EMAHook"]

#: Prefix of the weights in `ema_state_dict`, as MMEngine writes it.
_PREFIX = "module."


@HOOKS.register_module(scope="mmengine")
class EMAHook(Hook):
    """Follows the weights with a moving average, which validation and checkpoints use.

    In a checkpoint `state_dict` holds the averages and `ema_state_dict` the weights that
    training goes on with, so that a file is ready to be used as it is.

    Args:
        ema_type: kind of average, such as "ExpMomentumEMA".
        strict_load: whether a resumed average must have exactly the model's keys.
        begin_iter, begin_epoch: when averaging starts; before, the average is a copy.
        **kwargs: arguments of the average: momentum, gamma, interval, update_buffers.
    """

    priority = "NORMAL"
    # what a file calls its weights are the averages already
    only_training = True

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        strict_load: bool = False,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        if begin_iter < 0 or begin_epoch < 0 or (begin_iter and begin_epoch):
            raise ConfigError(
                f"give begin_iter or begin_epoch of EMAHook, not negative, got {begin_iter} "
                f"and {begin_epoch}"
            )
        self.ema_cfg = {"type": ema_type, **kwargs}
        self.strict_load = strict_load
        self.begin_iter, self.begin_epoch = begin_iter, begin_epoch
        self._model: Any = None

    def before_run(self, runner: Any) -> None:
        """Make the average, a copy so far; a test after the training keeps the one it has."""
        if self._model is not runner.model:
            self._model = runner.model
            self.average = MODELS.build(self.ema_cfg, model=runner.model)

    def before_train(self, runner: Any) -> None:
        """See that averaging starts within the run, and follow the model to its device."""
        loop = runner.train_loop
        if self.begin_epoch > loop.max_epochs or self.begin_iter > loop.max_iters:
            raise ConfigError(
                f"EMAHook begins at epoch {self.begin_epoch}, iteration {self.begin_iter}; the "
                f"run has {loop.max_epochs} epochs, {loop.max_iters} iterations"
            )
        weights = runner.model.state_dict()
        for name, tensor in self.average.shadow.items():
            self.average.shadow[name] = tensor.to(weights[name].device)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Follow the step that was made."""
        now, begin = (
            (runner.epoch, self.begin_epoch) if self.begin_epoch else (runner.iter, self.begin_iter)
        )
        if now + 1 >= begin:
            self.average.update_parameters(runner.model)
        else:
            self.average.copy_from(runner.model.state_dict())

    def _before_epoch(self, runner: Any, mode: str = "train") -> None:
        """Put the averages into the model, to validate them."""
        if mode != "train":
            self.average.swap(runner.model)

    def _after_epoch(self, runner: Any, mode: str = "train") -> None:
        """Put the trained weights back."""
        if mode != "train":
            self.average.swap(runner.model)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Save the averages as the model."""
        weights = checkpoint["state_dict"]
        other = {f"{_PREFIX}{n}": t for n, t in weights.items()}
        for name, tensor in self.average.shadow.items():
            weights[name] = to_cpu(tensor).clone()
        checkpoint["ema_state_dict"] = {"steps": torch.tensor(self.average.steps), **other}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take the average of a checkpoint to resume, or start one from loaded weights."""
        weights = checkpoint["state_dict"]
        saved = checkpoint.get("ema_state_dict") if runner.resuming else None
        if saved is None:
            if runner.resuming:
                runner.logger.warning("The checkpoint has no average; it starts from its weights")
            self._load(weights)
            return
        self._load(dict(weights))
        self.average.steps = int(saved["steps"])
        for name, tensor in saved.items():
            if name.startswith(_PREFIX):
                weights[name.removeprefix(_PREFIX)] = tensor

    def _load(self, weights: dict[str, Any]) -> None:
        shadow = self.average.shadow
        unlike = [n for n, t in shadow.items() if n not in weights or weights[n].shape != t.shape]
        if unlike and self.strict_load:
            raise CheckpointError(
                "the average of the checkpoint does not fit the model in "
                f"{counted(len(unlike), 'tensor')}, "
                f"the first is '{unlike[0]}'"
            )
        self.average.copy_from({n: t if n in unlike else weights[n] for n, t in shadow.items()})
