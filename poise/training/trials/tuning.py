"""Before a long run: Lightning's search for a batch size that fits and for a learning rate."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.tuner import Tuner

from poise.errors import DataError
from poise.models.base_model import parse_losses
from poise.models.weights import load_checkpoint
from poise.registry import use_scope
from poise.training.build import build_dataloader, build_model
from poise.training.machine.environment import memory_mb
from poise.training.machine.speed import prepare_model
from poise.training.optim.wrappers import StepSettings, build_optimizer
from poise.training.runner import Runner

__all__ = ["RateCurve", "find_batch_size", "find_learning_rate"]

#: Steps at each batch size: the second has the optimizer's state, too.
_STEPS = 3
#: First losses of a search for a rate that are not looked at.
_UNSMOOTHED = 10
#: Weight of the past in Lightning's smoothing of the losses.
_SMOOTHING = 0.98
#: How far above the lowest loss, as a share of it, a rate still counts as good.
_NEAR_LOWEST = 0.02
#: First batch size that is tried, and how often it is doubled at most.
_START, _TRIALS = 2, 12
#: Share of the machine's free memory that a search on a CPU may fill, since going beyond does
#: not raise an error there but ends processes.
_SHARE = 0.8


@dataclass(frozen=True)
class RateCurve:
    """Losses while the learning rate rose step by step.

    Attributes:
        rates, losses: a value per step; the losses are smoothed.
        steepest: rate at which the loss fell fastest, as Lightning finds it; None where it did
            not fall. Small batches make it jump.
    """

    rates: list[float]
    losses: list[float]
    steepest: float | None

    @property
    def suggestion(self) -> float:
        """A tenth of the largest rate at which the loss is near its lowest.

        Large, and far from where the loss grows again; where it hardly fell (a short search, a
        trained model), the end of the flat part counts and not a chance minimum within it.
        """
        # the first losses are hardly smoothed yet
        count = min(_UNSMOOTHED, len(self.losses) - 1)
        lowest = min(self.losses[count:])
        limit = lowest + _NEAR_LOWEST * abs(lowest)
        later = zip(self.rates[count:], self.losses[count:], strict=True)
        return max(rate for rate, loss in later if loss <= limit) / 10

    def draw(self, path: str | Path) -> None:
        """Write the curve as a picture."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axis = figure.subplots()
        axis.plot(self.rates, self.losses, color="#0072B2", lw=1.2)
        axis.set_xscale("log")
        label = f"suggested: {self.suggestion:.2e}"
        axis.axvline(self.suggestion, color="#D55E00", ls="--", label=label)
        axis.legend()
        axis.set_xlabel("learning rate")
        axis.set_ylabel("loss, smoothed")
        axis.grid(alpha=0.3)
        figure.savefig(path)


class _Probe(pl.LightningModule):
    """A plain training step of an estimator, for Lightning's searches.

    Args:
        estimator: what is trained. optim_wrapper: its optimizer's config.
        budget: MiB that the process may grow by on a CPU; None on a GPU.
    """

    def __init__(self, estimator: Any, optim_wrapper: Any, budget: int | None) -> None:
        super().__init__()
        self.estimator: Any = estimator
        self.optim_wrapper = optim_wrapper
        self.settings = StepSettings.from_cfg(optim_wrapper)
        self.budget = budget
        self.begun_with = memory_mb()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the config."""
        return build_optimizer(self.estimator, self.optim_wrapper)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Loss of a batch."""
        data = self.estimator.data_preprocessor(batch, True)
        loss, _ = parse_losses(self.estimator(**data, mode="loss"))
        if self.budget is not None and memory_mb() - self.begun_with > self.budget:
            # the text by which Lightning knows a CPU's error
            raise RuntimeError(f"DefaultCPUAllocator: can't allocate memory beyond {self.budget}")
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip as the run will."""
        self.settings.clip([p for g in optimizer.param_groups for p in g["params"]])


class _Data(pl.LightningDataModule):
    """The training data with a batch size that Lightning may change."""

    def __init__(self, cfg: Any, runner: Runner) -> None:
        super().__init__()
        self.cfg = {**cfg, "drop_last": True}
        self.runner = runner
        self.batch_size = int(cfg.get("batch_size", 1))
        self.dataset = build_dataloader(self.cfg, "train_dataloader", runner).dataset

    def train_dataloader(self) -> Any:
        """A loader with the batch size of now."""
        cfg = {**self.cfg, "dataset": self.dataset, "batch_size": self.batch_size}
        return build_dataloader(cfg, "train_dataloader", self.runner)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Leave the batch: the data preprocessor moves what it needs."""
        return batch


def find_batch_size(cfg: Any, *, accelerator: str = "auto") -> int:
    """Largest batch of a config's training that fits into memory (within a step of a search).

    Args:
        cfg: whole config.
        accelerator: as Lightning takes it.
    """
    with _prepared(cfg, accelerator) as (trainer, module, data):
        found = Tuner(trainer).scale_batch_size(
            module,
            datamodule=data,
            mode="binsearch",
            steps_per_trial=_STEPS,
            init_val=_START,
            max_trials=_TRIALS,
        )
        # data that are fewer than the batch end the search
        return min(int(found or _START), len(data.dataset))


def find_learning_rate(
    cfg: Any,
    *,
    steps: int = 100,
    lowest: float = 1e-7,
    highest: float = 1.0,
    accelerator: str = "auto",
) -> RateCurve:
    """Losses of a config's training under a rate that rises from batch to batch (Smith 2017).

    All parameters get the same rate; multipliers of `paramwise_cfg` do not act here.

    Args:
        cfg: whole config.
        steps: batches. lowest, highest: rates of the first and the last.
        accelerator: as Lightning takes it.

    Raises:
        DataError: too few losses were finite.
    """
    with _prepared(cfg, accelerator) as (trainer, module, data):
        finder: Any = Tuner(trainer).lr_find(
            module,
            datamodule=data,
            min_lr=lowest,
            max_lr=highest,
            num_training=steps,
            update_attr=False,
        )
    rates, losses = list(finder.results["lr"]), list(finder.results["loss"])
    if len(losses) < 10:
        raise DataError(
            f"the search for a learning rate saw only {len(losses)} losses before they grew out "
            "of bounds; let it begin lower"
        )
    return RateCurve(rates, _unbiased(losses), finder.suggestion())


def _unbiased(losses: list[float]) -> list[float]:
    """Lightning's smoothed losses with the weights of the past summing to one.

    Lightning 2.6 divides by the sum of one step later, which halves the first loss.
    """
    keep = [1 - _SMOOTHING**n for n in range(1, len(losses) + 2)]
    return [loss * keep[i + 1] / keep[i] for i, loss in enumerate(losses)]


@contextmanager
def _prepared(cfg: Any, accelerator: str) -> Iterator[tuple[pl.Trainer, _Probe, _Data]]:
    """Trainer, module and data of a search, on one device; its files go away with it."""
    cfg = copy.deepcopy(cfg)
    runner = Runner(cfg)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with use_scope(runner.scope), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(runner.seed)
        model = build_model(cfg, init=True)
        if cfg.get("load_from"):
            load_checkpoint(model, cfg["load_from"])
        prepare_model(model, cfg.get("speed"))
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=1,
            default_root_dir=folder,
            precision=_precision(cfg),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            max_epochs=-1,
        )
        on_cpu = trainer.strategy.root_device.type == "cpu"
        budget = int(_SHARE * _available_mb()) if on_cpu else None
        data = _Data(cfg["train_dataloader"], runner)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*number of training batches.*")
            warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
            yield trainer, _Probe(model, cfg["optim_wrapper"], budget), data


def _precision(cfg: Any) -> Any:
    wanted = StepSettings.from_cfg(cfg["optim_wrapper"]).precision
    return "bf16-mixed" if wanted == "16-mixed" and not torch.cuda.is_available() else wanted


def _available_mb() -> int:
    """Memory of the machine that is free, MiB."""
    path = Path("/proc/meminfo")
    if path.is_file():
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) // 1024
    return 2048
