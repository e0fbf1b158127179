"""Columns of parsed instances to `Records`, without a dict for each instance in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.datasets.columns import ArrayColumn, Column, PickleColumn, column_of
from poise.datasets.instances import MISSING, Columns
from poise.datasets.records import Records

__all__ = ["pack_columns", "select_columns"]


def select_columns(columns: Columns, indices: np.ndarray) -> Columns:
    """The chosen instances, in that order."""
    chosen = indices.tolist()
    return {
        name: values[indices] if isinstance(values, np.ndarray) else [values[i] for i in chosen]
        for name, values in columns.items()
    }


def pack_columns(columns: Columns) -> Records:
    """Records of N instances; lists of other things than numbers and text are pickled."""
    packed: dict[str, Column] = {}
    left: dict[str, Sequence[Any]] = {}
    size = 0
    for name, values in columns.items():
        size = len(values)
        if isinstance(values, np.ndarray):
            packed[name] = ArrayColumn(np.ascontiguousarray(values))
            continue
        column = column_of(values)
        if column is None:
            left[name] = values
        else:
            packed[name] = column
    if not left:
        return Records(packed, size)
    rest = PickleColumn.pack(
        {k: v[i] for k, v in left.items() if v[i] is not MISSING} for i in range(size)
    )
    return Records(packed, size, rest)
