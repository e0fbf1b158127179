"""Parsed annotations on disk: equal to fresh ones, never stale, never code."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets import CocoDataset, cache
from poise.datasets.coco_file import CocoFile
from poise.datasets.columns import PickleColumn
from poise.datasets.records import Records
from poise.errors import DataError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own that takes files of any size."""
    monkeypatch.setattr(cache, "LEAST_BYTES", 0)
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("POISE_CACHE", raising=False)
    return tmp_path / "cache" / "annotations"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The annotation files that were parsed."""
    paths: list[str] = []
    own = CocoFile.__init__

    def counted(self: CocoFile, path: str, **settings: Any) -> None:
        paths.append(path)
        own(self, path, **settings)

    monkeypatch.setattr(CocoFile, "__init__", counted)
    return paths


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        type(one[k]) is type(other[k]) and np.array_equal(one[k], other[k])
        if isinstance(one[k], np.ndarray)
        else one[k] == other[k]
        for k in one
    )


@pytest.mark.parametrize("mode", ["topdown", "bottomup"])
@pytest.mark.parametrize("test_mode", [True, False])
def test_the_second_time_nothing_is_parsed(
    coco: Any, person: Any, reads: list[str], mode: str, test_mode: bool
) -> None:
    people = [person(1), person(2, iscrowd=1), person(3, image=2, segmentation=None)]
    settings = {"data_mode": mode, "test_mode": test_mode}
    fresh = coco(people, **settings)
    stamp = Path(fresh.ann_file).stat()
    os.utime(fresh.ann_file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    kept = CocoDataset(fresh.ann_file, metainfo=_raw(fresh), **settings)
    assert len(reads) == 1
    assert len(kept) == len(fresh)
    assert kept.report == fresh.report
    assert kept.metainfo["CLASSES"] == fresh.metainfo["CLASSES"]
    for i in range(len(fresh)):
        assert same(kept.get_data_info(i), fresh.get_data_info(i))
    kept.get_data_info(0)["bbox"][:] = 0


def _raw(dataset: CocoDataset) -> dict[str, Any]:
    names = dataset.metainfo["keypoint_id2name"]
    swaps = {0: "k1", 1: "k0"}
    info = {
        i: {"name": n, "id": i, "type": "upper", "swap": swaps.get(i, "")} for i, n in names.items()
    }
    return {
        "dataset_name": "toy",
        "keypoint_info": info,
        "skeleton_info": {},
        "joint_weights": [1.0] * len(names),
        "sigmas": [0.05] * len(names),
    }


def test_a_changed_file_is_parsed_again(coco: Any, person: Any, reads: list[str]) -> None:
    assert len(coco([person(1)])) == 1
    assert len(coco([person(1), person(2)])) == 2
    assert len(reads) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"data_mode": "bottomup"},
        {"test_mode": True},
        {"sample_interval": 1, "data_prefix": {"img": "other"}},
        {"filter_cfg": {"on_bad": "skip"}},
    ],
)
def test_every_setting_has_its_own_entry(
    coco: Any, person: Any, reads: list[str], settings: dict[str, Any]
) -> None:
    first = coco([person(1)])
    CocoDataset(first.ann_file, metainfo=_raw(first), **settings)
    assert len(reads) == 2


def test_another_schema_has_its_own_entry(coco: Any, person: Any, schema: Any) -> None:
    first = coco([person(1)])
    with pytest.raises(DataError, match="expected 12"):
        CocoDataset(first.ann_file, metainfo=schema(4))


def test_classes_of_users_are_not_kept(coco: Any, person: Any, folder: Path) -> None:
    class Own(CocoDataset):
        pass

    coco([person(1)], cls=Own)
    assert not folder.exists()


def test_the_cache_can_be_turned_off(
    coco: Any, person: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_CACHE", "0")
    coco([person(1)])
    assert not folder.exists()


def test_small_files_are_not_kept(
    coco: Any, person: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LEAST_BYTES", 1 << 20)
    coco([person(1)])
    assert not folder.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"something else",
        b"poise-records" + b"\x00" * 30,
        # a size beyond all memory, and a header that lacks a part
        b"poise-records" + b"\xff" * 30,
        b"poise-records" + (35).to_bytes(8, "little") + b'{"size": 0, "columns":[], "bytes":0}',
    ],
)
def test_a_broken_entry_is_parsed_again(
    coco: Any, person: Any, folder: Path, reads: list[str], caplog: Any, content: bytes
) -> None:
    first = coco([person(1)])
    (entry,) = folder.iterdir()
    entry.write_bytes(content)
    again = CocoDataset(first.ann_file, metainfo=_raw(first))
    assert len(again) == 1
    assert len(reads) == 2
    assert "cannot be read" in caplog.text


def test_an_entry_that_is_cut_short_is_parsed_again(
    coco: Any, person: Any, folder: Path, reads: list[str]
) -> None:
    first = coco([person(1)])
    (entry,) = folder.iterdir()
    entry.write_bytes(entry.read_bytes()[:-8])
    CocoDataset(first.ann_file, metainfo=_raw(first))
    assert len(reads) == 2


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch evil-was-here",)


def test_an_entry_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ann.json").write_text(json.dumps({}))
    entry = cache.RecordCache.of("ann.json", [])
    assert entry is not None
    entry.write(Records({"a": PickleColumn.pack([Evil()])}, 1), {})
    found = entry.read()
    assert found is not None
    with pytest.raises(DataError, match="may run code"):
        found[0][0]
    with pytest.raises(DataError, match="may run code"):
        found[0].select([0])[0]
    assert not (tmp_path / "evil-was-here").exists()


def test_records_of_all_kinds_come_back(tmp_path: Path) -> None:
    (tmp_path / "ann.json").write_text("{}")
    entry = cache.RecordCache.of(str(tmp_path / "ann.json"), [])
    assert entry is not None
    rows = [
        {
            "a": np.full((1, 4), i, np.float32),
            "r": np.ones((i, 2)),
            "i": i,
            "f": i / 2,
            "b": i > 1,
            "n": np.float32(i),
            "t": f"ä{i}",
            "none": None,
            "mixed": [i, {"x": None}],
        }
        for i in range(3)
    ]
    entry.write(Records.pack(rows), {"x": 1})
    found = entry.read()
    assert found is not None
    assert found[1] == {"x": 1}
    assert all(same(a, b) for a, b in zip(rows, found[0], strict=True))
    assert all(same(rows[i], r) for i, r in zip((2, 0), found[0].select([2, 0]), strict=True))
    assert same(pickle.loads(pickle.dumps(found[0]))[1], rows[1])


def test_old_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 3000)
    records = Records.pack([{"a": np.zeros(100)} for _ in range(2)])
    for i in range(3):
        (tmp_path / f"{i}.json").write_text("{}")
        entry = cache.RecordCache.of(str(tmp_path / f"{i}.json"), [])
        assert entry is not None
        entry.write(records, {})
        os.utime(entry.path, (i, i))
    left = sorted(p.name.split("-")[0] for p in entry.path.parent.iterdir())
    assert left == ["2"]
