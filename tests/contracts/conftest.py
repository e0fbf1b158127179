"""A device that is not there: tensors that say they are on it, and refuse what it would refuse.

Values are real and lie in the host's memory, so code that depends on them runs as ever. What raises
is what would raise, or go wrong, on hardware: tensors of two devices in one operation, arrays of
numpy taken from or mixed with device tensors, and on "mps" numbers of 64 bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten

#: Take tensors of any devices.
_COPIES = {"copy_", "_to_copy", "set_"}
#: Index tensors may stay on the host, if they are not the only ones.
_INDEXING = {"index", "index_put_", "index_put", "_unsafe_index", "_index_put_impl_"}
#: Refuse even single numbers of the host.
_STRICT = {"cat", "stack", "mm", "bmm", "addmm", "convolution", "index_select", "gather", "scatter",
           "scatter_", "scatter_add_", "grid_sampler_2d", "embedding", "nms"}  # fmt: skip


class DeviceError(RuntimeError):
    """What the device would not do."""


class OnDevice(Tensor):
    """A tensor of the pretended device; `host` has its values."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor, device: torch.device) -> OnDevice:
        # what C++ sees of it is a tensor without memory, for which autograd needs no hardware
        shape = torch.empty_strided(
            host.size(), host.stride(), dtype=host.dtype, layout=host.layout, device="meta"
        )
        made = Tensor._make_subclass(cls, shape, False)
        made.host, made.place = host, device
        return made

    @property
    def device(self) -> torch.device:
        return self.place

    @property
    def is_cuda(self) -> bool:
        return self.place.type == "cuda"

    @property
    def is_meta(self) -> bool:
        return False

    def get_device(self) -> int:
        return 0

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.host!r})"

    def numpy(self, **_: Any) -> Any:
        raise DeviceError(f"numpy() of a tensor on {self.place}; call cpu() first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise DeviceError(f"a tensor on {self.place} was taken as an array; call cpu() first")

    def tolist(self) -> Any:
        return self.host.tolist()

    def data_ptr(self) -> int:
        return self.host.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copy = type(self)(self.host.detach().clone(), self.place)
        made = copy.requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            made = torch.nn.Parameter(copy, self.requires_grad)
        memo[id(self)] = made
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [a for a in tree_flatten((args, kwargs))[0] if isinstance(a, OnDevice)]
        return _run(func, args, kwargs or {}, tensors[0].place)


def _run(func: Any, args: Any, kwargs: dict[str, Any], place: torch.device) -> Any:
    kwargs = dict(kwargs)
    name = func.overloadpacket.__name__
    tensors = [a for a in tree_flatten((args, kwargs))[0] if isinstance(a, Tensor)]
    on_device = any(isinstance(t, OnDevice) for t in tensors)
    assert not any(t.is_meta for t in tensors), f"{name}: a tensor without memory"
    wanted = kwargs.get("device")
    target = torch.device(wanted) if wanted is not None else None
    if target is not None and target.type == "meta":
        # "where that tensor is", as C++ understood it
        target = place
    if not on_device and (target is None or target.type != place.type):
        return func(*args, **kwargs)
    if target is not None:
        kwargs["device"] = torch.device("cpu")
        kwargs.pop("pin_memory", None)
    lands = on_device if target is None else target.type == place.type
    if on_device:
        _check(func, name, args, tensors)
    if name == "_to_copy" and on_device and not lands and kwargs.get("non_blocking"):
        raise DeviceError("a copy to the host that does not block: its values are not there yet")
    if name == "copy_":
        lands = isinstance(args[0], OnDevice)
    out = func(*tree_map(_host, args), **tree_map(_host, kwargs))
    if not lands:
        return out

    own = {id(t.host): t for t in tensors if isinstance(t, OnDevice)}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in own:
            # in place: the very tensor that came, which may have another shape now
            return own[id(value)]
        if place.type == "mps" and value.dtype in (torch.float64, torch.complex128):
            raise DeviceError(f"{name}: mps has no {value.dtype}")
        return OnDevice(value, place)

    return tree_map(wrapped, out)


def _host(value: Any) -> Any:
    return value.host if isinstance(value, OnDevice) else value


def _check(func: Any, name: str, args: Any, tensors: list[Tensor]) -> None:
    if name in _COPIES:
        return
    others = [t for t in tensors if not isinstance(t, OnDevice)]
    if name in _INDEXING:
        if not isinstance(args[0], OnDevice):
            raise DeviceError(f"{func}: a tensor of the host with indices or values of the device")
        others = [t for t in args[2:3] if isinstance(t, Tensor) and not isinstance(t, OnDevice)]
    if name not in _STRICT:
        written = [
            value
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        others = [t for t in others if t.ndim or any(t is w for w in written)]
    if others:
        shapes = [(tuple(t.shape), str(t.device)) for t in tensors]
        raise DeviceError(f"{func}: tensors of two devices: {shapes}")


class _Pretending(TorchDispatchMode):
    def __init__(self, place: torch.device) -> None:
        super().__init__()
        self.place = place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {}, self.place)


class _Numbered(TorchFunctionMode):
    """Gives devices of the kind their number, for which torch would ask the hardware."""

    def __init__(self, place: torch.device) -> None:
        super().__init__()
        self.place = place

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.to:
            args = tuple(self._numbered(a) for a in args)
        elif func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], OnDevice):
            args = (args[0], _indices(args[1]), *args[2:])
        elif func is Tensor.new_tensor and isinstance(args[0], OnDevice):
            func, kwargs = torch.tensor, {"dtype": args[0].dtype, "device": self.place} | kwargs
            args = args[1:]
        if "device" in kwargs:
            kwargs["device"] = self._numbered(kwargs["device"])
        return func(*args, **kwargs)

    def _numbered(self, value: Any) -> Any:
        named = value if isinstance(value, str) else None
        kind = value.type if isinstance(value, torch.device) else named
        return self.place if kind == self.place.type else value


def _indices(value: Any) -> Any:
    """Lists as tensors, which C++ would make without memory, as it takes the device to be."""
    if isinstance(value, tuple):
        return tuple(map(_indices, value))
    return torch.tensor(value) if isinstance(value, (list, np.ndarray)) else value


@contextmanager
def _modes(place: torch.device) -> Iterator[None]:
    # attention by the operators that only hardware has is left out
    with _Numbered(place), _Pretending(place), sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def _pretending(device: str = "cuda") -> Iterator[torch.device]:
    """In this block a device of that kind is there: `.to(device)` and `device=` lead to it.

    Also in threads that begin in it.
    """
    place = torch.device(device, 0)
    run_thread = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        with _modes(place):
            run_thread(thread)

    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    lift = torch._C._only_lift_cpu_tensors()
    with pytest.MonkeyPatch.context() as patch, _modes(place):
        patch.setattr(threading.Thread, "run", run)
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        # C++ sets the counter of changes of what `detach` gives, which inference tensors lack
        patch.setattr(torch, "inference_mode", torch.no_grad)
        # `module.to` would keep its parameters' Python objects, which know no host tensor
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        # numbers in lists become tensors on the host, which then travel
        torch._C._set_only_lift_cpu_tensors(True)
        try:
            yield place
        finally:
            torch._C._set_only_lift_cpu_tensors(lift)
            torch.__future__.set_overwrite_module_params_on_conversion(overwrite)


@pytest.fixture
def pretending() -> Callable[..., AbstractContextManager[torch.device]]:
    """`with pretending("mps") as device:` such a device is there.

    Values come back by `.cpu()`.
    """
    return _pretending


def _close(found: Iterable[Tensor], expected: Iterable[Tensor], share: float = 1e-4) -> bool:
    for one, other in zip(found, expected, strict=True):
        have, want = one.detach().cpu().double(), other.detach().cpu().double()
        if have.shape != want.shape:
            return False
        largest = float(want.abs().max()) if want.numel() else 0.0
        if not torch.allclose(have, want, rtol=0, atol=share * largest):
            return False
    return True


@pytest.fixture(scope="session")
def close() -> Callable[..., bool]:
    """Whether tensors are the same but for a share of the largest value of each.

    Other kernels, threads or processors sum in another order, which shows in the last digits.
    """
    return _close
