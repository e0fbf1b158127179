"""Results packed for sending come back as they were."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from poise.metrics.packing import pack, unpack


def equal(one, other):
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(v, other[k]) for k, v in one.items())
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


def result(i):
    rng = np.random.default_rng(i)
    return {
        "id": i,
        "path": f"{i}.jpg",
        "keypoints": rng.normal(size=(i % 3, 17, 3)).astype(np.float32),
        "box": (np.full(4, np.nan), [np.int64(i), None]),
    }


@pytest.mark.parametrize(
    "results",
    [
        [],
        [result(i) for i in range(20)],
        [result(1), {"other": np.zeros(2)}, result(2), 5, "text", None],
        [{}, {}, {"a": []}, [(), {}]],
        [{"a": np.zeros(2, np.float32)}, {"a": np.zeros(2)}, {"a": np.zeros((1, 2))}],
        [{"a": np.array(["x", "y"])}, {"a": np.array(["longer"])}],
        [{"a": np.array(3.0)}, {"a": np.array(4.0)}],
    ],
)
def test_results_come_back_as_they_were(results):
    assert equal(results, unpack(pickle.loads(pickle.dumps(pack(results)))))


def test_packed_results_are_smaller():
    results = [result(i) for i in range(300)]
    packed, plain = (len(pickle.dumps(r, protocol=5)) for r in (pack(results), results))
    assert packed < 0.95 * plain
