"""What an interrupted run leaves is not taken for the whole, and is mended by the next one."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.data_tools.picking import proposals
from poise.data_tools.picking.choosing import choose
from poise.data_tools.picking.doubts import Candidate
from poise.data_tools.picking.shots import Place
from poise.data_tools.preparing import faces, files, human36m
from poise.data_tools.preparing.report import Prepared
from poise.errors import DataError
from poise.inference.results.pose_result import SourceInfo


class StopError(Exception):
    """Somebody pressed Ctrl-C."""


def test_half_of_the_frames_of_a_video_are_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames(_: Path, end: int | None = None) -> Iterator[Any]:
        for n in range(3):
            if n == end:
                raise StopError
            yield np.full((4, 4, 3), n, np.uint8)

    video = tmp_path / "001"
    monkeypatch.setattr(faces, "video_frames", lambda path: frames(path, 2))
    with pytest.raises(StopError):
        faces._frame_folder(video, video / "imgs", Prepared())
    assert not (video / "imgs").exists()
    monkeypatch.setattr(faces, "video_frames", frames)
    folder = faces._frame_folder(video, video / "imgs", Prepared())
    assert sorted(p.name for p in folder.iterdir()) == ["000001.png", "000002.png", "000003.png"]
    assert [p.name for p in video.iterdir()] == ["imgs"]


def test_a_division_that_was_broken_off_is_completed(tmp_path: Path) -> None:
    (tmp_path / "AFW").mkdir()
    for n in range(20):
        (tmp_path / f"AFW/AFW_{n}.jpg").write_bytes(bytes([n]))
    out = tmp_path / "out"
    whole = faces._wlp_parts(tmp_path, out)
    assert {part: len(names) for part, names in whole.items()} == {"train": 16, "val": 2, "test": 2}
    for part, names in whole.items():
        (out / part / names[0]).unlink()
    assert faces._wlp_parts(tmp_path, out) == whole
    assert all((out / part / name).is_file() for part, names in whole.items() for name in names)
    # somebody's own division stays
    (out / "val" / whole["val"][0]).rename(out / "test" / whole["val"][0])
    assert faces._wlp_parts(tmp_path, out)["test"] == sorted([*whole["test"], whole["val"][0]])


def test_a_copy_that_was_broken_off_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise StopError

    def no_link(*_: Any) -> None:
        raise OSError("not here")

    (tmp_path / "a.jpg").write_bytes(b"whole")
    monkeypatch.setattr(files.os, "link", no_link)
    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "copy2", stop)
        with pytest.raises(StopError):
            files.link_file(tmp_path / "a.jpg", tmp_path / "out/a.jpg")
    assert not list((tmp_path / "out").iterdir())
    files.link_file(tmp_path / "a.jpg", tmp_path / "out/a.jpg")
    assert (tmp_path / "out/a.jpg").read_bytes() == b"whole"


def test_half_of_an_archive_is_not_a_subject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(human36m, "ARCHIVES", ("Videos", "D2_Positions"))
    inside = tmp_path / "in/S1"
    (inside / "MyPoseFeatures").mkdir(parents=True)
    (inside / "MyPoseFeatures/a.cdf").write_bytes(b"poses")
    (inside / "Videos").mkdir()
    (tmp_path / "s1").mkdir()
    for name, part in (("Videos", "Videos"), ("D2_Positions", "MyPoseFeatures")):
        with tarfile.open(tmp_path / f"s1/{name}.tgz", "w:gz") as archive:
            archive.add(inside / part, f"S1/{part}")
    out = tmp_path / "out"
    good = (tmp_path / "s1/D2_Positions.tgz").read_bytes()
    (tmp_path / "s1/D2_Positions.tgz").write_bytes(good[:-40])
    with pytest.raises(DataError, match=r"D2_Positions\.tgz cannot be unpacked"):
        human36m._unpacked(tmp_path, out, "S1", Prepared())
    assert not (out / "extracted/S1").exists()
    (tmp_path / "s1/D2_Positions.tgz").write_bytes(good)
    home = human36m._unpacked(tmp_path, out, "S1", Prepared())
    assert home == out / "extracted/S1"
    assert (home / "MyPoseFeatures/a.cdf").read_bytes() == b"poses"
    assert [p.name for p in home.parent.iterdir()] == ["S1"]
    shutil.rmtree(home / "MyPoseFeatures")
    with pytest.raises(DataError, match="remove both"):
        human36m._unpacked(tmp_path, out, "S1", Prepared())


def test_half_of_a_picked_picture_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    place = Place("a", SourceInfo("a.png", path=tmp_path / "a.png"), None)
    frame = Candidate(place, 0, None, np.zeros((16, 16, 3), np.uint8))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(StopError))
        with pytest.raises(StopError):
            proposals._write_frame(tmp_path / "out/a.png", frame, np.zeros((1, 1, 3), np.uint8))
    assert not list((tmp_path / "out").iterdir())
    proposals._write_frame(tmp_path / "out/a.png", frame, np.zeros((1, 1, 3), np.uint8))
    assert (tmp_path / "out/a.png").read_bytes() == b"picture"


def test_each_look_is_chosen_once_however_many_there_are() -> None:
    place = Place("a", SourceInfo("a"), None)
    looks = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 3), dtype=np.uint8)
    frames = [Candidate(place, n, None, look) for n, look in enumerate(looks)]
    doubles = [Candidate(place, 100 + n, None, looks[n]) for n in range(3)]
    chosen = choose([*frames, *doubles], np.arange(63.0), 60, "doubt", covered=frames[10:12])
    # none of those that are covered
    assert len(chosen) == 58
    assert not {10, 11} & set(chosen)
