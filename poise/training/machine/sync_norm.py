"""Batch norms that see the batch of all processes (SyncBN), on processors too."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["ProcessorSyncBatchNorm", "join_norms"]


class _SumOfAll(torch.autograd.Function):
    """Sum of a tensor over the processes; each gets the gradients of all."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class ProcessorSyncBatchNorm(_BatchNorm):
    """`nn.SyncBatchNorm` for tensors on processors, which torch's and its DDP refuse."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        """Take (B, C, ...) of any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...); in training by what all processes have of each channel."""
        if not self.training:
            return super().forward(x)
        others = [d for d in range(x.ndim) if d != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        values = x.float()
        count = _SumOfAll.apply(values.new_tensor(values.numel() / values.shape[1]))
        mean = _SumOfAll.apply(values.sum(others)) / count
        centred = values - mean.reshape(shape)
        variance = _SumOfAll.apply(centred.square().sum(others)) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        normal = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            normal = normal * self.weight.reshape(shape) + self.bias.reshape(shape)
        return normal.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Bring the running statistics on."""
        if not self.track_running_stats:
            return
        tracked: Any = self
        tracked.num_batches_tracked.add_(1)
        # 0 leaves them as they are: blocks that are computed again ask for that
        share = 1 / float(tracked.num_batches_tracked) if self.momentum is None else self.momentum
        tracked.running_mean.lerp_(mean, share)
        tracked.running_var.lerp_(variance, share)


def join_norms(model: nn.Module, device: torch.device, *, every: bool = False) -> None:
    """Let the SyncBN layers of a run with several processes meet, in place; names stay.

    Args:
        model: estimator; with its `use_syncbn` all its batch norms become such layers.
        device: where it will train.
        every: as if the estimator had `use_syncbn`.
    """
    every = every or getattr(model, "use_syncbn", False)
    wanted = _BatchNorm if every else nn.SyncBatchNorm
    if device.type != "cpu":
        if every:
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, wanted):
                setattr(parent, name, _on_processors(norm))


def _on_processors(norm: Any) -> ProcessorSyncBatchNorm:
    """The same norm, its weights and statistics the very same tensors."""
    joined = ProcessorSyncBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    joined._parameters, joined._buffers = norm._parameters, norm._buffers
    return joined.train(norm.training)
