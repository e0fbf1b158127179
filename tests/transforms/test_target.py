from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError, UnknownNameError
from poise.transforms import GenerateTarget, MissingKeyError


class Codec:
    """Stands for a codec: gives what it got."""

    auxiliary_encode_keys = {"area"}

    def __init__(self, *names, factor=1.0):
        self.names = names
        self.factor = factor
        self.field_mapping_table = {n: n for n in names}
        self.instance_mapping_table = {}
        self.label_mapping_table = {"keypoint_weights": "keypoint_weights"}

    def encode(self, keypoints, keypoints_visible=None, area=None):
        encoded = dict.fromkeys(self.names, keypoints * self.factor)
        return encoded | {"keypoint_weights": keypoints_visible * self.factor, "got_area": area}


class Plain(Codec):
    auxiliary_encode_keys = set()

    def encode(self, keypoints, keypoints_visible=None):
        encoded = super().encode(keypoints, keypoints_visible)
        del encoded["got_area"]
        return encoded


def test_a_codec_encodes_the_transformed_keypoints(person):
    results = person(transformed_keypoints=np.full((1, 5, 2), 3.0))
    after = GenerateTarget(Codec("heatmaps"))(results)
    assert (after["heatmaps"] == 3).all()
    assert after["got_area"] is results["area"]
    assert after["field_mapping_table"] == {"heatmaps": "heatmaps"}
    assert after["label_mapping_table"] == {"keypoint_weights": "keypoint_weights"}
    assert "instance_mapping_table" not in after


def test_without_a_warp_it_encodes_the_keypoints(person):
    results = person()
    after = GenerateTarget(Codec("heatmaps"))(results)
    np.testing.assert_array_equal(after["heatmaps"], results["keypoints"])


def test_missing_auxiliary_keys_come_as_none(person):
    results = person()
    del results["area"]
    assert GenerateTarget(Codec("heatmaps"))(results)["got_area"] is None


def test_two_channels_of_visibility_are_taken_apart(person):
    visible = np.stack([np.zeros((1, 5)), np.ones((1, 5))], 2)
    after = GenerateTarget(Plain("heatmaps"))(person(keypoints_visible=visible))
    assert after["keypoints_visible"].tolist() == [[0] * 5]
    assert after["keypoints_visible_weights"].tolist() == [[1] * 5]
    assert after["keypoint_weights"].tolist() == [[0] * 5]


def test_levels_become_lists(person):
    step = GenerateTarget([Plain("heatmaps"), Plain("heatmaps", factor=2)], multilevel=True)
    after = step(person())
    np.testing.assert_array_equal(after["heatmaps"][1], 2 * after["heatmaps"][0])
    assert len(after["keypoint_weights"]) == 2


def test_different_targets_are_put_together(person):
    after = GenerateTarget([Plain("heatmaps"), Plain("keypoint_labels", factor=2)])(person())
    assert {"heatmaps", "keypoint_labels"} <= set(after)
    assert [w.max() for w in after["keypoint_weights"]] == [1, 2]
    assert set(after["field_mapping_table"]) == {"heatmaps", "keypoint_labels"}


def test_schema_weights_multiply(person):
    step = GenerateTarget(Plain("heatmaps"), use_dataset_keypoint_weights=True)
    assert step(person())["keypoint_weights"].tolist() == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize(("faults", "largest"), [(True, 1), (False, 5)])
def test_schema_weights_of_lists_follow_mmpose_unless_told_otherwise(person, faults, largest):
    step = GenerateTarget(
        [Plain("heatmaps"), Plain("labels")],
        use_dataset_keypoint_weights=True,
        mmpose_faults=faults,
    )
    assert [w.max() for w in step(person())["keypoint_weights"]] == [largest] * 2


def test_target_type_is_a_word_of_the_past():
    with pytest.warns(DeprecationWarning, match="target_type='heatmap'.*no effect"):
        GenerateTarget(Plain("heatmaps"), target_type="heatmap")


def test_multilevel_needs_several_encoders():
    with pytest.raises(ArgumentError, match="multilevel=True needs a list of encoders"):
        GenerateTarget(Plain("heatmaps"), multilevel=True)


def test_levels_must_give_the_same_targets(person):
    step = GenerateTarget([Plain("heatmaps"), Plain("labels")], multilevel=True)
    with pytest.raises(DataError, match="encoder 0 gives.*heatmaps.*encoder 1 gives.*labels"):
        step(person())


def test_overlapping_targets_are_refused(person):
    with pytest.raises(DataError, match="two encoders give 'heatmaps'.*encoder 1, Plain"):
        GenerateTarget([Plain("heatmaps"), Plain("heatmaps")])(person())


def test_missing_keypoints_are_explained():
    with pytest.raises(MissingKeyError, match="GenerateTarget needs.*TopdownAffine"):
        GenerateTarget(Plain("heatmaps"))({"keypoints": None})


def test_an_unknown_codec_is_named():
    with pytest.raises(UnknownNameError, match="UDPHeatmapp.*did you mean 'UDPHeatmap'"):
        GenerateTarget(dict(type="UDPHeatmapp"))


@pytest.mark.parametrize("name", ["MSRAHeatmap", "UDPHeatmap"])
@pytest.mark.parametrize("kind", [list, tuple])
def test_codec_configs_work_end_to_end(person, name, kind):
    cfg = dict(type=name, input_size=kind((64, 48)), heatmap_size=kind((16, 12)), sigma=2)
    after = GenerateTarget(cfg)(person())
    assert after["heatmaps"].shape == (5, 12, 16)
    assert after["keypoint_weights"].shape == (1, 5)


def test_a_converter_after_the_warp_is_named(person):
    results = person(transformed_keypoints=np.zeros((1, 4, 2)))
    with pytest.raises(DataError, match="4 keypoints and the visibility of 5.*KeypointConverter"):
        GenerateTarget(Plain("heatmaps"))(results)
