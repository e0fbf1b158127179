"""Between torch tensors and numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from poise._arrays import host_array
from poise.compat.utils import is_seq_of
from poise.errors import DataError

__all__ = ["to_numpy", "to_tensor"]


def to_numpy(x: Any, return_device: bool = False, unzip: bool = False) -> Any:
    """Array of a tensor, or arrays of a sequence of tensors; arrays stay themselves.

    Args:
        x: tensor, array, or a sequence of either.
        return_device: also return the device the data came from.
        unzip: for a sequence (A, B, ...) of batches: one tuple (A[i], B[i], ...) a sample, each
            entry with a leading axis of 1.
    """
    arrays: Any
    device: Any = "cpu"
    if isinstance(x, torch.Tensor):
        arrays, device = host_array(x), x.device
    elif isinstance(x, np.ndarray) or is_seq_of(x, np.ndarray):
        arrays = x
    elif is_seq_of(x, torch.Tensor):
        arrays, device = [to_numpy(one) for one in x], x[0].device
        if unzip:
            samples = zip(*arrays, strict=False)
            arrays = [tuple(np.asarray(one)[None] for one in sample) for sample in samples]
    else:
        raise DataError(f"expected tensors or arrays, got {type(x).__name__}")
    return (arrays, device) if return_device else arrays


def to_tensor(x: Any, device: Any = None) -> Any:
    """Tensor of an array, or tensors of a sequence of arrays."""
    if isinstance(x, np.ndarray):
        return torch.tensor(x, device=device)
    if is_seq_of(x, np.ndarray):
        return [to_tensor(one, device) for one in x]
    raise DataError(f"expected arrays, got {type(x).__name__}")
