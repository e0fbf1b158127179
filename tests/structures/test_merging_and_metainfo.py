"""Samples of one picture become one; raw metainfo becomes arrays."""

import json

import numpy as np
import pytest

from poise import schemas
from poise.errors import DataError, UnknownNameError
from poise.schemas import FAULTS
from poise.structures import (
    InstanceData,
    PixelData,
    PoseDataSample,
    merge_data_samples,
    parse_pose_metainfo,
    revert_heatmap,
    split_instances,
)
from poise.structures.config_metainfo import dataset_meta_of


def person(x, heat=True):
    sample = PoseDataSample(
        metainfo=dict(
            input_center=np.array([x, 24.0]), input_scale=np.array([24.0, 32.0]), ori_shape=(48, 64)
        )
    )
    sample.gt_instances = InstanceData(keypoints=np.full((1, 3, 2), x))
    sample.pred_instances = InstanceData(
        keypoints=np.full((1, 3, 2), x),
        keypoint_scores=np.ones((1, 3)),
        bboxes=np.array([[0, 0, x, x]]),
        bbox_scores=np.array([0.5]),
    )
    if heat:
        maps = np.zeros((3, 8, 6), np.float32)
        maps[:, 4, 3] = 1
        sample.pred_fields = PixelData(heatmaps=maps)
        sample.gt_fields = PixelData(heatmaps=maps)
    return sample


def test_merged_samples_hold_everybody():
    merged = merge_data_samples([person(16.0), person(48.0)])
    assert merged.pred_instances.keypoints[:, 0, 0].tolist() == [16, 48]
    assert len(merged.gt_instances) == 2
    assert merged.pred_fields.heatmaps.shape == (3, 48, 64)
    peaks = merged.pred_fields.heatmaps[0][24, [16, 48]]
    assert (peaks > 0.9).all()
    assert merged.ori_shape == (48, 64)


def test_merging_needs_no_heatmaps():
    assert "pred_fields" not in merge_data_samples([person(16.0, heat=False)])


def test_merging_nothing_warns():
    with pytest.warns(UserWarning, match="empty list"):
        assert merge_data_samples([]).all_keys() == []


@pytest.mark.parametrize("samples", [[1], person(3.0), [person(3.0), None]])
def test_merging_takes_samples(samples):
    with pytest.raises(ValueError, match="takes a list of PoseDataSample"):
        merge_data_samples(samples)


@pytest.mark.parametrize("shape", [(8, 6), (1, 8, 6), (17, 8, 6), (133, 8, 6)])
@pytest.mark.parametrize("tensors", [False, True])
def test_a_heatmap_keeps_its_axes_on_the_picture(shape, tensors):
    maps = np.ones(shape, np.float32)
    if tensors:
        maps = pytest.importorskip("torch").from_numpy(maps)
    got = revert_heatmap(maps, np.array([[32.0, 24.0]]), np.array([24.0, 32.0]), (48, 64, 3))
    assert got.shape == (*shape[:-2], 48, 64)
    assert got[..., 24, 32].min() > 0.99
    assert got[..., 0, 0].max() == 0


def test_split_instances_are_plain():
    rows = split_instances(merge_data_samples([person(16.0), person(48.0)]).pred_instances)
    assert len(rows) == 2
    assert rows[1]["keypoints"] == [[48.0, 48.0]] * 3
    assert rows[0]["bbox"] == ([0.0, 0.0, 16.0, 16.0],)
    assert json.loads(json.dumps(rows))[0]["bbox_score"] == 0.5
    assert split_instances(None) == []
    bare = InstanceData(keypoints=np.zeros((1, 2, 2)), keypoint_scores=np.zeros((1, 2)))
    assert split_instances(bare)[0].keys() == {"keypoints", "keypoint_scores"}


@pytest.fixture
def raw():
    return dict(
        dataset_name="arm",
        keypoint_info={
            0: dict(name="neck", type="upper", swap="", color=[1, 2, 3]),
            1: dict(name="left_hand", type="upper", swap="right_hand"),
            2: dict(name="right_hand", type="lower", swap="left_hand"),
        },
        skeleton_info={0: dict(link=("neck", "left_hand"), color=[4, 5, 6])},
        joint_weights=[1.0, 1.5, 1.5],
        sigmas=[],
        stats_info=dict(bbox_center=[1, 2]),
    )


def test_parsed_metainfo_is_indices_and_arrays(raw):
    parsed = parse_pose_metainfo(raw)
    assert parsed["num_keypoints"] == 3
    assert parsed["flip_indices"] == [0, 2, 1]
    assert parsed["flip_pairs"] == [(2, 1), (1, 2)]
    assert parsed["upper_body_ids"] == [0, 1]
    assert parsed["lower_body_ids"] == [2]
    assert parsed["keypoint_name2id"]["right_hand"] == 2
    assert parsed["keypoint_id2name"][0] == "neck"
    assert parsed["keypoint_colors"].tolist() == [[1, 2, 3], [255, 128, 0], [255, 128, 0]]
    assert parsed["skeleton_links"] == [(0, 1)]
    assert parsed["skeleton_link_colors"].dtype == np.uint8
    assert parsed["num_skeleton_links"] == 1
    assert parsed["dataset_keypoint_weights"].dtype == np.float32
    assert parsed["sigmas"].shape == (0,)
    assert parsed["stats_info"]["bbox_center"].tolist() == [1, 2]


def test_a_missing_part_is_named(raw):
    del raw["sigmas"]
    with pytest.raises(DataError, match="'arm': dataset_info lacks 'sigmas'"):
        parse_pose_metainfo(raw)


def test_an_unknown_name_is_suggested(raw):
    raw["keypoint_info"][1]["swap"] = "rigth_hand"
    with pytest.raises(UnknownNameError, match="did you mean 'right_hand'"):
        parse_pose_metainfo(raw)
    raw["keypoint_info"][1]["swap"] = "right_hand"
    raw["skeleton_info"][0]["link"] = ("neck", "foot")
    with pytest.raises(
        UnknownNameError, match="'arm': link 0 names the keypoint 'foot', which does not exist"
    ):
        parse_pose_metainfo(raw)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"joint_weights": [1.0]}, "'joint_weights' has 1 numbers for 3 keypoints"),
        ({"sigmas": [0.1] * 4}, "'sigmas' has 4 numbers for 3 keypoints"),
        ({"sigmas": ["x"] * 3}, "'sigmas' 0 is a number above 0, got 'x'"),
        ({"keypoint_info": ["neck"]}, "'keypoint_info' is a dict 0:"),
        ({"keypoint_info": {0: {"name": "a"}, 1: {"name": "a"}}}, "both called 'a'"),
        ({"keypoint_info": {0: {"name": "a"}, 2: {"name": "b"}}}, "number 1 is 2"),
        ({"keypoint_info": {0: {"name": "a", "color": [300, 0, 0]}}}, r"0\.\.255, got \[300,"),
        ({"skeleton_info": {0: {"link": ("neck", "neck", "neck")}}}, "link 0 is a pair"),
        ({"skeleton_info": {0: dict(link=["neck", {}])}}, "link 0 names the keypoint {}"),
        ({"keypoint_info": {0: dict(name="a", swap=5)}}, "'swap' of keypoint 0 'a' names 5"),
        ({"stats_info": 5}, "'stats_info' is a dict, got 5"),
        ({"stats_info": dict(a=[1, "x"])}, r"'a' of 'stats_info' is one or .* got \[1, 'x'\]"),
    ],
)
def test_what_does_not_fit_the_keypoints_is_named(raw, change, text):
    with pytest.raises(DataError, match=text):
        parse_pose_metainfo({**raw, **change})


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_faults_of_mmposes_metainfo_are_taken_as_they_are(name):
    assert parse_pose_metainfo(schemas.get(name))["num_keypoints"] > 0


def test_metainfo_may_hold_arrays(raw):
    raw["keypoint_info"][0]["color"] = np.array([1, 2, 3])
    parsed = parse_pose_metainfo({**raw, "joint_weights": np.ones(3), "sigmas": np.ones(3)})
    assert parsed["sigmas"].tolist() == [1, 1, 1]
    assert parsed["keypoint_colors"][0].tolist() == [1, 2, 3]


def test_metainfo_that_is_none_is_named():
    with pytest.raises(DataError, match="keypoint metainfo is a dict"):
        parse_pose_metainfo(None)


HANDS = dict(type="FreiHandDataset")


@pytest.mark.parametrize(
    ("dataset", "keypoints"),
    [
        (HANDS, 21),
        ([HANDS, dict(type="CocoDataset")], 21),
        (dict(type="RepeatDataset", dataset=HANDS), 21),
        (dict(type="ConcatDataset", datasets=[HANDS, dict(type="CocoDataset")]), 21),
        (dict(type="CocoDataset", metainfo=dict(from_file="configs/_base_/datasets/mpii.py")), 16),
        (dict(type="CocoDataset", metainfo=dict(classes=("cat",))), None),
        (dict(type="DeepFashionDataset", subset="lower"), 4),
        (dict(type="DeepFashionDataset", subset="full"), 8),
        ([], None),
        (None, None),
    ],
)
def test_a_config_speaks_of_the_keypoints_of_its_dataset(dataset, keypoints):
    meta = dataset_meta_of(dict(test_dataloader=dict(dataset=dataset)))
    assert (meta and meta["num_keypoints"]) == keypoints
    trained = dict(test_dataloader=None, train_dataloader=dict(dataset=dataset))
    assert (meta is None) is (dataset_meta_of(trained) is None)
