"""A file of labels finds its pictures from its own folder, wherever it is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.data_tools import open_dataset
from poise.data_tools.formats import Annotations, Reading, convert_annotations
from poise.data_tools.formats.annotations import link_to

Own = Callable[..., Path]


@pytest.fixture
def own(own: Own) -> Own:
    """The same with the pictures beside the labels."""

    def write(**changes: Any) -> Path:
        path = own(**changes)
        for file in list((path.parents[1] / "images").iterdir()):
            shutil.move(file, path.parent / file.name)
        return path

    return write


def named(path: Path, *names: str) -> None:
    """Give the pictures of a file other names."""
    content = json.loads(path.read_text())
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    path.write_text(json.dumps(content))


def names_of(path: Path) -> list[str]:
    return [image["file_name"] for image in json.loads(path.read_text())["images"]]


def assert_all_are_read(path: Path) -> None:
    dataset = open_dataset(path)
    assert all(Path(dataset.get_data_info(n)["img_path"]).is_file() for n in range(len(dataset)))


@pytest.mark.parametrize(
    ("out", "names"),
    [
        ("new.json", ["1.png", "2.png"]),
        ("deep/er/new.json", ["../../1.png", "../../2.png"]),
        ("../side/new.json", ["../{0}/1.png", "../{0}/2.png"]),
        ("../new.json", ["{0}/1.png", "{0}/2.png"]),
    ],
)
def test_names_are_those_from_the_new_file(own: Own, out: str, names: list[str]) -> None:
    path = own()
    home = path.parent / "data"
    home.mkdir()
    for file in list(path.parent.glob("*.*")):
        file.rename(home / file.name)
    target = home / out
    found, _ = convert_annotations(home / path.name, target)
    assert names_of(target) == [name.format(home.name) for name in names]
    assert found.said == []
    assert_all_are_read(target)
    # and back again
    back = home / "back.json"
    convert_annotations(target, back)
    assert_all_are_read(back)


def test_a_new_file_beside_the_old_one_has_its_names(own: Own) -> None:
    path = own()
    # as COCO's files, whose names are of a folder that configs say
    (path.parent / "images").mkdir()
    (path.parents[1] / "images").rmdir()
    for name in ("1.png", "2.png"):
        (path.parent / name).rename(path.parent / "images" / name)
    convert_annotations(path, path.with_name("new.json"))
    assert names_of(path.with_name("new.json")) in (
        ["1.png", "2.png"],
        ["images/1.png", "images/2.png"],
    )
    convert_annotations(path, path.parent / "sub/new.json")
    assert names_of(path.parent / "sub/new.json") == ["../images/1.png", "../images/2.png"]
    assert_all_are_read(path.parent / "sub/new.json")


def test_absolute_names_stay(own: Own) -> None:
    path = own()
    whole = [str(path.parent / name) for name in ("1.png", "2.png")]
    named(path, *whole)
    target = path.parent / "sub/new.json"
    # a namesake is not what was meant
    (path.parent / "sub").mkdir()
    shutil.copy(whole[0], path.parent / "sub/1.png")
    convert_annotations(path, target)
    assert names_of(target) == whole
    assert_all_are_read(target)


def test_names_of_another_machine_are_found_by_their_ends(own: Own) -> None:
    path = own()
    named(path, "D:\\pics\\1.png", "/mnt/far/2.png")
    target = path.parent / "sub/new.json"
    convert_annotations(path, target)
    assert names_of(target) == ["../1.png", "../2.png"]
    assert_all_are_read(target)


def test_missing_pictures_are_told_and_nothing_is_lost(own: Own) -> None:
    path = own()
    (path.parent / "2.png").unlink()
    target = path.parent / "sub/new.json"
    found, _ = convert_annotations(path, target)
    # where it would be
    assert names_of(target) == ["../1.png", "../2.png"]
    assert "1 of the 2 pictures" in found.said[0]
    assert "not found: 2.png; --images FOLDER says where" in found.said[0]
    (path.parent / "1.png").unlink()
    found, _ = convert_annotations(path, target)
    assert names_of(target) == ["1.png", "2.png"]
    assert "2 of the 2 pictures" in found.said[0]
    assert "not found, names kept: 1.png, 2.png" in found.said[0]
    assert len(found.people) == 4


def test_pictures_are_where_the_user_says(own: Own, tmp_path: Path) -> None:
    path = own()
    far = tmp_path / "far/away"
    far.mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (path.parent / name).rename(far / name)
    target = tmp_path / "sub/new.json"
    convert_annotations(path, target, Reading(images=far))
    assert names_of(target) == ["../far/away/1.png", "../far/away/2.png"]
    assert_all_are_read(target)


@pytest.fixture
def store(own: Own, tmp_path: Path) -> Path:
    """Labels in `proj/data`, a link; a picture is a link, too, as data stores make them."""
    path = own()
    (tmp_path / "big/set").mkdir(parents=True)
    (tmp_path / "big/objects").mkdir()
    (tmp_path / "proj").mkdir()
    for file in ("1.png", "2.png", path.name):
        shutil.move(path.parent / file, tmp_path / "big/set" / file)
    shutil.move(tmp_path / "big/set/1.png", tmp_path / "big/objects/aa.bin")
    (tmp_path / "big/set/1.png").symlink_to(tmp_path / "big/objects/aa.bin")
    (tmp_path / "proj/data").symlink_to(tmp_path / "big/set", target_is_directory=True)
    return tmp_path / "proj/data" / path.name


def test_links_stay_links(store: Path) -> None:
    target = store.parents[1] / "out/new.json"
    convert_annotations(store, target)
    assert names_of(target) == ["../data/1.png", "../data/2.png"]
    assert_all_are_read(target)


def test_a_new_file_behind_a_link_finds_its_pictures(store: Path, tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "proj/out").symlink_to(tmp_path / "a/b/c", target_is_directory=True)
    target = tmp_path / "proj/out/new.json"
    convert_annotations(store, target)
    assert_all_are_read(target)
    assert_all_are_read(tmp_path / "a/b/c/new.json")


def test_a_picture_that_two_links_lead_to_comes_once(store: Path, tmp_path: Path) -> None:
    same = tmp_path / "big/set" / store.name
    found, _ = convert_annotations(store, tmp_path / "new.json", added=[same])
    assert found.lost == {"pictures that have labels already": 2}
    assert len(found.images) == 2


@pytest.mark.parametrize("name", ["/far/a.png", "C:\\far\\a.png", "D:/far/a.png"])
def test_names_with_a_drive_are_left_alone(name: str) -> None:
    found: Any = Annotations([], [], [], [], [], [], folder=Path("here"))
    assert link_to(found, name, Path("there")) == name


def test_json_lines_follow_the_same_rule(own: Own, tmp_path: Path) -> None:
    target = tmp_path / "sub/poses.jsonl"
    convert_annotations(own(), target)
    lines = target.read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == [
        "../annotations/1.png",
        "../annotations/2.png",
    ]
