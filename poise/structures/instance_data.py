"""Instances of one picture: columns of equal length, indexed together."""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise._arrays import is_tensor
from poise.errors import ArgumentError, DataError
from poise.structures.element import BaseDataElement

__all__ = ["InstanceData"]

Index = Any


class InstanceData(BaseDataElement):
    """N people, hands or boxes of one picture; every field has N entries.

    A field is a numpy array, a tensor, a list, tuple or string, or anything with `len`,
    indexing and `cat`. Index with an int (keeps the axis), a slice, a list, an integer array
    or a mask, numpy or torch.

    Example:
        >>> people = InstanceData(keypoints=np.zeros((3, 17, 2)), names=["a", "b", "c"])
        >>> len(people), people[np.array([True, False, True])].names, len(people[-1])
        (3, ['a', 'c'], 1)
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(value, Sized):
            raise ArgumentError(
                f"{name} of {self._kind} must have a length (one entry per instance), got"
                f" {type(value).__name__}"
            )
        count = len(self)
        if count and len(value) != count:
            raise DataError(
                f"{name} has {len(value)} entries, but this {self._kind} holds {count} instances"
                f" ({', '.join(self._data)})"
            )
        super().__setattr__(name, value)

    __setitem__ = __setattr__

    def __len__(self) -> int:
        for value in self._data.values():
            return len(value)
        return 0

    def __getitem__(self, item: Index) -> Any:
        """Fields by name, or instances by index.

        Raises:
            IndexError: an index outside of the instances.
            DataError: a mask of another length, or an index of several axes.
            ArgumentError: an index of another kind.
        """
        if isinstance(item, str):
            return getattr(self, item)
        index = item if isinstance(item, slice) else self._index(item)
        chosen = type(self)()
        chosen._meta.update(self.metainfo)
        if isinstance(index, slice):
            chosen._data.update((name, value[index]) for name, value in self._data.items())
        else:
            chosen._data.update(
                (name, _pick(name, value, index)) for name, value in self._data.items()
            )
        return chosen

    def _index(self, item: Index) -> Any:
        """A slice or a one-dimensional integer array, numpy or torch."""
        count = len(self)
        if not isinstance(item, (list, tuple, np.ndarray)) and not is_tensor(item):
            try:
                position = operator.index(item)
            except TypeError:
                raise ArgumentError(
                    f"{self._kind} is indexed by a name, an int, a slice, a list, or an array of"
                    f" integers or booleans; got {type(item).__name__}"
                ) from None
            if not -count <= position < count:
                raise IndexError(f"index {position} is out of range for {count} instances")
            return slice(position, position + 1 or None)
        index = item if is_tensor(item) else np.asarray(item)
        if index.ndim != 1:
            raise DataError(
                f"instances have one axis, but the index has the shape {tuple(index.shape)}"
            )
        if not len(index) and isinstance(item, (list, tuple)):
            return np.zeros(0, np.int64)
        if str(index.dtype).endswith("bool"):
            if len(index) != count:
                raise DataError(f"a mask of {len(index)} entries does not fit {count} instances")
            return index.nonzero().flatten() if is_tensor(index) else np.flatnonzero(index)  # type: ignore[union-attr]
        # a byte tensor was torch's mask once, and would now be taken for positions
        if "int" not in str(index.dtype) or str(index.dtype) == "torch.uint8":
            raise ArgumentError(
                f"{self._kind} is indexed by whole numbers or booleans, not by {index.dtype}"
            )
        return index

    @staticmethod
    def cat(instances_list: Sequence[InstanceData]) -> InstanceData:
        """Instances of several elements one after another, with the first one's metainfo.

        A single element is returned as it is.

        Raises:
            ArgumentError: not a non-empty list of `InstanceData`.
            DataError: elements with different fields, or a field that cannot be joined.
        """
        wrong = [e for e in instances_list if not isinstance(e, InstanceData)]
        if wrong or not instances_list:
            came = type(wrong[0]).__name__ if wrong else "an empty list"
            raise ArgumentError(f"cat takes a non-empty list of InstanceData, got {came}")
        first = instances_list[0]
        if len(instances_list) == 1:
            return first
        wanted = set(first.all_keys())
        for position, other in enumerate(instances_list):
            if differing := sorted(wanted.symmetric_difference(other.all_keys())):
                raise DataError(
                    "cat needs the same fields in every element; element 0 and element"
                    f" {position} differ in {differing}"
                )
        joined = type(first)(metainfo=first._meta)
        joined._data.update(
            (name, _join(name, [element[name] for element in instances_list]))
            for name in first._data
        )
        return joined


def _pick(name: str, value: Any, index: Any) -> Any:
    """Entries of one column at integer positions."""
    if is_tensor(value):
        torch = sys.modules["torch"]
        return value[torch.as_tensor(index, dtype=torch.int64, device=value.device)]
    positions: NDArray[Any] = index.cpu().numpy() if is_tensor(index) else index
    if isinstance(value, np.ndarray):
        return value[positions]
    if isinstance(value, (str, list, tuple)):
        picked = [value[i] for i in positions.tolist()]
        return "".join(picked) if isinstance(value, str) else type(value)(picked)
    if isinstance(value, InstanceData):
        return value[positions]
    if hasattr(value, "__getitem__") and hasattr(value, "cat"):
        pieces = [value[i : i + 1 or None] for i in positions.tolist()] or [value[:0]]
        return value.cat(pieces)
    raise DataError(
        f"field {name} of type {type(value).__name__} cannot be indexed by an array: it has no"
        " `cat`"
    )


def _join(name: str, values: list[Any]) -> Any:
    """Columns of one field end to end."""
    first = values[0]
    if is_tensor(first):
        return sys.modules["torch"].cat(values, dim=0)
    if isinstance(first, np.ndarray):
        return np.concatenate(values, axis=0)
    if isinstance(first, str):
        return "".join(values)
    if isinstance(first, (list, tuple)):
        return type(first)(entry for value in values for entry in value)
    if hasattr(first, "cat"):
        return first.cat(values)
    raise DataError(
        f"field {name} of type {type(first).__name__} cannot be joined: it has no `cat`"
    )
