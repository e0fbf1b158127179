"""COCO files as other programs write them: what can be known is filled in by a conversion."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import open_dataset
from poise.data_tools.formats import Reading, convert_annotations
from poise.datasets.coco_file import read_json
from poise.errors import DataError
from poise.metrics.coco_table import read_coco
from poise.training.own_data import find_files

POINTS = [[20, 30, 2], [40, 35, 2], [30, 60, 0]]
run = CliRunner().invoke


@pytest.fixture
def coco(tmp_path: Path) -> dict[str, Any]:
    """Content of a file with two people, whose pictures are there."""
    (tmp_path / "images").mkdir()
    images, people = [], []
    for number in (1, 2):
        name = f"p {number} é.png"
        ok, data = cv2.imencode(".png", np.full((80, 120, 3), 90, np.uint8))
        assert ok
        (tmp_path / "images" / name).write_bytes(data.tobytes())
        images.append({"id": number, "file_name": name, "width": 120, "height": 80})
        person = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0}
        person |= {"bbox": [10, 20, 60, 50], "area": 3000, "num_keypoints": 2}
        people.append(person | {"keypoints": [value for point in POINTS for value in point]})
    category = {"id": 1, "name": "imp", "keypoints": ["nose", "left_hand", "right_hand"]}
    return {"images": images, "annotations": people, "categories": [category]}


def write(folder: Path, content: Any, name: str = "own.json") -> Path:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def changed(content: dict[str, Any], rows: str, change: Any) -> dict[str, Any]:
    new = copy.deepcopy(content)
    for row in new[rows]:
        change(row)
    return new


def nested(row: dict[str, Any]) -> None:
    row["keypoints"] = copy.deepcopy(POINTS)


def pairs(row: dict[str, Any]) -> None:
    row["keypoints"] = [value for x, y, v in POINTS for value in ((x, y) if v else (0, 0))]


def without(*keys: str) -> Any:
    return lambda row: [row.pop(key) for key in keys]


FAULTS = {
    "sizes of pictures": ("images", without("width", "height")),
    "boxes, around the keypoints": ("annotations", without("bbox", "area")),
    "ids of annotations": ("annotations", without("id")),
    "people's keypoints as a flat list": ("annotations", nested),
    "visibilities of people's keypoints": ("annotations", pairs),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_conversion_fills_in_what_is_lacking(coco: Any, tmp_path: Path, what: str) -> None:
    source = write(tmp_path, changed(coco, *FAULTS[what]))
    found, [new] = convert_annotations(source, tmp_path / "new.json")
    assert found.said == [f"filled in: 2 {what}"]
    mended = json.loads(new.read_text())
    for image, before in zip(mended["images"], coco["images"], strict=True):
        assert image == before
    for person, before in zip(mended["annotations"], coco["annotations"], strict=True):
        assert person["id"] == before["id"]
        points = np.reshape(person["keypoints"], (3, 3))
        assert np.array_equal(points[:2], POINTS[:2])
        assert points[2, 2] == 0
        if "boxes" not in what:
            assert person["bbox"] == before["bbox"]
    dataset = open_dataset(new, images=tmp_path / "images")
    assert len(dataset) == 2
    # what is whole says nothing, and stays
    again, _ = convert_annotations(
        new, tmp_path / "again.json", Reading(images=tmp_path / "images")
    )
    assert again.said == []


def test_a_file_without_categories_gets_one(coco: Any, tmp_path: Path) -> None:
    bare = {key: rows for key, rows in coco.items() if key != "categories"}
    found, _ = convert_annotations(write(tmp_path, bare), tmp_path / "new.json")
    assert found.said == [
        "filled in: 1 category of which the file has none",
        "without a category: called 'object' by the keypoints",
    ]
    assert found.categories[0]["name"] == "object"
    assert found.names == ["keypoint_0", "keypoint_1", "keypoint_2"]


@pytest.mark.parametrize("folder", ["C:\\data\\images\\", "/home/other/images/", "images\\"])
def test_names_of_another_machine_lead_to_the_pictures_here(
    coco: Any, tmp_path: Path, folder: str
) -> None:
    names = changed(coco, "images", lambda row: row.update(file_name=folder + row["file_name"]))
    source = write(tmp_path, names)
    found, [new] = convert_annotations(source, tmp_path / "new.json")
    assert "names of pictures, below" in found.said[0]
    record = open_dataset(new, images=tmp_path).get_data_info(0)
    assert Path(record["img_path"]).is_file()
    found, [new] = convert_annotations(
        source, tmp_path / "new.json", Reading(images=tmp_path / "images")
    )
    assert json.loads(new.read_text())["images"][0]["file_name"] == "p 1 é.png"


def test_backslashes_are_folders_without_a_conversion(coco: Any, tmp_path: Path) -> None:
    names = changed(coco, "images", lambda row: row.update(file_name="images\\" + row["file_name"]))
    source = write(tmp_path, names)
    done = run(app, ["check", str(source), "--open-pictures"])
    assert (done.exit_code, "not found" in done.stdout) == (0, False)
    files = find_files(tmp_path, source)
    assert (files.train_images / "images/p 1 é.png").is_file()


def test_files_compressed_with_gzip_are_read_everywhere(coco: Any, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations/train.json.gz"
    path.write_bytes(gzip.compress(json.dumps(coco).encode()))
    assert read_json(str(path)) == read_coco(path) == coco
    done = run(app, ["check", str(path), "--open-pictures"])
    assert (done.exit_code, "not found" in done.stdout) == (0, False)
    assert find_files(tmp_path).train_ann == path
    found, _ = convert_annotations(path, tmp_path / "plain.json")
    assert found.kept == 2
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="its gzip is broken"):
        read_json(str(path))
    with pytest.raises(DataError, match="its gzip is broken"):
        read_coco(path)
    done = run(app, ["check", str(path)])
    assert "its gzip is broken" in str(done.exception)


def test_what_cannot_be_known_is_refused_with_what_helps(coco: Any, tmp_path: Path) -> None:
    source = write(tmp_path, changed(coco, "images", without("width")))
    with pytest.raises(DataError, match="poise data convert FILE -o NEW.json"):
        open_dataset(source)
    with pytest.raises(DataError, match="makes triples of pairs"):
        open_dataset(write(tmp_path, changed(coco, "annotations", nested)))
    gone = changed(coco, "images", lambda row: row.update(file_name="gone.png"))
    gone = changed(gone, "images", without("width", "height"))
    with pytest.raises(DataError, match="width"):
        convert_annotations(write(tmp_path, gone), tmp_path / "new.json")
