"""Results of all processes in one place, in the order of the dataset."""

from __future__ import annotations

import itertools
import pickle
import sys
from pathlib import Path
from typing import Any

from poise.metrics.packing import pack, unpack

__all__ = ["broadcast", "collect", "to_cpu"]


def collect(
    results: list[Any], size: int, *, device: str = "cpu", folder: str | None = None
) -> list[Any] | None:
    """Results of every process on the first one, None on the others.

    Samplers deal the dataset out round robin and repeat samples so that every process gets as
    many; so the parts are interleaved and what exceeds `size` is dropped.

    Args:
        results: of this process.
        size: number of samples in the dataset.
        device: 'cpu' gathers over the network, 'gpu' over the device's own link.
        folder: shared folder to pass files through instead, for results too large to send.
    """
    dist = _distributed()
    if dist is None:
        return results[:size]
    rank, world = dist.get_rank(), dist.get_world_size()
    parts: list[Any]
    if folder is not None:
        parts = _through_files(results, Path(folder), dist)
    else:
        # nccl would copy pickled results to the GPU first
        over_cpu = device == "cpu" and dist.get_backend() == "nccl"
        group = dist.new_group(backend="gloo") if over_cpu else None
        parts = [None] * world
        packed = pack(results)
        if dist.get_backend(group) == "gloo":
            dist.gather_object(packed, parts if rank == 0 else None, dst=0, group=group)
        else:
            dist.all_gather_object(parts, packed, group=group)
        if over_cpu:
            dist.destroy_process_group(group)
        if rank == 0:
            parts = [unpack(part) for part in parts]
    if rank != 0:
        return None
    nothing = object()
    dealt = itertools.chain.from_iterable(itertools.zip_longest(*parts, fillvalue=nothing))
    return [entry for entry in dealt if entry is not nothing][:size]


def broadcast(value: Any) -> Any:
    """The first process's value, in every process."""
    dist = _distributed()
    if dist is None:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def to_cpu(value: Any) -> Any:
    """The value with its tensors on the CPU, through lists, tuples and dicts."""
    if isinstance(value, dict):
        return {key: to_cpu(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_cpu(entry) for entry in value)
    # tensors and data elements
    return value.to("cpu") if hasattr(value, "to") and hasattr(value, "cpu") else value


def _distributed() -> Any:
    """torch.distributed where several processes run, else None."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available():
        return None
    dist = torch.distributed
    return dist if dist.is_initialized() and dist.get_world_size() > 1 else None


def _through_files(results: list[Any], folder: Path, dist: Any) -> list[Any]:
    folder.mkdir(parents=True, exist_ok=True)
    rank, world = dist.get_rank(), dist.get_world_size()
    files = [folder / f"metric_results_{index}.pkl" for index in range(world)]
    files[rank].write_bytes(pickle.dumps(results))
    dist.barrier()
    parts: list[Any] = []
    if rank == 0:
        # our own files of a moment ago
        parts = [pickle.loads(file.read_bytes()) for file in files]
        for file in files:
            file.unlink()
    return parts
