"""Annotations keep their numbers from one form to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools import open_dataset
from poise.data_tools.formats import Reading, convert_annotations, read_annotations
from poise.errors import ArgumentError, DataError, FileMissingError

run = CliRunner().invoke


def people(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text())["annotations"]
    assert isinstance(found, list)
    return found


def test_coco_to_yolo_and_back(own: Any, tmp_path: Path) -> None:
    file = own(person4={"iscrowd": 1})
    found, files = convert_annotations(file, tmp_path, form="yolo")
    assert found.lost == {"crowd": 1}
    assert [f.name for f in files] == ["data.yaml", "labels"]
    label = (tmp_path / "labels/1.txt").read_text().split()
    assert label[:5] == ["0", "0.187500", "0.450000", "0.187500", "0.500000"]
    # a keypoint that is not labelled is at the corner
    assert label[-3:] == ["0.000000", "0.000000", "0"]
    convert_annotations(tmp_path / "data.yaml", tmp_path / "back.json")
    before, after = people(file)[:3], people(tmp_path / "back.json")
    assert len(after) == 3
    for one, two in zip(before, after, strict=True):
        triples = np.array(one["keypoints"], float).reshape(-1, 3)
        triples[triples[:, 2] == 0] = 0
        np.testing.assert_allclose(two["keypoints"], triples.ravel(), atol=1e-3)
        np.testing.assert_allclose(two["bbox"], one["bbox"], atol=1e-3)
    back = open_dataset(tmp_path / "back.json")
    assert back.metainfo["flip_indices"] == [0, 2, 1]
    assert back.metainfo["keypoint_id2name"][1] == "left_hand"


def test_yolo_files_with_faults_are_said(own: Any, tmp_path: Path) -> None:
    convert_annotations(own(), tmp_path, form="yolo")
    yaml, label = tmp_path / "data.yaml", tmp_path / "labels/1.txt"
    text = label.read_text()
    label.write_text("0 0.5\n" + text)
    with pytest.raises(DataError, match=r"1\.txt, line 1, has 2 numbers, expected 14"):
        read_annotations(yaml)
    label.write_text(text.replace("0.187500", "x", 1))
    with pytest.raises(DataError, match=r"1\.txt, line 1: could not convert"):
        read_annotations(yaml)
    label.write_text(text.replace("0.187500", "nan", 1))
    with pytest.raises(DataError, match=r"1\.txt, line 1: NaN or infinity among the numbers"):
        read_annotations(yaml)
    label.write_text("7" + text[1:])
    with pytest.raises(DataError, match=r"1\.txt, line 1: class 7, expected one of .* names, 0"):
        read_annotations(yaml)
    label.write_text(text)
    (tmp_path / "images/2.png").write_bytes(b"")
    found = read_annotations(yaml)
    assert found.lost == {"pictures that cannot be read": 1}
    assert found.ids == {"pictures that cannot be read": ["2.png"]}
    with pytest.raises(DataError, match="kpt_shape has 3 keypoints, the schema coco 17"):
        read_annotations(yaml, Reading(schema="coco"))
    with pytest.raises(FileMissingError, match="has none; give --images"):
        read_annotations(yaml, Reading(images=tmp_path / "labels"))
    yaml.write_text("names: [a]")
    with pytest.raises(DataError, match="needs kpt_shape"):
        read_annotations(yaml)


def test_two_numbers_a_keypoint_are_read(own: Any, tmp_path: Path) -> None:
    own()
    (tmp_path / "data.yaml").write_text("kpt_shape: [2, 2]\ntrain: images\nnames: [imp]\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/1.txt").write_text("0 0.5 0.5 0.2 0.2 0.5 0.5 0 0\n")
    found = read_annotations(tmp_path / "data.yaml")
    assert found.people[0]["keypoints"] == [80, 50, 2, 0, 0, 0]
    assert found.names == ["keypoint_0", "keypoint_1"]


def yolo(folder: Path, text: str, people: str, picture: str = "images/1.png") -> Path:
    """A data file, one picture, and its labels."""
    place = folder / picture
    place.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(place), np.zeros((100, 160, 3), np.uint8))
    label = folder / picture.replace("images", "labels").replace(".png", ".txt")
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text(people)
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


def test_keypoints_in_further_fields_are_said(own: Any, tmp_path: Path) -> None:
    path = own(person2={"foot_kpts": [1, 2, 2] * 6})
    found, _ = convert_annotations(path, tmp_path / "out.json")
    assert any(said.startswith("of each person only `keypoints`") for said in found.said)
    assert "foot_kpts stay as they are in COCO files" in " ".join(found.said)


def test_seventeen_keypoints_with_names_of_their_own_are_not_cocos(tmp_path: Path) -> None:
    names = [f"joint_{i}" for i in range(17)]
    text = f"kpt_shape: [17, 3]\ntrain: images\nkpt_names: {{0: {names}}}\n"
    line = "0 0.5 0.5 0.2 0.2" + " 0.5 0.5 2" * 17 + "\n"
    found = read_annotations(yolo(tmp_path, text, line))
    assert (found.schema, found.names) == ("", names)
    assert read_annotations(yolo(tmp_path, text.rsplit("kpt", 1)[0], line)).schema == "coco"
    with pytest.raises(DataError, match="kpt_shape has 17 keypoints, kpt_names 2"):
        read_annotations(yolo(tmp_path, text.replace(str(names), "[a, b]"), line))


def test_pictures_of_a_part_that_a_data_file_does_not_have_are_not_others(tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.2 0.2 0.5 0.5\n"
    text = "kpt_shape: [1, 2]\ntrain: [images/a, images/b]\n"
    file = yolo(tmp_path, text, line, "images/a/1.png")
    found = read_annotations(file)
    assert len(found.people) == 1
    assert any("names 2 folders of pictures for train: only" in said for said in found.said)
    with pytest.raises(DataError, match="names no pictures for val, only for train"):
        read_annotations(file, Reading(part="val"))


def test_json_lines_and_back(own: Any, tmp_path: Path) -> None:
    file = own()
    convert_annotations(file, tmp_path / "p.jsonl")
    first = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])
    assert first["keypoint_names"] == ["nose", "left_hand", "right_hand"]
    assert first["instances"][0]["keypoint_scores"] == [1, 1, 0]
    back, _ = convert_annotations(tmp_path / "p.jsonl", tmp_path / "back.json")
    assert back.categories == [{"id": 1, "name": "object"}]
    assert [p["bbox"] for p in people(tmp_path / "back.json")] == [p["bbox"] for p in people(file)]
    first["instances"][0]["keypoints"][0] = [None, None]
    (tmp_path / "p.jsonl").write_text(json.dumps(first) + "\n")
    nowhere = read_annotations(tmp_path / "p.jsonl").people[0]["keypoints"]
    assert nowhere[:3] == [0, 0, 0]
    assert nowhere[5] == 2
    (tmp_path / "p.jsonl").write_text('{"image": "a"}\n')
    with pytest.raises(DataError, match="line 1 is no result of Poise"):
        read_annotations(tmp_path / "p.jsonl")


def test_json_lines_keep_the_names_that_they_have(own: Any, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    convert_annotations(own(), file)
    first, second = map(json.loads, file.read_text().splitlines())
    # a model of one's own, whose data were called like a known schema
    file.write_text(json.dumps(first | {"schema": "coco"}) + "\n")
    found = read_annotations(file)
    assert (found.schema, found.names) == ("", ["nose", "left_hand", "right_hand"])
    with pytest.raises(DataError, match="are not those of the schema coco in its order"):
        read_annotations(file, Reading(schema="coco"))
    lines = [first, second | {"keypoint_names": ["a", "b", "c"]}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=r"line 2, has other keypoints \(a, b, c"):
        read_annotations(file)


def test_people_that_are_left_out_are_counted(own: Any, tmp_path: Path) -> None:
    found, _ = convert_annotations(own(), tmp_path / "c.json", without={2, 3})
    assert [person["id"] for person in people(tmp_path / "c.json")] == [1, 4]
    assert found.ids == {"people that were to be left out": [2, 3]}


def test_another_skeleton(shared: Path, tmp_path: Path) -> None:
    source = shared / "data/mmpose_samples/aic/test_aic.json"
    done = run(
        app,
        [
            "convert",
            str(source),
            "-o",
            str(tmp_path / "c.json"),
            "--schema",
            "aic",
            "--to-schema",
            "coco",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "17 keypoints of coco" in done.output
    before, after = people(source)[0], people(tmp_path / "c.json")[0]
    assert after["keypoints"][18:21] == before["keypoints"][:3]
    assert after["keypoints"][:15] == [0] * 15
    assert after["bbox"] == before["bbox"]
    assert len(open_dataset(tmp_path / "c.json")) == len(open_dataset(source, schema="aic"))


def test_forms_that_are_none_are_said(own: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="does not say the form; give --to"):
        convert_annotations(own(), tmp_path / "folder")
    with pytest.raises(ArgumentError, match="must be one of .*, got 'yol'; did you mean 'yolo'"):
        convert_annotations(own(), tmp_path / "folder", form="yol")
    with pytest.raises(FileMissingError, match="no annotation file"):
        read_annotations(tmp_path / "none.json")
    with pytest.raises(DataError, match="does not say which keypoints it has"):
        convert_annotations(own(), tmp_path / "x.json", to_schema="coco")
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(DataError, match="of no form that is known by its content"):
        read_annotations(tmp_path / "x.csv")


def test_parts_share_no_picture_and_lose_none(own: Any, tmp_path: Path) -> None:
    file = own()
    done = run(
        app,
        [
            "split",
            str(file),
            "-o",
            str(tmp_path / "parts"),
            "--share",
            "train=0.5",
            "--share",
            "val=0.5",
        ],
    )
    assert "1 picture, 2 annotations" in done.output
    parts = [json.loads((tmp_path / f"parts/{p}.json").read_text()) for p in ("train", "val")]
    images = [[image["id"] for image in part["images"]] for part in parts]
    assert sorted(images[0] + images[1]) == [1, 2]
    assert sum(len(part["annotations"]) for part in parts) == 4
    again = run(app, ["split", str(file), "-o", str(tmp_path / "again"), "--share", "train=0.5"])
    assert again.exit_code == 0
    assert json.loads((tmp_path / "again/train.json").read_text()) == parts[0]


def test_groups_stay_together(own: Any, tmp_path: Path) -> None:
    content = json.loads(own().read_text())
    content["images"] = [
        {"id": i, "file_name": f"{video}_{i}.jpg", "width": 9, "height": 9, "vid": video}
        for i, video in enumerate("aabbbcc")
    ]
    content["annotations"] = []
    file = tmp_path / "v.json"
    file.write_text(json.dumps(content))
    for rule in ("vid", r"^(\w)_"):
        options = ["--group-by", rule, "--share", "a=0.34", "--share", "b=0.66"]
        assert run(app, ["split", str(file), "-o", str(tmp_path / "g"), *options]).exit_code == 0
        parts = [json.loads((tmp_path / f"g/{p}.json").read_text())["images"] for p in "ab"]
        videos = [{image["vid"] for image in part} for part in parts]
        assert not videos[0] & videos[1]
        assert len(parts[0]) + len(parts[1]) == 7
    with pytest.raises(DataError, match="is no field of the images and does not match"):
        run(app, ["split", str(file), "-o", "g", "--group-by", "film"], catch_exceptions=False)
    with pytest.raises(ArgumentError, match="sum to 1 at most"):
        run(app, ["split", str(file), "-o", "g", "--share", "a=2"], catch_exceptions=False)
    with pytest.raises(ArgumentError, match="PART=SHARE"):
        run(app, ["split", str(file), "-o", "g", "--share", "a"], catch_exceptions=False)
