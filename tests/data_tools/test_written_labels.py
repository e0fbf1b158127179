"""Labels that are written for a labelling tool come back from it as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools.formats import (
    Reading,
    convert_annotations,
    find_form,
    read_annotations,
    write_annotations,
)
from poise.data_tools.formats.annotations import Annotations
from poise.errors import DataError

run = CliRunner().invoke

NAMES = ["nose", "left_hand", "right_hand"]
PEOPLE = [
    # picture, category, box, keypoints
    (1, 1, [10, 5, 50.5, 60], [30, 20.25, 2, 15, 50, 1, 0, 0, 0]),
    (1, 1, [70, 5, 60, 80], [100, 20, 2, 75, 50, 2, 125.5, 50, 1]),
    (2, 2, [10, 10, 40, 40], [20, 20, 2, 0, 0, 0, 40, 40, 2]),
]
TOOLS = ["labelme", "cvat", "label-studio", "deeplabcut", "sleap"]
#: which marks a tool has
HIDES = {"labelme", "cvat", "label-studio", "sleap"}
BOXED = {"labelme", "cvat", "label-studio"}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A COCO file of three pictures, the last without people, beside its pictures."""
    folder = tmp_path / "source"
    images = []
    for n, size in enumerate(((160, 100), (160, 100), (80, 60)), 1):
        (folder / "clip").mkdir(parents=True, exist_ok=True)
        picture = np.full((size[1], size[0], 3), 60, np.uint8)
        cv2.imwrite(str(folder / f"clip/{n}.png"), picture)
        name = f"clip/{n}.png"
        images.append({"id": n, "file_name": name, "width": size[0], "height": size[1]})
    people = [
        {"id": i, "image_id": n, "category_id": c, "bbox": b, "keypoints": k}
        for i, (n, c, b, k) in enumerate(PEOPLE, 1)
    ]
    common = {"keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}
    categories = [{"id": n, "name": name, **common} for n, name in ((1, "imp"), (2, "elf"))]
    content = {"images": images, "annotations": people, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def rows(found: Annotations, tool: str) -> list[tuple[Any, ...]]:
    """Picture, category, box and keypoints of everybody, as far as a tool knows them."""
    names = {image["id"]: Path(image["file_name"]).name for image in found.images}
    categories = {c["id"]: c["name"] for c in found.categories}
    result = []
    for person in found.people:
        triples = np.array(person["keypoints"], float).reshape(-1, 3)
        if tool not in HIDES:
            triples[:, 2] = np.where(triples[:, 2] > 0, 2, 0)
        result.append(
            (
                names[person["image_id"]],
                categories[person["category_id"]] if tool != "deeplabcut" else "",
                person["bbox"] if tool in BOXED else "",
                triples.tolist(),
            )
        )
    return sorted(result)


@pytest.mark.parametrize("tool", TOOLS)
def test_labels_come_back(tool: str, labels: Path, tmp_path: Path) -> None:
    if tool == "sleap":
        pytest.importorskip("h5py")
    out = tmp_path / "out" / ("labels.slp" if tool == "sleap" else "")
    before, files = convert_annotations(labels, out, form=tool)
    assert before.kept == len(PEOPLE)
    if tool == "deeplabcut":
        for picture in (tmp_path / "source/clip").iterdir():
            picture.rename(tmp_path / "out/labeled-data/clip" / picture.name)
    source = files[0] if tool in ("label-studio", "sleap") else tmp_path / "out"
    assert find_form(source) == tool
    after = read_annotations(source, Reading(images=_pictures(tool, tmp_path)))
    assert rows(after, tool) == rows(read_annotations(labels), tool)
    assert (after.names, after.swap) == (NAMES, [0, 2, 1])
    if tool in ("cvat", "deeplabcut", "sleap"):
        assert after.skeleton == [(0, 1), (0, 2)]
    sizes = {Path(i["file_name"]).name: (i["width"], i["height"]) for i in after.images}
    assert sizes["1.png"] == (160, 100)
    # a tool that lists pictures keeps those without people
    assert ("3.png" in sizes) == (tool in ("labelme", "cvat", "label-studio"))


def _pictures(tool: str, place: Path) -> Path | None:
    return place / "source" if tool in ("cvat", "label-studio", "sleap") else None


@pytest.mark.parametrize("tool", TOOLS)
def test_corrected_labels_are_not_overwritten(tool: str, labels: Path, tmp_path: Path) -> None:
    if tool == "sleap":
        pytest.importorskip("h5py")
    command = ["convert", str(labels), "--to", tool, "--out", str(tmp_path / "out")]
    first = run(app, command)
    assert first.exit_code == 0, first.output
    written = {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    for file in written:
        if file.name != "config.yaml":
            file.write_bytes(b"corrected")
    with pytest.raises(DataError, match="would be overwritten, with whatever somebody corrected"):
        convert_annotations(labels, tmp_path / "out", form=tool)
    assert all(f.read_bytes() == b"corrected" for f in written if f.name != "config.yaml")
    again = run(app, [*command, "--force"])
    assert again.exit_code == 0, again.output
    assert {f: f.read_bytes() for f in written} == written


def test_labelme_opens_pictures_where_they_lie(labels: Path, tmp_path: Path) -> None:
    _, files = convert_annotations(labels, labels.parent, form="labelme")
    assert [f.name for f in files] == ["1.json", "2.json", "3.json"]
    content = json.loads((labels.parent / "clip/1.json").read_text())
    assert content["imagePath"] == "1.png"
    assert content["imageData"] is None
    box, nose, hand, *_ = content["shapes"]
    assert (box["shape_type"], box["label"], box["group_id"]) == ("rectangle", "imp", 1)
    assert (nose["label"], nose["points"], nose["flags"]) == (
        "nose",
        [[30, 20.25]],
        {"occluded": False},
    )
    assert hand["flags"] == {"occluded": True}
    convert_annotations(labels, tmp_path / "apart", form="labelme")
    content = json.loads((tmp_path / "apart/clip/1.json").read_text())
    assert content["imagePath"] == "../../source/clip/1.png"


def test_labelme_has_a_file_for_each_picture(labels: Path, tmp_path: Path) -> None:
    found = read_annotations(labels)
    found.images[1] = found.images[1] | {"file_name": "clip/1.jpg"}
    with pytest.raises(DataError, match=r"clip/1\.jpg and clip/1\.png would both have their"):
        write_annotations(found, tmp_path, "labelme")


def test_cvat_gets_labels_for_its_task(labels: Path, tmp_path: Path) -> None:
    convert_annotations(labels, tmp_path / "out.xml")
    root = ET.parse(tmp_path / "out.xml").getroot()
    skeletons = root.findall("image/skeleton")
    assert [s.get("group_id") for s in skeletons] == ["1", "2", "1"]
    # every keypoint has a point, and those without a label a place to be drawn from
    assert [p.get("outside") for p in skeletons[0]] == ["0", "0", "1"]
    assert skeletons[0][2].get("points") == "35.25,35"
    raw = json.loads((tmp_path / "labels.json").read_text())
    assert [(entry["name"], entry["type"]) for entry in raw] == [
        ("imp", "skeleton"),
        ("imp box", "rectangle"),
        ("elf", "skeleton"),
        ("elf box", "rectangle"),
    ]
    assert [s["name"] for s in raw[0]["sublabels"]] == NAMES
    svg = ET.fromstring(f"<svg>{raw[0]['svg']}</svg>")
    assert [c.get("data-label-name") for c in svg.findall("circle")] == NAMES
    places = [float(c.get(axis, "nan")) for c in svg.findall("circle") for axis in ("cx", "cy")]
    assert min(places) >= 0
    assert max(places) <= 100
    assert [(e.get("data-node-from"), e.get("data-node-to")) for e in svg.findall("line")] == [
        ("1", "2"),
        ("1", "3"),
    ]


def test_label_studio_gets_an_interface(labels: Path, tmp_path: Path) -> None:
    found = read_annotations(labels)
    found.folder = labels.parent
    files = write_annotations(found, tmp_path / "out", "label-studio")
    tasks = json.loads(files[0].read_text())
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=source/clip/1.png"
    results = tasks[0]["annotations"][0]["result"]
    box, nose, hand, choice, *_ = results
    assert nose["parentID"] == box["id"] == "person1"
    assert (choice["id"], choice["value"]["choices"]) == (hand["id"], ["hidden"])
    assert box["value"]["x"] == 100 * 10 / 160
    view = ET.fromstring(files[1].read_text())
    controls = {element.get("name"): element.tag for element in view}
    assert {r["from_name"] for r in results} <= controls.keys()
    assert [e.get("value") for e in view.findall("KeyPointLabels/Label")] == NAMES
    assert [e.get("value") for e in view.findall("RectangleLabels/Label")] == ["imp", "elf"]


def test_proposals_count_once_somebody_took_them_over(labels: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    found = read_annotations(labels)
    found.folder, found.proposed_by = labels.parent, "a-model"
    people = rows(found, "cvat")
    found.people[0]["score"] = 0.25
    for tool, name in (("label-studio", "tasks.json"), ("sleap", "labels.slp")):
        write_annotations(found, tmp_path / tool, tool)
        source = tmp_path / tool / name
        with pytest.raises(DataError, match=r"no keypoints were found; left out: .*--predicted"):
            read_annotations(source)
        wanted = Reading(predicted=True, images=labels.parent)
        after = read_annotations(source, wanted)
        assert [row[3] for row in rows(after, tool)] == [row[3] for row in people]
    # a picture in which the model sees nobody is not one in which nobody is
    write_annotations(found, tmp_path / "labelme", "labelme")
    assert sorted(f.name for f in (tmp_path / "labelme").rglob("*.json")) == ["1.json", "2.json"]
    found.people[0]["keypoints"][6:] = [33, 44, 0]
    write_annotations(found, tmp_path / "cvat", "cvat")
    points = ET.parse(tmp_path / "cvat/annotations.xml").findall("image/skeleton/points")
    assert (points[2].get("outside"), points[2].get("points")) == ("1", "33,44")


def test_an_old_project_keeps_its_settings(labels: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    config = "scorer: me\nbodyparts: [nose]\n"
    (project / "config.yaml").write_text(config)
    convert_annotations(labels, project, form="deeplabcut")
    assert (project / "config.yaml").read_text() == config
    assert (project / "labeled-data/clip/CollectedData_me.csv").is_file()
    convert_annotations(labels, tmp_path / "new", form="deeplabcut")
    about = yaml.safe_load((tmp_path / "new/config.yaml").read_text())
    assert about["multianimalbodyparts"] == NAMES
    assert about["individuals"] == ["individual1", "individual2"]
    assert [Path(video).stem for video in about["video_sets"]] == ["clip"]


def test_what_has_no_place_is_counted(labels: Path, tmp_path: Path) -> None:
    content = json.loads(labels.read_text())
    content["annotations"][0] |= {"iscrowd": 1}
    content["annotations"][1] |= {"keypoints": [0] * 9}
    labels.write_text(json.dumps(content))
    found, _ = convert_annotations(labels, tmp_path / "a", form="labelme")
    assert (found.lost, found.kept) == ({"crowd": 1}, 2)
    found, _ = convert_annotations(labels, tmp_path / "b", form="deeplabcut")
    assert (found.lost, found.kept) == ({"crowd": 1, "without keypoints": 1}, 1)


def test_labels_of_two_rounds_become_one_file(labels: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    convert_annotations(labels, second / "labels", form="labelme")
    (tmp_path / "source/clip/1.png").rename(second / "labels/clip/9.png")
    file = second / "labels/clip/1.json"
    content = json.loads(file.read_text()) | {"imagePath": "9.png"}
    content["shapes"] = [s for s in content["shapes"] if s["group_id"] == 1]
    content["shapes"].append({**content["shapes"][-1], "label": "hat"})
    file.write_text(json.dumps(content))
    for n in (2, 3):
        (second / f"labels/clip/{n}.json").unlink()
    before = json.loads(labels.read_text())
    before["images"], before["annotations"] = before["images"][1:], before["annotations"][2:]
    labels.write_text(json.dumps(before))
    out = tmp_path / "all/train.json"
    command = ["convert", str(labels), "--add", str(second), "--add", str(labels)]
    found = run(app, [*command, "--out", str(out)])
    assert found.exit_code == 0, found.output
    assert "keypoints of the added labels that the others lack are left out: hat" in found.output
    assert "left out: 2 pictures that have labels already: ../source/clip/2.png" in found.output
    content = json.loads(out.read_text())
    names = [image["file_name"] for image in content["images"]]
    assert names == ["../source/clip/2.png", "../source/clip/3.png", "../second/labels/clip/9.png"]
    assert all((out.parent / name).is_file() for name in names)
    categories = {c["id"]: c["name"] for c in content["categories"]}
    people = [
        (p["image_id"], categories[p["category_id"]], p["keypoints"])
        for p in content["annotations"]
    ]
    assert people == [(1, "elf", PEOPLE[2][3]), (3, "imp", PEOPLE[0][3])]
    other = {"keypoints": ["beak"], "id": 1, "name": "hen"}
    person = {
        "id": 1,
        "image_id": 2,
        "category_id": 1,
        "bbox": [0, 0, 9, 9],
        "keypoints": [1, 1, 2],
    }
    hens = {**before, "annotations": [person], "categories": [other]}
    (tmp_path / "hens.json").write_text(json.dumps(hens))
    with pytest.raises(DataError, match="no keypoint in common: nose, left_hand, .* and beak"):
        convert_annotations(labels, out, added=[tmp_path / "hens.json"])
