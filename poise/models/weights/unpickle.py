"""A pickle reader that makes values and never calls what a file names.

A `.pth` file is a pickle, and a pickle can call any function. This reader knows the few
constructors that weights need, turns classes of the OpenMMLab family into plain containers,
and refuses the rest by name.
"""

from __future__ import annotations

import collections
import datetime
import pickle
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import torch

from poise.errors import CheckpointError

__all__ = ["Inert", "Unpickler", "load"]


class Inert(dict):
    """What stands for an object of a foreign class: its items, and its state under `state`.

    Training settings and histories lie beside the weights in a file. They can be looked at,
    but none of their methods exists.
    """

    #: "module.Class" that the file named
    origin = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Take whatever the foreign class takes."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        first = args[0] if len(args) == 1 and isinstance(args[0], dict) else {}
        super().__init__(first, **kwargs)
        self.args = args
        self.state: Any = None
        self.elements: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        self.__dict__.setdefault("args", ())
        self.__dict__.setdefault("elements", [])
        self.state = state

    def append(self, element: Any) -> None:
        """Take an element of a list-like object."""
        self.__dict__.setdefault("elements", []).append(element)

    def extend(self, elements: Any) -> None:
        """Take elements of a list-like object."""
        self.__dict__.setdefault("elements", []).extend(elements)

    def __repr__(self) -> str:
        return f"<{self.origin}: {super().__repr__()}>"


#: top-level packages whose classes become `Inert`
_INERT_PACKAGES = {
    *("mmengine", "mmcv", "mmpose", "mmdet", "mmcls", "mmpretrain", "mmaction", "addict"),
    *("lightning", "lightning_fabric", "pytorch_lightning"),
    *("argparse", "types", "omegaconf", "timm", "yacs"),
}


def _inert(module: str, name: str) -> type[Inert]:
    return type("Inert", (Inert,), {"origin": f"{module}.{name}"})


def _path(*parts: str) -> str:
    return str(PurePosixPath(*parts))


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """`codecs.encode` for the encodings that pickled bytes use."""
    if encoding.lower().replace("-", "").replace("_", "") not in {"latin1", "ascii", "utf8"}:
        raise CheckpointError(f"a weights file encodes text as {encoding!r}; expected 'latin1'")
    return text.encode(encoding)


def _getattr(owner: Any, name: str) -> type[Inert]:
    """Attribute of a foreign class, itself a stand-in; nothing else has attributes here."""
    if isinstance(owner, type) and issubclass(owner, Inert):
        return _inert(owner.origin, name)
    raise CheckpointError(f"a weights file asks for the attribute {name!r} of {owner!r}")


def _reconstructor(cls: Any, base: type, state: Any) -> Any:
    """`copyreg._reconstructor` for stand-ins."""
    if isinstance(cls, type) and issubclass(cls, Inert):
        return cls(state) if isinstance(state, dict) else cls()
    raise CheckpointError(f"a weights file rebuilds an object of {cls!r}")


def _known() -> dict[tuple[str, str], Any]:
    """(module, name) -> constructor that may be called."""
    table: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("collections", "defaultdict"): collections.defaultdict,
        ("collections", "Counter"): collections.Counter,
        ("collections", "deque"): collections.deque,
        ("_codecs", "encode"): _encode,
        ("copyreg", "_reconstructor"): _reconstructor,
        ("builtins", "getattr"): _getattr,
        ("torch", "Size"): torch.Size,
        ("torch", "device"): torch.device,
        ("torch", "Tensor"): torch.Tensor,
        ("torch.nn.parameter", "Parameter"): torch.nn.Parameter,
        ("torch.torch_version", "TorchVersion"): str,
        ("torch._tensor", "_rebuild_from_type_v2"): torch._tensor._rebuild_from_type_v2,
        ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
    }
    plain = "set frozenset list dict tuple int float bool complex str bytes bytearray slice range"
    for name in (*plain.split(), "object"):
        # Python 2 called the module of builtins differently
        table["builtins", name] = table["__builtin__", name] = getattr(__import__("builtins"), name)
    for name in ("datetime", "date", "time", "timedelta", "timezone"):
        table["datetime", name] = getattr(datetime, name)
    for name in ("PosixPath", "WindowsPath", "Path", "PurePosixPath", "PureWindowsPath"):
        for module in ("pathlib", "pathlib._local"):
            table[module, name] = _path
    rebuilders = (
        "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
        "_rebuild_parameter_with_state _rebuild_sparse_tensor _rebuild_qtensor "
        "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor"
    )
    for name in rebuilders.split():
        if hasattr(torch._utils, name):
            table["torch._utils", name] = getattr(torch._utils, name)
    for name, value in vars(torch).items():
        if isinstance(value, torch.dtype):
            table["torch", name] = value
    table.update(_numpy_constructors())
    return table


def _numpy_constructors() -> dict[tuple[str, str], Any]:
    """Constructors of arrays and scalars, under the names of numpy 1 and 2."""
    array = np.zeros(1, np.float32)
    reconstruct = array.__reduce__()[0]
    scalar = np.float32(0).__reduce__()[0]
    table: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = reconstruct
        table[f"{core}.multiarray", "scalar"] = scalar
        table[f"{core}.numeric", "_frombuffer"] = _frombuffer
    for name in dir(getattr(np, "dtypes", None)):
        if name.endswith("DType"):
            table["numpy.dtypes", name] = getattr(np.dtypes, name)
    for name in ("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"):
        table["numpy", name] = getattr(np, name)
    for name in ("uint64", "float16", "float32", "float64", "str_", "bytes_"):
        table["numpy", name] = getattr(np, name)
    return table


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Literal["C", "F"]) -> np.ndarray:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


#: pickles of torch.save keep the names that Python 2 would understand
_PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}

_KNOWN: dict[tuple[str, str], Any] = {}


class Unpickler(pickle.Unpickler):
    """`pickle.Unpickler` that resolves only known names; `torch.load` derives from it."""

    def find_class(self, module: str, name: str) -> Any:
        """Constructor of a name.

        Raises:
            CheckpointError: a name that could run code.
        """
        if not _KNOWN:
            _KNOWN.update(_known())
        module = _PYTHON2_MODULES.get(module, module)
        found = _KNOWN.get((module, name))
        if found is not None:
            return found
        if module.partition(".")[0] in _INERT_PACKAGES:
            return _inert(module, name)
        raise CheckpointError(
            f"the file names '{module}.{name}', which is not a part of weights and could run "
            f"code. It was not called. If you trust where the file comes from, convert it with "
            f"the program that wrote it: torch.save(model.state_dict(), path)"
        )


def load(file: Any, **kwargs: Any) -> Any:
    """`pickle.load` with this reader; the second thing that `torch.load` needs of a module."""
    return Unpickler(file, **kwargs).load()


# torch.load takes a module; it looks for these names as well
PickleError = pickle.PickleError
UnpicklingError = pickle.UnpicklingError
