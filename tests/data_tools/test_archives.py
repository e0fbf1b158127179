"""Labels in .zip archives are read as if they were unpacked, and nothing gets out of its folder."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import open_dataset, with_coco_files
from poise.data_tools.formats import archives, convert_annotations
from poise.data_tools.formats.archives import unpack
from poise.errors import DataError
from poise.training.own_data import OwnData, find_files

run = CliRunner().invoke

PICTURE = cv2.imencode(".png", np.full((100, 160, 3), 60, np.uint8))[1].tobytes()
POINTS = {"nose": (30, 40), "left_hand": (50, 60), "right_hand": (10, 60)}


def labelme(picture: str) -> str:
    shapes = [
        {"label": name, "points": [list(place)], "group_id": 1, "shape_type": "point"}
        for name, place in POINTS.items()
    ]
    size = {"imageHeight": 100, "imageWidth": 160}
    return json.dumps({"shapes": shapes, "imagePath": picture, **size})


def coco() -> str:
    points = [value for place in POINTS.values() for value in (*place, 2)]
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 30, 60, 40], "area": 2400}
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "a b.png", "width": 160, "height": 100}],
            "annotations": [{**person, "iscrowd": 0, "num_keypoints": 3, "keypoints": points}],
            "categories": [{"id": 1, "name": "imp", "keypoints": list(POINTS)}],
        }
    )


def cvat() -> str:
    points = "".join(
        f'<points label="{name}" outside="0" occluded="0" points="{x},{y}"></points>'
        for name, (x, y) in POINTS.items()
    )
    label = "".join(
        f"<label><name>{n}</name><type>points</type><parent>imp</parent></label>" for n in POINTS
    )
    return (
        f"<annotations><meta><job><labels>{label}</labels></job></meta>"
        f'<image id="0" name="a.png" width="160" height="100"><skeleton label="imp">{points}'
        "</skeleton></image></annotations>"
    )


KINDS: dict[str, dict[str, str | bytes]] = {
    "labelme": {"mine/a.json": labelme("a.png"), "mine/a.png": PICTURE},
    "cvat": {"annotations.xml": cvat(), "images/a.png": PICTURE},
    "coco": {"annotations/people.json": coco(), "images/a b.png": PICTURE},
    "windows": {"mine\\a.json": labelme("a.png"), "mine\\a.png": PICTURE},
}


@pytest.fixture
def packed(tmp_path: Path) -> Callable[..., Path]:
    def pack(content: Mapping[str, str | bytes], name: str = "export.zip") -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in content.items():
                archive.writestr(path, data)
        return tmp_path / name

    return pack


@pytest.mark.parametrize("kind", KINDS)
def test_data_commands_open_them(packed: Any, tmp_path: Path, kind: str) -> None:
    junk = {"__MACOSX/mine/._a.json": b"\0", ".DS_Store": b"\0", "run.exe": b"MZ"}
    source = packed({**KINDS[kind], **junk})
    dataset = open_dataset(source)
    [record] = dataset
    assert record["keypoints"][0].tolist() == [list(p) for p in POINTS.values()]
    place = Path(record["img_path"])
    assert cv2.imread(str(place)).shape == (100, 160, 3)
    assert "unpacked 2 files of export.zip" in dataset.imported[0]
    assert "(3 of other kinds were left out)" in dataset.imported[0]
    del dataset, record
    assert not place.exists()
    done = run(app, ["draw", str(source), "-o", str(tmp_path / "sheet.png"), "-n", "1"])
    assert done.exit_code == 0, done.output
    done = run(app, ["stats", str(source)])
    assert f"{source}: kept 1 of 1" in done.stdout
    assert "poise-labels" not in done.output
    done = run(app, ["check", str(source), "--open-pictures"])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "nothing found")


@pytest.mark.parametrize("kind", KINDS)
def test_conversion_keeps_the_pictures_beside_what_it_writes(
    packed: Any, tmp_path: Path, kind: str
) -> None:
    found, [file] = convert_annotations(packed(KINDS[kind]), tmp_path / "out/train.json")
    assert found.kept == 1
    assert "unpacked 2 files" in found.said[0]
    assert list((tmp_path / "out/train_unpacked").rglob("a*.png"))
    assert len(open_dataset(file, images=next((tmp_path / "out").rglob("*.png")).parent)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["root", "train_ann"])
def test_training_takes_them(packed: Any, tmp_path: Path, kind: str, option: str) -> None:
    own, told = with_coco_files(OwnData(**{option: packed(KINDS[kind])}), tmp_path / "run")
    assert "unpacked" in told[0]
    files = find_files(own.root, own.train_ann, own.val_ann, own.train_images, own.val_images)
    assert json.loads(files.train_ann.read_text(encoding="utf-8"))["annotations"]
    assert files.train_images.is_relative_to(tmp_path / "run")


@pytest.mark.parametrize(
    "name", ["../a.json", "b/../../a.json", "/tmp/a.json", "C:\\a.json", "..\\a.json"]
)
def test_names_that_lead_out_are_refused(packed: Any, tmp_path: Path, name: str) -> None:
    source = packed({"b.json": labelme("a.png"), name: labelme("a.png")})
    with pytest.raises(DataError, match="leads out of the archive; nothing was unpacked"):
        unpack(source, tmp_path / "in/here")
    assert not (tmp_path / "in").exists()


def test_links_are_refused(packed: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        link = zipfile.ZipInfo("a.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="leads out of the archive"):
        unpack(tmp_path / "link.zip", tmp_path / "here")


def test_bombs_are_refused(packed: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(archives, "_SUSPECT_BYTES", 1_000_000)
    source = packed({"a.json": labelme("a.png"), "a.png": bytes(2_000_000)})
    with pytest.raises(DataError, match=r"would unpack to 2,000,\d+ bytes, which no labels do"):
        unpack(source, tmp_path / "here")
    monkeypatch.setattr(archives, "_MOST_FILES", 1)
    with pytest.raises(DataError, match="has 2 files, expected at most 1"):
        unpack(source, tmp_path / "here")


def test_a_full_disk_is_told_before_anything_is_written(
    packed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="has room for 10; make room"):
        unpack(packed(KINDS["cvat"]), tmp_path / "here")
    assert not list((tmp_path / "here").iterdir())


def test_broken_archives_and_those_without_labels(packed: Any, tmp_path: Path) -> None:
    whole = packed(KINDS["cvat"]).read_bytes()
    for size in (0, 10, len(whole) - 30):
        (tmp_path / "cut.zip").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"cut.zip is a broken archive"):
            open_dataset(tmp_path / "cut.zip")
    spoiled = bytearray(whole)
    spoiled[60:90] = bytes(30)
    (tmp_path / "spoiled.zip").write_bytes(spoiled)
    with pytest.raises(DataError, match="is a broken archive"):
        unpack(tmp_path / "spoiled.zip", tmp_path / "here")
    with pytest.raises(DataError, match=r"holds no labels that are read .* only \.exe"):
        open_dataset(packed({"a.exe": b""}))
    with pytest.raises(DataError, match="has no labels"):
        open_dataset(packed({"a.png": PICTURE}))
    with pytest.raises(DataError, match=r"several files of labels \(a.json, b.json\)"):
        open_dataset(packed({"a.json": coco(), "b.json": coco()}))


def test_encrypted_archives_are_told(tmp_path: Path, packed: Any) -> None:
    source = packed({"a.json": labelme("a.png")})
    content = bytearray(source.read_bytes())
    # the mark of encryption in the file's head and in the list at the end
    for head, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(head) + offset] |= 1
    source.write_bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked: .*encrypted"):
        unpack(source, tmp_path / "here")
