"""Data sets that differ from COCO by a row."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import poise.datasets
from poise.datasets import BaseCocoStyleDataset, DeepFashionDataset
from poise.datasets.catalog import CATALOG
from poise.errors import DataError
from poise.registry import DATASETS

NAMES = [row.name for row in CATALOG]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_an_importable_registered_picklable_class(name: str) -> None:
    cls = getattr(poise.datasets, name)
    assert cls is DATASETS.get(name)
    assert pickle.loads(pickle.dumps(cls)) is cls
    assert issubclass(cls, BaseCocoStyleDataset)
    assert cls.__doc__
    assert set(cls.METAINFO) == {"from_file"}


OTHERS = (
    "BaseCocoStyleDataset",
    "BaseMocapDataset",
    "CocoWholeBodyHandDataset",
    "CombinedDataset",
    "DeepFashionDataset",
    "H36MWholeBodyDataset",
    "Human36mDataset",
    "InterHand2DDoubleDataset",
    "InterHand3DDataset",
    "MpiiDataset",
    "MpiiTrbDataset",
    "PoseTrack18VideoDataset",
    "UBody3dDataset",
    "BaseDataset",
    "ClassBalancedDataset",
    "ConcatDataset",
    "RepeatDataset",
)


def test_all_names_of_the_reference_are_registered() -> None:
    for name in (*NAMES, *OTHERS):
        assert DATASETS.get(name) is getattr(poise.datasets, name)


def one(coco: Any, name: str, ann: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return coco([ann], cls=getattr(poise.datasets, name), **settings).get_data_info(0)


@pytest.mark.parametrize(
    "name", ["Face300WDataset", "Face300VWDataset", "WFLWDataset", "AFLWDataset"]
)
def test_faces_have_a_centre_and_a_scale_of_200_pixels(coco: Any, person: Any, name: str) -> None:
    info = one(coco, name, person(1, center=[50, 40], scale=0.25))
    assert info["bbox_center"].tolist() == [[50, 40]]
    assert info["bbox_scale"].tolist() == [[50, 50]]
    assert info["bbox"].tolist() == [[25, 15, 75, 65]]
    assert "area" not in info


def test_aflw_tests_need_the_size_of_the_box(coco: Any, person: Any) -> None:
    ann = person(1, center=[50, 40], scale=0.25, box_size=33)
    assert one(coco, "AFLWDataset", ann, test_mode=True)["box_size"] == 33
    assert "box_size" not in one(coco, "AFLWDataset", ann)
    del ann["box_size"]
    with pytest.raises(DataError, match=r"no `box_size` in 1 annotation \(1\)"):
        one(coco, "AFLWDataset", ann, test_mode=True)


@pytest.mark.parametrize(
    ("name", "side"), [("LocustDataset", 160), ("ZebraDataset", 160), ("FreiHandDataset", 224)]
)
def test_some_pictures_are_their_own_box(coco: Any, person: Any, name: str, side: int) -> None:
    assert one(coco, name, person(1))["bbox"].tolist() == [[0, 0, side, side]]


def test_jhmdb_counts_from_one(coco: Any, person: Any) -> None:
    info = one(coco, "JhmdbDataset", person(1))
    assert info["bbox"].tolist() == [[9, 19, 39, 59]]
    assert info["keypoints"].tolist() == [[[11, 23], [19, 29], [-1, -1]]]
    assert info["area"] == np.float32(30 * 40 * 0.53)
    # the origin has moved to (-1, -1), so none is taken for missing
    assert info["num_keypoints"] == 3
    assert info["category_id"] == 1
    assert one(coco, "JhmdbDataset", person(1, category_id=None))["category_id"] == [1]


def test_human_art_has_a_field_for_21_keypoints(coco: Any, person: Any) -> None:
    info = one(coco, "HumanArt21Dataset", person(1, keypoints_21=[7, 8, 2] * 3))
    assert info["keypoints"].tolist() == [[[7, 8]] * 3]
    assert info["category_id"] == 1


def test_whole_bodies_join_five_fields(coco: Any, person: Any, schema: Any) -> None:
    fields = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    parts = {name: [i + 0.5, 5, i] for i, name in enumerate(fields)}
    info = one(coco, "CocoWholeBodyDataset", person(1, **parts), metainfo=schema(7))
    assert info["keypoints"].shape == (1, 7, 2)
    assert info["keypoints"][0, 3:, 0].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert info["keypoints_visible"].tolist() == [[1, 1, 0, 0, 1, 1, 1]]
    assert info["keypoints_3d"] is None
    assert info["raw_ann_info"]["face_kpts"] == [1.5, 5, 1]


def test_faces_of_whole_bodies_must_be_valid(coco: Any, person: Any) -> None:
    cls = poise.datasets.CocoWholeBodyFaceDataset
    face = {"face_box": [1, 2, 3, 4], "face_kpts": [5, 6, 1] * 3}
    people = [
        person(1, face_valid=True, **face),
        person(2, face_valid=False, **face),
        person(3, face_valid=True, **{**face, "face_kpts": [0.0] * 9}),
    ]
    dataset = coco(people, cls=cls)
    assert len(dataset) == 1
    assert dataset.get_data_info(0)["bbox"].tolist() == [[1, 2, 4, 6]]
    assert dataset.report.dropped == {"without face_valid": 2}


def test_hands_of_whole_bodies_are_instances_of_their_own(coco: Any, person: Any) -> None:
    def hands(left: bool, right: bool) -> dict[str, Any]:
        kinds = {"left": left, "right": right}
        fields: dict[str, Any] = {}
        for i, (side, valid) in enumerate(kinds.items()):
            fields |= {
                f"{side}hand_valid": valid,
                f"{side}hand_kpts": [i + 5, 6, 1] * 3,
                f"{side}hand_box": [i, 2, 3, 4],
            }
        return fields

    people = [
        person(1, **hands(True, True)),
        person(2, **hands(False, True)),
        person(3, iscrowd=1, **hands(True, True)),
    ]
    dataset = coco(people, cls=poise.datasets.CocoWholeBodyHandDataset)
    found = list(dataset.data_list)
    assert [f["id"] for f in found] == [0, 1, 2]
    assert [f["bbox"][0, 0] for f in found] == [0, 1, 1]
    assert dataset.report.dropped == {"crowd": 2, "without valid hand": 1}


def test_hands_of_halpe_are_boxed_by_their_keypoints(coco: Any, person: Any, schema: Any) -> None:
    keypoints = [[0, 0, 0]] * 136
    keypoints[94:97] = [[10, 20, 2], [30, 25, 1], [99, 99, 0]]
    keypoints[120] = [7, 7, 2]
    flat = [number for triple in keypoints for number in triple]
    kind = {"cls": poise.datasets.HalpeHandDataset, "metainfo": schema(21)}
    dataset = coco([person(1, keypoints=flat)], **kind)
    assert len(dataset) == 1
    assert dataset.get_data_info(0)["keypoints"].shape == (1, 21, 2)
    assert dataset.get_data_info(0)["bbox"].tolist() == [[10, 20, 30, 25]]
    with pytest.raises(DataError, match="annotation 1 has 3 keypoints, expected 136"):
        coco([person(1)], **kind)
    with pytest.raises(DataError, match="a hand of annotation 1 has 21 keypoints, expected 3"):
        coco([person(1, keypoints=flat)], cls=poise.datasets.HalpeHandDataset)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("MpiiDataset", "ann_fle", "ann_file"),
        ("CocoDataset", "ann_fle", "ann_file"),
        ("Human36mDataset", "seq_length", "seq_len"),
        ("UBody3dDataset", "seq_length", "seq_len"),
        ("H36MWholeBodyDataset", "casual", "causal"),
        ("InterHand3DDataset", "joints_file", "joint_file"),
        ("PoseTrack18VideoDataset", "frame_weight", "frame_weights"),
    ],
)
def test_an_unknown_argument_is_suggested(name: str, given: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"does not take the argument '{given}'.*'{meant}'"):
        DATASETS.build({"type": name, given: 1})


def test_panoptic_hands_have_a_head_size(coco: Any, person: Any) -> None:
    assert one(coco, "PanopticHand2DDataset", person(1, head_size=12.5))["head_size"] == 12.5


@pytest.mark.parametrize(
    ("subset", "name"), [("", "full"), ("full", "full"), ("upper", "upper"), ("lower", "lower")]
)
def test_the_subset_of_deepfashion_decides_on_the_schema(subset: str, name: str) -> None:
    found = DeepFashionDataset.subset_metainfo(subset)
    assert found == {"from_file": f"configs/_base_/datasets/deepfashion_{name}.py"}


def test_an_unknown_subset_of_deepfashion_is_refused() -> None:
    with pytest.raises(ValueError, match='invalid subset: uper.*did you mean .*"?upper'):
        DeepFashionDataset("a.json", subset="uper")
