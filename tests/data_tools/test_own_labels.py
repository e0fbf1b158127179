"""Commands that read COCO files take the labels of labelling tools, too."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import open_dataset, with_coco_files
from poise.data_tools.formats import convert_annotations
from poise.training.own_data import OwnData, find_files

run = CliRunner().invoke


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A folder of labelme with two pictures."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((100, 160, 3), 60, np.uint8))
        shapes = [
            {"label": label, "points": [[x, 40]], "group_id": 1, "shape_type": "point"}
            for label, x in (("nose", 30), ("left_hand", 50), ("right_hand", 10))
        ]
        content = {"shapes": shapes, "imagePath": f"{name}.png", "imageHeight": 100}
        (folder / f"{name}.json").write_text(json.dumps(content | {"imageWidth": 160}))
    return folder


def test_data_commands_open_them(labels: Path, tmp_path: Path) -> None:
    dataset = open_dataset(labels)
    assert len(dataset) == 2
    assert dataset.metainfo["flip_indices"] == [0, 2, 1]
    written = Path(dataset.ann_file)
    assert written.is_file()
    del dataset
    assert not written.is_file()
    done = run(app, ["check", str(labels)])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "nothing found")
    assert "boxes were made of the keypoints for 2 of 2 people" in done.stderr
    done = run(app, ["draw", str(labels), "-o", str(tmp_path / "sheet.jpg")])
    assert done.exit_code == 0, done.output
    assert cv2.imread(str(tmp_path / "sheet.jpg")) is not None


def test_training_finds_them_below_its_root(labels: Path, tmp_path: Path) -> None:
    own, told = with_coco_files(OwnData(labels), tmp_path / "run")
    assert told[0] == (
        f"labels of {labels}: 2 pictures, 2 people, now {tmp_path / 'run/train.json'}"
    )
    files = find_files(own.root, own.train_ann, own.val_ann, own.train_images, own.val_images)
    assert (files.train_ann, files.train_images) == (tmp_path / "run/train.json", tmp_path / "run")
    rows = json.loads(files.train_ann.read_text())["images"]
    assert all((files.train_images / row["file_name"]).is_file() for row in rows)
    # as a file of the root, and for the validation
    own, _ = with_coco_files(
        OwnData(labels, train_ann=Path("a.json"), val_ann=Path("b.json")), tmp_path / "two"
    )
    assert own.val_ann == tmp_path / "two/val.json"
    assert len(json.loads(own.val_ann.read_text())["images"]) == 1


def test_coco_files_stay_as_they_are(labels: Path, tmp_path: Path) -> None:
    own, _ = with_coco_files(OwnData(labels), tmp_path / "run")
    same = OwnData(train_ann=own.train_ann, train_images=labels)
    assert with_coco_files(same, tmp_path / "again") == (same, [])
    assert with_coco_files(OwnData(tmp_path / "none"), tmp_path) == (OwnData(tmp_path / "none"), [])


def test_both_parts_of_yolo_are_taken(labels: Path, tmp_path: Path) -> None:
    convert_annotations(labels, tmp_path / "yolo", form="yolo")
    for part in ("train", "val"):
        (tmp_path / "yolo/images" / part).mkdir(parents=True)
        (tmp_path / "yolo/labels" / part).mkdir()
    for part, name in (("train", "a"), ("val", "b")):
        (labels / f"{name}.png").rename(tmp_path / f"yolo/images/{part}/{name}.png")
        (tmp_path / f"yolo/labels/{name}.txt").rename(tmp_path / f"yolo/labels/{part}/{name}.txt")
    data = tmp_path / "yolo/data.yaml"
    text = data.read_text().replace("train: images", "train: images/train")
    data.write_text(text.replace("val: images", "val: images/val"))
    own, told = with_coco_files(OwnData(tmp_path / "yolo"), tmp_path / "run")
    assert len(told) == 2
    names = [
        [image["file_name"] for image in json.loads(file.read_text())["images"]]
        for file in (own.train_ann, own.val_ann)
        if file is not None
    ]
    assert names == [["../yolo/images/train/a.png"], ["../yolo/images/val/b.png"]]
