"""Nothing is lost silently: what is left out is counted, what is wrong is an error."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import poise.datasets
from poise.datasets import CocoDataset
from poise.errors import DataError, FileMissingError


def test_every_left_out_annotation_is_counted_by_reason(coco: Any, person: Any) -> None:
    dataset = coco(
        [
            person(1),
            person(2, iscrowd=1),
            person(3, num_keypoints=0),
            person(4, bbox=[10, 20, 0, 5]),
            person(5, keypoints=None),
            person(6, bbox=None),
            person(7, image=99),
            person(8, keypoints=[-5, -1, 2] * 3),
        ]
    )
    assert len(dataset) == 1
    assert dataset.report.dropped == {
        "crowd": 1,
        "without keypoints": 2,
        "zero-size box": 1,
        "without box": 1,
        "of an image that is not listed": 1,
        "without keypoints in the picture": 1,
    }
    assert dataset.report.total == dataset.report.kept + sum(dataset.report.dropped.values())


def test_reasons_are_told_to_readers_of_ones_own_too(coco: Any, person: Any) -> None:
    class Own(CocoDataset):
        def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
            person = super().parse_data_info(raw_data_info)
            return None if person and person["id"] == 4 else person

    people = [person(1), person(2, bbox=None), person(3, keypoints=None), person(4)]
    assert coco(people, cls=Own).report.dropped == {
        "without box": 1,
        "without keypoints": 1,
        "left out by parse_data_info": 1,
    }


def test_the_counts_are_logged_as_one_line(coco: Any, person: Any, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "poise.datasets")
    coco([person(1), person(2, iscrowd=1), person(3, num_keypoints=0), person(4, iscrowd=1)])
    lines = [r for r in caplog.records if "kept" in r.message]
    assert len(lines) == 1
    assert "kept 1 of 4: 2 crowd, 1 without keypoints" in lines[0].message
    assert "2 of 3 images without people" in lines[0].message
    assert lines[0].levelno == logging.INFO


def test_suspicious_reasons_are_warnings(coco: Any, person: Any, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "poise.datasets")
    coco([person(1), person(2, image=42)])
    assert caplog.records[-1].levelno == logging.WARNING
    assert "1 of an image that is not listed" in caplog.text


def test_a_missing_file_names_the_part_of_the_path_that_exists(tmp_path: Path, schema: Any) -> None:
    with pytest.raises(FileMissingError, match=r"ann_file.*does not exist.*no/such\.json") as info:
        CocoDataset("no/such.json", metainfo=schema(), data_root=str(tmp_path))
    assert f"{tmp_path} exists" in str(info.value)
    assert isinstance(info.value, FileNotFoundError)


def test_no_file_at_all_is_said(schema: Any) -> None:
    with pytest.raises(FileMissingError, match="needs the file `ann_file`, but none is given"):
        CocoDataset(metainfo=schema())


def test_a_folder_is_not_a_file(tmp_path: Path, schema: Any) -> None:
    with pytest.raises(FileMissingError, match="is a folder, not a file"):
        CocoDataset(str(tmp_path), metainfo=schema())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b'{"images": [], "annot', r"not valid JSON.*line 1, column \d+ .*cut short"),
        (b'{"images": [\n{"id": 1,, }], "annotations": []}', r"line 2, column \d+.*correct it"),
        (b"\x89PNG\xff\xfe", "is not UTF-8 text"),
        (b"[]", "holds a list, expected an object"),
        (b'{"images": []}', "has no `annotations`.*it has: images"),
        (b'{"annotations": [], "info": 1}', "has no `images`.*it has: annotations, info"),
        (b'{"images": [{"file_name": "a"}], "annotations": []}', "entry 0 of `images` has no `id`"),
        (
            b'{"images": [], "annotations": [{"id": 1}]}',
            "entry 0 of `annotations` has no `image_id`",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(
    tmp_path: Path, schema: Any, content: bytes, text: str
) -> None:
    path = tmp_path / "ann.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text):
        CocoDataset(str(path), metainfo=schema())


def test_a_truncated_file_tells_the_position(
    tmp_path: Path, write: Any, person: Any, schema: Any
) -> None:
    whole = Path(write([person(1)])).read_text()
    path = tmp_path / "cut.json"
    path.write_text(whole[:-20])
    with pytest.raises(DataError, match=f"of {len(whole) - 20:,}.*fetch it again"):
        CocoDataset(str(path), metainfo=schema())


def test_a_file_without_any_keypoints_names_what_it_has(coco: Any, person: Any) -> None:
    with pytest.raises(
        DataError, match=r"no annotation of .* has `keypoints`.*bbox.*person_keypoints"
    ):
        coco([person(1, keypoints=None), person(2, keypoints=None)])


def test_a_wrong_number_of_keypoints_names_annotation_and_schema(coco: Any, person: Any) -> None:
    with pytest.raises(
        DataError, match=r"annotation 7: 6 numbers in `keypoints`, expected 9 \(3 keypoints"
    ):
        coco([person(1), person(7, keypoints=[1, 2, 2, 3, 4, 2])])


def test_all_annotations_of_another_schema_are_refused(coco: Any, person: Any, schema: Any) -> None:
    with pytest.raises(DataError, match=r"annotation 1: 9 numbers.*expected 51 \(17 keypoints"):
        coco([person(1), person(2)], metainfo=schema(17))


def test_duplicated_ids_are_an_error_that_names_them(coco: Any, person: Any) -> None:
    with pytest.raises(DataError, match=r"1 annotation ids occur more than once \(5\).*on_bad"):
        coco([person(5), person(5), person(6)])


def test_duplicated_ids_can_be_left_out_and_are_counted(coco: Any, person: Any) -> None:
    dataset = coco([person(5), person(5, image=2), person(6)], filter_cfg={"on_bad": "skip"})
    assert [dataset.get_data_info(i)["id"] for i in range(2)] == [6, 5]
    assert dataset.get_data_info(1)["img_id"] == 2
    assert dataset.report.dropped == {"with a duplicated id": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize("mode", ["topdown", "bottomup"])
def test_nan_is_an_error_that_names_the_annotation(
    coco: Any, person: Any, value: float | None, mode: str
) -> None:
    bad = person(8, keypoints=[value, 24, 2, 20, 30, 1, 0, 0, 0])
    with pytest.raises(DataError, match=r"NaN.*1 annotation \(id 8\).*on_bad"):
        coco([person(1), bad], data_mode=mode)


def test_nan_can_be_left_out_and_is_counted(coco: Any, person: Any) -> None:
    bad = person(8, bbox=[math.nan, 1, 2, 3])
    dataset = coco([person(1), bad], filter_cfg={"on_bad": "skip"})
    assert len(dataset) == 1
    assert dataset.report.dropped == {"with NaN": 1}


def test_nan_that_is_counted_as_left_out_is_left_out_of_pictures_too(
    coco: Any, person: Any
) -> None:
    bad = person(8, keypoints=[math.nan, 24, 2, 20, 30, 1, 0, 0, 0])
    settings = {"filter_cfg": {"on_bad": "skip"}, "data_mode": "bottomup"}
    dataset = coco([person(1), bad, person(9)], **settings)
    assert dataset.get_data_info(0)["id"] == [1, 9]
    assert dataset.report.dropped == {"with NaN": 1}
    assert dataset.report.kept == 2


@pytest.mark.parametrize("mode", ["topdown", "bottomup"])
def test_nan_from_a_reader_of_your_own_is_an_error_too(coco: Any, person: Any, mode: str) -> None:
    class Own(CocoDataset):
        def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
            return super().parse_data_info(raw_data_info)

    bad = person(8, keypoints=[math.nan, 24, 2, 20, 30, 1, 0, 0, 0])
    with pytest.raises(DataError, match=r"NaN.*1 annotation \(id 8\).*on_bad"):
        coco([person(1), bad], cls=Own, data_mode=mode)
    skips = {"on_bad": "skip"}
    dataset = coco([person(1), bad], cls=Own, data_mode=mode, filter_cfg=skips)
    assert (dataset.report.dropped, dataset.report.kept) == ({"with NaN": 1}, 1)


@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_an_id_must_be_a_number_or_text(coco: Any, person: Any, kind: str) -> None:
    odd = {"annotations": [person(1), person([2])], "images": [person(1), person(2, image={})]}
    with pytest.raises(DataError, match=r"ann\.json.*(\[2\]|\{\}).*a number or a text"):
        coco(odd[kind])


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("center", [1], r"`center` must be two numbers x, y; it is not in 1 annotation \(id 3\)"),
        ("scale", "big", r"`scale` must be one number; it is not in 1 annotation \(id 3\)"),
        ("area", "big", r"`area` must be one number; it is not in 1 annotation \(id 3\)"),
    ],
)
def test_fields_that_are_not_numbers_name_the_annotation(
    coco: Any, person: Any, field: str, value: Any, text: str
) -> None:
    people = [person(i, center=[50, 60], scale=0.5) for i in (1, 3)]
    people[1][field] = value
    kind = CocoDataset if field == "area" else poise.datasets.WFLWDataset
    with pytest.raises(DataError, match=text):
        coco(people, cls=kind)


@pytest.mark.parametrize("keypoints", [None, [], "abc"])
def test_faces_without_keypoints_are_counted_or_named(
    coco: Any, person: Any, keypoints: Any
) -> None:
    def face(number: int, points: Any) -> dict[str, Any]:
        more = {"face_valid": True, "face_box": [1, 2, 30, 40]}
        return person(number, **more) | {"face_kpts": points}

    people = [face(1, [5, 6, 1] * 3), face(2, keypoints)]
    kind = poise.datasets.CocoWholeBodyFaceDataset
    if keypoints == "abc":
        with pytest.raises(DataError, match=r"annotation 2: `face_kpts` must be a list of numbers"):
            coco(people, cls=kind)
    else:
        assert coco(people, cls=kind).report.dropped == {"without face_valid": 1}


def test_nan_of_a_crowd_is_not_reported_since_it_is_left_out_anyway(coco: Any, person: Any) -> None:
    bad = person(8, iscrowd=1, keypoints=[math.nan] * 9)
    assert len(coco([person(1), bad])) == 1


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 3, 4, 5], "abcd", [1, 2, 3, "x"]])
def test_a_box_must_be_four_numbers(coco: Any, person: Any, box: Any) -> None:
    with pytest.raises(DataError, match=r"`bbox` must be four numbers.*1 annotation \(id 3\)"):
        coco([person(1), person(3, bbox=box)])


def test_an_image_without_size_is_named(tmp_path: Path, person: Any, schema: Any) -> None:
    path = tmp_path / "ann.json"
    images = [{"id": 1, "file_name": "1.png", "width": 5}]
    path.write_text(json.dumps({"images": images, "annotations": [person(1)]}))
    with pytest.raises(DataError, match="image 1 has no `height`"):
        CocoDataset(str(path), metainfo=schema())


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("width", None, r"width and height of 1 image are no numbers \(image id 1\)"),
        ("height", "low", r"width and height of 1 image are no numbers \(image id 1\)"),
        ("file_name", 1, "entry 0 of `images` has the `file_name` 1; expected a text"),
    ],
)
def test_an_image_with_something_else_is_named(
    tmp_path: Path, person: Any, schema: Any, field: str, value: Any, text: str
) -> None:
    image = {"id": 1, "file_name": "1.png", "width": 100, "height": 80, field: value}
    path = tmp_path / "ann.json"
    path.write_text(json.dumps({"images": [image], "annotations": [person(1)]}))
    with pytest.raises(DataError, match=text):
        CocoDataset(str(path), metainfo=schema())


def test_one_image_id_for_two_files_is_refused(tmp_path: Path, person: Any, schema: Any) -> None:
    path = tmp_path / "ann.json"
    images = [{"id": 1, "file_name": f"{i}.png", "width": 5, "height": 5} for i in (1, 2)]
    path.write_text(json.dumps({"images": images, "annotations": [person(1)]}))
    with pytest.raises(DataError, match=r"1 image ids stand for different files \(1\)"):
        CocoDataset(str(path), metainfo=schema())


def test_nothing_left_says_why(coco: Any, person: Any) -> None:
    with pytest.raises(DataError, match="nothing is left to use: .*kept 0 of 2: 2 crowd"):
        coco([person(1, iscrowd=1), person(2, iscrowd=1)])


@pytest.fixture(params=["missing", "empty", "broken"])
def bad_image(request: Any, pictures: Path) -> tuple[Path, str]:
    """Folder of three images of which 2.png cannot be read, and why."""
    path = pictures / "2.png"
    if request.param == "missing":
        path.unlink()
        return pictures, "does not exist"
    path.write_bytes(b"" if request.param == "empty" else b"not an image")
    return pictures, "is an empty file" if request.param == "empty" else "cannot be decoded"


def load(results: dict[str, Any]) -> dict[str, Any]:
    import cv2

    image = cv2.imread(results["img_path"]) if Path(results["img_path"]).is_file() else None
    if image is None:
        raise FileMissingError(results["img_path"])
    return results


def test_an_unreadable_image_is_named_and_replaced_while_training(
    coco: Callable[..., CocoDataset], person: Any, bad_image: tuple[Path, str], caplog: Any
) -> None:
    folder, why = bad_image
    people = [person(i, image=i) for i in (1, 2, 3)]
    dataset = coco(people, data_prefix={"img": str(folder)}, pipeline=[load])
    for _ in range(3):
        assert dataset[1]["img_id"] in (1, 3)
    assert f"{folder}/2.png {why}; it is skipped" in caplog.text
    assert caplog.text.count("it is skipped") == 1
    assert dataset.unreadable.paths == {f"{folder}/2.png": why}


def test_an_unreadable_image_is_an_error_in_test_mode(
    coco: Any, person: Any, bad_image: tuple[Path, str]
) -> None:
    people = [person(i, image=i) for i in (1, 2, 3)]
    folder = str(bad_image[0])
    dataset = coco(people, data_prefix={"img": folder}, pipeline=[load], test_mode=True)
    assert dataset[0]["img_id"] == 1
    with pytest.raises(FileMissingError, match=r"2\.png"):
        dataset[1]


def test_too_many_unreadable_images_stop_the_training(coco: Any, person: Any) -> None:
    dataset = coco([person(i, image=i) for i in (1, 2, 3)], pipeline=[load])
    dataset.unreadable.limit = 1
    # with none of the images there it looks for another until the limit
    with pytest.raises(DataError, match=r"2 images are unreadable, more than the limit of 1"):
        dataset[0]


def test_the_last_failure_is_the_cause_of_giving_up(coco: Any, person: Any) -> None:
    dataset = coco([person(1)], pipeline=[load], max_refetch=2)
    with pytest.raises(DataError, match=r"after 2 draws.*1 unreadable so far") as info:
        dataset[0]
    assert isinstance(info.value.__cause__, FileMissingError)


def test_a_picture_at_an_address_that_can_be_read_hides_no_fault(
    coco: Any, person: Any, pictures: Path, monkeypatch: Any
) -> None:
    content = (pictures / "1.png").read_bytes()
    monkeypatch.setattr("poise.transforms.image.fetch_bytes", lambda address: content)

    def broken(results: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError("a fault of the step")

    dataset = coco([person(1)], data_prefix={"img": "http://there"}, pipeline=[broken])
    with pytest.raises(ZeroDivisionError, match="a fault of the step"):
        dataset[0]


def test_another_fault_of_the_pipeline_is_not_hidden(
    coco: Any, person: Any, pictures: Path
) -> None:
    def fail(results: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("a bug")

    dataset = coco([person(1)], data_prefix={"img": str(pictures)}, pipeline=[fail])
    with pytest.raises(RuntimeError, match="a bug"):
        dataset[0]


def test_a_pipeline_that_drops_everything_ends_with_an_error(coco: Any, person: Any) -> None:
    dataset = coco([person(1)], pipeline=[lambda results: None], max_refetch=3)
    with pytest.raises(DataError, match=r"no usable sample in place of sample 0 after 3 draws"):
        dataset[0]


def test_a_dropped_sample_is_an_error_in_test_mode(coco: Any, person: Any) -> None:
    dataset = coco([person(1)], pipeline=[lambda results: None], test_mode=True)
    with pytest.raises(DataError, match="returned None for sample 0 in test mode"):
        dataset[0]
