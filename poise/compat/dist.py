"""Rank and size of a distributed run; 0 and 1 where there is none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = [
    "barrier",
    "get_dist_info",
    "get_rank",
    "get_world_size",
    "is_distributed",
    "is_main_process",
    "master_only",
    "reduce_mean",
]


def is_distributed() -> bool:
    """Whether a process group of torch is running."""
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def get_rank(group: Any = None) -> int:
    """Number of this process."""
    from torch import distributed

    return distributed.get_rank(group) if is_distributed() else 0


def get_world_size(group: Any = None) -> int:
    """Number of processes."""
    from torch import distributed

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
        from torch import distributed

        distributed.barrier(group)


def reduce_mean(tensor: Any) -> Any:
    """Mean of a tensor over all processes; the tensor itself in a single one."""
    if not is_distributed():
        return tensor
    from torch import distributed

    total = tensor / get_world_size()
    distributed.all_reduce(total)
    return total
