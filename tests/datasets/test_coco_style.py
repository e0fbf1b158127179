"""Records of COCO-style files: which people, which keys, which numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.datasets import BaseCocoStyleDataset, CocoDataset
from poise.datasets.instances import InstanceRule
from poise.datasets.records import Records
from poise.errors import ArgumentError, DataError, FileMissingError
from poise.transforms import LoadImage


def test_a_record_has_the_keys_of_mmpose(coco: Any, person: Any) -> None:
    info = coco([person(4, image=2)], data_root="", data_prefix={"img": "a/b/"}).get_data_info(0)
    assert info["img_id"] == 2
    assert info["img_path"] == "a/b/2.png"
    assert info["bbox"].tolist() == [[10, 20, 40, 60]]
    assert info["bbox"].dtype == np.float32
    assert info["bbox_score"].tolist() == [1]
    assert info["keypoints"].tolist() == [[[12, 24], [20, 30], [0, 0]]]
    assert info["keypoints_visible"].tolist() == [[1, 1, 0]]
    assert info["area"].shape == ()
    assert info["category_id"].shape == ()
    assert info["num_keypoints"] == 2
    assert info["segmentation"] == [[10, 20, 40, 20, 40, 60]]
    assert info["raw_ann_info"]["id"] == info["id"] == 4
    assert info["sample_idx"] == 0
    assert info["flip_indices"] == [1, 0, 2]
    assert info["dataset_name"] == "toy"


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([-5, -6, 20, 30], [0, 0, 15, 24]),
        ([90, 70, 50, 50], [90, 70, 99, 79]),
        ([0.5, 1.25, 3, 4], [0.5, 1.25, 3.5, 5.25]),
    ],
)
def test_boxes_are_cut_to_the_picture(coco: Any, person: Any, box: Any, expected: Any) -> None:
    assert coco([person(1, bbox=box)])[0]["bbox"].tolist() == [expected]


def test_missing_area_is_half_the_box_and_missing_counts_are_counted(
    coco: Any, person: Any
) -> None:
    info = coco([person(1, area=None, num_keypoints=None)])[0]
    assert info["area"] == np.float32(30 * 40 * 0.53)
    assert info["num_keypoints"] == 2


def test_a_tiny_box_has_an_area_of_at_least_one_pixel(coco: Any, person: Any) -> None:
    assert coco([person(1, bbox=[5, 5, 0.5, 0.5], area=None)])[0]["area"] == 1


def test_people_come_in_the_order_of_their_pictures(coco: Any, person: Any) -> None:
    dataset = coco([person(1, image=3), person(2, image=1), person(3, image=3)])
    assert [dataset.get_data_info(i)["id"] for i in range(3)] == [2, 1, 3]


def test_crowd_index_is_handed_on(tmp_path: Path, person: Any, schema: Any) -> None:
    images = [
        {"id": i, "file_name": "a", "width": 9, "height": 9, "crowdIndex": c}
        for i, c in ((1, 0.5), (2, 0.25))
    ]
    path = tmp_path / "ann.json"
    people = [person(1, bbox=[1, 1, 4, 4]), person(2, image=2, bbox=[1, 1, 4, 4])]
    path.write_text(json.dumps({"images": images, "annotations": people}))
    dataset = CocoDataset(str(path), metainfo=schema())
    assert [dataset.get_data_info(i)["crowd_index"] for i in (0, 1)] == [0.5, 0.25]


def test_bottom_up_records_hold_all_people_of_a_picture(coco: Any, person: Any) -> None:
    people = [
        person(1),
        person(2, iscrowd=1, segmentation=[[1, 2, 3, 4, 5, 6]]),
        person(3, image=3),
    ]
    dataset = coco(people, data_mode="bottomup")
    assert len(dataset) == 2
    info = dataset.get_data_info(0)
    assert info["keypoints"].shape == (2, 3, 2)
    assert info["keypoints_visible"].shape == (2, 3)
    assert info["bbox"].shape == (2, 4)
    assert info["area"].shape == info["category_id"].shape == (2,)
    assert info["id"] == [1, 2]
    assert info["segmentation"] == [[10, 20, 40, 20, 40, 60], [1, 2, 3, 4, 5, 6]]
    assert info["invalid_segs"] == [[[1, 2, 3, 4, 5, 6]]]
    assert [a["id"] for a in info["raw_ann_info"]] == [1, 2]


def test_bottom_up_tests_keep_pictures_without_people(coco: Any, person: Any) -> None:
    dataset = coco([person(1, image=2)], data_mode="bottomup", test_mode=True)
    assert [dataset.get_data_info(i)["img_id"] for i in range(3)] == [2, 1, 3]
    assert dataset.get_data_info(1)["id"] == []
    assert dataset.get_data_info(1)["raw_ann_info"] is None


def test_a_list_of_test_images_needs_no_annotations(write: Any, schema: Any) -> None:
    dataset = CocoDataset(write(None), metainfo=schema(), data_mode="bottomup", test_mode=True)
    assert len(dataset) == 3


def test_sample_interval_takes_images_by_id(coco: Any, person: Any) -> None:
    dataset = coco([person(i, image=i) for i in (1, 2, 3)], sample_interval=2)
    assert [r["img_id"] for r in dataset.data_list] == [2]
    assert dataset.report.dropped == {"outside sample_interval=2": 2}


@pytest.mark.parametrize(
    ("indices", "ids"), [(2, [1, 2]), (-1, [3]), ([2, 0], [3, 1]), ([-1], [3]), (10, [1, 2, 3])]
)
@pytest.mark.parametrize("serialize", [True, False])
def test_indices_choose_records(
    coco: Any, person: Any, indices: Any, ids: list[int], serialize: bool
) -> None:
    people = [person(i) for i in (1, 2, 3)]
    dataset = coco(people, indices=indices, serialize_data=serialize)
    assert [dataset.get_data_info(i)["id"] for i in range(len(dataset))] == ids
    whole = coco(people, serialize_data=serialize)
    part = whole.get_subset(indices)
    assert [part.get_data_info(i)["id"] for i in range(len(part))] == ids
    assert len(whole) == 3
    whole.get_subset_(indices)
    assert [whole.get_data_info(i)["id"] for i in range(len(whole))] == ids


@pytest.mark.parametrize(
    ("indices", "kind", "text"),
    [
        ([5], DataError, "index 5 is out of range: there are 3"),
        (1.5, ArgumentError, "int or a sequence"),
    ],
)
def test_wrong_indices_are_refused(
    coco: Any, person: Any, indices: Any, kind: type, text: str
) -> None:
    with pytest.raises(kind, match=text):
        coco([person(i) for i in (1, 2, 3)], indices=indices)


def test_negative_places_count_from_the_end(coco: Any, person: Any) -> None:
    dataset = coco([person(1), person(2)])
    assert dataset.get_data_info(-1)["sample_idx"] == 1
    with pytest.raises(IndexError):
        dataset[2]


def test_lazy_data_sets_load_at_first_use(schema: Any, write: Any, person: Any) -> None:
    dataset = CocoDataset(write([person(1)]), metainfo=schema(), lazy_init=True)
    assert not dataset._fully_initialized
    assert dataset.metainfo["num_keypoints"] == 3
    assert len(dataset) == 1


def test_a_lazy_data_set_needs_no_file(schema: Any) -> None:
    dataset = CocoDataset("absent.json", metainfo=schema(), lazy_init=True)
    with pytest.raises(FileMissingError):
        dataset.full_init()


def test_changing_a_record_or_the_metainfo_changes_nothing_stored(coco: Any, person: Any) -> None:
    dataset = coco([person(1)])
    first = dataset.get_data_info(0)
    first["keypoints"][:] = 7
    first["raw_ann_info"]["bbox"][0] = 99
    first["flip_indices"].clear()
    dataset.metainfo["flip_indices"].clear()
    again = dataset.get_data_info(0)
    assert again["keypoints"].max() < 31
    assert again["raw_ann_info"]["bbox"][0] == 10
    assert again["flip_indices"] == [1, 0, 2]


def test_the_pipeline_gets_the_data_set_for_mixing(coco: Any, person: Any) -> None:
    dataset = coco([person(1)], pipeline=[lambda results: results])
    assert dataset[0]["dataset"] is dataset
    assert "dataset" not in dataset.get_data_info(0)


@pytest.mark.parametrize(("test_mode", "decoded"), [(True, [1, 2]), (False, [1, 1, 2, 2, 2])])
def test_a_test_decodes_a_picture_once_for_all_its_people(
    coco: Any,
    person: Any,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    test_mode: bool,
    decoded: list[int],
) -> None:
    seen = []
    decode = LoadImage._decode
    monkeypatch.setattr(
        LoadImage,
        "_decode",
        lambda self, path: seen.append(int(Path(path).stem)) or decode(self, path),
    )
    dataset = coco(
        [person(i, image=1 + (i > 2)) for i in (1, 2, 3, 4, 5)],
        data_prefix={"img": str(pictures)},
        pipeline=[dict(type="LoadImage")],
        test_mode=test_mode,
    )
    assert [dataset[i]["img"][0, 0, 0] for i in range(5)] == [1, 1, 2, 2, 2]
    assert seen == decoded


def test_records_and_plain_dicts_are_the_same(coco: Any, person: Any) -> None:
    people = [person(1), person(2, image=2, segmentation=None), person(3, iscrowd=1)]
    for mode in ("topdown", "bottomup"):
        packed = coco(people, data_mode=mode).get_data_info(0)
        plain = coco(people, data_mode=mode, serialize_data=False).get_data_info(0)
        assert packed.keys() == plain.keys()
        assert all(np.all(packed[k] == plain[k]) for k in packed)
        assert all(type(packed[k]) is type(plain[k]) for k in packed)


def test_the_general_path_gives_what_the_columns_give(coco: Any, person: Any) -> None:
    class OneByOne(CocoDataset):
        def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
            return super().parse_data_info(raw_data_info)

    people = [
        person(1),
        person(2, iscrowd=1),
        person(3, image=2, area=None),
        person(4, bbox=None),
        person(5, num_keypoints=0),
        person(6, bbox=[500, 500, 3, 3]),
    ]
    fast, slow = coco(people), coco(people, cls=OneByOne)
    assert isinstance(fast.data_list, Records)
    assert len(fast) == len(slow) == 2
    for one, other in zip(fast.data_list, slow.data_list, strict=True):
        assert one.keys() == other.keys()
        assert all(np.all(one[k] == other[k]) and type(one[k]) is type(other[k]) for k in one)


@pytest.mark.parametrize("mode", ["top-down", "", None])
def test_an_unknown_mode_is_refused(schema: Any, mode: Any) -> None:
    with pytest.raises(ValueError, match=r'invalid data_mode: .*Should be "topdown".*"bottomup"'):
        CocoDataset("a.json", metainfo=schema(), data_mode=mode)


@pytest.fixture
def boxes(tmp_path: Path) -> Callable[[Any], str]:
    """Path of a file with a detector's boxes."""

    def make(content: Any) -> str:
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(content))
        return str(path)

    return make


def detection(image: int, score: float, category: int = 1) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [1, 2, 3, 4], "score": score}


def test_boxes_of_a_detector_replace_annotations(coco: Any, person: Any, boxes: Any) -> None:
    path = boxes([detection(2, 0.9), detection(1, 0.2), detection(1, 0.8, category=3)])
    dataset = coco([person(1)], bbox_file=path, test_mode=True)
    assert len(dataset) == 2
    info = dataset.get_data_info(0)
    assert info["bbox"].tolist() == [[1, 2, 4, 6]]
    assert info["bbox_score"].tolist() == [np.float32(0.9)]
    assert info["img_shape"] == (80, 100)
    assert info["keypoints"].shape == (1, 3, 2)
    assert info["keypoints_visible"].tolist() == [[1, 1, 1]]
    assert dataset.report.dropped == {"of another category than person": 1}


@pytest.mark.parametrize(("least", "count"), [(0.1, 3), (0.5, 2), (0.50001, 1), (0.9, 1)])
def test_weak_boxes_are_filtered(
    coco: Any, person: Any, boxes: Any, least: float, count: int
) -> None:
    path = boxes([detection(1, s) for s in (0.2, 0.5, 0.90001)])
    dataset = coco(
        [person(1)], bbox_file=path, test_mode=True, filter_cfg={"bbox_score_thr": least}
    )
    assert len(dataset) == count


def test_filtering_by_score_needs_top_down_mode(coco: Any, person: Any) -> None:
    with pytest.raises(ValueError, match="`bbox_score_thr`, which works in topdown mode only"):
        coco([person(1)], data_mode="bottomup", filter_cfg={"bbox_score_thr": 0.1})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"data_mode": "bottomup", "test_mode": True}, "only supported in topdown mode"),
        ({"test_mode": False}, "only supported when test_mode=True"),
    ],
)
def test_boxes_of_a_detector_are_for_top_down_tests(
    coco: Any, person: Any, boxes: Any, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        coco([person(1)], bbox_file=boxes([]), **arguments)


def test_boxes_of_unlisted_images_are_refused(coco: Any, person: Any, boxes: Any) -> None:
    with pytest.raises(DataError, match="has a box for image 77, which .* does not list"):
        coco([person(1)], bbox_file=boxes([detection(77, 0.5)]), test_mode=True)


@pytest.mark.parametrize("content", [{}, [1], {"annotations": []}])
def test_a_box_file_of_another_form_is_refused(
    coco: Any, person: Any, boxes: Any, content: Any
) -> None:
    with pytest.raises(DataError, match="must be a list of objects"):
        coco([person(1)], bbox_file=boxes(content), test_mode=True)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("image_id", None, "entry 1 has no `image_id`"),
        ("category_id", None, "entry 1 has no `category_id`"),
        ("score", None, "entry 1 has no `score`"),
        ("bbox", [1, 2, 3], r"entry 1 has the bbox \[1, 2, 3\], expected x, y, width, height"),
        ("bbox", 5, "entry 1 cannot be read"),
        ("bbox", [math.nan] * 4, "entry 1 has NaN or infinity"),
        ("score", math.nan, "entry 1 has NaN or infinity"),
        ("score", "high", "entry 1 cannot be read"),
    ],
)
def test_what_is_wrong_with_a_box_of_a_detector_is_told(
    coco: Any, person: Any, boxes: Any, field: str, value: Any, text: str
) -> None:
    wrong = {k: v for k, v in {**detection(1, 0.5), field: value}.items() if v is not None}
    with pytest.raises(DataError, match=text):
        coco([person(1)], bbox_file=boxes([detection(1, 0.5), wrong]), test_mode=True)


def test_a_threshold_that_leaves_no_box_is_told(coco: Any, person: Any, boxes: Any) -> None:
    settings = {"bbox_file": boxes([detection(1, 0.5)]), "filter_cfg": {"bbox_score_thr": 0.6}}
    with pytest.raises(DataError, match=r"nothing is left .*: 1 scoring below bbox_score_thr=0\.6"):
        coco([person(1)], test_mode=True, **settings)


def test_an_interval_needs_ids_that_are_numbers(write: Any, person: Any, schema: Any) -> None:
    path = Path(write([person(1)]))
    path.write_text(path.read_text().replace('"id": 1, "file_name"', '"id": "a", "file_name"'))
    with pytest.raises(DataError, match="sample_interval=2 .* the id 'a' is no number"):
        CocoDataset(str(path), metainfo=schema(), sample_interval=2)


def test_an_area_that_is_null_comes_from_the_box(coco: Any, person: Any) -> None:
    (record,) = coco([person(1) | {"area": None}]).data_list
    assert record["area"] == pytest.approx(30 * 40 * 0.53)


def test_visibility_below_0_is_unlabelled(coco: Any, person: Any) -> None:
    (record,) = coco([person(1, keypoints=[12, 24, 2, 20, 30, -1, 5, 5, 1])]).data_list
    assert record["keypoints_visible"].tolist() == [[1, 0, 1]]


def test_a_missing_box_file_is_named(coco: Any, person: Any) -> None:
    with pytest.raises(FileMissingError, match="`bbox_file` does not exist: none.json"):
        coco([person(1)], bbox_file="none.json", test_mode=True)


def test_metainfo_must_be_a_dict(write: Any, person: Any) -> None:
    with pytest.raises(TypeError, match="`metainfo` must be a dict, got list"):
        CocoDataset(write([person(1)]), metainfo=[])


def test_prefixes_must_be_text(coco: Any, person: Any) -> None:
    with pytest.raises(TypeError, match=r"`data_prefix\['img'\]` must be a string"):
        coco([person(1)], data_prefix={"img": 3})


def test_a_data_set_without_schema_says_how_to_give_one(write: Any, person: Any) -> None:
    dataset = BaseCocoStyleDataset(write([person(1)]))
    with pytest.raises(DataError, match="has no schema.*set METAINFO"):
        dataset[0]


# the extension interface: classes written for MMPose --------------------------------------


def test_a_subclass_may_read_its_own_file_format(tmp_path: Path, schema: Any) -> None:
    class TextDataset(BaseCocoStyleDataset):
        def __init__(self, *args: Any, marker: str = "", **kwargs: Any) -> None:
            self.marker = marker
            super().__init__(*args, **kwargs)

        def _load_annotations(self) -> tuple[list[dict], list[dict]]:
            instances, images = [], []
            for i, line in enumerate(Path(self.ann_file).read_text().splitlines()):
                name, *numbers = line.split()
                points = np.array(numbers, np.float32).reshape(1, 3, 2)
                instances.append(
                    {
                        "id": i,
                        "img_id": i,
                        "img_path": f"{self.data_prefix['img']}{name}",
                        "bbox": np.array([[0, 0, 9, 9]], np.float32),
                        "bbox_score": np.ones(1, np.float32),
                        "keypoints": points,
                        "keypoints_visible": np.ones((1, 3), np.float32),
                    }
                )
                images.append({"img_id": i, "img_path": name})
            return instances, images

    (tmp_path / "ann.txt").write_text("a.png 1 2 3 4 5 6\nb.png 0 0 0 0 0 0\nc.png 9 8 7 6 5 4\n")
    dataset = TextDataset(
        "ann.txt",
        marker="x",
        metainfo=schema(),
        data_root=str(tmp_path),
        data_prefix={"img": "images/"},
    )
    # the second has no keypoint off the origin
    assert [r["id"] for r in dataset.data_list] == [0, 2]
    assert dataset[0]["img_path"] == f"{tmp_path}/images/a.png"
    assert dataset[0]["flip_indices"] == [1, 0, 2]


def test_a_subclass_may_judge_people_itself(coco: Any, person: Any) -> None:
    class Wide(CocoDataset):
        @staticmethod
        def _is_valid_instance(data_info: dict[str, Any]) -> bool:
            left, _, right, _ = data_info["bbox"][0]
            return bool(right - left > 35)

    dataset = coco([person(1), person(2, bbox=[0, 0, 40, 5]), person(3, iscrowd=1)], cls=Wide)
    assert [r["id"] for r in dataset.data_list] == [2]
    assert dataset.report.kept == 1
    assert dataset.report.total == 3


def test_a_subclass_may_add_to_the_parsed_annotation(coco: Any, person: Any) -> None:
    class Named(CocoDataset):
        def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
            parsed = super().parse_data_info(raw_data_info)
            if parsed is not None:
                parsed["name"] = raw_data_info["raw_ann_info"].get("name", "?")
            return parsed

    dataset = coco([person(1, name="Ann"), person(2), person(3, bbox=None)], cls=Named)
    assert [r["name"] for r in dataset.data_list] == ["Ann", "?"]


def test_a_subclass_may_say_by_rule_how_annotations_are_written(coco: Any, person: Any) -> None:
    class Feet(BaseCocoStyleDataset):
        rule = InstanceRule(keypoints=("feet",), box=64, offset=-1, extras=("shoe",))

    dataset = coco([person(1, feet=[5, 6, 2] * 3, shoe=41)], cls=Feet)
    info = dataset.get_data_info(0)
    assert info["keypoints"].tolist() == [[[4, 5]] * 3]
    assert info["bbox"].tolist() == [[0, 0, 64, 64]]
    assert info["shoe"] == 41
    assert "area" not in info


def test_a_subclass_may_filter_records(coco: Any, person: Any) -> None:
    class Few(CocoDataset):
        def filter_data(self) -> list[dict[str, Any]]:
            return [r for r in self.data_list if r["id"] > 1]

    assert [r["id"] for r in coco([person(1), person(2)], cls=Few).data_list] == [2]


def test_reserved_keys_are_refused(coco: Any, person: Any) -> None:
    class Clash(CocoDataset):
        def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | None:
            return {**super().parse_data_info(raw_data_info), "flip_pairs": []}

    with pytest.raises(DataError, match="the key `flip_pairs`, which is reserved"):
        coco([person(1)], cls=Clash)[0]


def test_paths_may_be_paths(write: Any, person: Any, schema: Any, tmp_path: Path) -> None:
    write([person(1)])
    (record,) = CocoDataset(
        Path("ann.json"), metainfo=schema(), data_root=tmp_path, data_prefix={"img": Path("i")}
    ).data_list
    assert record["img_path"] == f"{tmp_path}/i/1.png"


def test_a_pipeline_may_be_a_single_step(coco: Any, person: Any) -> None:
    dataset = coco([person(1)], pipeline=lambda results: results["id"])
    assert dataset[0] == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sample_interval": 0}, "sample_interval is at least 1, got 0"),
        ({"data_prefix": {"image": "i"}}, "`data_prefix` needs `img`, .* and has image"),
        ({"filter_cfg": {"on_bad": "drop"}}, "must be one of 'error', 'skip', got 'drop'"),
        ({"indices": "12"}, "`indices` must be an int or a sequence of ints, got str"),
    ],
)
def test_settings_without_a_meaning_are_refused(
    coco: Any, person: Any, settings: dict[str, Any], text: str
) -> None:
    with pytest.raises((DataError, ArgumentError), match=text):
        coco([person(1)], **settings)
