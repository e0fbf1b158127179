"""What hooks see of a run: where it stands, its parts, its data."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poise.registry import LOG_PROCESSORS, VISUALIZERS
from poise.training.build import build_dataloader, config_text
from poise.training.hooks.base import priority_of
from poise.training.logs.message_hub import MessageHub
from poise.training.logs.scalars import ScalarWriter
from poise.training.machine.environment import launch_rank
from poise.training.optim.view import OptimizerView
from poise.transforms import Compose

__all__ = ["RunView"]


def _of_loop(mode: str, name: str, otherwise: Any = None) -> Any:
    """Property that is an attribute of one of a run's loops."""
    return property(lambda run: getattr(getattr(run, f"{mode}_loop"), name, otherwise))


class RunView:
    """State of a run, with the names that hooks of MMPose know; `Runner` sets it.

    Args:
        cfg: whole config.
        work_dir: folder of the run; else `work_dir` of the config, else `work_dirs/NAME`.

    Attributes:
        closing: puts things right when the run is over, also by an error; hooks may add to it.
        interrupted: checkpoint of a run that was stopped between two batches.
        resuming: whether it goes on from a checkpoint.
        scalars: where figures and pictures go.
        seed: of all random draws.
        shows_metrics: whether the terminal gets the metrics of a test, as the log file does; who
            shows them otherwise turns it off.
    """

    scalars: ScalarWriter

    def __init__(self, cfg: Any, work_dir: str | Path | None) -> None:
        self.cfg = cfg
        name = Path(getattr(cfg, "filename", None) or "run").stem
        self.experiment_name = cfg.get("experiment_name") or name
        self.work_dir = str(work_dir or cfg.get("work_dir") or Path("work_dirs") / name)
        self.timestamp = time.strftime("%Y%m%d_%H%M%S")
        self.log_dir = str(Path(self.work_dir) / self.timestamp)
        self.cfg_text = config_text(cfg)
        self.seed = _seed(cfg)
        self.message_hub = MessageHub().be_current("poise")
        self.log_processor: Any = LOG_PROCESSORS.build(
            cfg.get("log_processor") or {"type": "mmengine.LogProcessor"}
        )
        self.logger = logging.getLogger("poise")
        self.closing = contextlib.ExitStack()
        self.resuming = False
        self.shows_metrics = True
        self.interrupted: Path | None = None
        self.train_loop: Any = None
        self.val_loop: Any = None
        self.test_loop: Any = None
        self.hooks: list[Any] = []
        self.param_schedulers: list[Any] = []
        self.device = torch.device("cpu")
        self.rank, self.world_size = launch_rank(), 1
        self.model: Any = None
        self.optimizer: Any = None
        self.trainer: Any = None
        self._visualizer: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def distributed(self) -> bool:
        """Whether several processes run."""
        return self.world_size > 1

    # finished, and of the whole run; 0 where nothing is trained
    epoch = _of_loop("train", "epoch", 0)
    iter = _of_loop("train", "iter", 0)
    max_epochs = _of_loop("train", "max_epochs", 0)
    max_iters = _of_loop("train", "max_iters", 0)
    # None where there is no such loop
    train_dataloader = _of_loop("train", "dataloader")
    val_dataloader = _of_loop("val", "dataloader")
    test_dataloader = _of_loop("test", "dataloader")
    val_evaluator = _of_loop("val", "evaluator")
    test_evaluator = _of_loop("test", "evaluator")

    @property
    def optim_wrapper(self) -> OptimizerView:
        """The optimizer with MMEngine's questions (`get_lr()`, `param_groups`)."""
        return OptimizerView(self.optimizer)

    @property
    def scaler(self) -> Any:
        """Scaler of the losses of float16 training, or None."""
        return getattr(getattr(self.trainer, "precision_plugin", None), "scaler", None)

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """Metainfo of the data: names, swaps, links."""
        for loader in (self.train_dataloader, self.val_dataloader, self.test_dataloader):
            meta = getattr(getattr(loader, "dataset", None), "metainfo", None)
            if meta is not None:
                return meta
        return None

    @property
    def visualizer(self) -> Any:
        """The visualiser of the config, made when first asked for."""
        if self._visualizer is None:
            cfg = dict(self.cfg.get("visualizer") or {"type": "PoseLocalVisualizer"})
            # those that are open, so that pictures and scalars go to the same run
            cfg["vis_backends"] = self.scalars.backends
            self._visualizer = VISUALIZERS.build(cfg)
            if self.dataset_meta is not None:
                self._visualizer.set_dataset_meta(self.dataset_meta)
        return self._visualizer

    def call_hook(self, point: str, **kwargs: Any) -> None:
        """Run every hook's method of this name."""
        for hook in self.hooks:
            try:
                getattr(hook, point)(self, **kwargs)
            except Exception as error:
                error.add_note(f"in the hook {type(hook).__name__}, {point}")
                raise

    def register_hook(self, hook: Any, priority: int | str | None = None) -> None:
        """Add a hook, behind those of the same priority."""
        if priority is not None:
            hook.priority = priority
        self.hooks.append(hook)
        self.hooks.sort(key=lambda h: priority_of(h.priority))

    def set_train_pipeline(self, pipeline: Sequence[Any]) -> None:
        """Train on with other transforms, in each data set of a mixture that has none itself."""
        chosen = pipeline if callable(pipeline) else Compose(list(pipeline))
        for dataset in _with_pipeline(self.train_dataloader.dataset):
            dataset.pipeline = chosen
        self.restart_workers()

    def restart_workers(self) -> None:
        """Let go of workers that outlive an epoch: they hold a copy of the dataset as it was."""
        if getattr(self.train_dataloader, "persistent_workers", False):
            self.train_dataloader._iterator = None

    def set_train_dataloader(self, cfg: Mapping[str, Any]) -> None:
        """Train on with other data."""
        self.train_loop.dataloader = build_dataloader(cfg, "train_dataloader", self)


def _with_pipeline(dataset: Any) -> list[Any]:
    """The data set that puts samples through a pipeline, or those that it is made of."""
    own = vars(dataset)
    inner = own.get("datasets") or ([own["dataset"]] if "dataset" in own else [])
    if "pipeline" in own or not inner:
        return [dataset]
    return [one for part in inner for one in _with_pipeline(part)]


def _seed(cfg: Any) -> int:
    chosen = (cfg.get("randomness") or {}).get("seed")
    return int(chosen) if chosen is not None else int(np.random.randint(2**31))
