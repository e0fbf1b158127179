"""`poise data browse` and `poise data boxes`: a config's samples, a detector's boxes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.main import app
from poise.data_tools import open_dataset
from poise.data_tools.browsing import browse
from poise.data_tools.detecting import detect_boxes
from poise.errors import ArgumentError, ConfigError, DataError

SIDE = 64
CONFIG = """
custom_imports = dict(imports=["browsed_parts"])
codec = dict(type="MSRAHeatmap", input_size=(64, 64), heatmap_size=(16, 16), sigma=1)
pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale", padding=1.0),
    dict(type="RandomBBoxTransform", shift_prob=0, rotate_prob=0, scale_factor=(0.5, 1.5)),
    dict(type="TopdownAffine", input_size=codec["input_size"]),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]
train_dataloader = dict(dataset=dict(
    type="BrowsedDataset", ann_file="labels.json", data_prefix=dict(img="../images"),
    data_root="ROOT", metainfo=META, pipeline=pipeline))
"""
PARTS = """
from poise.datasets.base import BaseCocoStyleDataset
from poise.registry import DATASETS

@DATASETS.register_module(force=True)
class BrowsedDataset(BaseCocoStyleDataset):
    METAINFO = dict(from_file="META")
"""


@pytest.fixture
def config(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A config over two pictures, whose data set class is the user's own."""
    labels = own()
    labels.rename(labels.with_name("labels.json"))
    meta = {
        "dataset_name": "own",
        "keypoint_info": {
            n: {"name": name, "id": n, "color": [255, 0, 0], "swap": ""}
            for n, name in enumerate(("nose", "left_hand", "right_hand"))
        },
        "skeleton_info": {},
        "joint_weights": [1.0] * 3,
        "sigmas": [],
    }
    (tmp_path / "browsed_parts.py").write_text(PARTS.replace('dict(from_file="META")', repr(meta)))
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "config.py"
    root = labels.parent.as_posix()
    file.write_text(CONFIG.replace("ROOT", root).replace("META", repr(meta)))
    yield file
    sys.modules.pop("browsed_parts", None)


def test_samples_are_drawn_with_their_targets(config: Path, tmp_path: Path) -> None:
    (file,) = browse(config, tmp_path / "sheet.png", num=2, size=128)
    sheet = cv2.imread(str(file))
    (plain,) = browse(config, tmp_path / "plain.png", num=2, size=128, targets=False)
    # the targets stand beside the pictures
    assert sheet.shape[1] > cv2.imread(str(plain)).shape[1]
    again = browse(config, tmp_path / "again.png", num=2, size=128)
    np.testing.assert_array_equal(cv2.imread(str(again[0])), sheet)


def test_epochs_draw_differently(config: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["data", "browse", str(config), "-o", str(tmp_path / "s.png"), "-n", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "wrote" in result.output
    one = cv2.imread(str(tmp_path / "s.png"))
    (file,) = browse(config, tmp_path / "two.png", num=1, times=2, size=320)
    two = cv2.imread(str(file))
    assert two.shape[1] > 1.5 * one.shape[1]
    first, second = two[40:340, 8:320], two[40:340, 8 + 648 : 648 + 320]
    assert first.shape == second.shape
    assert (first != second).any()


def test_a_config_with_own_classes_is_opened_by_all_commands(config: Path) -> None:
    assert type(open_dataset(config)).__name__ == "BrowsedDataset"


def test_settings_and_parts(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no val_dataloader; it has data for train"):
        browse(config, tmp_path / "s.png", part="val")
    with pytest.raises(DataError, match="no picture"):
        browse(
            config,
            tmp_path / "s.png",
            settings={"train_dataloader.dataset.pipeline": []},
        )


def test_detectors_are_shown_with_their_boxes(own: Any, tmp_path: Path) -> None:
    labels = own()
    place = "train_dataloader.dataset."
    settings = {
        f"{place}data_root": "",
        f"{place}ann_file": str(labels),
        f"{place}data_prefix.img": str(tmp_path / "images"),
        f"{place}metainfo": {"classes": ("imp",)},
    }
    (file,) = browse("nanodet", tmp_path / "s.png", num=2, settings=settings)
    blue, green, red = (cv2.imread(str(file))[..., n].astype(int) for n in range(3))
    # boxes are yellow, the pictures grey
    assert ((red > 200) & (green > 150) & (blue < 60)).sum() > 100


class Finder:
    """A box a picture, which tells its category."""

    description = "a finder"

    def detect(self, images: Any) -> list[np.ndarray]:
        return [np.array([[1, 2, 11, 22, 0.75, 4]], np.float32) for _ in images]


def test_boxes_are_written_as_bbox_file_takes_them(own: Any, tmp_path: Path) -> None:
    labels = own()
    dataset = open_dataset(labels)
    pictures, count, lost = detect_boxes(dataset, Finder(), tmp_path / "boxes.json")
    rows = json.loads((tmp_path / "boxes.json").read_text())
    assert (pictures, count, lost) == (2, 2, [])
    numbers = {image["id"] for image in json.loads(labels.read_text())["images"]}
    assert {row["image_id"] for row in rows} == numbers
    assert rows[0]["bbox"] == [1, 2, 10, 20]
    assert rows[0]["score"] == 0.75
    assert rows[0]["category_id"] == 4


def test_absent_pictures_are_counted(own: Any, tmp_path: Path) -> None:
    labels = own()
    content = json.loads(labels.read_text())
    content["images"][0]["file_name"] = "gone.jpg"
    labels.write_text(json.dumps(content))
    pictures, _, lost = detect_boxes(open_dataset(labels), Finder(), tmp_path / "b.json")
    assert pictures == 1
    assert [Path(p).name for p in lost] == ["gone.jpg"]
    for image in content["images"]:
        image["file_name"] = "gone.jpg"
    labels.write_text(json.dumps(content))
    with pytest.raises(DataError, match="none of the 2 pictures can be read"):
        detect_boxes(open_dataset(labels), Finder(), tmp_path / "b.json")


def test_the_command_looks_with_the_embedded_detector(own: Any, tmp_path: Path) -> None:
    out = tmp_path / "boxes.json"
    done = CliRunner().invoke(
        app, ["data", "boxes", str(own()), "-o", str(out), "--detector", "nanodet", "--score", "0"]
    )
    assert done.exit_code == 0, done.output
    assert "by nanodet" in done.output
    rows = json.loads(out.read_text())
    assert all(set(row) == {"image_id", "category_id", "bbox", "score"} for row in rows)
    assert len(rows) > 0


def test_whole_pictures_are_no_boxes_and_nobody_is_told(own: Any, tmp_path: Path) -> None:
    command = ["data", "boxes", str(own()), "-o", str(tmp_path / "b.json"), "--detector"]
    done = CliRunner().invoke(app, [*command, "whole-image"])
    assert isinstance(done.exception, ArgumentError)
    assert "name a detector" in str(done.exception)
    done = CliRunner().invoke(app, [*command, "nanodet", "--score", "1"])
    assert "0 boxes" in done.output
    assert "nobody was found" in done.output
