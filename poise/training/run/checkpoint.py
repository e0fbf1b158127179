"""Checkpoint files in MMPose's form: written so that a kill loses nothing, read safely."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import poise
from poise._files import write_whole
from poise._words import counted
from poise.errors import CheckpointError, FileMissingError
from poise.training.machine.sharding import lay_out, whole
from poise.training.optim import optimizer_state

__all__ = [
    "LAST_CHECKPOINT",
    "build_checkpoint",
    "find_latest",
    "get_rng_state",
    "note_latest",
    "publish",
    "read",
    "remove_remains",
    "resolve_resume",
    "restore",
    "seed_of",
    "set_rng_state",
    "to_cpu",
    "write",
]

#: Text file in the work folder that names the newest checkpoint, as MMEngine writes it.
LAST_CHECKPOINT = "last_checkpoint"


def to_cpu(tree: Any) -> Any:
    """The same tree of dicts, lists and tensors with its tensors whole and on the CPU."""
    if isinstance(tree, torch.Tensor):
        return whole(tree.detach()).cpu()
    if isinstance(tree, dict):
        copy: Any = type(tree)((k, to_cpu(v)) for k, v in tree.items())
        if hasattr(tree, "_metadata"):
            # versions of the modules, by which old files are told from new ones
            copy._metadata = tree._metadata
        return copy
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(to_cpu, tree))
    return tree


def build_checkpoint(runner: Any, *, epoch: int, iteration: int, full: bool) -> dict[str, Any]:
    """What a checkpoint file holds; with split weights a step for all processes together.

    Args:
        runner: the run.
        epoch, iteration: how many are finished.
        full: with the state of optimizer, schedules and random generators, so that the run
            can go on; else weights only.
    """
    meta = {
        "epoch": epoch,
        "iter": iteration,
        "cfg": runner.cfg_text,
        "seed": runner.seed,
        "experiment_name": runner.experiment_name,
        "time": time.strftime("%Y%m%d_%H%M%S"),
        "poise_version": poise.__version__,
        "torch_version": str(torch.__version__),
    }
    if runner.dataset_meta is not None:
        meta["dataset_meta"] = dict(runner.dataset_meta)
    checkpoint: dict[str, Any] = {
        "meta": meta,
        "state_dict": to_cpu(runner.model.state_dict()),
        "message_hub": runner.message_hub.state_dict(),
    }
    if full:
        checkpoint["optimizer"] = to_cpu(optimizer_state.to_file(runner.optimizer, runner.model))
        checkpoint["param_schedulers"] = [s.state_dict() for s in runner.param_schedulers]
        loop = runner.train_loop
        checkpoint["poise"] = {
            # hooks see a batch that is trained on but not counted yet
            "batches_of_epoch": loop.inner + iteration - loop.iter,
            "validated": loop.is_validated and epoch == loop.epoch and iteration == loop.iter,
            "gradients": _gathered_gradients(runner, iteration),
            "scaler": runner.scaler and runner.scaler.state_dict(),
            "rng": get_rng_state(),
        }
    return checkpoint


def _gathered_gradients(runner: Any, iteration: int) -> dict[str, torch.Tensor]:
    """Gradients that wait for more batches before a step is made of them."""
    if iteration % runner.settings.accumulative_counts == 0:
        return {}
    named = runner.model.named_parameters()
    return {n: to_cpu(p.grad).clone() for n, p in named if p.grad is not None}


def write(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Raises:
        CheckpointError: the disk is full or not writable; what was there before is kept.
    """
    from poise.models.weights import save_checkpoint

    try:
        save_checkpoint(checkpoint, path)
    except (OSError, RuntimeError) as error:
        free = shutil.disk_usage(path.parent).free >> 20 if path.parent.is_dir() else 0
        raise CheckpointError(
            f"the checkpoint {path} could not be written ({error}; {free} MB are free on the "
            "disk); files written before it are as they were. Free space, then go on with "
            "--resume auto"
        ) from error


def read(path: str | Path) -> dict[str, Any]:
    """Content of a checkpoint file, of Poise or of MMPose, read without running any code of it.

    Raises:
        FileMissingError: no such file.
        CheckpointError: not a checkpoint, or content that cannot be read safely.
    """
    from poise.models.weights import read_checkpoint

    content = read_checkpoint(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {type(content).__name__}, expected a checkpoint dict")
    return content if "state_dict" in content else {"state_dict": content, "meta": {}}


def seed_of(content: Mapping[str, Any], otherwise: int) -> int:
    """Seed of the run that wrote a checkpoint, where it says one."""
    seed = (content.get("meta") or {}).get("seed")
    return otherwise if seed is None else int(seed)


def note_latest(work_dir: Path, checkpoint: Path) -> None:
    """Note a checkpoint as the newest of a work folder; a kill leaves the note before."""
    write_whole(work_dir / LAST_CHECKPOINT, str(checkpoint.resolve()).encode())


def remove_remains(*folders: Path) -> list[Path]:
    """Remove what a kill in the middle of a write left; what was removed.

    These are files that `write` had not renamed yet, and copies that `publish` was making.
    """
    kinds = (".*.pth.*", "*-publishing.pth", f".{LAST_CHECKPOINT}.*")
    found = {p for folder in folders for kind in kinds for p in folder.glob(kind) if p.is_file()}
    for path in found:
        path.unlink(missing_ok=True)
    return sorted(found)


def find_latest(work_dir: Path) -> Path | None:
    """Newest checkpoint of a work folder that can be resumed from, or None.

    The note `last_checkpoint` counts; in a copied folder it means the copy. Where its file is gone
    (a kill between two steps), the newest `epoch_*.pth` or `iter_*.pth`.
    """
    note = work_dir / LAST_CHECKPOINT
    if note.is_file():
        noted = Path(note.read_text(encoding="utf-8").strip())
        for path in (work_dir / noted.name, noted):
            if path.is_file():
                return path
    found = [p for kind in ("epoch_*.pth", "iter_*.pth") for p in work_dir.glob(kind)]
    return max(found, key=lambda p: p.stat().st_mtime, default=None)


def resolve_resume(resume: str | bool | None, work_dir: Path) -> Path | None:
    """Checkpoint that a `resume` setting means.

    Args:
        resume: a path; True or "auto" for the latest of the work folder; None or False for
            none.
        work_dir: folder of the run.

    Raises:
        FileMissingError: the path does not exist. "auto" without a checkpoint starts anew.
    """
    if not resume:
        return None
    if resume is True or resume == "auto":
        return find_latest(work_dir)
    path = Path(resume)
    if not path.is_file():
        raise FileMissingError(
            f"--resume names {path}, which does not exist; give a checkpoint file, or 'auto' "
            f"for the latest in {work_dir}"
        )
    return path


def get_rng_state() -> dict[str, Any]:
    """State of the random generators of Python, numpy and torch, as plain values."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Put the generators where `get_rng_state` found them."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def restore(runner: Any, content: Mapping[str, Any]) -> None:
    """Put position, optimizer, schedules and random generators where a checkpoint left them.

    Raises:
        CheckpointError: the optimizer's parameter groups are others.
    """
    meta, own, loop = content["meta"], content.get("poise") or {}, runner.train_loop
    runner.message_hub.load_state_dict(content.get("message_hub") or {})
    loop.epoch, loop.iter = int(meta["epoch"]), int(meta["iter"])
    loop.inner = int(own.get("batches_of_epoch", 0))
    # a checkpoint is written before the validation of what it holds, which may have been killed
    loop.validated = loop.position if own.get("validated", True) else -1
    runner.optimizer.load_state_dict(
        optimizer_state.from_file(content["optimizer"], runner.optimizer, runner.model)
    )
    for parameter, entries in runner.optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                entries[key] = lay_out(value, parameter)
    mine, theirs = runner.param_schedulers, content["param_schedulers"]
    if len(mine) != len(theirs):
        runner.logger.warning(
            "The checkpoint has %s, the config has %d: they go on in the order of the config",
            counted(len(theirs), "schedule"),
            len(mine),
        )
    for schedule, state in zip(mine, theirs, strict=False):
        schedule.load_state_dict(state)
    if runner.scaler is not None and own.get("scaler"):
        runner.scaler.load_state_dict(own["scaler"])
    parameters = dict(runner.model.named_parameters())
    for name, gradient in (own.get("gradients") or {}).items():
        parameters[name].grad = lay_out(gradient.clone(), parameters[name])
    if "rng" in own and runner.world_size == 1:
        set_rng_state(own["rng"])


def publish(path: Path, keys: Any) -> Path:
    """Copy a checkpoint with only some keys; the first 8 digits of its hash end the name."""
    content = read(path)
    kept = {k: v for k, v in content.items() if k in keys}
    plain = path.with_name(f"{path.stem}-publishing.pth")
    write(kept, plain)
    with plain.open("rb") as file:
        digits = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    return plain.replace(path.with_name(f"{path.stem}-{digits}.pth"))
