"""Which process this is among those that train together, and a seed they agree on."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist

__all__ = ["rank_and_world_size", "shared_seed"]


def rank_and_world_size() -> tuple[int, int]:
    """This process's number and how many there are; `(0, 1)` where it is alone."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def shared_seed() -> int:
    """A random seed, drawn from numpy's global generator by the first process, for all."""
    seed = int(np.random.randint(2**31))
    _, world_size = rank_and_world_size()
    if world_size == 1:
        return seed
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    box = torch.tensor(seed, dtype=torch.int64, device=device)
    dist.broadcast(box, src=0)
    return int(box.item())
