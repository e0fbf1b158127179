"""Data sets and loaders from configs."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from poise.config import where
from poise.datasets import collate
from poise.datasets.distributed import rank_and_world_size, shared_seed
from poise.datasets.draws import SeededItems, SeededLoader
from poise.datasets.mixtures import ConcatDataset, RepeatDataset
from poise.errors import ConfigError, PoiseError, nearest
from poise.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS

__all__ = [
    "build_dataloader",
    "build_dataset",
    "check_loader_names",
    "spread_batch",
    "worker_init_fn",
]

# settings that torch refuses without worker processes
WORKER_SETTINGS = ("persistent_workers", "prefetch_factor", "timeout", "multiprocessing_context")


def build_dataset(cfg: Any, default_args: Mapping[str, Any] | None = None) -> Any:
    """A data set from its config; a list of configs gives their concatenation.

    Args:
        cfg: `dict(type="CocoDataset", ...)`, a list of such, or a data set, which is returned.
        default_args: arguments for those that the config does not give.

    Raises:
        ConfigError: None.
    """
    if isinstance(cfg, list | tuple):
        return ConcatDataset([build_dataset(c, default_args) for c in cfg])
    if cfg is None:
        raise ConfigError("there is no data set: `dataset` is None; give its config")
    if not isinstance(cfg, Mapping):
        return cfg
    defaults = dict(default_args or {})
    if cfg.get("type") == "ConcatDataset" and defaults:
        rest = {k: v for k, v in cfg.items() if k not in ("type", "datasets")}
        return ConcatDataset([build_dataset(c, defaults) for c in cfg["datasets"]], **rest)
    if cfg.get("type") == "RepeatDataset" and defaults:
        return RepeatDataset(build_dataset(cfg["dataset"], defaults), cfg["times"])
    files = cfg.get("ann_file")
    if isinstance(files, list | tuple):
        return ConcatDataset([build_dataset({**cfg, "ann_file": f}, defaults) for f in files])
    # the config itself, which knows its lines, rather than a merged copy
    return DATASETS.build(cfg, defaults)


def build_dataloader(
    cfg: Mapping[str, Any], *, seed: int | None = None, diff_rank_seed: bool = False
) -> DataLoader[Any]:
    """A torch loader from MMPose's dataloader config.

    Args:
        cfg: `dataset`, `batch_size`, `num_workers`, `persistent_workers`, `drop_last`,
            `sampler`, `batch_sampler`, `collate_fn`, `worker_init_fn` and whatever else
            torch's `DataLoader` takes; `num_batch_per_epoch` leaves so many batches of the first
            samples.
        seed: of the order, and with the epoch and the sample's number of all that is drawn for
            it; drawn if not given.
        diff_rank_seed: whether `seed` differs between processes; the order is then drawn from a
            seed that they share.

    Raises:
        ConfigError: there is no `dataset`, a setting that no loader takes or cannot use, or
            `collate_fn` or `worker_init_fn` is unknown.
    """
    settings = dict(cfg)
    if "dataset" not in settings:
        raise ConfigError(
            f"a dataloader config needs `dataset`, this one has: {', '.join(settings) or 'nothing'}"
        )
    check_loader_names(cfg)
    dataset = build_dataset(settings.pop("dataset"))
    if hasattr(dataset, "full_init"):
        # before workers are forked, which then share its pages
        dataset.full_init()
    batches = settings.pop("num_batch_per_epoch", None)
    if batches is not None:
        each = settings.get("batch_size", 1) * rank_and_world_size()[1]
        dataset = _First(dataset, range(min(batches * each, len(dataset))))
    sampler = _sampler(settings.pop("sampler", None), dataset, None if diff_rank_seed else seed)
    batch_sampler = settings.pop("batch_sampler", None)
    if isinstance(batch_sampler, Mapping):
        batch_size = settings.pop("batch_size", 1)
        drawn = {"sampler": sampler, "batch_size": batch_size}
        batch_sampler = DATA_SAMPLERS.build({**drawn, **batch_sampler})
        sampler = None
    workers = settings.get("num_workers", 0)
    if not workers:
        for name in WORKER_SETTINGS:
            settings.pop(name, None)
    # torch warns where there is nothing to pin memory for
    settings["pin_memory"] = bool(settings.get("pin_memory")) and torch.cuda.is_available()
    init = settings.pop("worker_init_fn", None)
    collate_fn = _collate(settings.pop("collate_fn", None))
    try:
        return SeededLoader(
            dataset,
            seed=shared_seed() if seed is None else seed,
            sampler=sampler,
            batch_sampler=batch_sampler,
            collate_fn=collate_fn,
            worker_init_fn=_worker_init(init, workers, seed),
            **settings,
        )
    except PoiseError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a dataloader has a setting that torch cannot use: {error}") from error


class _First(Subset[Any]):
    """The first samples of a data set, with whatever else it knows."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)


def spread_batch(loader: Any, samples: int) -> Any:
    """A collated batch of samples spread over a loader's data set.

    Args:
        loader: of `build_dataloader`.
        samples: at most; fewer where the data set has fewer.
    """
    dataset = loader.dataset
    count = min(samples, len(dataset))
    chosen = [i * len(dataset) // count for i in range(count)]
    return loader.collate_fn(SeededItems(dataset, loader.seed).__getitems__(chosen))


def check_loader_names(cfg: Mapping[str, Any]) -> None:
    """See that every setting is one of torch's loader or of ours.

    Raises:
        ConfigError: with the line, and the nearest name.
    """
    takes = inspect.signature(DataLoader).parameters
    for name in cfg:
        if name not in takes and name != "num_batch_per_epoch":
            at = f" ({where(cfg, name)})" if where(cfg, name) else ""
            raise ConfigError(
                f"a dataloader does not take the setting '{name}'{at}{nearest(name, takes)}"
            )


def _sampler(cfg: Any, dataset: Any, seed: int | None) -> Any:
    if not isinstance(cfg, Mapping):
        return cfg
    return DATA_SAMPLERS.build({"dataset": dataset, "seed": seed, **cfg})


def _function(cfg: Any, role: str) -> Any:
    """A function that is named, or described as `dict(type=name, **arguments)`."""
    arguments = dict(cfg)
    name = arguments.pop("type", None)
    found = name if callable(name) else FUNCTIONS.get(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(collate.__all__)
        raise ConfigError(f"`{role}` names {name!r}, which is not registered; there are: {known}")
    return partial(found, **arguments) if arguments else found


def _collate(cfg: Any) -> Any:
    if cfg is None:
        return collate.pseudo_collate
    return _function(cfg, "collate_fn") if isinstance(cfg, Mapping) else cfg


def _worker_init(cfg: Any, workers: int, seed: int | None) -> Any:
    if cfg is not None and not isinstance(cfg, Mapping):
        return cfg
    rank, _ = rank_and_world_size()
    arguments = dict(cfg or {"type": "worker_init_fn"})
    if arguments.pop("type") != "worker_init_fn":
        return _function(cfg, "worker_init_fn")
    if seed is None:
        return None
    return partial(worker_init_fn, num_workers=workers, rank=rank, seed=seed, **arguments)


def worker_init_fn(
    worker_id: int,
    num_workers: int,
    rank: int,
    seed: int,
    disable_subprocess_warning: bool = False,
) -> None:
    """Seed the generators of numpy, `random` and torch in a worker process.

    Args:
        worker_id: number of the worker, from 0.
        num_workers: workers of each training process.
        rank: number of the training process.
        seed: seed of the run; the worker's is `num_workers * rank + worker_id + seed`.
        disable_subprocess_warning: whether only the first worker may show warnings.
    """
    worker_seed = num_workers * rank + worker_id + seed
    np.random.seed(worker_seed)
    random.seed(worker_seed)
    torch.manual_seed(worker_seed)
    if disable_subprocess_warning and worker_id != 0:
        warnings.simplefilter("ignore")
