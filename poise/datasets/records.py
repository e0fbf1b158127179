"""Many small dicts held in a few numpy buffers.

A data set of 150,000 people is 150,000 dicts of arrays. As Python objects they are heavy, and
every forked worker copies the pages whose reference counts it touches. Here each key is one
column over all records, so workers share the pages, a record costs a few microseconds to read,
and a key can be looked at over the whole data set at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from poise.datasets.columns import ArrayColumn, Column, PickleColumn, ScalarColumn, column_of

__all__ = ["MISSING", "Columns", "Records"]

Columns = dict[str, "np.ndarray | list[Any]"]

#: Stands for the value of a record that lacks a key.
MISSING = object()


class Records(Sequence[dict[str, Any]]):
    """A sequence of dicts stored as columns.

    Reading record `i` gives a new dict with the keys, types, dtypes and shapes it was made
    from.

    Args:
        columns: key -> column.
        size: number of records.
        rest: column of dicts with the keys that have no column of their own, or `None`.

    Example:
        >>> people = Records.pack([{"id": 7, "bbox": np.zeros((1, 4))}, {"id": 9, "note": [1]}])
        >>> people[0]["id"], sorted(people[1]), people[0]["bbox"].shape
        (7, ['id', 'note'], (1, 4))
    """

    def __init__(
        self, columns: Mapping[str, Column], size: int, rest: PickleColumn | None = None
    ) -> None:
        self.columns = dict(columns)
        self.size = size
        self.rest = rest

    @classmethod
    def pack(cls, records: Sequence[dict[str, Any]]) -> Records:
        """Turn dicts into columns; keys that only some records have are kept aside."""
        if isinstance(records, Records):
            return records
        names: dict[str, None] = {}
        for record in records:
            if record.keys() != names.keys():
                names.update(dict.fromkeys(record))
        values: Columns = {name: [r.get(name, MISSING) for r in records] for name in names}
        return cls.of_columns(values, len(records))

    @classmethod
    def of_columns(cls, values: Columns, size: int) -> Records:
        """Records of arrays `(N, ...)` and lists of N; lists of odd things are pickled.

        Args:
            values: key -> what each record has, `MISSING` where it has no such key.
            size: N.
        """
        columns: dict[str, Column] = {}
        left: dict[str, Sequence[Any]] = {}
        for name, of_records in values.items():
            if isinstance(of_records, np.ndarray):
                columns[name] = ArrayColumn(np.ascontiguousarray(of_records))
                continue
            column = column_of(of_records)
            if column is None:
                left[name] = of_records
            else:
                columns[name] = column
        if not left:
            return cls(columns, size)
        rest = PickleColumn.pack(
            {k: v[i] for k, v in left.items() if v[i] is not MISSING} for i in range(size)
        )
        return cls(columns, size, rest)

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, i: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, i: slice) -> Records: ...
    def __getitem__(self, i: int | slice) -> dict[str, Any] | Records:
        if isinstance(i, slice):
            return self.select(range(*i.indices(self.size)))
        if not -self.size <= i < self.size:
            raise IndexError(f"record {i} of {self.size}")
        i = int(i) % self.size
        record = {name: column.row(i) for name, column in self.columns.items()}
        if self.rest is not None:
            record.update(self.rest.row(i))
        return record

    def select(self, indices: Iterable[int]) -> Records:
        """The chosen records as new columns; negative indices count from the end."""
        chosen = np.fromiter(indices, dtype=np.int64)
        if chosen.size and not (-self.size <= chosen.min() and chosen.max() < self.size):
            raise IndexError(f"indices {chosen.min()}..{chosen.max()} of {self.size} records")
        chosen %= max(self.size, 1)
        columns = {name: column.take(chosen) for name, column in self.columns.items()}
        rest = None if self.rest is None else self.rest.take(chosen)
        return Records(columns, len(chosen), rest)

    def values(self, name: str) -> list[Any]:
        """The values of a key of all records, without the records around them."""
        column = self.columns.get(name)
        if column is None:
            return [record[name] for record in self]
        return [column.row(i) for i in range(self.size)]

    def array(self, name: str) -> np.ndarray | None:
        """All values of a key as one array `(N, ...)`, or `None` where they do not stack."""
        column = self.columns.get(name)
        return column.values if isinstance(column, ArrayColumn | ScalarColumn) else None

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        columns = sum(column.nbytes for column in self.columns.values())
        return columns + (0 if self.rest is None else self.rest.nbytes)
