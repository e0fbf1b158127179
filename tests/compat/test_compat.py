"""Helpers under the names that code written for MMPose imports."""

import json
import logging
import pickle

import numpy as np
import pytest
import torch

import poise.compat as compat
from poise.compat import typing as types
from poise.errors import ArgumentError, DataError


def test_every_listed_name_exists():
    assert all(getattr(compat, name) is not None for name in compat.__all__)
    assert all(getattr(types, name) is not None for name in types.__all__)


def test_arrays_of_tensors():
    a, b = torch.arange(6).reshape(2, 3), torch.zeros(2)
    np.testing.assert_array_equal(compat.to_numpy(a), [[0, 1, 2], [3, 4, 5]])
    arrays, device = compat.to_numpy([a, b], return_device=True)
    assert [x.shape for x in arrays] == [(2, 3), (2,)]
    assert device == torch.device("cpu")
    unzipped = compat.to_numpy((a, b), unzip=True)
    assert [[x.shape for x in sample] for sample in unzipped] == [[(1, 3), (1,)]] * 2
    same = np.ones(2)
    assert compat.to_numpy(same) is same
    assert torch.equal(compat.to_tensor(same), torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="expected tensors or arrays, got int"):
        compat.to_numpy(3)


def test_checks_of_types_and_versions():
    assert compat.is_list_of([1], int)
    assert not compat.is_list_of((1,), int)
    assert compat.is_tuple_of((1,), int)
    assert compat.to_2tuple(3) == (3, 3)
    assert compat.to_2tuple([1, 2]) == (1, 2)
    order = ["1.9", "2.0.0a1", "2.0.0rc1", "2.0.0", "2.0.0.post1", "2.0.1", "2.10"]
    assert sorted(order, key=compat.digit_version) == order
    assert compat.digit_version("2.1.0+cu121") == compat.digit_version("2.1")
    with pytest.raises(DataError, match="'abc' is no version"):
        compat.digit_version("abc")


def test_files(tmp_path):
    compat.mkdir_or_exist(tmp_path / "a" / "b")
    file = tmp_path / "a" / "x.json"
    compat.dump({"k": np.arange(3), "s": {1}}, file)
    compat.check_file_exist(file)
    assert compat.load(file) == {"k": [0, 1, 2], "s": [1]}
    assert json.loads(compat.dump([1], file_format="json")) == [1]
    for ending, content in (("json", "{"), ("yaml", "a: [")):
        bad = tmp_path / f"bad.{ending}"
        bad.write_text(content)
        with pytest.raises(DataError, match=f"bad.{ending}' cannot be read as {ending.upper()}: "):
            compat.load(bad)
    with (tmp_path / "x.bin").open("wb") as opened:
        compat.dump({"y": 1}, opened, "pkl")
    with (tmp_path / "x.bin").open("rb") as opened:
        assert compat.load(opened, "pkl") == {"y": 1}
    assert pickle.loads(compat.dump([1], file_format="pkl")) == [1]
    compat.dump({"y": 1}, tmp_path / "x.yaml")
    assert compat.load(tmp_path / "x.yaml") == {"y": 1}
    (tmp_path / "l.txt").write_text("a\nb\nc\n")
    assert compat.list_from_file(tmp_path / "l.txt", prefix="-", offset=1, max_num=1) == ["-b"]
    with compat.get_local_path(file) as path:
        assert compat.isfile(path)
    assert compat.exists(tmp_path)
    assert compat.isdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such thing"):
        compat.check_file_exist(tmp_path / "q", "no such thing {}")
    with pytest.raises(DataError, match=r"expected a \.json"):
        compat.load(tmp_path / "l.txt")


def test_logging(caplog, tmp_path):
    with caplog.at_level(logging.INFO, "poise"):
        compat.print_log("one", logger="current")
        compat.print_log("two", logger=compat.MMLogger.get_current_instance(), level=30)
        compat.print_log("silent", logger="silent")
    assert [r.message for r in caplog.records] == ["one", "two"]
    with pytest.raises(ArgumentError, match="logger is a Logger"):
        compat.print_log("x", logger=3)
    logger = compat.get_root_logger(tmp_path / "log.txt", name="poise.test")
    logger.info("written")
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)
    assert "written" in (tmp_path / "log.txt").read_text()


def test_a_single_process_is_rank_zero_of_one():
    assert compat.get_dist_info() == (0, 1)
    assert compat.is_main_process()
    assert compat.master_only(lambda x: x + 1)(1) == 2
    assert compat.reduce_mean(torch.ones(2)).tolist() == [1, 1]
    compat.barrier()
