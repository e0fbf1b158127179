"""The values of one key for many records, in a few numpy buffers."""

# the methods of columns are described once, in `Column`
# ruff: noqa: D102

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

__all__ = [
    "ArrayColumn",
    "Column",
    "ConstantColumn",
    "PickleColumn",
    "PoolColumn",
    "RaggedColumn",
    "ScalarColumn",
    "TextColumn",
    "WindowColumn",
    "column_of",
]


class Column(Protocol):
    """The values of one key for all records."""

    @property
    def nbytes(self) -> int:
        """Bytes of the numpy buffers."""

    def row(self, i: int) -> Any:
        """Value of record `i`, a fresh object that may be changed freely."""

    def take(self, indices: np.ndarray) -> Column:
        """The column of the chosen records, in that order."""


class ArrayColumn:
    """Arrays of one shape and dtype, stacked: `(N, ...)`."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def row(self, i: int) -> np.ndarray:
        # the ellipsis keeps 0-d values arrays, as they were
        return self.values[i, ...].copy()

    def take(self, indices: np.ndarray) -> ArrayColumn:
        return ArrayColumn(self.values[indices])


class RaggedColumn:
    """Arrays that differ in their first size only, end to end: `(sum of sizes, ...)`."""

    def __init__(self, values: np.ndarray, ends: np.ndarray) -> None:
        self.values = values
        self.ends = ends

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.ends.nbytes

    def row(self, i: int) -> np.ndarray:
        return self.values[_start(self.ends, i) : self.ends[i]].copy()

    def take(self, indices: np.ndarray) -> RaggedColumn:
        parts = [self.row(int(i)) for i in indices]
        values = np.concatenate(parts) if parts else self.values[:0]
        return RaggedColumn(values, _ends(len(p) for p in parts))


class ScalarColumn:
    """Python or numpy numbers of one type, as an array `(N,)`."""

    def __init__(self, values: np.ndarray, cast: Callable[[Any], Any] | None) -> None:
        self.values = values
        self.cast = cast

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def row(self, i: int) -> Any:
        value = self.values[i]
        return value if self.cast is None else self.cast(value)

    def take(self, indices: np.ndarray) -> ScalarColumn:
        return ScalarColumn(self.values[indices], self.cast)


class TextColumn:
    """Strings; each distinct one is stored once (people of one image share its path)."""

    def __init__(self, codes: np.ndarray, buffer: np.ndarray, ends: np.ndarray) -> None:
        self.codes = codes
        self.buffer = buffer
        self.ends = ends

    @classmethod
    def pack(cls, values: Iterable[str]) -> TextColumn:
        """Encode `values` as UTF-8 with one entry for each distinct string."""
        known: dict[str, int] = {}
        codes = np.array([known.setdefault(v, len(known)) for v in values], dtype=np.int64)
        encoded = [v.encode("utf-8", "surrogatepass") for v in known]
        return cls(codes, _buffer(encoded), _ends(len(e) for e in encoded))

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.buffer.nbytes + self.ends.nbytes

    def row(self, i: int) -> str:
        k = int(self.codes[i])
        raw = self.buffer[_start(self.ends, k) : self.ends[k]].tobytes()
        return raw.decode("utf-8", "surrogatepass")

    def take(self, indices: np.ndarray) -> TextColumn:
        return TextColumn(self.codes[indices], self.buffer, self.ends)


class ConstantColumn:
    """One immutable value that all records have (`None`, as a rule)."""

    nbytes = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def row(self, i: int) -> Any:
        return self.value

    def take(self, indices: np.ndarray) -> ConstantColumn:
        return self


class PickleColumn:
    """Whatever fits no other kind, pickled record by record into one buffer."""

    def __init__(self, buffer: np.ndarray, ends: np.ndarray) -> None:
        self.buffer = buffer
        self.ends = ends

    @classmethod
    def pack(cls, values: Iterable[Any]) -> PickleColumn:
        """Pickle each value by itself."""
        # one growing buffer: a list of 150,000 pieces would hold everything twice
        buffer, ends = bytearray(), []
        for value in values:
            buffer += pickle.dumps(value, protocol=5)
            ends.append(len(buffer))
        return cls(np.frombuffer(buffer, dtype=np.uint8), np.array(ends, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.buffer.nbytes + self.ends.nbytes

    def row(self, i: int) -> Any:
        # only reads what this process, or its cache, pickled itself
        return pickle.loads(self.buffer[_start(self.ends, i) : self.ends[i]].data)

    def take(self, indices: np.ndarray) -> PickleColumn:
        parts = [self.buffer[_start(self.ends, i) : self.ends[i]] for i in indices]
        buffer = np.concatenate(parts) if parts else self.buffer[:0]
        return type(self)(buffer, _ends(len(p) for p in parts))


class WindowColumn:
    """Runs of frames: `(T, ...)` a record, from frames `(F, ...)` that are stored once.

    Sequences of neighbouring frames overlap, so storing each one would multiply the memory by
    its length (243 for VideoPose3D).

    Args:
        values: what each of the F frames has.
        windows: `(N, T)` int64, the frames of each record.
        as_list: give lists instead of arrays.
    """

    def __init__(self, values: np.ndarray, windows: np.ndarray, *, as_list: bool = False) -> None:
        self.values = values
        self.windows = windows
        self.as_list = as_list

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.windows.nbytes

    def row(self, i: int) -> Any:
        # indexing by an array makes a copy
        frames = self.values[self.windows[i]]
        return frames.tolist() if self.as_list else frames

    def take(self, indices: np.ndarray) -> WindowColumn:
        return WindowColumn(self.values, self.windows[indices], as_list=self.as_list)


class PoolColumn:
    """A few distinct objects, such as the parameters of four cameras, each of many records."""

    nbytes = 0

    def __init__(self, codes: np.ndarray, pool: Sequence[Any]) -> None:
        self.codes = codes
        self.pool = pool

    def row(self, i: int) -> Any:
        return copy.deepcopy(self.pool[self.codes[i]])

    def take(self, indices: np.ndarray) -> PoolColumn:
        return PoolColumn(self.codes[indices], self.pool)


def column_of(values: Sequence[Any]) -> Column | None:
    """The column that gives back exactly `values`, or `None` where only pickling can."""
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    if kind is np.ndarray:
        return _array_column(values)
    if kind is str:
        return TextColumn.pack(values)
    if kind in (int, float, bool):
        try:
            return ScalarColumn(np.array(values, dtype=_PLAIN_DTYPES[kind]), kind)
        except OverflowError:
            return None
    if issubclass(kind, np.generic) and kind.__name__ not in ("str_", "bytes_", "object_", "void"):
        return ScalarColumn(np.array(values, dtype=kind), None)
    return ConstantColumn(None) if kind is type(None) else None


_PLAIN_DTYPES: dict[type, type] = {int: np.int64, float: np.float64, bool: np.bool_}


def _array_column(values: Sequence[np.ndarray]) -> Column | None:
    dtypes = {v.dtype for v in values}
    if len(dtypes) != 1 or next(iter(dtypes)).hasobject:
        return None
    shapes = {v.shape for v in values}
    if len(shapes) == 1:
        return ArrayColumn(np.stack(values))
    if () in shapes or len({shape[1:] for shape in shapes}) != 1:
        return None
    return RaggedColumn(np.concatenate(values), _ends(len(v) for v in values))


def _start(ends: np.ndarray, i: int) -> int:
    return int(ends[i - 1]) if i else 0


def _ends(sizes: Iterable[int]) -> np.ndarray:
    return np.cumsum(np.fromiter(sizes, dtype=np.int64), dtype=np.int64)


def _buffer(parts: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(parts), dtype=np.uint8)
