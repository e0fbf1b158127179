"""Boxes between two runs of the detector."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.inference.boxes.propagation import PoseBoxes, interpolate_boxes


def box(x, y=0.0, size=10.0):
    return [x, y, x + size, y + 2 * size]


def test_boxes_move_on_straight_lines_between_detections_whatever_their_order():
    before, after = [box(0), box(100)], [box(104), box(4, 8)]
    (boxes, scores), (end, _) = interpolate_boxes(
        before, after, [0.25, 1.0], scores=([0.8, 1.0], [0.6, 0.4])
    )
    np.testing.assert_allclose(boxes, [box(1, 2), box(101)])
    np.testing.assert_allclose(scores, [0.7, 0.9])
    np.testing.assert_allclose(end, [box(4, 8), box(104)])


def test_somebody_seen_once_stays_for_the_nearer_half():
    early, late = interpolate_boxes([box(0)], [box(500)], [0.3, 0.7])
    assert early[0].tolist() == [box(0)]
    assert late[0].tolist() == [box(500)]


@pytest.mark.parametrize(("before", "after"), [([], []), ([], [box(1)]), ([box(1)], [])])
def test_nobody_on_a_side_is_no_error(before, after):
    counts = [len(b) for b, _ in interpolate_boxes(before, after, [0.0, 0.9])]
    assert counts == [len(before), len(after)]


def test_boxes_of_another_form_are_named():
    with pytest.raises(DataError, match=r"'after' must be \(N, 4\)"):
        interpolate_boxes([box(0)], [[0, 0, 1]], [0.5])


def test_boxes_follow_poses_with_the_margin_of_the_detector_and_do_not_grow():
    rng = np.random.default_rng(0)
    pose = rng.uniform(20, 80, (2, 17, 2))
    sure = np.ones((2, 17))
    margin = np.array([-5, -9, 4, 6])
    detected = np.concatenate((pose.min(1), pose.max(1)), 1) + margin
    boxes = PoseBoxes(lead=1.0)
    boxes.detected(detected, [0.9, 0.8], pose, sure)
    for step in range(1, 30):
        found, scores = boxes.moved(pose + 2 * step, sure)
    np.testing.assert_allclose(found, detected + 2 * 30, atol=1e-3)
    np.testing.assert_allclose(scores, [0.9, 0.8])


def test_people_whose_pose_is_lost_are_dropped_and_others_stay():
    pose = np.random.default_rng(1).uniform(0, 50, (2, 17, 2))
    boxes = PoseBoxes()
    boxes.detected(np.zeros((2, 4)), [0.9, 0.8], pose, np.ones((2, 17)))
    unsure = np.ones((2, 17))
    unsure[0, 2:] = 0.1
    found, scores = boxes.moved(pose, unsure)
    assert found.shape == (1, 4)
    assert scores.tolist() == [np.float32(0.8)]
    with pytest.raises(DataError, match="1 people of the frame before, got 2"):
        boxes.moved(pose, unsure)
