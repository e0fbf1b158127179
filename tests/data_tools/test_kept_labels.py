"""No conversion loses or changes a label without a word."""

from __future__ import annotations

import csv
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools.formats import Reading, convert_annotations, read_annotations
from poise.data_tools.formats.reading import picture_size
from poise.data_tools.labelling import open_labels
from poise.errors import ArgumentError, DataError, FileMissingError
from poise.transforms.image import stored_image

run = CliRunner().invoke

MOUSE = {"id": 1, "name": "mouse", "keypoints": ["snout", "tailbase"], "skeleton": [[1, 2]]}


def mouse(number: int, image: Any, x: int, **more: Any) -> dict[str, Any]:
    about = {"id": number, "image_id": image, "category_id": 1, "bbox": [1, 2, 30, 20]}
    return {**about, "keypoints": [x, 4, 2, x + 2, 6, 1], **more}


def write(
    file: Path,
    names: list[str],
    people: list[dict[str, Any]],
    categories: list[dict[str, Any]] | None = None,
    ids: list[int] | None = None,
) -> Path:
    """A COCO file, and its pictures below its folder."""
    images = []
    for number, name in zip(ids or range(1, len(names) + 1), names, strict=True):
        place = file.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        ok, data = cv2.imencode(place.suffix, np.full((48, 64, 3), 90, np.uint8))
        assert ok
        place.write_bytes(data.tobytes())
        images.append({"id": number, "file_name": name, "width": 64, "height": 48})
    content = {"images": images, "annotations": people, "categories": categories or [MOUSE]}
    file.write_text(json.dumps(content))
    return file


class TestCoco:
    def test_pictures_of_one_id_are_not_given_the_same_people(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.json", ["a.png", "b.png"], [mouse(1, 1, 3)], ids=[1, 1])
        with pytest.raises(DataError, match=r"a\.png and b\.png have the same id 1"):
            convert_annotations(file, tmp_path / "out", form="labelme")

    def test_a_picture_that_is_listed_twice_is_one(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.json", ["a.png", "a.png"], [mouse(1, 1, 3)], ids=[1, 1])
        found, _ = convert_annotations(file, tmp_path / "new.json")
        assert len(found.images) == 1
        assert found.lost == {"pictures that are listed twice": 1}

    def test_ids_that_come_twice_are_given_anew(self, tmp_path: Path) -> None:
        people = [mouse(1, 1, 3), mouse(1, 1, 9), mouse(7, 1, 20)]
        found = read_annotations(write(tmp_path / "a.json", ["a.png"], people))
        assert [p["id"] for p in found.people] == [1, 8, 7]
        assert found.said == ["filled in: 1 id of annotations, for those that came twice"]

    @pytest.mark.parametrize("form", ["labelme", "yolo", "cvat", "coco"])
    def test_people_of_an_unknown_category_are_not_called_like_others(
        self, form: str, tmp_path: Path
    ) -> None:
        people = [mouse(1, 1, 3), mouse(2, 1, 9, category_id=7)]
        file = write(tmp_path / "a.json", ["a.png"], people)
        out = tmp_path / ("new.json" if form == "coco" else "out")
        found, _ = convert_annotations(file, out, form=form)
        assert found.ids == {"people of a category that is not listed": [2]}
        assert found.kept == 1

    def test_people_without_a_category_get_the_only_one(self, tmp_path: Path) -> None:
        person = mouse(1, 1, 3)
        del person["category_id"]
        file = write(tmp_path / "a.json", ["a.png"], [person], [{**MOUSE, "id": 5}])
        found, (new,) = convert_annotations(file, tmp_path / "new.json")
        assert json.loads(new.read_text())["annotations"][0]["category_id"] == 5
        assert found.said == ["filled in: 1 category of people"]


class TestCategoriesWithKeypointsOfTheirOwn:
    CATEGORIES = [MOUSE, {"id": 2, "name": "hen", "keypoints": ["beak", "snout"]}]

    def people(self, tmp_path: Path) -> Path:
        hen = mouse(2, 1, 20, category_id=2)
        return write(tmp_path / "own.json", ["a.png"], [mouse(1, 1, 3), hen], self.CATEGORIES)

    def test_join_others(self, tmp_path: Path) -> None:
        first = write(tmp_path / "first.json", ["b.png"], [mouse(1, 1, 3)])
        added = [self.people(tmp_path)]
        found, files = convert_annotations(first, tmp_path / "out", form="cvat", added=added)
        back = read_annotations(files[0], Reading(category="hen"))
        assert [p["keypoints"][:3] for p in back.people] == [[22, 6, 1]]
        assert any("that the others lack are left out: beak" in text for text in found.said)

    def test_are_called_like_the_schema_that_they_are_of(self, tmp_path: Path) -> None:
        from poise import schemas

        known = [p["name"] for p in schemas.get("coco")["keypoint_info"].values()]
        titled = [name.title() for name in known]
        categories = [
            {"id": 1, "name": "person", "keypoints": titled},
            {"id": 2, "name": "head", "keypoints": titled[:2]},
        ]
        whole = mouse(1, 1, 3, keypoints=[5, 6, 2] * 17)
        source = write(tmp_path / "a.json", ["a.png"], [whole, mouse(2, 1, 9, category_id=2)])
        content = json.loads(source.read_text()) | {"categories": categories}
        source.write_text(json.dumps(content))
        _, (tasks, *_) = convert_annotations(source, tmp_path / "cvat", form="cvat")
        found, _ = convert_annotations(tasks, tmp_path / "labelme", form="labelme")
        assert found.schema == "coco"
        assert found.categories[1]["own_keypoints"] == known[:2]
        # keypoints of another schema are not those that a category had
        found, _ = convert_annotations(
            tasks, tmp_path / "other", form="labelme", to_schema="h36m", derived=True
        )
        assert "own_keypoints" not in found.categories[1]


class TestDeepLabCut:
    def table(self, folder: Path) -> list[list[str]]:
        (file,) = folder.rglob("CollectedData_*.csv")
        with file.open(newline="") as stream:
            return list(csv.reader(stream))

    def test_an_individual_keeps_its_name_where_others_are_absent(self, tmp_path: Path) -> None:
        people = [
            mouse(1, 1, 3, individual="m1"),
            mouse(2, 1, 13, individual="m2"),
            mouse(3, 2, 23, individual="m2"),
        ]
        file = write(tmp_path / "a.json", ["v/a.png", "v/b.png"], people)
        convert_annotations(file, tmp_path / "p", form="deeplabcut")
        rows = self.table(tmp_path / "p")
        assert rows[1][3:] == ["m1"] * 4 + ["m2"] * 4
        assert rows[5][3:] == ["", "", "", "", "23.0", "4.0", "25.0", "6.0"]
        for name in ("a.png", "b.png"):
            place = tmp_path / "p/labeled-data/v" / name
            place.write_bytes((tmp_path / "v" / name).read_bytes())
        back = read_annotations(tmp_path / "p")
        assert [p["individual"] for p in back.people] == ["m1", "m2", "m2"]

    def test_who_has_no_name_takes_a_free_one(self, tmp_path: Path) -> None:
        people = [
            mouse(1, 1, 3),
            mouse(2, 1, 13, individual="b"),
            mouse(3, 1, 23, individual="b"),
            mouse(4, 2, 33),
        ]
        file = write(tmp_path / "a.json", ["v/a.png", "v/b.png"], people)
        project = tmp_path / "p"
        project.mkdir()
        about = "scorer: me\nmultianimalproject: true\nindividuals: [a, b]\n"
        (project / "config.yaml").write_text(about + "multianimalbodyparts: [snout, tailbase]\n")
        found, _ = convert_annotations(file, project, form="deeplabcut")
        rows = self.table(project)
        assert rows[1][3::4] == ["a", "b", "individual1"]
        assert [row[3::4] for row in rows[4:]] == [["3.0", "13.0", "23.0"], ["33.0", "", ""]]
        assert any("lacks the individuals individual1: add them" in s for s in found.said)

    @pytest.mark.parametrize(("field", "levels"), [("individual", 4), ("track_id", 3), ("", 3)])
    def test_one_animal_is_not_lost_for_its_name(
        self, field: str, levels: int, tmp_path: Path
    ) -> None:
        person = mouse(1, 1, 3, **({field: "m2"} if field else {}))
        file = write(tmp_path / "a.json", ["v/a.png", "v/b.png"], [person, mouse(2, 2, 9)])
        convert_annotations(file, tmp_path / "p", form="deeplabcut")
        rows = self.table(tmp_path / "p")
        assert [row[3:] for row in rows[levels:]] == [
            ["3.0", "4.0", "5.0", "6.0"],
            ["9.0", "4.0", "11.0", "6.0"],
        ]

    def test_two_pictures_of_one_name_are_not_one(self, tmp_path: Path) -> None:
        names = ["x/v/a.png", "y/v/a.png"]
        file = write(tmp_path / "a.json", names, [mouse(1, 1, 3), mouse(2, 2, 9)])
        with pytest.raises(DataError, match=r"x/v/a\.png and y/v/a\.png would both"):
            convert_annotations(file, tmp_path / "p", form="deeplabcut")
        assert not (tmp_path / "p").exists()


def test_what_a_form_has_no_mark_for_is_said(tmp_path: Path) -> None:
    hen = {**MOUSE, "id": 2, "name": "hen"}
    people = [mouse(1, 1, 3, track_id=4), mouse(2, 1, 13, category_id=2)]
    file = write(tmp_path / "a.json", ["a.png"], people, [MOUSE, hen])
    known = "1 person that is known by name (individual, track_id): written without"
    said = {
        "jsonl": [
            "jsonl has no mark for 2 keypoints that are hidden: written as visible",
            "jsonl has no mark for 2 categories: written as one",
            f"jsonl has no mark for {known}",
        ],
        "coco": [],
        "cvat": [
            f"cvat has no mark for {known}",
        ],
    }
    for form, sentences in said.items():
        found, _ = convert_annotations(file, tmp_path / form / "new.json", form=form)
        assert found.said == sentences


def test_sleap_keeps_the_names_of_tracks(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    people = [mouse(1, 1, 3, individual="Anna"), mouse(2, 1, 13, track_id=7), mouse(3, 1, 23)]
    file = write(tmp_path / "a.json", ["a.png"], people)
    _, (slp,) = convert_annotations(file, tmp_path / "l.slp")
    back = read_annotations(slp)
    assert [p.get("individual") for p in back.people] == ["Anna", "7", None]
    numbered = [mouse(1, 1, 3, track_id=12), mouse(2, 1, 13, track_id=3)]
    file = write(tmp_path / "a.json", ["a.png"], numbered)
    _, (slp,) = convert_annotations(file, tmp_path / "l.slp", replace=True)
    back = read_annotations(slp)
    assert [(p["track_id"], "individual" in p) for p in back.people] == [(12, False), (3, False)]


class TestYolo:
    def test_labels_stay_below_their_folder(self, tmp_path: Path) -> None:
        home = tmp_path / "in ü"
        names = ["images/a b.png", "../up/b.png", str(home / "c.png")]
        file = write(home / "a.json", names, [mouse(n, n, 3 * n) for n in (1, 2, 3)])
        before = {p for p in tmp_path.rglob("*") if p.is_file()}
        _, (about, labels) = convert_annotations(file, tmp_path / "out", form="yolo")
        new = {p for p in tmp_path.rglob("*") if p.is_file()} - before
        assert all(p.is_relative_to(tmp_path / "out") for p in new)
        # where YOLO looks for it: beside the picture, which belongs into `images`
        assert (labels / "a b.txt").is_file()
        (home / "images").rename(tmp_path / "out/images")
        back = read_annotations(about)
        assert [p["keypoints"] for p in back.people] == [[3, 4, 2, 5, 6, 1]]

    def test_labels_are_found_where_the_pictures_are_elsewhere(self, tmp_path: Path) -> None:
        names = ["p/a.png", "p/b.png"]
        file = write(tmp_path / "in/a.json", names, [mouse(1, 1, 3), mouse(2, 2, 9)])
        _, (about, labels) = convert_annotations(file, tmp_path / "out", form="yolo")
        reading = Reading(images=tmp_path / "in")
        assert [p["keypoints"][0] for p in read_annotations(about, reading).people] == [3, 9]
        (labels / "p/b.txt").unlink()
        found = read_annotations(about, reading)
        assert [len(found.images), len(found.people)] == [2, 1]
        assert found.said == ["1 picture without a file of labels, as of nobody in it: p/b.png"]
        (labels / "p/a.txt").unlink()
        with pytest.raises(DataError, match=r"none of its 2 pictures has a file .*labels/p/a\.txt"):
            read_annotations(about, reading)
        text = about.read_text().replace("- 3\n", "- 4\n")
        about.write_text(text)
        with pytest.raises(DataError, match=r"it needs kpt_shape: .*got \[2, 4\]"):
            read_annotations(about, reading)

    def test_a_list_of_pictures_is_not_taken_for_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_text("a.png\n")
        (tmp_path / "data.yaml").write_text("train: train.txt\nkpt_shape: [2, 3]\n")
        with pytest.raises(FileMissingError, match=r"train\.txt.* is a list, which is not read"):
            read_annotations(tmp_path / "data.yaml")

    def test_two_pictures_do_not_share_a_file(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.json", ["a.png", "a.jpg"], [mouse(1, 1, 3), mouse(2, 2, 9)])
        with pytest.raises(DataError, match=r"a\.jpg and a\.png would both have their labels"):
            convert_annotations(file, tmp_path / "out", form="yolo")


class TestOverwriting:
    def test_a_conversion_does_not_replace_what_it_reads(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.json", ["a.png", "b.png"], [mouse(1, 1, 3), mouse(2, 2, 9)])
        text = file.read_text()
        for more in ([], ["--add", str(file)]):
            done = run(app, ["convert", str(file), "-o", str(file), *more])
            assert "would be overwritten by what is made of it" in str(done.exception)
            assert file.read_text() == text
        _, (about, _) = convert_annotations(file, tmp_path / "yolo", form="yolo")
        (tmp_path / "yolo/images").mkdir()
        (tmp_path / "yolo/images/a.png").write_bytes((tmp_path / "a.png").read_bytes())
        with pytest.raises(DataError, match=r"data\.yaml would be overwritten"):
            convert_annotations(about.parent, about.parent, form="yolo")
        convert_annotations(file, file, without={1}, replace=True)
        assert len(json.loads(file.read_text())["annotations"]) == 1

    def test_a_split_does_not_replace_what_it_splits(self, tmp_path: Path) -> None:
        file = write(tmp_path / "train.json", ["a.png", "b.png"], [mouse(1, 1, 3)])
        text = file.read_text()
        done = run(app, ["split", str(file), "-o", str(tmp_path)])
        assert isinstance(done.exception, ArgumentError)
        assert "is what is split, and would be overwritten" in str(done.exception)
        assert file.read_text() == text
        assert not (tmp_path / "val.json").exists()

    def test_a_split_says_where_the_pictures_are(self, tmp_path: Path) -> None:
        file = write(tmp_path / "in/all.json", ["a.png", "b.png"], [mouse(1, 1, 3)])
        shares = ["--share", "train=0.5", "--share", "val=0.5"]
        for out, told in ((tmp_path / "in/parts", False), (tmp_path / "out", True)):
            done = run(app, ["split", str(file), "-o", str(out), *shares])
            assert done.exit_code == 0, done.output
            place = f"relative to {tmp_path / 'in'}; other commands take it as --images"
            assert (place in done.output) == told

    @pytest.mark.parametrize(
        ("shares", "text"),
        [
            (["a=0.5", "a=0.5"], "--share a=... comes twice"),
            (["../a=0.5", "b=0.5"], "got '../a': it names a file"),
            (["=0.5", "b=0.5"], "got '': it names a file"),
        ],
    )
    def test_parts_have_names_of_their_own(
        self, shares: list[str], text: str, tmp_path: Path
    ) -> None:
        file = write(tmp_path / "all.json", ["a.png", "b.png"], [mouse(1, 1, 3)])
        options = [word for share in shares for word in ("--share", share)]
        done = run(app, ["split", str(file), "-o", str(tmp_path / "parts"), *options])
        assert isinstance(done.exception, ArgumentError)
        assert text in str(done.exception)


def test_labels_of_an_earlier_archive_are_not_read_again(tmp_path: Path) -> None:
    def pack(*names: str) -> Path:
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
            for name in names:
                shape = {"label": "snout", "points": [[3, 4]], "shape_type": "point"}
                about = {"imageHeight": 48, "imageWidth": 64, "imagePath": f"{name}.png"}
                archive.writestr(f"{name}.json", json.dumps({"shapes": [shape], **about}))
        return tmp_path / "export.zip"

    out = tmp_path / "new.json"
    for _ in range(2):
        assert len(convert_annotations(pack("a", "b"), out)[0].images) == 2
    with pytest.raises(DataError, match=r"new_unpacked has a\.json, which .*export\.zip has not"):
        convert_annotations(pack("b"), out)
    # what is not read does no harm
    (tmp_path / "new_unpacked/a.json").rename(tmp_path / "new_unpacked/.DS_Store")
    assert len(convert_annotations(pack("b"), out)[0].images) == 1


def test_a_picture_with_labels_from_two_files_is_said(tmp_path: Path) -> None:
    for name in ("a", "a_old"):
        shape = {"label": "snout", "points": [[3, 4]], "shape_type": "point"}
        about = {"imageHeight": 48, "imageWidth": 64, "imagePath": "a.png"}
        (tmp_path / f"{name}.json").write_text(json.dumps({"shapes": [shape], **about}))
    found = read_annotations(tmp_path)
    assert any("1 picture with labels from several places" in text for text in found.said)


class TestPictureSizes:
    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
    @pytest.mark.parametrize("orientation", [1, 3, 6])
    def test_are_those_that_training_sees(
        self, ending: str, orientation: int, tmp_path: Path
    ) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = tmp_path / f"a.{ending}"
        Image.new("RGB", (30, 20)).save(file, exif=exif)
        seen = stored_image(file)
        assert seen is not None
        assert picture_size(file) == seen.shape[1::-1]

    def test_are_in_the_head_of_the_file(self, tmp_path: Path) -> None:
        def part(name: bytes, data: bytes) -> bytes:
            return (
                struct.pack(">I", len(data))
                + name
                + data
                + struct.pack(">I", zlib.crc32(name + data))
            )

        head = struct.pack(">IIBBBBB", 30_000, 20_000, 8, 2, 0, 0, 0)
        # of more pixels than Pillow decodes, and none of them is there
        data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", b"")
        (tmp_path / "scan.png").write_bytes(data)
        assert picture_size(tmp_path / "scan.png") == (30_000, 20_000)
        (tmp_path / "scan.png").write_bytes(b"no picture")
        assert picture_size(tmp_path / "scan.png") is None


def test_pictures_that_are_links_keep_their_own_names(tmp_path: Path) -> None:
    source = write(tmp_path / "in/a.json", ["day1/a.png"], [mouse(1, 1, 3)])
    convert_annotations(source, tmp_path / "in", form="labelme")
    store = tmp_path / "in/store/5f3a.png"
    store.parent.mkdir()
    (tmp_path / "in/day1/a.png").rename(store)
    (tmp_path / "in/day1/a.png").symlink_to(store)
    source.unlink()
    found, _ = convert_annotations(tmp_path / "in", tmp_path / "in/new.json")
    assert [image["file_name"] for image in found.images] == ["day1/a.png"]
    pytest.importorskip("h5py")
    _, (slp,) = convert_annotations(tmp_path / "in/new.json", tmp_path / "in/l.slp")
    assert [Path(i["file_name"]).name for i in read_annotations(slp).images] == ["a.png"]
    labels = open_labels(tmp_path / "in/day1", keypoints="snout,tailbase")
    assert labels.overview()["names"] == ["a.png"]
