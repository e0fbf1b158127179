"""What code for MMPose asks of models and their weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poise.models.weights import read_checkpoint

__all__ = [
    "CheckpointLoader",
    "filter_scores_and_topk",
    "find_latest_checkpoint",
    "is_model_wrapper",
    "revert_sync_batchnorm",
    "stack_batch",
    "weights_to_cpu",
]


def is_model_wrapper(model: nn.Module) -> bool:
    """Whether a model stands in another, as its `module`, for several processes or GPUs."""
    return isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel))


class _BatchNorm(nn.modules.batchnorm._BatchNorm):
    """A batch norm of maps of any number of axes, as the synchronised one is."""

    def _check_input_dim(self, *_: Tensor) -> None:
        """Any is right."""


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """The model with plain batch norms in place of synchronised ones, which keep their weights."""
    if isinstance(module, nn.SyncBatchNorm):
        settings = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        plain = _BatchNorm(*(getattr(module, name) for name in settings))
        plain.train(module.training)
        # the very tensors, so that they stay on their device
        plain._parameters, plain._buffers = module._parameters, module._buffers
        return plain
    for name, child in module.named_children():
        setattr(module, name, revert_sync_batchnorm(child))
    return module


def stack_batch(
    tensor_list: Sequence[Tensor], pad_size_divisor: int = 1, pad_value: float = 0
) -> Tensor:
    """One batch (B, C, H, W) of pictures (C, h, w), padded to the right and below.

    Args:
        tensor_list: pictures.
        pad_size_divisor: height and width of the batch are multiples of it.
        pad_value: of what is padded.
    """
    height, width = (
        -(-max(t.shape[axis] for t in tensor_list) // pad_size_divisor) * pad_size_divisor
        for axis in (-2, -1)
    )
    padded = [
        F.pad(t, (0, width - t.shape[-1], 0, height - t.shape[-2]), value=pad_value)
        for t in tensor_list
    ]
    return torch.stack(padded)


def filter_scores_and_topk(
    scores: Tensor, score_thr: float, topk: int, results: Any = None
) -> tuple[Tensor, Tensor, Tensor, Any]:
    """The best scores above a threshold, highest first.

    Args:
        scores: (N, classes).
        score_thr: what a score must exceed.
        topk: most that are kept.
        results: a tensor (N, ...), or a list or dict of these, from which the same rows are taken.

    Returns:
        Scores, classes and rows of what is kept, and these rows of `results`.
    """
    rows, classes = torch.nonzero(scores > score_thr, as_tuple=True)
    kept, order = scores[rows, classes].sort(descending=True)
    kept, order = kept[:topk], order[:topk]
    rows, classes = rows[order], classes[order]
    if isinstance(results, Mapping):
        results = {name: value[rows] for name, value in results.items()}
    elif isinstance(results, list):
        results = [value[rows] for value in results]
    elif results is not None:
        results = results[rows]
    return kept, classes, rows, results


class CheckpointLoader:
    """Reads checkpoints from files and addresses, under MMEngine's name for it."""

    @staticmethod
    def load_checkpoint(filename: Any, map_location: Any = None, logger: Any = None) -> Any:
        """Content of a checkpoint; see `poise.models.weights.read_checkpoint`."""
        return read_checkpoint(filename, map_location or "cpu")


def weights_to_cpu(state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """A state dict whose tensors are on the CPU, with the versions of its modules."""
    from poise.training.run.checkpoint import to_cpu

    return to_cpu(OrderedDict(state_dict) if type(state_dict) is dict else state_dict)


def find_latest_checkpoint(path: str | Path) -> str | None:
    """Path of the checkpoint that a run wrote last into a folder; None where it wrote none."""
    from poise.training.run.checkpoint import find_latest

    latest = find_latest(Path(path))
    return str(latest) if latest else None
