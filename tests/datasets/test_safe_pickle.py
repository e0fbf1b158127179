"""Pickle files give data and run nothing."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets.safe_pickle import load_arrays, load_pickle
from poise.errors import DataError


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch evil-was-here",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_plain_data_and_arrays_are_read(tmp_path: Path, protocol: int) -> None:
    content = {
        ("S1", "c"): {"R": np.eye(3), "n": np.float32(2), "t": [1, 2.5, "x", None, True]},
        "o": OrderedDict(a=1),
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = load_pickle(str(path), "camera_param_file", owner="X")
    assert (found["S1", "c"]["R"] == np.eye(3)).all()
    assert found["S1", "c"]["n"] == 2
    assert found["o"] == {"a": 1}


def test_a_file_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps([1, Evil()]))
    np.savez(tmp_path / "evil.npz", a=np.array({"x": Evil()}, dtype=object))
    with pytest.raises(DataError, match=r"evil\.pkl: the file asks for \w+\.system"):
        load_pickle("evil.pkl", "camera_param_file", owner="X")
    with pytest.raises(DataError, match=r"evil\.npz: a\.npy: the file asks for \w+\.system"):
        load_arrays("evil.npz", "ann_file", owner="X")
    assert not (tmp_path / "evil-was-here").exists()


def test_arrays_and_arrays_of_dicts_are_read(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "a.npz", x=np.arange(6.0).reshape(2, 3), d=np.array({"k": [1]}, dtype=object)
    )
    found = load_arrays(str(tmp_path / "a.npz"), "ann_file", owner="X")
    assert found["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["d"].item() == {"k": [1]}


@pytest.mark.parametrize(
    "content",
    # the last three end in a TypeError, an AttributeError and an OverflowError
    [
        b"",
        b"not a pickle",
        b"\x80\x04.",
        b"(]K\x01d.",
        b"K\x01K\x02a.",
        b"\x80\x04\x95" + b"\xff" * 8,
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(DataError, match="is not a readable pickle file"):
        load_pickle(str(tmp_path / "a.pkl"), "camera_param_file", owner="X")
