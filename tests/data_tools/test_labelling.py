"""Labels that a page edits: what changes is what was edited, and nothing else is ever lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from poise.data_tools.formats import convert_annotations
from poise.data_tools.labelling import LabelStore, Proposer, open_labels
from poise.data_tools.labelling.refusals import RefusedError
from poise.data_tools.labelling.showing import shown_picture
from poise.errors import DataError, FileMissingError
from poise.transforms import LoadImage

NAMES = "nose,left_hand,right_hand"
Own = Callable[..., Path]


def save(store: LabelStore, number: int, change: Callable[[Any], None], **more: Any) -> Any:
    """Change a picture as the page does."""
    picture = store.people(number)
    change(picture)
    return store.save(number, {k: picture[k] for k in ("version", "people", "reviewed")} | more)


def move(k: int, *values: float, person: int = 0) -> Callable[[Any], None]:
    def change(picture: Any) -> None:
        picture["people"][person]["keypoints"][k] = [*values]

    return change


def new(*points: list[float], key: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": None, "key": key, "category_id": 1, "keypoints": [*points], "bbox": None, **more}


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def nothing(picture: Any) -> None:
    """No edit."""


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 90, np.uint8))
    return folder


def test_only_the_edited_keypoint_changes(own: Own) -> None:
    more = {"segmentation": [[1, 2, 3]], "mood": "good", "keypoints": [30.123456789, 30, 2] * 3}
    path = own(person1=more)
    content = read(path)
    content |= {"info": {"by": "ö"}, "licenses": [1], "mine": {"a": None}}
    content["images"][0] |= {"license": 3, "flickr_url": "u"}
    path.write_text(json.dumps(content))
    store = open_labels(path)
    save(store, 0, move(1, 31.5, 40, 1))
    content["annotations"][0]["keypoints"][3:6] = [31.5, 40, 1]
    content["annotations"][0]["num_keypoints"] = 3
    assert read(path) == content
    assert list(read(path)) == list(content)
    backup = path.with_name("own.json.first.bak")
    assert read(backup)["annotations"][0]["keypoints"] == [30.123456789, 30, 2] * 3
    assert (path.stat().st_mode, store.file.backup) == (backup.stat().st_mode, backup)


def test_a_second_session_keeps_both_copies(own: Own) -> None:
    path = own()
    first = path.read_bytes()
    save(open_labels(path), 0, move(0, 30, 31, 2))
    second = path.read_bytes()
    store = open_labels(path)
    save(store, 0, move(0, 30, 32, 2))
    save(store, 0, move(0, 30, 33, 2))
    assert path.with_name("own.json.first.bak").read_bytes() == first
    assert path.with_name("own.json.last.bak").read_bytes() == second


def test_nothing_is_written_where_nothing_changes(own: Own) -> None:
    path = own()
    before, names = path.read_bytes(), files(path.parent)
    save(open_labels(path), 0, nothing)
    assert (path.read_bytes(), files(path.parent)) == (before, names)


def test_a_box_stays_while_it_holds_what_moves(own: Own) -> None:
    store = open_labels(own())
    save(store, 0, move(0, 40, 69, 2))
    ann = read(store.out)["annotations"][0]
    assert (ann["bbox"], ann["area"]) == ([15, 20, 30, 50], 1500)
    assert save(store, 0, move(0, 90, 30, 2))["boxes"][0] == [13, 23, 84, 44]
    ann = read(store.out)["annotations"][0]
    # 0.1 of the longer side around the keypoints, as wherever boxes are made
    assert (ann["bbox"], ann["area"], ann["num_keypoints"]) == ([13, 23, 84, 44], 84 * 44, 2)
    # the given one is back as soon as it fits
    save(store, 0, move(0, 30, 30, 2))
    assert read(store.out)["annotations"][0]["bbox"] == [15, 20, 30, 50]


def test_a_box_that_was_made_of_keypoints_follows_them(own: Own) -> None:
    store = open_labels(own(person1={"bbox": [17, 27, 16, 36]}))
    save(store, 0, move(0, 25, 40, 2))
    assert read(store.out)["annotations"][0]["bbox"] == [18, 38, 9, 24]


def test_a_box_comes_back_with_the_keypoints(own: Own) -> None:
    path = own(person2={"bbox": [75.5, 20.25, 30.125, 50]})
    before = read(path)["annotations"]
    store = open_labels(path)
    people = store.people(0)["people"]
    save(store, 0, move(0, 1, 1, 2, person=1))
    assert read(path)["annotations"][1]["bbox"] != before[1]["bbox"]
    save(store, 0, lambda picture: picture["people"].pop())
    save(store, 0, lambda picture: picture.update(people=people))
    assert sorted(read(path)["annotations"], key=lambda a: a["id"]) == before


def test_the_area_of_an_outline_stays(own: Own) -> None:
    store = open_labels(own(person1={"segmentation": [[0, 0, 9, 0, 9, 9]], "area": 40.5}))
    save(store, 0, move(0, 90, 30, 2))
    ann = read(store.out)["annotations"][0]
    assert (ann["area"], ann["bbox"]) == (40.5, [13, 23, 84, 44])


def test_somebody_new_gets_an_id_and_keeps_it(own: Own) -> None:
    store = open_labels(own())
    person = new([50, 50, 2], [0, 0, 0], [60, 70, 1], bbox=[40, 40, 40, 40])
    for x in (50, 51):
        # the page goes on without asking for the id
        person["keypoints"][0] = [x, 50, 2]
        store.save(1, {**store.people(1), "people": [person]})
    # one of the same name in another picture is another one
    store.save(0, {**store.people(0), "people": [person]})
    assert [(a["id"], a["image_id"]) for a in read(store.out)["annotations"]] == [(5, 2), (6, 1)]
    store.save(0, {**store.people(0), "people": []})
    assert read(store.out)["annotations"][-1] == {
        "id": 5,
        "image_id": 2,
        "category_id": 1,
        "bbox": [40, 40, 40, 40],
        "area": 1600,
        "iscrowd": 0,
        "num_keypoints": 2,
        "keypoints": [51, 50, 2, 0, 0, 0, 60, 70, 1],
    }


def test_a_drawn_box_that_is_too_small_is_made_anew(own: Own) -> None:
    store = open_labels(own())
    person = new([50, 50, 2], [0, 0, 0], [60, 70, 2], bbox=[55, 55, 4, 4])
    save(store, 1, lambda picture: picture["people"].append(person))
    assert read(store.out)["annotations"][-1]["bbox"] == [48, 48, 14, 24]


def change(person: int = 0, **fields: Any) -> Callable[[Any], None]:
    return lambda picture: picture["people"][person].update(fields)


def test_a_box_that_is_drawn_stays_as_drawn(own: Own) -> None:
    path = own(person1={"mood": "good"})
    store, before = open_labels(path), read(path)["annotations"][0]
    save(store, 0, change(bbox=[10.5, 20, 90, 60.25], drawn=True))
    drawn = {"bbox": [10.5, 20, 90, 60.25], "area": 5422.5}
    assert read(path)["annotations"][0] == before | drawn
    # also for a page that was loaded again, and when points leave it
    assert store.people(0)["people"][0]["drawn"] is True
    save(store, 0, move(0, 5, 5, 2))
    assert read(path)["annotations"][0]["bbox"] == drawn["bbox"]
    # undone, all is as it was
    save(store, 0, change(drawn=False, keypoints=[[30, 30, 2], [20, 60, 2], [40, 60, 0]]))
    assert read(path)["annotations"][0] == before


def test_the_area_of_an_outline_stays_when_a_box_is_drawn(own: Own) -> None:
    store = open_labels(own(person1={"segmentation": [[0, 0, 9, 0, 9, 9]], "area": 40.5}))
    save(store, 0, change(bbox=[1, 2, 30, 40], drawn=True))
    ann = read(store.out)["annotations"][0]
    assert (ann["area"], ann["bbox"]) == (40.5, [1, 2, 30, 40])


def test_a_box_alone_is_somebody(own: Own) -> None:
    store = open_labels(own())
    person = new(*[[0, 0, 0]] * 3, bbox=[50, 51, 20, 22], drawn=True)
    save(store, 0, lambda picture: picture["people"].append(person))
    ann = read(store.out)["annotations"][-1]
    assert (ann["id"], ann["bbox"], ann["area"], ann["num_keypoints"]) == (
        5,
        [50, 51, 20, 22],
        440,
        0,
    )
    # the same one gets its points
    person["keypoints"] = [[55, 55, 2], [0, 0, 0], [0, 0, 0]]
    save(store, 0, lambda picture: picture.update(people=[*picture["people"][:2], person]))
    assert [a["id"] for a in read(store.out)["annotations"]] == [1, 2, 3, 4, 5]


@pytest.fixture
def two_kinds(own: Own) -> Path:
    """Labels of imps and of birds, which have the nose in common."""
    path = own(person1={"mood": "good", "keypoints": [30.123456789, 30, 2, 20, 60, 2, 40, 60, 1]})
    content = read(path)
    bird = {"id": "b", "name": "bird", "keypoints": ["beak", "nose"], "skeleton": [[1, 2]]}
    content["categories"].append(bird)
    path.write_text(json.dumps(content))
    return path


def test_another_category_has_the_points_of_the_same_name(two_kinds: Path) -> None:
    store, before = open_labels(two_kinds), read(two_kinds)["annotations"][0]
    aside = {"left_hand": [20, 60, 2], "right_hand": [40, 60, 1]}
    points = [[0, 0, 0], [30.123456789, 30, 2]]
    save(store, 0, change(category_id="b", keypoints=points, aside=aside))
    more = {"category_id": "b", "keypoints": [0, 0, 0, 30.123456789, 30, 2], "num_keypoints": 1}
    assert read(two_kinds)["annotations"][0] == before | more
    # a page that is loaded again knows what is aside
    found = store.people(0)["people"][0]
    assert (found["category_id"], found["aside"]) == ("b", aside)
    # the box still makes room
    save(store, 0, move(0, 100, 30, 2))
    assert read(two_kinds)["annotations"][0]["bbox"][2] > 60
    # and all comes back
    old = [[30.123456789, 30, 2], *aside.values()]
    save(store, 0, change(category_id=1, keypoints=old, aside={}))
    assert read(two_kinds)["annotations"][0] == before


def test_a_category_changes_without_any_points(two_kinds: Path) -> None:
    content = read(two_kinds)
    del content["annotations"][0]["keypoints"]
    two_kinds.write_text(json.dumps(content))
    store = open_labels(two_kinds)
    save(store, 0, change(category_id="b", keypoints=[[0, 0, 0]] * 2))
    ann = read(two_kinds)["annotations"][0]
    assert (ann["category_id"], ann["num_keypoints"], "keypoints" in ann) == ("b", 0, False)


def test_somebody_new_changes_category(two_kinds: Path) -> None:
    store = open_labels(two_kinds)
    person = new([50, 50, 2], [0, 0, 0], [60, 70, 1])
    save(store, 0, lambda picture: picture["people"].append(person))
    person |= {"category_id": "b", "keypoints": [[0, 0, 0], [50, 50, 2]]}
    save(store, 0, lambda picture: picture.update(people=[*picture["people"][:2], person]))
    ann = read(two_kinds)["annotations"][-1]
    assert (ann["id"], ann["category_id"], ann["keypoints"]) == (5, "b", [0, 0, 0, 50, 50, 2])


def test_somebody_without_a_point_is_not_written(own: Own) -> None:
    store = open_labels(own())
    answer = save(store, 0, lambda p: p["people"].append(new(*[[0, 0, 0]] * 3)), reviewed=True)
    assert answer["boxes"] == [[15, 20, 30, 50], [75, 20, 30, 50], None]
    assert len(read(store.out)["annotations"]) == 4


def test_who_is_deleted_comes_back_whole(own: Own) -> None:
    path = own(person2={"mood": "bad"})
    store = open_labels(path)
    before = store.people(0)["people"]
    save(store, 0, lambda picture: picture["people"].pop())
    assert [a["id"] for a in read(path)["annotations"]] == [1, 3, 4]
    save(store, 0, lambda picture: picture.update(people=before))
    back = {a["id"]: a for a in read(path)["annotations"]}
    assert back[2]["mood"] == "bad"
    assert sorted(back) == [1, 2, 3, 4]


def test_a_loop_of_two_rounds_finds_all_pictures(tmp_path: Path) -> None:
    def labelled(name: str) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.zeros((40, 60, 3), np.uint8))
        store = open_labels(folder, keypoints=NAMES)
        save(
            store,
            0,
            lambda p: p["people"].append(new([1, 2, 2], [30, 4, 2], [5, 30, 2])),
            reviewed=True,
        )
        return folder / "labels.json"

    first, both = tmp_path / "train.json", tmp_path / "train_2.json"
    found, _ = convert_annotations(labelled("a"), first, reviewed=True)
    assert (found.folder, read(first)["images"][0]["file_name"]) == (tmp_path, "a/images/a.png")
    found, _ = convert_annotations(labelled("b"), both, reviewed=True, added=[first])
    names = [image["file_name"] for image in read(both)["images"]]
    assert (names, found.said) == (["b/images/b.png", "a/images/a.png"], [])
    (tmp_path / "a" / "images" / "a.png").unlink()
    found, _ = convert_annotations(tmp_path / "b/labels.json", both, reviewed=True, added=[first])
    lacks = f"1 of the 1 pictures of {first} not found, names kept: a/images/a.png; --images FOLDER"
    assert found.said == [f"{lacks} says where they are"]


def test_reviewed_is_of_the_picture(own: Own) -> None:
    store = open_labels(own())
    save(store, 1, nothing, reviewed=True)
    assert [image.get("reviewed") for image in read(store.out)["images"]] == [None, True]
    assert (store.reviewed, store.overview()["reviewed"]) == (1, [1])
    assert open_labels(store.out).reviewed == 1
    assert store.unseen == 1
    save(store, 1, nothing, reviewed=False)
    assert "reviewed" not in read(store.out)["images"][1]


def test_only_reviewed_pictures_are_converted(own: Own, tmp_path: Path) -> None:
    path, out = own(), tmp_path / "annotations/out.json"
    with pytest.raises(DataError, match="none of its 2 pictures is marked as reviewed; `poise"):
        convert_annotations(path, out, reviewed=True)
    save(open_labels(path), 1, nothing, reviewed=True)
    found, _ = convert_annotations(path, out, reviewed=True)
    assert found.lost == {"pictures that are not reviewed": 1}
    assert [a["image_id"] for a in read(out)["annotations"]] == [2, 2]


def test_what_an_audit_doubts_is_shown_alone(own: Own, tmp_path: Path) -> None:
    path, file = own(), tmp_path / "audit.json"
    save(open_labels(path), 1, nothing, reviewed=True)
    about = {"sure": 0.5, "kind": "jump", "keypoints": ["nose"], "about": "far"}
    findings = [about | {"id": 4}, about | {"id": 3}, about | {"id": 99, "image_id": 77}]
    file.write_text(json.dumps({"findings": findings}))
    store = open_labels(path, doubts=file)
    overview = store.overview()
    assert (overview["numbers"], overview["names"], overview["people"]) == ([1], ["2.png"], [2])
    # also where somebody has been before
    assert overview["reviewed"] == []
    assert store.people(1)["reviewed"] is True
    assert [doubt["id"] for doubt in store.people(1)["doubts"]] == [4, 3]
    # a person whom the labels lack
    file.write_text(json.dumps({"findings": [about | {"id": None, "image_id": 1}]}))
    assert open_labels(path, doubts=file).overview()["numbers"] == [0]
    file.write_text(json.dumps({"findings": findings[2:]}))
    with pytest.raises(DataError, match="none of the 1 findings is of a picture of .*own.json"):
        open_labels(path, doubts=file)
    file.write_text("{}")
    with pytest.raises(DataError, match="is no file of poise data audit --out"):
        open_labels(path, doubts=file)
    # without findings there is nothing to show alone
    file.write_text('{"findings": []}')
    assert open_labels(path, doubts=file).overview()["numbers"] == [0, 1]


def test_crowds_and_other_categories_stay(own: Own) -> None:
    path = own(person2={"iscrowd": 1}, person3={"category_id": 7, "keypoints": []})
    content = read(path)
    content["categories"].append({"id": 7, "name": "tree"})
    content["annotations"][3]["image_id"] = 99
    path.write_text(json.dumps(content))
    store = open_labels(path)
    assert store.overview()["people"] == [1, 0]
    save(store, 0, lambda picture: picture["people"].clear())
    assert read(path)["annotations"] == content["annotations"][1:]


def test_keypoints_that_are_no_numbers_are_not_labelled(own: Own) -> None:
    nan = float("nan")
    store = open_labels(
        own(person1={"keypoints": [nan, 1, 2, 3, 4, 2, 5, 6, 2], "bbox": [nan] * 4})
    )
    person = store.people(0)["people"][0]
    assert (person["keypoints"][0], person["bbox"]) == ([0, 0, 0], None)
    save(store, 0, move(1, 30, 40, 2))
    ann = read(store.out)["annotations"][0]
    assert np.isnan(ann["keypoints"][0])
    assert (ann["num_keypoints"], ann["bbox"]) == (2, [1.6, 2.6, 31.8, 40.8])


def test_keypoints_that_are_something_else_are_told(own: Own) -> None:
    store = open_labels(own(person1={"keypoints": [1, 1, 2, "a", 1, 2, 1, 1, 2]}))
    with pytest.raises(RefusedError, match="annotation 1 has something else than numbers in"):
        store.people(0)
    assert len(store.people(1)["people"]) == 2


def test_two_tabs_do_not_overwrite_one_another(own: Own) -> None:
    store = open_labels(own())
    tab = store.people(0)
    save(store, 0, move(0, 30, 31, 2))
    written = store.out.read_bytes()
    tab["people"][0]["keypoints"][1] = [1, 1, 2]
    with pytest.raises(
        RefusedError, match="This picture was changed in another tab.*not s"
    ) as caught:
        store.save(0, tab)
    assert (caught.value.status, caught.value.stale) == (409, "picture")
    assert store.out.read_bytes() == written
    # the other picture is another matter
    save(store, 1, move(0, 30, 31, 2))


def test_a_file_that_somebody_else_changed_is_not_overwritten(own: Own) -> None:
    path = own()
    store = open_labels(path)
    other = read(path)
    other["annotations"][0]["keypoints"] = [1, 2, 2] * 3
    path.write_text(json.dumps(other))
    with pytest.raises(RefusedError, match="own.json was changed by another program") as caught:
        save(store, 0, move(0, 30, 31, 2))
    assert (caught.value.status, caught.value.stale) == (409, "file")
    assert read(path) == other
    store.reload()
    assert store.people(0)["people"][0]["keypoints"] == [[1, 2, 2]] * 3
    save(store, 0, move(0, 30, 31, 2))
    assert read(path)["annotations"][0]["keypoints"] == [30, 31, 2, 1, 2, 2, 1, 2, 2]


def test_two_pages_of_one_file_see_one_another(own: Own) -> None:
    path = own()
    one, two = open_labels(path), open_labels(path)
    save(one, 0, move(0, 30, 31, 2))
    with pytest.raises(RefusedError, match="second labelling page"):
        save(two, 1, move(0, 30, 31, 2))
    assert read(path)["annotations"][0]["keypoints"][:2] == [30, 31]


def test_a_failed_write_changes_nothing(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_labels(own())
    before = store.out.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(RefusedError, match="own.json cannot be written: No space left"):
            save(store, 0, move(0, 30, 31, 2))
    assert store.out.read_bytes() == before
    assert files(store.out.parent) == ["own.json", "own.json.first.bak"]
    # tried again, the same change goes in
    save(store, 0, move(0, 30, 31, 2))
    assert read(store.out)["annotations"][0]["keypoints"][:2] == [30, 31]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: p.update(people=3), "`people` is a list"),
        (lambda p: p["people"].append(3), r"people\[2\] is a int, expected an object"),
        (lambda p: p["people"].append(p["people"][0]), "a person comes twice"),
        (lambda p: p["people"].extend([new(*[[1, 1, 2]] * 3)] * 2), "a `key` comes twice"),
        (lambda p: p["people"][0].update(id=3), "no person 3 in picture 0"),
        (lambda p: p["people"][0].update(id=[3]), "id is a number, a text or null"),
        (lambda p: p["people"][0].update(id=None), "is new and needs a text as `key`"),
        (
            lambda p: p["people"][0].update(category_id=9),
            r"must be one of 1 \(imp\), got 9",
        ),
        (lambda p: p["people"][0].update(category_id=[]), "category_id must be one of"),
        (lambda p: p["people"][0].update(keypoints=[[1, 1, 2]]), r"are 3 lists \[x, y, v\]"),
        (move(0, 1, 1, 7), "v of 0, 1 or 2"),
        (move(0, float("nan"), 1, 2), "finite numbers"),
        (move(0, 1e300, 1, 2), "finite numbers"),
        (lambda p: p["people"][0]["keypoints"].__setitem__(0, ["a", 1, 2]), "finite numbers"),
        (lambda p: p["people"][0].update(bbox=[1, 2, 0, 4]), "bbox is"),
        (
            lambda p: p["people"][0].update(bbox=None, drawn=True),
            "drawn is true or false, true only",
        ),
        (lambda p: p["people"][0].update(drawn="yes"), "drawn is true or false"),
        (lambda p: p["people"][0].update(aside=[1]), "aside has"),
        (lambda p: p["people"][0].update(aside={"tail": [1, 2]}), r"aside has \[x, y, v\]"),
        (lambda p: p["people"][0].update(aside={"tail": [1, 2, 3]}), r"aside has \[x, y, v\]"),
        (lambda p: p.update(reviewed="yes"), "saved as an object with `version`, `people` and"),
        (lambda p: p.update(version=0), "changed in another tab"),
    ],
)
def test_what_the_page_would_not_send_is_refused(own: Own, change: Any, text: str) -> None:
    store = open_labels(own())
    before = store.out.read_bytes()
    with pytest.raises(RefusedError, match=text):
        save(store, 0, change)
    assert store.out.read_bytes() == before


@pytest.mark.parametrize("number", [-1, 2])
def test_only_listed_pictures_are_given(own: Own, number: int) -> None:
    store = open_labels(own())
    for act in (store.people, store.path, lambda n: store.save(n, {})):
        with pytest.raises(RefusedError, match="there are 2 pictures"):
            act(number)


@pytest.mark.parametrize(
    ("keypoints", "name"),
    [("snout,left_ear,tail", "animal"), ("coco", "person"), ("ap10k", "animal"), ("a,b", "object")],
)
def test_what_is_labelled_is_called_by_its_keypoints(
    pictures: Path, keypoints: str, name: str
) -> None:
    labels = open_labels(pictures, keypoints=keypoints).labels
    assert [kind.name for kind in labels.kinds.values()] == [name]
    assert f"called '{name}', by its keypoints; --category NAME" in labels.said[-1]
    named = open_labels(pictures, keypoints=keypoints, category="imp").labels
    assert ([kind.name for kind in named.kinds.values()], named.said) == (["imp"], [])


def test_bare_pictures_are_labelled_from_nothing(pictures: Path) -> None:
    store = open_labels(pictures, keypoints=NAMES, category="mouse")
    assert store.overview()["names"] == ["a.png", "b.png"]
    assert not store.out.exists()
    save(store, 1, lambda p: p["people"].append(new([5, 6, 2], [7, 8, 1], [0, 0, 0])))
    content = read(pictures / "labels.json")
    # only what somebody saw is in the file
    assert content["images"] == [{"id": 2, "file_name": "b.png", "width": 60, "height": 40}]
    assert content["categories"] == [
        {"id": 1, "name": "mouse", "keypoints": NAMES.split(","), "skeleton": []}
    ]
    assert content["annotations"][0]["keypoints"] == [5, 6, 2, 7, 8, 1, 0, 0, 0]
    assert files(pictures) == ["a.png", "b.png", "labels.json"]
    # the next day no options are needed, and all pictures are there
    again = open_labels(pictures)
    assert sorted(again.overview()["names"]) == ["a.png", "b.png"]
    assert again.overview()["people"] == [1, 0]


def test_a_schema_gives_links_and_colours(pictures: Path) -> None:
    store = open_labels(pictures, keypoints="coco")
    (kind,) = store.overview()["kinds"]
    assert kind["keypoints"][5:7] == ["left_shoulder", "right_shoulder"]
    assert (kind["swap"][5], kind["colors"][5], len(kind["links"])) == (6, "#00ff00", 19)
    save(store, 0, nothing, reviewed=True)
    assert len(read(store.out)["categories"][0]["skeleton"]) == 19
    assert open_labels(pictures).overview()["kinds"] == [kind]


def test_a_metadata_file_gives_them_too(pictures: Path, tmp_path: Path) -> None:
    meta = {
        "dataset_name": "imp",
        "keypoint_info": {
            0: {"name": "nose", "id": 0, "color": [1, 2, 3], "swap": ""},
            1: {"name": "tail", "id": 1, "color": [4, 5, 6], "swap": ""},
        },
        "skeleton_info": {0: {"link": ("nose", "tail"), "id": 0, "color": [7, 8, 9]}},
        "joint_weights": [1, 1],
        "sigmas": [],
    }
    file = tmp_path / "imp.py"
    file.write_text(f"dataset_info = {meta!r}\n")
    store = open_labels(pictures, keypoints=str(file))
    (kind,) = store.overview()["kinds"]
    assert (kind["colors"], kind["link_colors"]) == (["#010203", "#040506"], ["#070809"])


def test_keypoints_without_sides_differ_in_colour(pictures: Path) -> None:
    (kind,) = open_labels(pictures, keypoints="a,left_b,c,right_b,d").overview()["kinds"]
    assert len(set(kind["colors"])) == 5
    assert (kind["colors"][1], kind["colors"][3]) == ("#00ff00", "#ff8000")


def test_labels_of_a_tool_become_a_file_of_their_own(own: Own, tmp_path: Path) -> None:
    convert_annotations(own(), tmp_path / "tool", form="labelme")
    (tmp_path / "images").rename(tmp_path / "tool/images")
    store = open_labels(tmp_path / "tool")
    assert store.out == tmp_path / "tool/labels.json"
    assert store.labels.said[0].startswith(f"labels of {tmp_path / 'tool'}: 2 pictures, 4 people")
    assert store.labels.said[-1] == f"{store.out} is edited"
    assert store.overview()["people"] == [2, 2]
    assert store.path(0).is_file()


def test_a_compressed_file_stays_compressed(own: Own) -> None:
    path = own()
    packed = path.with_name("own.json.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    save(open_labels(packed), 0, move(0, 30, 31, 2))
    assert json.loads(gzip.decompress(packed.read_bytes()))["annotations"][0]["keypoints"][1] == 31


def test_another_file_may_be_written(own: Own, tmp_path: Path) -> None:
    path, out = own(), tmp_path / "new" / "out.json"
    before = path.read_bytes()
    save(open_labels(path, out=out), 0, move(0, 30, 31, 2))
    assert read(out)["annotations"][0]["keypoints"][:2] == [30, 31]
    assert path.read_bytes() == before
    with pytest.raises(
        DataError, match=r"out.json is there already; `poise data label .*out.json`"
    ):
        open_labels(path, out=out)
    save(open_labels(path, out=out, replace=True), 0, move(0, 30, 32, 2))
    assert read(out.with_name("out.json.first.bak"))["annotations"][0]["keypoints"][1] == 31


def test_boxes_alone_get_keypoints(own: Own) -> None:
    path = own()
    content = read(path)
    for ann in content["annotations"]:
        del ann["keypoints"], ann["num_keypoints"]
    content["categories"] = [{"id": 1, "name": "imp"}]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="no category with keypoints; say which.*--keypoints coco"):
        open_labels(path)
    store = open_labels(path, keypoints=NAMES)
    save(store, 0, move(0, 30, 31, 2))
    ann = read(path)["annotations"][0]
    assert (ann["keypoints"], ann["num_keypoints"]) == ([30, 31, 2, 0, 0, 0, 0, 0, 0], 1)
    assert (ann["bbox"], read(path)["categories"][0]["keypoints"]) == (
        [15, 20, 30, 50],
        NAMES.split(","),
    )


def test_keypoints_without_names_get_those_that_are_said(own: Own) -> None:
    path = own()
    content = read(path)
    content["categories"] = [{"id": 1, "name": "imp"}]
    path.write_text(json.dumps(content))
    assert open_labels(path).labels.kinds[1].keypoints[0] == "keypoint_0"
    store = open_labels(path, keypoints=NAMES)
    assert store.labels.kinds[1].keypoints == NAMES.split(",")
    save(store, 0, move(0, 30, 31, 2))
    assert read(path)["categories"][0]["keypoints"] == NAMES.split(",")
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="annotation 1 has 9 entries in `keypoints`, expected 51"):
        open_labels(path, keypoints="coco")


def test_findings_that_are_not_there_or_none_are_said(own: Own, tmp_path: Path) -> None:
    file = tmp_path / "findings.json"
    with pytest.raises(FileMissingError, match=r"no file of findings .*--out FILE` writes one"):
        open_labels(own(), doubts=file)
    file.write_text(json.dumps({"findings": []}))
    store = open_labels(own(), doubts=file)
    assert store.labels.said == [f"{file} doubts nothing: all pictures are shown"]


def test_bad_files_are_named(own: Own, tmp_path: Path, pictures: Path) -> None:
    path = own()
    for changes, text in (
        ({"person2": {"id": 1}}, "entry 1 of `annotations` has the `id` 1 of an earlier one"),
        ({"person2": {"id": None}}, "entry 1 of `annotations` has no `id`"),
        (
            {"person2": {"keypoints": [1, 2]}},
            "annotation 2 has 2 entries in `keypoints`, expected 9",
        ),
        ({"person2": {"keypoints": [[1, 2, 2]] * 9}}, "annotation 2 has 9 entries"),
        ({"person2": {"keypoints": "abc"}}, "annotation 2 has 'abc' in `keypoints`"),
    ):
        own(**changes)
        with pytest.raises(DataError, match=text):
            open_labels(path)
    own()
    with pytest.raises(
        DataError, match=r"has 3 keypoints \(nose, .*\); --keypoints a,b are 2 keypoints \(a, b\)"
    ):
        open_labels(path, keypoints="a,b")
    for text in ("a,b,a", "a,,b"):
        with pytest.raises(DataError, match=f"names with commas between.*got '{text}'"):
            open_labels(pictures, keypoints=text)
    with pytest.raises(FileMissingError, match="coca.*did you mean 'coco'"):
        open_labels(pictures, keypoints="coca")
    with pytest.raises(DataError, match="has no labels. To begin with nothing say what to label"):
        open_labels(pictures)
    with pytest.raises(FileMissingError, match="there is no file or folder"):
        open_labels(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileMissingError, match="has no pictures; looked for"):
        open_labels(tmp_path / "empty", keypoints="coco")
    path.write_text("[]")
    with pytest.raises(DataError, match="is no COCO file: it has no `images`"):
        open_labels(path)
    path.write_text('{"images": [')
    with pytest.raises(DataError, match="not valid JSON"):
        open_labels(path)
    table = tmp_path / "labels.jsonl"
    table.write_text("")
    with pytest.raises(
        DataError, match="has the form of jsonl; the page edits COCO's: `poise data"
    ):
        open_labels(table)


def test_pictures_that_are_nowhere_are_an_error(own: Own, tmp_path: Path) -> None:
    path = own()
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(FileMissingError, match=r"none of its pictures \(1.png, 2.png.*--images"):
        open_labels(path)
    store = open_labels(path, images=tmp_path / "elsewhere")
    assert store.path(1) == tmp_path / "elsewhere/2.png"
    store.path(1).unlink()
    with pytest.raises(RefusedError, match="the picture 2.png is not there"):
        store.path(1)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_turned_pictures_are_shown_as_training_sees_them(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "turned.jpg"
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    data, kind = shown_picture(path)
    trained = LoadImage()({"img_path": str(path)})["img"]
    # what a browser decodes, which turns by the tag, too
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(seen, trained)
    assert seen.shape[:2] == ((60, 40) if orientation in (6, 8) else (40, 60))
    assert kind == ("image/jpeg" if orientation == 1 else "image/png")
    if orientation != 1:
        assert b"Exif" not in data


@pytest.mark.parametrize("name", ["deep.tif", "deep.png", "clear.png", "plain.bmp"])
def test_pictures_that_browsers_show_otherwise_are_encoded_again(tmp_path: Path, name: str) -> None:
    path, ramp = tmp_path / name, np.arange(2400).reshape(40, 60)
    deep = (ramp * 27).astype(np.uint16)
    clear = np.dstack([ramp % 256] * 4).astype(np.uint8)
    cv2.imwrite(str(path), {"deep": deep, "clear": clear}.get(path.stem, clear[..., :3]))
    data, kind = shown_picture(path)
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert kind == "image/png"
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, LoadImage()({"img_path": str(path)})["img"])


def test_large_pictures_are_encoded_quickly(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.bmp"), np.full((2100, 2000, 3), 90, np.uint8))
    data, kind = shown_picture(tmp_path / "large.bmp")
    assert (kind, data[:2]) == ("image/jpeg", b"\xff\xd8")


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    for content in (b"", b"no picture", b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(RefusedError, match="broken.jpg cannot be read"):
            shown_picture(path)


class StandIn:
    """A model whose nose is the middle of the box, and which is unsure of the tail."""

    metainfo = {"keypoint_id2name": {0: "tail", 1: "nose", 2: "left_hand"}}

    def __init__(self, needs_boxes: bool = True) -> None:
        self.needs_boxes = needs_boxes

    def predict(self, image: np.ndarray, boxes: Any = None) -> Any:
        if boxes is None:
            boxes = np.array([[0, 0, 20, 20], [40, 40, 80, 80]], float)
        middle = boxes.reshape(-1, 2, 2).mean(axis=1)
        points = np.stack([middle, middle, middle + 5], axis=1)
        return iter([People(points, np.array([[0.1, 0.9, 0.4]] * len(boxes)), boxes)])


class People:
    def __init__(self, keypoints: Any, scores: Any, boxes: Any) -> None:
        self.keypoints, self.keypoint_scores, self.bboxes = keypoints, scores, boxes

    def __len__(self) -> int:
        return len(self.keypoints)


def test_a_model_proposes_keypoints_by_their_names(own: Own) -> None:
    (kind,) = open_labels(own()).labels.kinds.values()
    box, image = np.array([42.0, 42, 82, 82]), np.zeros((100, 160, 3), np.uint8)
    found = Proposer(StandIn(), [kind]).propose(image, box, kind)
    assert found.tolist() == [[62, 62, 2], [67, 67, 2], [0, 0, 0]]
    # one that sees the whole picture: whoever is in the box
    found = Proposer(StandIn(False), [kind], threshold=0.5).propose(image, box, kind)
    assert found.tolist() == [[60, 60, 2], [0, 0, 0], [0, 0, 0]]
    with pytest.raises(RefusedError, match="sees nobody in this box"):
        Proposer(StandIn(False), [kind]).propose(image, box + 70, kind)
    with pytest.raises(RefusedError, match="sure of no keypoint in this box"):
        Proposer(StandIn(), [kind], threshold=0.95).propose(image, box, kind)


def test_a_model_of_other_keypoints_is_refused(pictures: Path) -> None:
    kinds = open_labels(pictures, keypoints="a,b").labels.kinds.values()
    with pytest.raises(
        DataError, match=r"have none of the names of those that are labelled \(a, b"
    ):
        Proposer(StandIn(), kinds)


def test_pictures_that_are_named_from_elsewhere_are_not_there_twice(
    own: Own, tmp_path: Path
) -> None:
    convert_annotations(own(), tmp_path / "far/away/tool", form="labelme")
    pictures = tmp_path / "images"
    pictures.rename(tmp_path / "pictures")
    cv2.imwrite(str(tmp_path / "pictures/3.png"), np.zeros((10, 10, 3), np.uint8))
    place, images = tmp_path / "far/away/tool", tmp_path / "pictures"
    store = open_labels(place, images=images)
    assert [Path(name).name for name in store.overview()["names"]] == ["1.png", "2.png", "3.png"]
    # also when the labels are where they were written, and the pictures have moved again
    images.rename(tmp_path / "again")
    store = open_labels(place, images=tmp_path / "again")
    assert [Path(name).name for name in store.overview()["names"]] == ["1.png", "2.png", "3.png"]
