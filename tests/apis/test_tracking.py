"""The greedy tracking step of MMPose's demos."""

import numpy as np
import pytest

from poise.apis import _track_by_iou, _track_by_oks
from poise.structures import InstanceData, PoseDataSample


def sample(left, track=None):
    found = PoseDataSample()
    keypoints = np.random.default_rng(0).uniform(0, 50, (1, 17, 2)) + np.array([left, 0])
    found.pred_instances = InstanceData(
        bboxes=np.array([[left, 0, left + 50, 50]], float),
        keypoints=keypoints,
        keypoint_scores=np.ones((1, 17)),
        areas=np.array([2500.0]),
    )
    if track is not None:
        found.set_field(track, "track_id")
    return found


@pytest.mark.parametrize("step", [_track_by_iou, _track_by_oks])
def test_a_pose_continues_the_nearest_track_once(step):
    last = [sample(0, 7), sample(30, 8), sample(300, 9)]
    track, rest, match = step(sample(28), last, 0.3)
    assert (track, match.track_id) == (8, 8)
    assert [entry.track_id for entry in rest] == [7, 9]
    assert step(sample(600), rest, 0.3) == (-1, rest, {})
    assert step(sample(0), [], 0.3) == (-1, [], {})
