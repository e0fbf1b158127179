"""The base of all data structures: named data beside named meta information.

Values are numpy arrays or torch tensors; torch is looked at only when it is already loaded.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from poise._arrays import host_array, is_tensor, moved
from poise.errors import ArgumentError, PoiseError, UnknownNameError, nearest

__all__ = ["BaseDataElement", "FieldError", "is_array"]

# values that nobody can change under us, so that copies are not needed
_IMMUTABLE = (str, int, float, bool, bytes, complex, type(None), np.generic)
_PLAIN = frozenset(_IMMUTABLE)
_RESERVED = ("_data_fields", "_metainfo_fields")


class FieldError(PoiseError, AttributeError):
    """A field that does not exist, is reserved, or has its name taken by the other kind."""


class MissingFieldError(FieldError):
    """A field that does not exist.

    Its text is worked out when somebody reads it: `hasattr`, `get` and `getattr` with a default
    raise this error, too, and nobody sees it.

    Args:
        element: what was asked.
        name: of the field.
    """

    def __init__(self, element: BaseDataElement, name: str) -> None:
        super().__init__(name=name, obj=element)
        self._element, self._field = element, name

    def __str__(self) -> str:
        return self._element.text_of_missing(self._field)

    def __reduce__(self) -> tuple[type[FieldError], tuple[str]]:
        return FieldError, (str(self),)


class BaseDataElement:
    """Data fields and meta information of one thing, read and written as attributes.

    Attributes that are set are data; meta information comes through `metainfo=` or
    `set_metainfo` and is copied, so that samples never share it. No name is both. Fields keep
    the order in which they were set. Subclasses declare typed fields as properties whose
    setters call `set_field(value, "_name", dtype=...)`, as in MMEngine.

    Args:
        metainfo: meta information, such as `img_shape`.
        **kwargs: data fields.

    Example:
        >>> element = BaseDataElement(metainfo=dict(img_shape=(4, 4)), boxes=np.zeros((2, 4)))
        >>> element.keys(), element.metainfo, "boxes" in element
        (['boxes'], {'img_shape': (4, 4)}, True)
    """

    __slots__ = ("__weakref__", "_data", "_meta")
    _data: dict[str, Any]
    _meta: dict[str, Any]

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        object.__setattr__(self, "_data", {})
        object.__setattr__(self, "_meta", {})
        if metainfo is not None:
            self.set_metainfo(metainfo)
        for name, value in kwargs.items():
            setattr(self, name, value)

    # ---------------------------------------------------------------- writing

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Add or replace meta information; the values are copied.

        Raises:
            ArgumentError: not a dict.
            FieldError: a name is a data field already.
        """
        if not isinstance(metainfo, Mapping):
            raise ArgumentError(f"metainfo must be a dict, got {type(metainfo).__name__}")
        if self._data and not self._data.keys().isdisjoint(metainfo):
            taken = sorted(self._data.keys() & metainfo.keys())
            raise FieldError(f"{taken} cannot be metainfo of {self._kind}: they are data fields")
        self._meta.update((name, _own(value)) for name, value in metainfo.items())

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Add or replace data fields.

        Raises:
            ArgumentError: not a dict.
        """
        if not isinstance(data, Mapping):
            raise ArgumentError(f"data must be a dict, got {type(data).__name__}")
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """Set one field; property setters of subclasses end here.

        Args:
            value: what to store.
            name: field name. `_x` in a class that has a property `x` means `x`.
            dtype: refuse values that are not of this type.
            field_type: 'data' or 'metainfo'.

        Raises:
            ArgumentError: wrong type of the value, or another `field_type`.
            FieldError: the name is a field of the other kind, or reserved.
        """
        if dtype is not None and not isinstance(value, dtype):
            kinds = dtype if isinstance(dtype, tuple) else (dtype,)
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ArgumentError(
                f"{self._public(name)} of {self._kind} must be {wanted}, got {type(value).__name__}"
            )
        name = self._public(name)
        if name in _RESERVED:
            raise FieldError(f"{name} of {self._kind} is private and cannot be set")
        if field_type == "metainfo":
            if name in self._data:
                raise FieldError(f"{name} cannot be metainfo of {self._kind}: it is a data field")
            self._meta[name] = value
        elif field_type == "data":
            if name in self._meta:
                raise FieldError(f"{name} cannot be a data field of {self._kind}: it is metainfo")
            self._data[name] = value
        else:
            raise ArgumentError(f"field_type is 'data' or 'metainfo', got {field_type!r}")

    def update(self, instance: BaseDataElement) -> None:
        """Take over all fields of another element.

        Raises:
            ArgumentError: not a data element.
        """
        if not isinstance(instance, BaseDataElement):
            raise ArgumentError(f"update takes a data element, got {type(instance).__name__}")
        self.set_metainfo(instance._meta)
        self.set_data(instance._data)

    def pop(self, *args: Any) -> Any:
        """`pop(name[, default])`: remove a field and return its value.

        Raises:
            UnknownNameError: no such field, and no default.
        """
        if not 1 <= len(args) <= 2:
            raise ArgumentError(
                f"pop takes a name and perhaps a default, got {len(args)} arguments"
            )
        for fields in (self._meta, self._data):
            if args[0] in fields:
                return fields.pop(args[0])
        if len(args) == 2:
            return args[1]
        raise UnknownNameError(self.text_of_missing(args[0]))

    # ---------------------------------------------------------------- reading

    def keys(self) -> list[str]:
        """Names of the data fields."""
        return list(self._data)

    def values(self) -> list[Any]:
        """Values of the data fields."""
        return list(self._data.values())

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the data fields."""
        return iter(list(self._data.items()))

    def metainfo_keys(self) -> list[str]:
        """Names of the meta information."""
        return list(self._meta)

    def metainfo_values(self) -> list[Any]:
        """Values of the meta information."""
        return list(self._meta.values())

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the meta information."""
        return iter(list(self._meta.items()))

    def all_keys(self) -> list[str]:
        """Names of everything, meta information first."""
        return [*self._meta, *self._data]

    def all_values(self) -> list[Any]:
        """Values of everything, meta information first."""
        return [*self._meta.values(), *self._data.values()]

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of everything, meta information first."""
        return iter([*self._meta.items(), *self._data.items()])

    @property
    def metainfo(self) -> dict[str, Any]:
        """The meta information as a new dict."""
        return dict(self._meta)

    def get(self, key: str, default: Any = None) -> Any:
        """Value of a field of either kind, or the default."""
        return getattr(self, key, default)

    def to_dict(self) -> dict[str, Any]:
        """Everything as nested dicts."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value
            for name, value in self.all_items()
        }

    # ---------------------------------------------------------------- copies

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **kwargs: Any) -> Self:
        """Element of the same type; what is not given is taken from this one.

        Args:
            metainfo: replaces all meta information.
            **kwargs: replace all data.
        """
        fresh = type(self)()
        fresh.set_metainfo(self._meta if metainfo is None else metainfo)
        fresh.set_data(kwargs or self._data)
        return fresh

    def clone(self) -> Self:
        """Copy with its own meta information that shares the data values."""
        return self.new()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Tensors moved or cast, as `torch.Tensor.to` does; on "mps" float64 becomes float32."""
        return self._map(lambda v: moved(v, *args, **kwargs) if hasattr(v, "to") else v)

    def cpu(self) -> Self:
        """Tensors on the CPU."""
        return self._call("cpu")

    def cuda(self) -> Self:
        """Tensors on the current GPU."""
        return self._call("cuda")

    def npu(self) -> Self:
        """Tensors on the current Ascend device."""
        return self._call("npu")

    def mlu(self) -> Self:
        """Tensors on the current Cambricon device."""
        return self._call("mlu")

    def musa(self) -> Self:
        """Tensors on the current Moore Threads device."""
        return self._call("musa")

    def detach(self) -> Self:
        """Tensors without their gradient history."""
        return self._call("detach")

    def numpy(self) -> Self:
        """Tensors as numpy arrays on the CPU."""
        return self._map(_to_numpy)

    def to_tensor(self) -> Self:
        """Numpy arrays as tensors that share their memory, unless they run backwards."""
        import torch

        def convert(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                # torch has no array that runs backwards
                backwards = min(value.strides, default=0) < 0
                return torch.from_numpy(value.copy() if backwards else value)
            return value.to_tensor() if isinstance(value, BaseDataElement) else value

        return self._map(convert)

    def _call(self, method: str) -> Self:
        return self._map(
            lambda v: getattr(v, method)() if is_tensor(v) or isinstance(v, BaseDataElement) else v
        )

    def _map(self, convert: Callable[[Any], Any]) -> Self:
        """Element of the same type whose data values went through a function.

        The function keeps shapes, so the checks of the setters need not run again.
        """
        fresh = type(self)()
        fresh._meta.update((name, _own(value)) for name, value in self._meta.items())
        fresh._data.update((name, convert(value)) for name, value in self._data.items())
        return fresh

    # ---------------------------------------------------------------- protocol

    @property
    def _data_fields(self) -> set[str]:
        return set(self._data)

    @property
    def _metainfo_fields(self) -> set[str]:
        return set(self._meta)

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _public(self, name: str) -> str:
        """`x` for the `_x` behind a property `x`."""
        if name.startswith("_") and isinstance(getattr(type(self), name[1:], None), property):
            return name[1:]
        return name

    def text_of_missing(self, name: str) -> str:
        """Text of the error for a field that is not there."""
        fields = self.all_keys()
        listed = ", ".join(fields) or "none"
        return f"{self._kind} has no field '{name}' (fields: {listed}){nearest(name, fields)}"

    def __getattr__(self, name: str) -> Any:
        # only reached where slots and properties did not answer
        if name.startswith("__") or name in BaseDataElement.__slots__:
            raise AttributeError(name)
        for fields in (self._data, self._meta):
            if name in fields:
                return fields[name]
        public = self._public(name)
        if public != name and public in self._data:
            return self._data[public]
        raise MissingFieldError(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property) and name not in _RESERVED:
            object.__setattr__(self, name, value)
            # a property may keep its value under a name of its own
            if name not in self._data:
                self._data[name] = getattr(self, name)
        else:
            self.set_field(value, name)

    def __delattr__(self, name: str) -> None:
        if name in _RESERVED:
            raise FieldError(f"{name} of {self._kind} is private and cannot be deleted")
        if isinstance(getattr(type(self), name, None), property):
            object.__delattr__(self, name)
            self._data.pop(name, None)
            return
        name = self._public(name)
        for fields in (self._meta, self._data):
            if name in fields:
                del fields[name]
                return
        raise MissingFieldError(self, name)

    __delitem__ = __delattr__

    def __contains__(self, item: object) -> bool:
        return item in self._data or item in self._meta

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        # new dicts: a shallow copy must not share its fields
        return dict(self._meta), dict(self._data)

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        object.__setattr__(self, "_meta", state[0])
        object.__setattr__(self, "_data", state[1])

    def __repr__(self) -> str:
        lines = [f"<{self._kind}("]
        for title, fields in (("META INFORMATION", self._meta), ("DATA FIELDS", self._data)):
            lines += ["", f"    {title}"]
            for name, value in fields.items():
                lines.append(textwrap.indent(f"{name}: {value!r}", "    "))
        return "\n".join([*lines, f") at {id(self):#x}>"])


def is_array(value: Any) -> bool:
    """Whether the value is a numpy array or a torch tensor."""
    return isinstance(value, np.ndarray) or is_tensor(value)


def _to_numpy(value: Any) -> Any:
    if is_tensor(value):
        return host_array(value)
    return value.numpy() if isinstance(value, BaseDataElement) else value


def _own(value: Any) -> Any:
    """Copy that shares nothing mutable; annotations need no `deepcopy` for that."""
    if isinstance(value, _IMMUTABLE):
        return value
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.copy()
    kind = type(value)
    if kind is list or kind is tuple:
        flat = _PLAIN.issuperset(map(type, value))
        return kind(value if flat else map(_own, value))
    if kind is dict:
        return {name: _own(entry) for name, entry in value.items()}
    return copy.deepcopy(value)
