"""Weights that are split over the processes of a run (FSDP): split, gathered, put back.

Zhao 2023 (arXiv:2304.11277), in the form of torch's `fully_shard`: each process keeps a part of
every parameter and gathers a block's parameters when the block runs. Checkpoint files hold whole
tensors in any case, so a run can go on with another number of processes, or without sharding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.training.machine.speed import blocks_of

__all__ = ["is_sharded", "is_split", "lay_out", "shard", "taking_whole_tensors", "whole"]


def shard(model: nn.Module, mesh: Any, device: torch.device) -> None:
    """Split a model's parameters over processes, in place, by the blocks of its backbone.

    All start from the first process's weights, as with DDP.

    Args:
        model: estimator, on the CPU.
        mesh: one-dimensional device mesh.
        device: this process's.

    Raises:
        ConfigError: weights in the order channels-last, which cannot be split.
    """
    model.to(device)
    for name, tensor in model.state_dict().items():
        if not tensor.is_contiguous():
            raise ConfigError(
                f"--strategy fsdp cannot split '{name}', whose memory is not in the plain order; "
                "train without speed.channels_last, or with --strategy ddp"
            )
        dist.broadcast(tensor, src=0)
    # torch's own annotations leave it untyped
    from torch.distributed.fsdp import fully_shard

    for block in blocks_of(getattr(model, "backbone", model)):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def is_sharded(model: nn.Module) -> bool:
    """Whether processes hold parts of the model's parameters; then all must take part."""
    return any(is_split(p) for p in model.parameters())


def is_split(tensor: Any) -> bool:
    """Whether a tensor has a part in each process."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be split; a step for all processes together."""
    split: Any = tensor
    return split.full_tensor() if is_split(tensor) else tensor


def lay_out(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of another, split as that one is."""
    placed = tensor.to(like.device)
    if not is_split(like):
        return placed
    if is_split(tensor):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    split: Any = like
    # every process has the whole of it: nothing is sent
    return distribute_tensor(placed, split.device_mesh, split.placements, src_data_rank=None)


@contextlib.contextmanager
def taking_whole_tensors(model: nn.Module) -> Iterator[None]:
    """The model has whole parameters, which are split again at the end; for all processes together.

    Weights can be loaded into it, the same in each process.
    """
    split: list[tuple[nn.Module, str, Any]] = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if is_split(parameter)
    ]
    held = {p: nn.Parameter(whole(p.detach()), requires_grad=p.requires_grad) for *_, p in split}
    for module, name, parameter in split:
        module._parameters[name] = held[parameter]
    try:
        yield
    finally:
        for module, name, parameter in split:
            module._parameters[name] = parameter
    for parameter, loaded in held.items():
        mine: Any = lay_out(loaded.detach(), parameter)
        parameter.detach().to_local().copy_(mine.to_local())
