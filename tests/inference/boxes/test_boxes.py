"""Boxes from the caller: every usual form, and texts that name the wrong box."""

import json

import numpy as np
import pytest

from poise.errors import DataError, FileMissingError
from poise.inference.boxes.files import check_boxes, parse_boxes, read_boxes


def test_boxes_without_score_have_score_one():
    boxes, scores = check_boxes([[0, 0, 10, 20], [5, 5, 6, 6]])
    assert boxes.shape == (2, 4)
    assert scores.tolist() == [1, 1]


def test_fifth_number_is_the_score():
    boxes, scores = check_boxes(np.array([[0, 0, 10, 20, 0.5]]))
    assert boxes.tolist() == [[0, 0, 10, 20]]
    assert scores.tolist() == [0.5]


def test_sixth_number_is_the_category():
    found = parse_boxes([[0, 0, 10, 20, 0.5, 7], [1, 1, 2, 2, 1, 3]])
    assert found.categories.tolist() == [7, 3]
    assert found.rows().tolist() == [[0, 0, 10, 20, 0.5, 7], [1, 1, 2, 2, 1, 3]]
    assert parse_boxes([[0, 0, 10, 20]]).categories is None


def test_single_box_may_be_flat():
    assert check_boxes([0, 0, 10, 20])[0].shape == (1, 4)


def test_no_boxes_are_zero_rows():
    boxes, scores = check_boxes([])
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


@pytest.mark.parametrize(
    ("boxes", "text"),
    [
        ([[10, 0, 5, 20]], r"box 0 is \[10.0, 0.0, 5.0, 20.0\]; expected finite x1 < x2"),
        ([[0, 0, 5, 5], [0, 0, float("nan"), 1]], "box 1 is"),
        ([[1, 2, 3]], r"must have the shape \(N, 4\), \(N, 5\) or \(N, 6\).*got \(1, 3\)"),
        ([[1, 2, 3, 4, 1, 0.5]], "id of its category, a whole number"),
        ([["a", 2, 3, 4]], "must be numbers"),
    ],
)
def test_wrong_boxes_are_named(boxes, text):
    with pytest.raises(DataError, match=text):
        check_boxes(boxes)


def test_file_by_picture_is_found_by_path_and_by_name(tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"a.jpg": [[0, 0, 1, 1]]}))
    boxes = read_boxes(path)
    assert boxes.of("some/folder/a.jpg") == [[0, 0, 1, 1]]
    assert boxes.of("b.jpg") is None


def test_coco_file_gives_corners_and_empty_lists(tmp_path):
    path = tmp_path / "coco.json"
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"image_id": 1, "bbox": [10, 20, 30, 40]}],
    }
    path.write_text(json.dumps(content))
    boxes = read_boxes(path)
    assert boxes.of("a.jpg") == [[10, 20, 40, 60, 1.0]]
    assert boxes.of("b.jpg") == []


@pytest.mark.parametrize(("content", "text"), [("{", "is not JSON"), ("[1]", "got a list")])
def test_unreadable_file_of_boxes_is_named(tmp_path, content, text):
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(DataError, match=text):
        read_boxes(path)


def test_missing_file_of_boxes_is_named(tmp_path):
    with pytest.raises(FileMissingError, match="no file of boxes"):
        read_boxes(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1}]},
            "annotations, entry 0: there is no 'bbox'",
        ),
        (
            {"images": [], "annotations": [{"image_id": 9, "bbox": [0, 0, 1, 1]}]},
            "annotations, entry 0: image_id 9 is not among the images",
        ),
        (
            {"images": [{"file_name": "a.jpg"}], "annotations": []},
            "images: there is no 'id'",
        ),
        (
            {
                "images": [{"id": 1, "file_name": "a.jpg"}],
                "annotations": [{"image_id": 1, "bbox": [1, 2]}],
            },
            "annotations, entry 0: images need an id .* not enough values",
        ),
        ({"images": 3, "annotations": []}, "images: images need an id"),
        ({"a.jpg": None}, "'a.jpg' has null"),
        ([[0, 0, 1, 1]], "got a list"),
    ],
)
def test_a_file_of_boxes_with_gaps_is_named_entry_by_entry(tmp_path, content, text):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=text):
        read_boxes(path)
