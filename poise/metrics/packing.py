"""Many small results as a few large arrays, to send them between processes.

A pickle of ten thousand results holds a hundred thousand small arrays, each with its own head;
packed, an array of all results is one copy of memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Packed", "pack", "unpack"]

#: Stands in a result's form where a value was.
_LEAF = "*"
#: Kinds of numbers whose arrays are joined; objects and texts travel as they are.
_NUMBERS = "biufc"


@dataclass(frozen=True)
class Packed:
    """Results of one process.

    Attributes:
        forms: different forms that results have (nested dicts, lists and tuples).
        form_of: (N,) which form each result has.
        columns: for each form, for each of its values: (shapes, joined array) or a list.
    """

    forms: list[Any]
    form_of: np.ndarray
    columns: list[list[Any]]


def pack(results: list[Any]) -> Packed:
    """Join what results of the same form hold.

    Args:
        results: dicts, lists and tuples of arrays, numbers and anything else.

    Example:
        >>> packed = pack([{"x": np.zeros((1, 2))}, {"x": np.ones((3, 2))}])
        >>> packed.columns[0][0][1].shape
        (8,)
        >>> [r["x"].shape for r in unpack(packed)]
        [(1, 2), (3, 2)]
    """
    forms: dict[str, int] = {}
    kept: list[Any] = []
    form_of = np.empty(len(results), np.int64)
    rows: list[list[list[Any]]] = []
    for n, result in enumerate(results):
        leaves: list[Any] = []
        form = _form(result, leaves)
        number = forms.setdefault(repr(form), len(forms))
        if number == len(rows):
            rows.append([])
            kept.append(form)
        form_of[n] = number
        rows[number].append(leaves)
    columns = [[_join(list(column)) for column in zip(*r, strict=True)] for r in rows]
    return Packed(kept, form_of, columns)


def unpack(packed: Packed) -> list[Any]:
    """The results; their arrays are views of the joined ones."""
    rows = []
    for columns in packed.columns:
        values = [_split(column) for column in columns]
        rows.append(iter(zip(*values, strict=True)))
    # a form without any value has no columns to go through
    return [
        _fill(packed.forms[f], iter(next(rows[f]) if packed.columns[f] else ()))
        for f in packed.form_of.tolist()
    ]


def _form(tree: Any, leaves: list[Any]) -> Any:
    """The tree with its values taken out and appended to `leaves`."""
    if type(tree) is dict:
        return {key: _form(value, leaves) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_form(value, leaves) for value in tree)
    leaves.append(tree)
    return _LEAF


def _fill(form: Any, leaves: Any) -> Any:
    if isinstance(form, dict):
        return {key: _fill(value, leaves) for key, value in form.items()}
    if isinstance(form, (list, tuple)):
        return type(form)(_fill(value, leaves) for value in form)
    return next(leaves)


def _join(values: list[Any]) -> Any:
    """Arrays of one type as (shapes, joined); else the values."""
    first = values[0]
    if not isinstance(first, np.ndarray) or first.dtype.kind not in _NUMBERS:
        return values
    alike = all(
        type(v) is np.ndarray and v.dtype == first.dtype and v.ndim == first.ndim for v in values
    )
    if not alike:
        return values
    shapes = np.array([v.shape for v in values], np.int64).reshape(len(values), first.ndim)
    return shapes, np.concatenate([v.ravel() for v in values])


def _split(column: Any) -> list[Any]:
    if not isinstance(column, tuple):
        return column
    shapes, joined = column
    ends = np.cumsum(shapes.prod(axis=1, dtype=np.int64))
    parts = np.split(joined, ends[:-1])
    return [p.reshape(shape) for p, shape in zip(parts, shapes.tolist(), strict=True)]
