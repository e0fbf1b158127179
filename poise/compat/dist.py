"""Rank and size of a distributed run; 0 and 1 where there is none."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

__all__ = [
    "all_gather",
    "all_reduce",
    "all_reduce_dict",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "collect_results",
    "get_dist_info",
    "get_rank",
    "get_world_size",
    "is_distributed",
    "is_main_process",
    "master_only",
    "reduce_mean",
    "sync_random_seed",
]


def is_distributed() -> bool:
    """Whether a process group of torch is running."""
    return distributed.is_available() and distributed.is_initialized()


def get_rank(group: Any = None) -> int:
    """Number of this process."""
    return distributed.get_rank(group) if is_distributed() else 0


def get_world_size(group: Any = None) -> int:
    """Number of processes."""
    return distributed.get_world_size(group) if is_distributed() else 1


def get_dist_info(group: Any = None) -> tuple[int, int]:
    """(rank, world size)."""
    return get_rank(group), get_world_size(group)


def is_main_process(group: Any = None) -> bool:
    """Whether this is the process of rank 0."""
    return get_rank(group) == 0


def master_only(func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: call the function in the main process only."""

    @functools.wraps(func)
    def called(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs) if is_main_process() else None

    return called


def barrier(group: Any = None) -> None:
    """Wait until all processes are here."""
    if is_distributed():
        distributed.barrier(group)


def all_reduce(data: Any, op: str = "sum", group: Any = None) -> None:
    """Put the sum (or "mean", "max", "min", "product") over all processes into a tensor."""
    if not is_distributed():
        return
    # not every backend has a mean
    name = "SUM" if op == "mean" else op.upper()
    distributed.all_reduce(data, getattr(distributed.ReduceOp, name), group)
    if op == "mean":
        data.div_(get_world_size(group))


def reduce_mean(tensor: Any) -> Any:
    """Mean of a tensor over all processes, a new tensor; the tensor itself in a single one."""
    if not is_distributed():
        return tensor
    mean = tensor.clone()
    all_reduce(mean, "mean")
    return mean


def all_reduce_dict(data: dict[str, Any], op: str = "sum", group: Any = None) -> None:
    """`all_reduce` of each tensor in a dict."""
    for name in sorted(data):
        all_reduce(data[name], op, group)


def all_gather(data: Any, group: Any = None) -> list[Any]:
    """A tensor of each process, all of one shape."""
    if not is_distributed():
        return [data]
    parts = [torch.empty_like(data) for _ in range(get_world_size(group))]
    distributed.all_gather(parts, data, group)
    return parts


def broadcast(data: Any, src: int = 0, group: Any = None) -> None:
    """Put the tensor of process `src` into that of every process."""
    if is_distributed():
        distributed.broadcast(data, src, group)


def broadcast_object_list(data: list[Any], src: int = 0, group: Any = None) -> None:
    """Put the objects of process `src` into the list of every process."""
    if is_distributed():
        distributed.broadcast_object_list(data, src, group)


def collect_results(
    results: list[Any], size: int, device: str = "cpu", tmpdir: str | None = None
) -> list[Any] | None:
    """Results of all processes in the first one, in the order of the dataset; None in the others.

    Args:
        results: of this process.
        size: number of samples in the dataset.
        device: "cpu" or "gpu".
        tmpdir: shared folder to pass files through instead of the network.
    """
    from poise.metrics.collecting import collect

    return collect(results, size, device=device, folder=tmpdir)


def sync_random_seed(group: Any = None) -> int:
    """A random seed, the same in every process."""
    seed = [random.getrandbits(31)]
    broadcast_object_list(seed, group=group)
    return seed[0]
