"""Boxes and classes of COCO's format, as detectors learn from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets import ConcatDataset, DetectionCocoDataset, MultiImageMixDataset
from poise.errors import DataError
from poise.transforms import LoadAnnotations

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]

Make = Callable[..., DetectionCocoDataset]


def box(number: int, image: int = 1, **fields: Any) -> dict[str, Any]:
    """A valid annotation; a field of None is left out."""
    ann = {"id": number, "image_id": image, "category_id": 7, "bbox": [10, 20, 30, 40], **fields}
    return {key: value for key, value in ann.items() if value is not None}


def boxes_of(dataset: DetectionCocoDataset) -> list[list[float]]:
    return [thing["bbox"] for thing in dataset.get_data_info(0)["instances"]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(annotations, images=3, categories=..., **arguments)`: a data set of them."""

    def build(
        annotations: list[dict[str, Any]] | None,
        images: int = 3,
        categories: Any = CATEGORIES,
        **arguments: Any,
    ) -> DetectionCocoDataset:
        rows = [
            {"id": i + 1, "file_name": f"{i + 1}.png", "width": 100, "height": 80 - 60 * (i == 2)}
            for i in range(images)
        ]
        content = {"images": rows, "categories": categories, "annotations": annotations}
        (tmp_path / "boxes.json").write_text(json.dumps(content))
        return DetectionCocoDataset("boxes.json", data_root=str(tmp_path), **arguments)

    return build


def test_a_record_is_a_picture_with_its_boxes(make: Make, tmp_path: Path) -> None:
    dataset = make([box(1), box(2, category_id=3, iscrowd=1), box(3, 2)], data_prefix={"img": "x"})
    record = dataset.get_data_info(0)
    dog = {"bbox": [10, 20, 40, 60], "bbox_label": 0, "ignore_flag": 0}
    assert record["instances"] == [dog, dog | {"bbox_label": 1, "ignore_flag": 1}]
    loaded = LoadAnnotations(with_bbox=True)(record)
    assert loaded["bbox"].tolist() == [[10, 20, 40, 60]] * 2
    assert (loaded["bbox"].dtype, loaded["bbox_label"].dtype) == (np.float32, np.int64)
    assert loaded["ignore_flag"].tolist() == [False, True]
    assert (record["img_id"], record["width"], record["height"]) == (1, 100, 80)
    assert record["img_path"] == str(tmp_path / "x" / "1.png")
    assert [len(dataset.get_cat_ids(i)) for i in range(3)] == [2, 1, 0]


def test_without_classes_they_are_the_files_own_in_its_order(make: Make) -> None:
    assert make([box(1)]).metainfo["classes"] == ("dog", "cat")


def test_a_category_without_a_name_is_called_by_its_id(make: Make) -> None:
    dataset = make([box(1)], categories=[{"id": 7}], metainfo={"classes": ("7",)})
    assert dataset.get_cat_ids(0) == [0]


def test_a_label_is_the_place_in_classes(make: Make) -> None:
    both = [box(1), box(2, category_id=3)]
    dataset = make(both, metainfo={"classes": ("bird", "cat", "dog")})
    assert dataset.get_cat_ids(0) == [2, 1]
    old = make(both, metainfo={"CLASSES": ["cat"]})
    assert old.metainfo["classes"] == ("cat",)
    assert old.get_cat_ids(0) == [0]
    assert old.report.dropped == {"of another category": 1}


def test_every_left_out_annotation_is_counted_by_reason(make: Make) -> None:
    dataset = make(
        [
            box(1),
            box(2, bbox=[200, 10, 5, 5]),
            box(3, bbox=[10, 10, 0.5, 20]),
            box(4, area=0),
            box(5, ignore=1),
            box(6, category_id=3),
            box(7, bbox=None),
            box(8, image=99),
        ],
        metainfo={"classes": ("dog",)},
    )
    assert dataset.report.dropped == {
        "outside of the picture": 1,
        "smaller than a pixel": 2,
        "marked to be ignored": 1,
        "of another category": 1,
        "without box": 1,
        "of an image that is not listed": 1,
    }
    assert dataset.report.total == dataset.report.kept + sum(dataset.report.dropped.values())


def test_keypoints_without_a_box_get_one(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poise.datasets")
    pose = [20, 30, 2, 60, 50, 1, 0, 0, 0]
    dataset = make([box(1, bbox=None, keypoints=pose), box(2, bbox=None, keypoints=[0] * 9)])
    assert boxes_of(dataset) == [[16, 26, 64, 54]]
    assert dataset.report.dropped == {"without box": 1}
    told = [record for record in caplog.records if "drawn around keypoints" in record.message]
    assert len(told) == 1


def test_pictures_are_left_out_in_training_alone(make: Make) -> None:
    rule = {"filter_empty_gt": True, "min_size": 32}
    boxes = [box(1), box(2, 3), box(3, 1, category_id=3)]
    training = make(boxes, filter_cfg=rule)
    assert len(training) == 1
    assert training.report.dropped == {"in a picture smaller than 32 pixels": 1}
    assert "1 smaller than 32 pixels, 1 without boxes of the classes" in str(training.report)
    assert len(make(boxes, filter_cfg=rule, test_mode=True)) == 3
    # a box that is too small to learn from keeps its picture, as in MMDetection
    assert len(make([box(1), box(2, 2, area=0)], filter_cfg=rule)) == 2


def test_a_file_without_annotations_can_be_tested_on(make: Make) -> None:
    assert len(make(None, test_mode=True)) == 3
    assert len(make([box(1)], indices=2)) == 2


@pytest.mark.parametrize(
    ("annotations", "arguments", "text"),
    [
        ([box(1)], {"metainfo": {"classes": ("dgo",)}}, "none of the classes.*mean 'dog'"),
        ([box(1)], {"categories": []}, "`categories`.*found: no categories"),
        ([box(1)], {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "its own"),
        ([box(1), box(1)], {}, "1 annotation ids occur more than once"),
        ([box(1, bbox=[0, 0, float("nan"), 5])], {}, "NaN, null or infinity.*id 1"),
        ([box(4, bbox=[0, 0, 5])], {}, "`bbox` must be four numbers.*id 4"),
        ([box(4, bbox=None, keypoints="all")], {}, "annotation 4 cannot be read"),
        ([box(1, category_id=None)], {}, "no `category_id`"),
        ([box(1, category_id=[1])], {}, r"must be one category, .* in 1 annotation \(id 1\)"),
        ([box(1)], {"filter_cfg": {"min_size": 200}}, "no picture is left.*smaller than 200"),
    ],
)
def test_what_is_wrong_is_an_error_that_names_it(
    make: Make, annotations: Any, arguments: Any, text: str
) -> None:
    with pytest.raises(DataError, match=text):
        make(annotations, **arguments)


def test_wrong_annotations_can_be_skipped(make: Make) -> None:
    bad = [box(1), box(1, bbox=[0, 0, 9, 9]), box(2, bbox=[0, 0, float("nan"), 5])]
    dataset = make(bad, filter_cfg={"on_bad": "skip"})
    assert boxes_of(dataset) == [[0, 0, 9, 9]]
    assert dataset.report.dropped == {"with a duplicated id": 1, "with NaN": 1}


def test_data_sets_join_end_to_end(make: Make) -> None:
    one, other = make([box(1)]), make([box(1), box(2, 2)], images=2)
    joined = ConcatDataset([one, other])
    assert len(joined) == 5
    assert joined.metainfo["classes"] == ("dog", "cat")


def test_mixing_steps_get_samples_after_the_first_pipeline(make: Make) -> None:
    def mix(results: dict[str, Any]) -> dict[str, Any]:
        other = results.pop("dataset").get_data_info(1)
        return results | {"seen": [results["loaded"], other["loaded"]]}

    inner = make([box(1)], pipeline=[lambda results: results | {"loaded": results["img_id"]}])
    mixed = MultiImageMixDataset(inner, [mix])
    assert (len(mixed), mixed[2]["seen"]) == (3, [3, 2])
    mixed.update_skip_type_keys(["function"])
    assert "seen" not in mixed[2]


def test_a_step_that_never_gives_a_sample_is_named(make: Make) -> None:
    mixed = MultiImageMixDataset(make([box(1)]), [lambda results: None])
    with pytest.raises(DataError, match=r"function dropped a sample 15 times.*filter_empty_gt"):
        mixed[0]
