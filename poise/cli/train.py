"""`poise train`: a config -> a run folder with checkpoints, log and metrics."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from poise._words import counted
from poise.cli import run_options
from poise.cli.interrupts import INTERRUPTED
from poise.errors import ArgumentError, ConfigError, one_of

__all__ = ["open_config", "train"]

#: `--amp` -> Lightning's name of the precision.
_PRECISION = {"bf16": "bf16-mixed", "fp16": "16-mixed"}


def train(
    config: run_options.Config,
    work_dir: Annotated[
        Path | None,
        typer.Option("--work-dir", "-w", help="Folder of the run; work_dirs/CONFIG without it."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Checkpoint to go on from; without a value: the run's latest."),
    ] = None,
    amp: Annotated[
        str | None,
        typer.Option(help="Mixed precision: bf16 or fp16; without a value: what the device can."),
    ] = None,
    options: run_options.Settings = None,
    max_epochs: Annotated[
        int | None, typer.Option("--max-epochs", "--epochs", min=1, help="Epochs to train.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples per batch.")] = None,
    data_root: run_options.DataRoot = None,
    train_ann: run_options.TrainAnn = None,
    val_ann: run_options.ValAnn = None,
    train_images: run_options.TrainImages = None,
    val_images: run_options.ValImages = None,
    num_keypoints: run_options.NumKeypoints = "auto",
    category: run_options.Category = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: a file or address; backbone: only what the config names "
            "for the backbone; none: random ones, nothing is fetched."
        ),
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Validate during training.")
    ] = True,
    seed: Annotated[int | None, typer.Option(help="Seed of all random draws.")] = None,
    devices: Annotated[str, typer.Option(help="How many devices, or which (0,1).")] = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="How many machines.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="How devices work together: auto, ddp, fsdp, deepspeed.")
    ] = "auto",
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu, mps.")] = "auto",
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard files too.")] = False,
    sanity: Annotated[
        bool,
        typer.Option("--sanity", help="Only overfit 8 samples: do data, codec and head fit?"),
    ] = False,
    sanity_seconds: Annotated[
        float, typer.Option(min=1.0, help="Time that --sanity may take.")
    ] = 60.0,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Made-up pictures instead of the config's data.")
    ] = False,
    batch_search: Annotated[
        bool, typer.Option("--find-batch-size", help="Only find the largest batch that fits.")
    ] = False,
    rate_search: Annotated[
        bool, typer.Option("--find-lr", help="Only find a learning rate, and draw its curve.")
    ] = False,
    scale_rate: Annotated[
        bool,
        typer.Option(
            "--auto-scale-lr", help="Scale the learning rate from the config's batch size to this."
        ),
    ] = False,
    frozen: Annotated[
        list[str] | None,
        typer.Option(
            "--freeze",
            metavar="PART",
            help="Does not learn, such as backbone; may be repeated.",
        ),
    ] = None,
    trust_config: run_options.TrustConfig = False,
) -> None:
    """Train a model; Ctrl-C stops after the batch and writes a checkpoint.

    With --data-root or --train-ann a released model is fine-tuned on your own data.
    """
    from poise.training.own_data import OwnData

    if amp == "auto":
        amp = _best_precision()
    if amp is not None:
        one_of(amp, _PRECISION, "--amp")
    own = OwnData(data_root, train_ann, val_ann, train_images, val_images, num_keypoints, category)
    fit = partial(
        _fit_to_data,
        name=config,
        own=own,
        work_dir=work_dir,
        resume=resume,
        weights=weights,
        settings={
            "epochs": max_epochs,
            "batch_size": batch_size,
            "devices": _count(devices) * nodes,
        },
    )
    cfg = open_config(config, options, trusted=trust_config, change=fit)
    changes = {
        "train_cfg.max_epochs": max_epochs,
        "train_dataloader.batch_size": batch_size,
        "randomness.seed": seed,
        "auto_scale_lr.enable": scale_rate or None,
    }
    cfg.merge_from_dict({key: value for key, value in changes.items() if value is not None})
    if frozen:
        cfg["freeze"] = frozen
    if synthetic:
        cfg = _made_up(cfg, work_dir or Path("work_dirs") / f"{Path(cfg.filename).stem}-synthetic")
    if sanity:
        _check(cfg, sanity_seconds)
    if batch_search:
        _find_batch_size(cfg, accelerator)
    if rate_search:
        _find_rate(cfg, accelerator, Path(work_dir or "."))
    if sanity or batch_search or rate_search:
        return
    _look_before(cfg, validate=validate)
    if tensorboard:
        cfg["vis_backends"] = [*(cfg.get("vis_backends") or ()), {"type": "TensorboardVisBackend"}]

    from poise.training.runner import Runner

    runner = Runner(
        cfg,
        work_dir=work_dir,
        resume=resume,
        validate=validate,
        devices=_devices(devices),
        nodes=nodes,
        strategy=strategy,
        accelerator=accelerator,
        precision=_PRECISION[amp] if amp else None,
    )
    _run(runner)


def _run(runner: Any) -> None:
    """Train, and say where it ended."""
    try:
        runner.train()
    except KeyboardInterrupt:
        _tell_cut_off(runner)
        raise
    if runner.is_main:
        _tell_end(runner)


def _tell_end(runner: Any) -> None:
    """Say where a run ended; a stopped one has an exit status of its own."""
    if runner.interrupted is None:
        typer.echo(f"trained {counted(runner.iter, 'iteration')}: {runner.work_dir}")
        best = runner.message_hub.get_info("best_ckpt")
        if best:
            from poise.training.own_data import finds_boxes

            config = Path(runner.work_dir) / f"{runner.experiment_name}.py"
            files = "--detector", "--detector-weights"
            files = files if finds_boxes(runner.cfg) else ("-m", "-w")
            command = ["poise", "predict", files[0], str(config), files[1], str(best)]
            beside = " -m POSE_MODEL" if "--detector" in files else ""
            typer.echo(f"the best of it on pictures: {shlex.join(command)}{beside} PICTURES")
        return
    typer.echo(
        f"stopped at iteration {runner.iter} of {runner.max_iters}; {runner.interrupted} is "
        f"written. To go on:\n  {going_on(sys.argv[1:])}",
        err=True,
    )
    raise typer.Exit(INTERRUPTED)


def _tell_cut_off(runner: Any) -> None:
    """Say what a run that was not waited for has left."""
    from poise.training.run.checkpoint import find_latest

    latest = find_latest(Path(runner.work_dir))
    # what another run has left in the folder is nothing to go on with
    written = runner.message_hub.get_info("last_ckpt")
    if runner.is_main and written and latest is not None:
        typer.echo(
            f"stopped without saving; the latest checkpoint is {latest}. To go on:\n"
            f"  {going_on(sys.argv[1:])}",
            err=True,
        )


def going_on(args: list[str]) -> str:
    """The command that goes on with a run: the same, from its latest checkpoint.

    Args:
        args: of the command line that was stopped.

    Example:
        >>> going_on(["train", "my config.py", "--resume", "epoch_2.pth", "--seed", "1"])
        "poise train 'my config.py' --seed 1 --resume"
    """
    kept = [
        arg
        for before, arg in pairwise(["", *args])
        if arg.partition("=")[0] != "--resume" and (before != "--resume" or arg.startswith("-"))
    ]
    return f"{shlex.join(['poise', *kept])} --resume"


def _check(cfg: Any, seconds: float) -> None:
    """Overfit a few samples and say what that showed; the exit code is 1 if it failed."""
    from poise.training.trials.sanity import check_by_overfitting

    report = check_by_overfitting(cfg, seconds=seconds)
    typer.echo(str(report))
    if not report.fits:
        raise typer.Exit(1)


def _look_before(cfg: Any, *, validate: bool) -> None:
    """Say what is wrong in the config as it is written, all of it, before anything is built."""
    from poise.check import check
    from poise.training.machine.environment import launch_rank

    parts = [p for p in ("train", "val") if cfg.get(f"{p}_dataloader") and (validate or p != "val")]
    report = check(cfg, parts=parts, quick=True)
    if launch_rank() == 0:
        for finding in report.of("warning"):
            typer.echo(str(finding), err=True)
    if not report.fits:
        texts = "\n".join(str(finding).removeprefix("error: ") for finding in report.errors)
        raise ConfigError(texts)


def _made_up(cfg: Any, folder: Path) -> Any:
    """The config with data sets that are written now."""
    from poise.check.synthetic import use_synthetic_data

    cfg = use_synthetic_data(cfg, folder / "data")
    cfg["work_dir"] = str(folder)
    return cfg


def _find_batch_size(cfg: Any, accelerator: str) -> None:
    """Say which batch fits, and what goes with it."""
    from poise.training.trials.tuning import find_batch_size

    before = cfg["train_dataloader"].get("batch_size", 1)
    found = find_batch_size(cfg, accelerator=accelerator)
    typer.echo(
        f"{found} samples fit into memory (the config has {before}). Leave some room, and scale "
        f"the learning rate with the batch:\n  --batch-size {max(1, found * 9 // 10)} "
        f"--set auto_scale_lr.enable=True --set auto_scale_lr.base_batch_size={before}"
    )


def _find_rate(cfg: Any, accelerator: str, folder: Path) -> None:
    """Say at which learning rate the loss fell fastest."""
    from poise.training.trials.tuning import find_learning_rate

    curve = find_learning_rate(cfg, accelerator=accelerator)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "learning_rate.png"
    curve.draw(picture)
    typer.echo(f"losses by learning rate: {picture}")
    before = cfg["optim_wrapper"]["optimizer"].get("lr")
    fell = f", and fell fastest at {curve.steepest:.2e}" if curve.steepest else ""
    typer.echo(
        f"the loss is near its lowest up to {10 * curve.suggestion:.2e}{fell}; a tenth of the "
        f"former is a good start (the config has {before}):\n  "
        f"--set optim_wrapper.optimizer.lr={curve.suggestion:.2e}"
    )


def _fit_to_data(
    cfg: Any,
    *,
    name: str,
    own: Any,
    work_dir: Path | None,
    resume: str | None,
    weights: str | None,
    settings: dict[str, Any],
) -> Any:
    """Config changed for the user's own data, with a line about each decision; else as it is."""
    from poise.check.keys import check_trains

    check_trains(cfg)
    if not own and weights is None:
        return cfg
    from poise.training.run.checkpoint import resolve_resume
    from poise.training.run.start import find_start, put_start

    folder = work_dir or Path("work_dirs") / Path(cfg.filename).stem
    goes_on = resume is not None and resolve_resume(resume, folder) is not None
    if not own:
        if not goes_on:
            typer.echo(put_start(cfg, find_start(name, weights), weights), err=True)
        return cfg
    from poise.data_tools import with_coco_files
    from poise.training.own_data import prepare

    own, told = with_coco_files(own, folder / "annotations")
    cfg, said = prepare(
        cfg,
        own,
        name=name,
        work_dir=folder,
        goes_on=goes_on,
        weights=weights,
        **settings,
    )
    for line in [*told, *said]:
        typer.echo(line, err=True)
    return cfg


def open_config(
    name: str,
    options: list[str] | None,
    *,
    trusted: bool = False,
    change: Callable[[Any], Any] | None = None,
) -> Any:
    """Config of a file or a model name, with the overrides of `--set`.

    Args:
        name: file or model name.
        options: texts `key=value`.
        trusted: execute the file where it holds code.
        change: what happens to the config before the overrides.

    Raises:
        ConfigError: an override of a key that neither the config nor Poise has.
    """
    from poise.config import Config, apply_custom_imports
    from poise.zoo import load_config

    cfg = load_config(name, trusted=trusted)
    if cfg.filename is None:
        # a run's folder and its config file are called by the model
        cfg = Config(cfg.to_dict(), cfg_text="", filename=f"{Path(name).stem}.py")
    if change is not None:
        cfg = change(cfg)
    run_options.override(cfg, options or ())
    apply_custom_imports(cfg)
    return cfg


def _best_precision() -> str:
    """bf16 on CPUs and on GPUs that compute in it, else fp16."""
    import torch

    return "fp16" if torch.cuda.is_available() and not torch.cuda.is_bf16_supported() else "bf16"


def _count(devices: str) -> int:
    """Number of devices that `--devices` means."""
    chosen = _devices(devices)
    if isinstance(chosen, str):
        import torch

        return max(1, torch.cuda.device_count())
    return chosen if isinstance(chosen, int) else len(chosen)


def _devices(text: str) -> int | str | list[int]:
    """What Lightning takes: a number, a list of indices, or "auto"."""
    try:
        if "," in text:
            return [int(part) for part in text.split(",") if part.strip()]
        count = int(text)
    except ValueError:
        return text
    if count < 1:
        raise ArgumentError(f"--devices is 1 or more, a list such as 0,1, or auto; got {text}")
    return count
