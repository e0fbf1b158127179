"""Dicts go into columns and come back equal."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from poise.datasets.columns import PoolColumn, WindowColumn
from poise.datasets.records import Records

RECORDS: dict[str, list[dict[str, Any]]] = {
    "arrays of one shape": [{"a": np.arange(4.0).reshape(1, 4) + i} for i in range(3)],
    "arrays of different lengths": [{"a": np.ones((i, 2), np.float32)} for i in (1, 3, 0)],
    "arrays of different rank": [{"a": np.ones(2)}, {"a": np.ones((2, 2))}],
    "arrays of different dtype": [{"a": np.ones(2, np.float32)}, {"a": np.ones(2)}],
    "zero-dimensional arrays": [{"a": np.array(i)} for i in range(2)],
    "plain numbers": [{"i": i, "f": i / 2, "b": i > 0} for i in range(3)],
    "big integers": [{"i": 2**70}, {"i": 1}],
    "numpy numbers": [{"a": np.float32(i)} for i in range(2)],
    "text": [{"path": p} for p in ("a/ä.jpg", "b.jpg", "a/ä.jpg", "")],
    "none": [{"a": None}, {"a": None}],
    "mixed types": [{"a": 1}, {"a": None}, {"a": "x"}],
    "nested": [{"a": {"size": [1, 2]}, "b": [[1.5, 2], [3]]}, {"a": {}, "b": []}],
    "different keys": [{"a": 1, "b": 2}, {"b": 3}, {"c": [4]}],
    "object arrays": [{"a": np.array([{}, 1], dtype=object)}],
    "empty dicts": [{}, {}],
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return (
            type(one) is type(other)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and bool(np.all(one == other))
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_comes_back_with_its_keys_types_and_shapes(name: str) -> None:
    packed = Records.pack(RECORDS[name])
    assert len(packed) == len(RECORDS[name])
    assert all(same(a, b) for a, b in zip(RECORDS[name], packed, strict=True))


@pytest.mark.parametrize("name", RECORDS)
def test_selected_records_are_the_chosen_ones_in_order(name: str) -> None:
    packed = Records.pack(RECORDS[name])
    order = [len(packed) - 1, 0, -1]
    assert all(same(RECORDS[name][i], r) for i, r in zip(order, packed.select(order), strict=True))


@pytest.mark.parametrize("name", RECORDS)
def test_records_survive_pickling_for_spawned_workers(name: str) -> None:
    packed = pickle.loads(pickle.dumps(Records.pack(RECORDS[name])))
    assert same(packed[0], RECORDS[name][0])


def test_changing_a_record_leaves_the_store_as_it_was() -> None:
    packed = Records.pack([{"a": np.zeros(3), "b": [1]}])
    record = packed[0]
    record["a"] += 1
    record["b"].append(2)
    assert packed[0]["a"].sum() == 0
    assert packed[0]["b"] == [1]


def test_a_selection_of_nothing_is_empty() -> None:
    assert len(Records.pack(RECORDS["plain numbers"]).select([])) == 0
    assert len(Records.pack([])) == 0


def test_the_values_of_a_key_are_those_of_the_records() -> None:
    people = Records.pack([{"id": 3, "note": [1]}, {"id": 5, "note": [2]}])
    assert people.values("id") == [3, 5]
    assert people.values("note") == [[1], [2]]


def test_a_slice_is_records_again() -> None:
    part = Records.pack(RECORDS["plain numbers"])[1:]
    assert isinstance(part, Records)
    assert [r["i"] for r in part] == [1, 2]


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_outside_ends_iteration(index: int) -> None:
    with pytest.raises(IndexError, match=f"record {index} of 3"):
        Records.pack(RECORDS["plain numbers"])[index]


def test_text_that_repeats_is_stored_once() -> None:
    many = Records.pack([{"path": "x" * 1000} for _ in range(500)])
    assert many.nbytes < 10_000


def test_windows_share_their_frames() -> None:
    frames = np.arange(10.0)
    windows = np.array([[0, 1, 2], [1, 2, 3]])
    column = WindowColumn(frames, windows)
    assert column.row(1).tolist() == [1, 2, 3]
    column.row(1)[:] = 0
    assert frames[2] == 2
    assert WindowColumn(frames, windows, as_list=True).take(np.array([1])).row(0) == [1, 2, 3]


def test_pooled_objects_are_copied() -> None:
    column = PoolColumn(np.array([0, 0]), [{"f": [1]}])
    column.row(0)["f"].append(2)
    assert column.row(1) == {"f": [1]}
