from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.transforms import KeypointConverter, MissingKeyError, SingleHandConverter


def test_keypoints_move_to_their_places(person):
    before = person(2)
    before["keypoints_visible"][0, 1] = 0
    points = before["keypoints"].copy()
    after = KeypointConverter(4, [(0, 3), [1, 0]])(before)
    np.testing.assert_array_equal(after["keypoints"][:, [3, 0]], points[:, [0, 1]])
    assert (after["keypoints"][:, [1, 2]] == 0).all()
    assert after["keypoints"].shape == (2, 4, 2)
    assert after["keypoints_visible"][..., 0].tolist() == [[0, 0, 0, 1], [1, 0, 0, 1]]
    assert after["keypoints_visible"][..., 1].tolist() == [[1, 0, 0, 1]] * 2
    assert after["flip_indices"] == [0, 2, 1, 4, 3]


def test_two_sources_give_their_middle(person):
    before = person()
    before["keypoints_visible"][0, 2] = 0
    points = before["keypoints"].copy()
    after = KeypointConverter(3, [((1, 2), 0), ((3, 4), 1), (0, 2)])(before)
    middles = 0.5 * (points[:, [1, 3]] + points[:, [2, 4]])
    np.testing.assert_allclose(after["keypoints"][:, :2], middles, rtol=1e-6)
    assert after["keypoints_visible"][0, :, 0].tolist() == [0, 1, 1]


def test_middles_do_not_change_the_given_flip_indices(person):
    results = person()
    given = results["flip_indices"]
    KeypointConverter(3, [((1, 2), 0), (3, 1)])(results)
    assert given == [0, 2, 1, 4, 3]


def test_more_pairs_than_source_keypoints_are_fine(person):
    mapping = [((0, 1), i) for i in range(8)]
    after = KeypointConverter(8, mapping)(person())
    assert after["flip_indices"] == list(range(8))


def test_a_key_of_3d_keypoints_without_any_is_passed_over(person):
    # records of COCO-WholeBody
    after = KeypointConverter(2, [(0, 0)])(person() | {"keypoints_3d": None})
    assert after["keypoints"].shape == (1, 2, 2)
    assert after["keypoints_3d"] is None


def test_missing_visibility_counts_as_visible(person):
    results = person()
    del results["keypoints_visible"]
    after = KeypointConverter(2, [(0, 0)])(results)
    assert after["keypoints_visible"][0].tolist() == [[1, 1], [0, 0]]


def test_converting_twice_reads_the_first_channel(person):
    converter = KeypointConverter(5, [(i, i) for i in range(5)])
    once = converter(person())
    once["keypoints_visible"][..., 1] = 9
    assert (converter(once)["keypoints_visible"] == 1).all()


def test_an_empty_mapping_gives_nothing(person):
    after = KeypointConverter(3, [])(person())
    assert after["keypoints"].shape == (1, 3, 2)
    assert not after["keypoints_visible"].any()


def test_3d_keypoints_give_target_and_input():
    points = np.random.default_rng(0).random((2, 5, 3))
    results = {"keypoints": points[..., :2], "keypoints_3d": points, "target_idx": [1]}
    after = KeypointConverter(3, [(4, 0)])(results)
    np.testing.assert_array_equal(after["lifting_target"][0, 0], points[1, 4])
    np.testing.assert_array_equal(after["keypoints"][:, 0], points[:, 4, :2])
    assert after["lifting_target_visible"].tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ([(0, 3)], r"target index 3 of pair \(0, 3\) is outside.*num_keypoints=3"),
        ([(0, -1)], "target index -1"),
        ([(-1, 0)], r"source indices count from 0, got \(-1, 0\)"),
        ([((0, -1), 0)], "source indices count from 0"),
        ([((0, 1, 2), 0)], r"each pair.*got \(\(0, 1, 2\), 0\)"),
        ([(0, 1, 2)], "each pair"),
        ([3], "each pair"),
        ([("nose", 0)], "whole numbers"),
    ],
)
def test_wrong_mappings_are_refused(mapping, text):
    with pytest.raises(ArgumentError, match=text):
        KeypointConverter(3, mapping)


def test_a_source_the_annotations_lack_is_named(person):
    with pytest.raises(DataError, match="source keypoint 9, but the annotations have 5"):
        KeypointConverter(3, [((0, 9), 0)])(person())


HANDS = dict(num_keypoints=10, left_hand_mapping=[(0, 0)], right_hand_mapping=[(0, 5)])


@pytest.mark.parametrize(
    ("faults", "hand", "place"),
    [(False, [0, 1], 0), (False, [1, 0], 5), (True, [0, 1], 0), (True, [1, 0], 0)],
)
def test_a_hand_goes_to_its_side(person, faults, hand, place):
    results = person(hand_type=np.array([hand]))
    after = SingleHandConverter(**HANDS, mmpose_faults=faults)(results)
    assert np.flatnonzero(after["keypoints_visible"][0, :, 0]).tolist() == [place]


def test_two_hands_at_once_are_refused(person):
    with pytest.raises(DataError, match=r"one hand a sample.*got \[\[1.0, 1.0\]\]"):
        SingleHandConverter(**HANDS)(person(hand_type=np.array([[1, 1]])))


def test_a_missing_hand_type_is_explained(person):
    with pytest.raises(MissingKeyError, match="hand_type.*interhand"):
        SingleHandConverter(**HANDS)(person())


def test_a_mapping_may_be_named():
    converter = KeypointConverter(17, "aic->coco")
    assert converter.mapping[:2] == [(0, 6), (1, 8)]
    after = converter({"keypoints": np.arange(28.0).reshape(1, 14, 2)})
    assert after["keypoints"][0, 6].tolist() == [0, 1]
    assert len(KeypointConverter(106, "300w->lapa").mapping) < len(
        KeypointConverter(106, "300w->lapa", derived=True).mapping
    )
    with pytest.raises(ArgumentError, match="gives the 17 keypoints of coco, but num_keypoints=19"):
        KeypointConverter(19, "aic->coco")


def test_single_hands_may_be_named():
    converter = SingleHandConverter(
        133, "rhd2d->coco_wholebody/left", "rhd2d->coco_wholebody/right"
    )
    assert converter.left_hand_converter.mapping[0] == (0, 91)
    assert converter.right_hand_converter.mapping[0] == (0, 112)
