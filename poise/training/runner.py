"""Runner: a config becomes a training or evaluation run on Lightning."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poise.check.keys import check_keypoints, check_training_config, note_keypoints
from poise.datasets import loader
from poise.errors import CheckpointError, ConfigError, KeypointCountError
from poise.metrics.collecting import broadcast
from poise.metrics.evaluator import build_evaluator
from poise.models.progress import Progress, share_progress
from poise.models.weights import load_checkpoint
from poise.registry import LOOPS, use_scope
from poise.training.build import build_dataloader, build_hooks, build_model
from poise.training.hooks.ema import EMAHook
from poise.training.logs.console import open_log
from poise.training.logs.scalars import ScalarWriter
from poise.training.machine.environment import apply_environment, process_group
from poise.training.machine.sharding import is_sharded, taking_whole_tensors
from poise.training.machine.speed import fuse_optimizer, prepare_model
from poise.training.optim.freezing import freeze
from poise.training.optim.schedules import build_schedulers
from poise.training.optim.wrappers import StepSettings, build_optimizer
from poise.training.run import checkpoint as files
from poise.training.run.loops import build_train_loop
from poise.training.run.signals import StopRequests
from poise.training.view import RunView

__all__ = ["Runner"]


class Runner(RunView):
    """One run of training, validation or testing.

    Args:
        cfg: whole config (`model`, `train_dataloader`, `optim_wrapper` ...), as a Config, a
            ConfigDict or a dict.
        work_dir: folder of the run; else `work_dir` of the config, else `work_dirs/NAME`.
        resume: checkpoint to go on from, "auto" (or True) for the latest in the folder.
        validate: False trains without validation.
        devices, nodes, strategy, accelerator: as Lightning takes them.
        precision: Lightning's name, over what `optim_wrapper` says.

    Example:
        `Runner(poise.load_config("rtmpose-t_lspet.py")).train()`
    """

    def __init__(
        self,
        cfg: Any,
        *,
        work_dir: str | Path | None = None,
        resume: str | bool | None = None,
        validate: bool = True,
        devices: int | str | Sequence[int] = "auto",
        nodes: int = 1,
        strategy: str = "auto",
        accelerator: str = "auto",
        precision: str | None = None,
    ) -> None:
        super().__init__(cfg, work_dir)
        self.resume_from = cfg.get("resume") if resume is None else resume
        if resume is None and self.resume_from is True:
            # as in MMEngine, where a config goes on from the file that it names
            self.resume_from = cfg.get("load_from") or True
        self.validate = validate
        self.engine = {
            "devices": devices,
            "num_nodes": nodes,
            "strategy": strategy,
            "accelerator": accelerator,
        }
        self.precision = precision
        self._resumed: tuple[Path, dict[str, Any]] | None = None
        self.scope = cfg.get("default_scope") or "mmpose"

    @classmethod
    def from_cfg(cls, cfg: Any) -> Runner:
        """Runner of a config, under MMEngine's name for it."""
        return cls(cfg)

    build_dataloader = staticmethod(loader.build_dataloader)

    def save_checkpoint(self, path: Path, *, epoch: int, iteration: int, full: bool) -> None:
        """Write a checkpoint file; `full` ones can be resumed from."""
        if not self.is_main and not is_sharded(self.model):
            return
        content = files.build_checkpoint(self, epoch=epoch, iteration=iteration, full=full)
        self.call_hook("before_save_checkpoint", checkpoint=content)
        if self.is_main:
            files.write(content, Path(path))

    def publish_checkpoint(self, path: Path, keys: Sequence[str]) -> None:
        """Write a copy of a checkpoint with only these keys, its hash in the name."""
        if self.is_main:
            self.logger.info("Published %s", files.publish(path, keys))

    def share_progress(self) -> None:
        """Tell the modules whose losses change with training where it stands."""
        share_progress(self.model, Progress(self.epoch, self.max_epochs, self.iter, self.max_iters))

    def after_batch(self) -> None:
        """Stop between two batches where that was asked for."""
        if self.stop_requests.agreed():
            self.trainer.should_stop = True

    # ------------------------------------------------------------------- running

    def train(self) -> Any:
        """Train to the end, or to a stop that was asked for; the model."""
        check_training_config(self.cfg)
        with use_scope(self.scope), self.closing:
            self._prepare_training()
            with self._naming_keypoints():
                self._fit()
        return self.model

    def test(
        self,
        weights: str | Path | None = None,
        *,
        hooks: Sequence[Any] = (),
        device: str | None = None,
    ) -> dict[str, float]:
        """Metrics of the test set.

        Args:
            weights: file or address; None for what this run has trained, else the config's
                `load_from`.
            hooks: more of them.
            device: such as "cuda:1"; None takes what `accelerator` says, that is the best one.
        """
        return self._evaluate("test", weights, hooks, device)

    def val(
        self,
        weights: str | Path | None = None,
        *,
        hooks: Sequence[Any] = (),
        device: str | None = None,
    ) -> dict[str, float]:
        """Metrics of the validation set; arguments as of `test`."""
        return self._evaluate("val", weights, hooks, device)

    def _evaluate(
        self, mode: str, weights: str | Path | None, hooks: Sequence[Any], device: str | None
    ) -> dict[str, float]:
        accelerator = str(self.engine["accelerator"])
        device = device or {"gpu": "cuda"}.get(accelerator, accelerator)
        joined = process_group(self.cfg.get("env_cfg"), device)
        with (
            use_scope(self.scope),
            joined as (self.rank, self.world_size, self.device),
            self.closing,
        ):
            self._agree()
            # a test leaves the records of the training beside which it may stand
            open_log(self, f"{self.log_dir}/vis_data")
            self._set_environment()
            loop = self._eval_loop(mode)
            if loop is None:
                raise ConfigError(
                    f"nothing to evaluate: the config has no {mode}_dataloader and {mode}_evaluator"
                )
            setattr(self, f"{mode}_loop", loop)
            if self.model is None or weights is not None:
                weights = weights or self.cfg.get("load_from")
                self.model, self.hooks = build_model(self.cfg, init=False), []
            self._open_scalars()
            # averages of what was trained count still
            self.hooks = [hook for hook in self.hooks if isinstance(hook, EMAHook)]
            for hook in (*build_hooks(self.cfg), *hooks):
                if not getattr(hook, "only_training", False):
                    self.register_hook(hook)
            self.call_hook("before_run")
            if weights is not None:
                content = dict(files.read(weights))
                self.call_hook("after_load_checkpoint", checkpoint=content)
                load_checkpoint(self.model, content, same_shapes=True, name=str(weights))
                metainfo = getattr(loop.dataloader.dataset, "metainfo", None)
                check_keypoints(content, metainfo, weights, self.cfg)
            self.model.to(self.device)
            with self._naming_keypoints(f"{mode}_dataloader"):
                metrics = loop.run()
            self.call_hook("after_run")
        return metrics

    @contextlib.contextmanager
    def _naming_keypoints(self, loader: str = "train_dataloader") -> Iterator[None]:
        """Tell where head and dataset are written, should their keypoints not agree."""
        try:
            yield
        except KeypointCountError as error:
            note_keypoints(error, self.cfg, loader)
            raise

    def _prepare_training(self) -> None:
        """Build what does not depend on the number of processes."""
        cfg, drawn = self.cfg, self.seed
        source = files.resolve_resume(self.resume_from, Path(self.work_dir))
        if source is not None:
            # with its seed: an epoch that was begun goes on in its order
            self._resumed = source, files.read(source)
            self.seed = files.seed_of(self._resumed[1], self.seed)
        open_log(self, self.work_dir)
        if self.seed != drawn and (cfg.get("randomness") or {}).get("seed") is not None:
            self.logger.warning("Going on with the seed %d of %s, not %d", self.seed, source, drawn)
        self._set_environment()
        self.settings = StepSettings.from_cfg(cfg["optim_wrapper"])
        self.hooks = build_hooks(cfg)
        self._open_scalars()
        # what a run goes on from has all weights: no file is read or fetched for the start
        self.model = build_model(cfg, init=source is None)
        prepare_model(self.model, cfg.get("speed"))
        for part, count in freeze(self.model, cfg.get("freeze") or ()).items():
            self.logger.info("Frozen: %s, %d parameters", part, count)

    def _agree(self) -> None:
        """Take the first process's folder and seed, of which each has made its own."""
        own = self.seed
        self.timestamp, self.log_dir, self.seed = broadcast((self.timestamp, self.log_dir, own))
        if self.seed != own:
            self._seed_generators()

    def _open_scalars(self) -> None:
        """Open the places for scalars and pictures that the config lists."""
        cfg = self.cfg
        backends = cfg.get("vis_backends") or (cfg.get("visualizer") or {}).get("vis_backends")
        self.scalars = self.closing.enter_context(
            ScalarWriter(Path(self.log_dir), backends, enabled=self.is_main)
        )

    def setup_data(self) -> None:
        """Build the data; samplers ask how many processes there are."""
        if self.train_loop is not None:
            return
        self._agree()
        data = build_dataloader(self.cfg["train_dataloader"], "train_dataloader", self)
        self.train_loop = build_train_loop(self.cfg["train_cfg"], self, data)
        self.val_loop = self._eval_loop("val") if self.validate else None

    def setup_optimizer(self) -> torch.optim.Optimizer:
        """Build optimizer and schedules, which need the length of an epoch."""
        wrapper = self.cfg["optim_wrapper"]
        if isinstance(wrapper.get("optimizer"), Mapping):
            fused = fuse_optimizer(wrapper["optimizer"], self.cfg.get("speed"))
            wrapper = {**wrapper, "optimizer": fused}
        self.optimizer = build_optimizer(self.model, wrapper)
        self._scale_learning_rate()
        self.param_schedulers = build_schedulers(
            self.optimizer,
            self.cfg.get("param_scheduler"),
            train_cfg={"max_epochs": self.max_epochs, "max_iters": self.max_iters},
            epoch_length=len(self.train_dataloader),
        )
        return self.optimizer

    def _eval_loop(self, mode: str) -> Any:
        """Loop of `val_*` or `test_*`; None where the config has none."""
        data, evaluator = self.cfg.get(f"{mode}_dataloader"), self.cfg.get(f"{mode}_evaluator")
        if not data and not evaluator:
            return None
        if not data or not evaluator:
            present, absent = ("dataloader", "evaluator") if data else ("evaluator", "dataloader")
            raise ConfigError(
                f"the config has {mode}_{present} but no {mode}_{absent}; give both"
                + (", or train with --no-validate" if mode == "val" else "")
            )
        loader = build_dataloader(data, f"{mode}_dataloader", self)
        args = {"type": f"{mode.title()}Loop", **(self.cfg.get(f"{mode}_cfg") or {})}
        args |= {"dataloader": loader, "evaluator": build_evaluator(evaluator), "runner": self}
        return LOOPS.build(args)

    def _set_environment(self) -> None:
        """What `env_cfg` and `randomness` say."""
        apply_environment(self.cfg.get("env_cfg"))
        self._seed_generators()
        if (self.cfg.get("randomness") or {}).get("deterministic"):
            torch.backends.cudnn.benchmark = False
            torch.use_deterministic_algorithms(True, warn_only=True)

    def _seed_generators(self) -> None:
        different = (self.cfg.get("randomness") or {}).get("diff_rank_seed")
        seed = self.seed + (self.rank if different else 0)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def _scale_learning_rate(self) -> None:
        """Scale by batch size where `auto_scale_lr` is on (Goyal 2017)."""
        scale = self.cfg.get("auto_scale_lr") or {}
        if not scale.get("enable", False):
            return
        if "base_batch_size" not in scale:
            raise ConfigError("auto_scale_lr needs base_batch_size")
        size = self.train_dataloader.batch_size or self.cfg["train_dataloader"]["batch_size"]
        ratio = size * self.world_size / scale["base_batch_size"]
        for group in self.optimizer.param_groups:
            group["lr"] *= ratio
        # by it the log knows the groups without a multiplier
        self.optimizer.defaults["lr"] *= ratio
        self.logger.info("Learning rates are multiplied by %g (auto_scale_lr)", ratio)

    def _fit(self) -> None:
        from poise.training.run.engine import fit

        with StopRequests(self.logger) as self.stop_requests:
            fit(self)
        if self.stop_requests.requested and not self.train_loop.is_over:
            self.interrupted = self._save_interrupted()
        self.call_hook("after_run")

    def start(self) -> None:
        """What happens once the engine is set up: hooks, weights, resume."""
        self.call_hook("before_run")
        if self._resumed is not None:
            self._resume(*self._resumed)
            self._resumed = None
        else:
            if self.resume_from:
                self.logger.info("No checkpoint in %s yet: the run starts anew", self.work_dir)
            if self.cfg.get("load_from"):
                self._load(self.cfg["load_from"])
        self.call_hook("before_train")

    def _load(self, path: str) -> None:
        content = files.read(path)
        self.call_hook("after_load_checkpoint", checkpoint=content)
        with taking_whole_tensors(self.model):
            load_checkpoint(self.model, content, name=path)
        self.logger.info("Weights are loaded from %s", path)

    def _resume(self, path: Path, content: dict[str, Any]) -> None:
        """Put everything where the checkpoint left it."""
        lacking = [k for k in ("optimizer", "param_schedulers") if k not in content]
        if lacking:
            raise CheckpointError(
                f"{path} holds weights only (no {' and '.join(lacking)}), so a run cannot go on "
                f"from it. Resume from an epoch_*.pth or iter_*.pth, or start from these weights "
                f"with --set load_from={path}"
            )
        self.resuming = True
        self.call_hook("after_load_checkpoint", checkpoint=content)
        with taking_whole_tensors(self.model):
            load_checkpoint(self.model, content, strict=True, name=str(path))
        files.restore(self, content)
        self.logger.info("Resumed from %s: epoch %d, iteration %d", path, self.epoch, self.iter)

    def _save_interrupted(self) -> Path:
        """Checkpoint of a stop between two epochs' ends, noted as the latest."""
        path = Path(self.work_dir) / f"iter_{self.iter}.pth"
        self.save_checkpoint(path, epoch=self.epoch, iteration=self.iter, full=True)
        if self.is_main:
            files.note_latest(Path(self.work_dir), path)
        return path
