"""Hook: user code that runs at named points of training, validation and testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from poise.errors import ConfigError, nearest

__all__ = ["PRIORITIES", "Hook", "priority_of"]

#: Named priorities; the lower the number, the earlier a hook runs at its points.
PRIORITIES = {
    "HIGHEST": 0,
    "VERY_HIGH": 10,
    "HIGH": 30,
    "ABOVE_NORMAL": 40,
    "NORMAL": 50,
    "BELOW_NORMAL": 60,
    "LOW": 70,
    "VERY_LOW": 90,
    "LOWEST": 100,
}


def priority_of(priority: int | str) -> int:
    """Number of a priority, from 0 (first) to 100.

    Raises:
        ConfigError: an unknown name, or a number out of range.
    """
    value = PRIORITIES.get(str(priority).upper(), priority)
    if not isinstance(value, int):
        raise ConfigError(
            f"priority of a hook is a number from 0 to 100 or one of {', '.join(PRIORITIES)}; "
            f"got {priority!r}{nearest(str(priority), PRIORITIES)}"
        )
    if not 0 <= value <= 100:
        raise ConfigError(f"priority of a hook must lie between 0 and 100, got {value}")
    return value


class Hook:
    """Base class; override the points that matter, each gets the run as `runner`.

    What a hook may use of `runner`: `model`, `cfg`, `epoch`, `iter` (both count what is
    finished), `max_epochs`, `max_iters`, `logger`, `work_dir`, `log_dir`, `message_hub`,
    `optim_wrapper`, `param_schedulers`, `train_dataloader`, `val_dataloader`,
    `test_dataloader`, `train_loop` (`stop_training = True` ends the run after this epoch),
    `closing` (`closing.callback(f)` calls f when the run is over, also by an error).

    A hook that overrides `_before_epoch`, `_after_epoch`, `_before_iter` or `_after_iter`
    gets training, validation and testing at one place, told apart by `mode`.
    """

    priority: int | str = "NORMAL"
    #: left out of tests and validations by themselves
    only_training: ClassVar[bool] = False

    stages: ClassVar[tuple[str, ...]] = (
        "before_run",
        "after_load_checkpoint",
        "before_train",
        "before_train_epoch",
        "before_train_iter",
        "after_train_iter",
        "after_train_epoch",
        "before_val",
        "before_val_epoch",
        "before_val_iter",
        "after_val_iter",
        "after_val_epoch",
        "after_val",
        "before_save_checkpoint",
        "after_train",
        "before_test",
        "before_test_epoch",
        "before_test_iter",
        "after_test_iter",
        "after_test_epoch",
        "after_test",
        "after_run",
    )

    def before_run(self, runner: Any) -> None:
        """Everything is built, nothing has been loaded."""

    def after_run(self, runner: Any) -> None:
        """The run is over, be it finished or stopped."""

    def before_train(self, runner: Any) -> None:
        """Weights are loaded; training begins."""

    def after_train(self, runner: Any) -> None:
        """The last epoch or iteration is done."""

    def before_val(self, runner: Any) -> None:
        """A validation begins."""

    def after_val(self, runner: Any) -> None:
        """A validation is over."""

    def before_test(self, runner: Any) -> None:
        """Testing begins."""

    def after_test(self, runner: Any) -> None:
        """Testing is over."""

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """`checkpoint` is about to be written; changes to it are."""

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """`checkpoint` was read and is about to be loaded."""

    def before_train_epoch(self, runner: Any) -> None:
        """An epoch begins."""
        self._before_epoch(runner, mode="train")

    def before_val_epoch(self, runner: Any) -> None:
        """The batches of a validation begin."""
        self._before_epoch(runner, mode="val")

    def before_test_epoch(self, runner: Any) -> None:
        """The batches of a test begin."""
        self._before_epoch(runner, mode="test")

    def after_train_epoch(self, runner: Any) -> None:
        """The last batch of an epoch is done; `runner.epoch` does not count it yet."""
        self._after_epoch(runner, mode="train")

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Metrics of a validation are known."""
        self._after_epoch(runner, mode="val")

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Metrics of a test are known."""
        self._after_epoch(runner, mode="test")

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """A batch is about to be trained on."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="train")

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """A batch is about to be predicted."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="val")

    def before_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """A batch is about to be predicted."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="test")

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """A batch was trained on; `outputs` are the losses, `runner.iter` not yet counted up."""
        self._after_iter(
            runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="train"
        )

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """A batch was predicted; `outputs` are data samples."""
        self._after_iter(
            runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="val"
        )

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """A batch was predicted; `outputs` are data samples."""
        self._after_iter(
            runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="test"
        )

    def _before_epoch(self, runner: Any, mode: str = "train") -> None:
        """What the three `before_*_epoch` points do unless overridden."""

    def _after_epoch(self, runner: Any, mode: str = "train") -> None:
        """What the three `after_*_epoch` points do unless overridden."""

    def _before_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, mode: str = "train"
    ) -> None:
        """What the three `before_*_iter` points do unless overridden."""

    def _after_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        """What the three `after_*_iter` points do unless overridden."""

    def every_n_epochs(self, runner: Any, n: int, start: int = 0) -> bool:
        """Whether the epoch that ends is the n-th since `start`, the 2n-th ..."""
        return _is_multiple(runner.epoch + 1 - start, n)

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Whether this batch is the n-th of its epoch, the 2n-th ..."""
        return _is_multiple(batch_idx + 1, n)

    def every_n_train_iters(self, runner: Any, n: int, start: int = 0) -> bool:
        """Whether the iteration that ends is the n-th since `start`, the 2n-th ..."""
        return _is_multiple(runner.iter + 1 - start, n)

    def end_of_epoch(self, dataloader: Any, batch_idx: int) -> bool:
        """Whether this batch is the last of its epoch."""
        return batch_idx + 1 == len(dataloader)

    def is_last_train_epoch(self, runner: Any) -> bool:
        """Whether the epoch that ends is the last."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_train_iter(self, runner: Any) -> bool:
        """Whether the iteration that ends is the last."""
        return runner.iter + 1 == runner.max_iters

    def get_triggered_stages(self) -> list[str]:
        """Points at which this hook does something."""
        own = {s for s in self.stages if getattr(type(self), s) is not getattr(Hook, s)}
        for general in ("_before_epoch", "_after_epoch", "_before_iter", "_after_iter"):
            if getattr(type(self), general) is not getattr(Hook, general):
                when, _, what = general[1:].partition("_")
                own |= {f"{when}_{mode}_{what}" for mode in ("train", "val", "test")}
        return [s for s in self.stages if s in own]


def _is_multiple(number: int, n: int) -> bool:
    return n > 0 and number >= 0 and number % n == 0
