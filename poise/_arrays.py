"""Tensors and arrays side by side, without importing torch."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "as_numpy", "host_array", "is_tensor", "moved"]

Array: TypeAlias = NDArray[Any]


def is_tensor(value: object) -> bool:
    """Whether the value is a torch tensor; where torch was never loaded nothing is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_numpy(value: Any) -> Array:
    """Array on the host, without gradient, of a tensor or of what `np.asarray` takes.

    A CPU tensor is shared, not copied; half precision is widened to float32.
    """
    if type(value) is np.ndarray:
        return value
    if not is_tensor(value):
        return np.asarray(value)
    array = host_array(value)
    # OpenCV filters no float16
    return array.astype(np.float32) if array.dtype == np.float16 else array


def host_array(tensor: Any) -> Array:
    """Array on the host, without gradient; of bfloat16, which numpy does not have, float32."""
    import torch

    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def moved(value: Any, *args: Any, **kwargs: Any) -> Any:
    """What `value.to(...)` gives; of float64, which Apple's GPUs do not have, float32 on them."""
    if is_tensor(value) and value.is_floating_point() and value.element_size() == 8:
        import torch

        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is not None and device.type == "mps":
            value = value.float()
    return value.to(*args, **kwargs)
