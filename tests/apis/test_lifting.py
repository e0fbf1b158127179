"""From frames of people to sequences that lifters take."""

import numpy as np
import pytest

from poise.apis import (
    collate_pose_sequence,
    convert_keypoint_definition,
    extract_pose_sequence,
)
from poise.errors import DataError
from poise.structures import InstanceData, PoseDataSample


def person(value, track=None):
    sample = PoseDataSample()
    sample.gt_instances = InstanceData()
    sample.pred_instances = InstanceData(keypoints=np.full((1, 2, 2), value, np.float32))
    if track is not None:
        sample.track_id = track
    return sample


def values(sample):
    return sample.pred_instances.keypoints[0, :, 0, 0].tolist()


@pytest.mark.parametrize(
    ("frame", "causal", "length", "step", "expected"),
    [
        (3, False, 5, 1, [1, 2, 3, 4, 5]),
        (0, False, 5, 1, [0, 0, 0, 1, 2]),
        (5, False, 3, 2, [3, 5, 5]),
        (1, True, 4, 1, [0, 0, 0, 1]),
    ],
)
def test_sequences_are_padded_with_the_ends(frame, causal, length, step, expected):
    assert extract_pose_sequence(list(range(6)), frame, causal, length, step) == expected


def test_people_are_followed_by_their_track_and_held_where_it_breaks_off():
    frames = [
        [person(10, 1), person(20, 2)],
        [person(21, 2)],
        [person(22, 2), person(12, 1)],
        [person(23, 2), person(13, 1)],
    ]
    of_2, of_1 = collate_pose_sequence(frames, target_frame=2)
    assert values(of_2) == [20, 21, 22, 23]
    # lost in frame 1, so what frame 0 says of somebody called 1 does not count
    assert values(of_1) == [12, 12, 12, 13]


@pytest.mark.parametrize(("hold_last", "expected"), [(False, [1, 2, 0, 0]), (True, [1, 2, 2, 2])])
def test_frames_after_the_end_of_a_track_are_zero_as_in_mmpose_or_held(hold_last, expected):
    frames = [[person(1, 7)], [person(2, 7)], [person(3, 8)], [person(4, 7)]]
    (sequence,) = collate_pose_sequence(frames, target_frame=1, hold_last=hold_last)
    assert values(sequence) == expected


def test_without_tracks_the_place_in_the_frame_tells_people_apart():
    frames = [[person(1), person(2)], [person(3), person(4)]]
    assert [values(s) for s in collate_pose_sequence(frames, False)] == [[1, 3], [2, 4]]
    with pytest.raises(DataError, match="frame 0 has 1 of the 2 in frame 1; track them"):
        collate_pose_sequence([frames[0][:1], frames[1]], False)


def test_nobody_in_the_target_frame_gives_nothing_and_no_frames_are_an_error():
    assert collate_pose_sequence([[person(1, 1)], []]) == []
    with pytest.raises(DataError, match="at least one frame"):
        collate_pose_sequence([])


def test_coco_becomes_h36m_with_derived_joints_in_the_middle():
    keypoints = np.zeros((1, 17, 2), np.float32)
    keypoints[0, 11], keypoints[0, 12] = (0, 100), (20, 100)
    keypoints[0, 5], keypoints[0, 6] = (0, 0), (20, 0)
    keypoints[0, 0] = (10, -30)
    out = convert_keypoint_definition(keypoints, "coco", "h36m")
    assert out.dtype == np.float32
    assert out[0, [0, 7, 8, 9]].tolist() == [[10, 100], [10, 50], [10, 0], [10, -30]]


@pytest.mark.parametrize("source", ["coco", "posetrack18", "aic", "crowdpose"])
def test_conversion_moves_with_the_person(source):
    keypoints = np.random.default_rng(0).uniform(0, 99, (2, 18, 3))
    moved = convert_keypoint_definition(keypoints + 7, source, "h36m")
    np.testing.assert_allclose(moved, convert_keypoint_definition(keypoints, source, "h36m") + 7)


def test_conversions_without_a_rule_are_refused():
    keypoints = np.zeros((1, 17, 2))
    assert convert_keypoint_definition(keypoints, "h36m", "h36m") is keypoints
    with pytest.raises(NotImplementedError, match="unsupported conversion from fly to h36m"):
        convert_keypoint_definition(keypoints, "fly", "h36m")
    with pytest.raises(NotImplementedError, match="nothing gives root, right_hip"):
        convert_keypoint_definition(keypoints, "interhand3d", "h36m")
    with pytest.raises(DataError, match="must be one of 'h36m', 'h3wb', got 'coco'"):
        convert_keypoint_definition(keypoints, "h36m", "coco")
