"""The call into Lightning: devices, processes, precision, one pass over the run's batches."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from poise.errors import ConfigError
from poise.training.machine.environment import distributed_settings
from poise.training.module import PoseDataModule, PoseModule

__all__ = ["fit"]

#: Lightning's advice that does not fit: the stream is not a loader, logging is our own.
_NOT_OURS = (
    r".*module\(s\) in eval mode at the start of training.*",
    r".*does not have many workers.*",
    r".*`training_step` returned `None`.*",
    r".*lightning_module.*train_dataloader.*",
    r".*IterableDataset.*",
    r".*`isinstance\(treespec, LeafSpec\)`.*",
    r".*`broadcast_buffers` is deprecated.*",
)


class _Sharding(ModelParallelStrategy):
    """All processes of the run share the weights; `PoseModule.configure_model` splits them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(tensor_parallel_size=1, **settings)

    def setup_environment(self) -> None:
        """Count the processes, which Lightning's `auto` does not."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


class _Start(Callback):
    """Loads weights and state once processes and devices are set up."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.runner.device = pl_module.device
        self.runner.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.runner.train_loop.is_over:
            self.runner.call_hook("after_train")


def fit(runner: Any) -> None:
    """Train `runner`'s model on its loop's batches."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    precision, plugins = _precision(runner)
    module = PoseModule(runner.model, runner.settings, runner)
    with warnings.catch_warnings():
        for text in _NOT_OURS:
            warnings.filterwarnings("ignore", text)
        runner.trainer = _trainer(runner, precision=precision, plugins=plugins)
        try:
            runner.trainer.fit(module, datamodule=PoseDataModule(runner))
        except SIGTERMException:
            # raised between two batches; the run is saved as after Ctrl-C
            pass
        except SystemExit as ended:
            # Lightning ends the program at a Ctrl-C that we do not wait for: whoever called may not
            if isinstance(ended.__context__, KeyboardInterrupt):
                raise ended.__context__ from None
            raise


def _trainer(runner: Any, **settings: Any) -> pl.Trainer:
    """Lightning's trainer; what it says about unknown devices is told as one text."""
    try:
        return pl.Trainer(
            **{**runner.engine, "strategy": _strategy(runner)},
            **settings,
            max_epochs=1,
            logger=False,
            callbacks=[_Start(runner)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        asked = ", ".join(f"{k}={v!r}" for k, v in runner.engine.items())
        raise ConfigError(
            f"no devices could be set up with {asked}: {error} --accelerator is auto, cpu, gpu or "
            "mps; --devices a number, a list such as 0,1, or auto; --strategy auto, ddp, fsdp or "
            "deepspeed; `poise doctor` says what torch sees"
        ) from error


def _strategy(runner: Any) -> Any:
    """Lightning's strategy; DDP and FSDP with what the config says of the processes."""
    wanted, devices = runner.engine["strategy"], runner.engine["devices"]
    count = len(devices) if isinstance(devices, list) else devices
    many = runner.engine["num_nodes"] > 1 or (isinstance(count, int) and count > 1)
    if str(wanted).startswith("deepspeed"):
        runner.logger.warning(
            "%s is handed to Lightning and has never been run with Poise: weights that it splits "
            "over devices (stage 3) are neither loaded nor saved whole. fsdp splits them too, and "
            "is tested",
            wanted,
        )
    gpu = _on_gpu(runner)
    if wanted not in ("ddp", "fsdp") and not (wanted == "auto" and many):
        return wanted
    processes = distributed_settings(runner.cfg.get("env_cfg"), gpu=gpu)
    if wanted == "fsdp":
        return _Sharding(**processes)
    unused = bool(runner.cfg.get("find_unused_parameters", False))
    wrapper = dict(runner.cfg.get("model_wrapper_cfg") or {})
    if "Fully" in str(wrapper.pop("type", "")):
        raise ConfigError(
            "model_wrapper_cfg asks for weights that are split over processes: leave it out, and "
            "train with --strategy fsdp"
        )
    # MMEngine's own, which torch does not know
    wrapper.pop("detect_anomalous_params", None)
    # MMEngine's default without a wrapper's settings, and torch's with them
    settings = {"find_unused_parameters": unused, "broadcast_buffers": bool(wrapper), **wrapper}
    return DDPStrategy(**settings, **processes)


def _on_gpu(runner: Any) -> bool:
    """Whether the run takes NVIDIA's or AMD's GPUs."""
    return torch.cuda.is_available() and runner.engine["accelerator"] not in ("cpu", "mps")


def _precision(runner: Any) -> tuple[Any, list[Any]]:
    """Lightning's precision, and a plugin where the loss scale is not its default."""
    wanted = runner.precision or runner.settings.precision
    gpu = _on_gpu(runner)
    if wanted == "16-mixed" and not gpu:
        runner.logger.info("float16 needs a GPU: training uses bfloat16 autocast")
        wanted = "bf16-mixed"
    scale = runner.settings.loss_scale
    if wanted != "16-mixed" or scale == "dynamic":
        return wanted, []
    from lightning.pytorch.plugins.precision import MixedPrecision

    args = (
        dict(scale) if hasattr(scale, "items") else {"init_scale": scale, "growth_interval": 2**31}
    )
    scaler = torch.amp.GradScaler("cuda", **args)
    return None, [MixedPrecision("16-mixed", "cuda", scaler)]
