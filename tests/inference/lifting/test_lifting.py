"""3D poses in a stream of results, against the functional calls."""

import logging

import numpy as np
import pytest
import torch

from poise import load_config
from poise.apis import extract_pose_sequence, inference_pose_lifter_model
from poise.apis.lifting import convert_keypoint_definition
from poise.errors import ArgumentError, ConfigError, DataError
from poise.inference.lifting import build_lifter, upright
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.models.build import build_model
from poise.structures import InstanceData, PoseDataSample, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
PICTURE = np.zeros((720, 1280, 3), np.uint8)
VIDEO = "video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m"
MOTION = "motionbert_dstformer-243frm_8xb32-240e_h36m"


def poses(frames, people=2):
    """(T, N, 17, 2) of people who walk and wave."""
    rng = np.random.default_rng(0)
    body = rng.uniform(-1, 1, (people, 17, 2)) * [60, 120]
    t = np.arange(frames)[:, None, None, None]
    place = np.array([[300, 300], [700, 320.0]])[:people, None] + np.array([2.0, 0]) * t
    return (place + body + 6 * np.sin(t / 5 + np.arange(17)[:, None])).astype(np.float32)


def results(sequence, schema=COCO, video="clip.mp4"):
    for t, people in enumerate(sequence):
        count = len(people)
        fields = InstanceData(
            keypoints=people,
            keypoint_scores=np.ones((count, 17), np.float32),
            bboxes=np.concatenate((people.min(1) - 10, people.max(1) + 10), 1),
            bbox_scores=np.ones(count, np.float32),
        )
        source = SourceInfo(video, "video")
        yield PoseResult(PICTURE, fields, schema, video, frame_index=t, source=source)


@pytest.fixture(scope="module")
def video_lifter():
    torch.manual_seed(0)
    config = load_config(VIDEO)
    for part in (config.model.backbone, config.model.head):
        part.pop("init_cfg", None)
    config.model.backbone.stem_channels = 32
    config.model.backbone.num_blocks = 2
    config.model.head.in_channels = 32
    return build_model(config).eval()


@pytest.fixture(scope="module")
def motion_lifter():
    torch.manual_seed(0)
    config = load_config(MOTION)
    config.model.backbone.update(feat_size=32, depth=1, num_heads=2)
    config.model.head.update(in_channels=32, embedding_size=32)
    return build_model(config).eval()


def by_the_functional_call(model, sequence, frame, known):
    """3D poses of a frame when `known` frames are there."""
    frames = []
    for people in sequence[:known]:
        found = []
        for n, pose in enumerate(people):
            sample = PoseDataSample()
            sample.gt_instances = InstanceData()
            box = np.concatenate((pose.min(0) - 10, pose.max(0) + 10))[None]
            points = convert_keypoint_definition(pose[None], "coco", "h36m")
            sample.pred_instances = InstanceData(keypoints=points, bboxes=box)
            sample.track_id = n
            found.append(sample)
        frames.append(found)
    window = extract_pose_sequence(frames, frame, False, 27)
    lifted = inference_pose_lifter_model(
        model, window, image_size=(1280, 720), norm_pose_2d=True, hold_last=True
    )
    return upright(np.stack([s.pred_instances.keypoints.reshape(17, 3) for s in lifted]))


def test_online_poses_are_those_of_the_functional_call(video_lifter):
    sequence = poses(20)
    stage = build_lifter({"model": video_lifter, "window": "online"})
    assert stage.lag == 0
    lifted = list(stage(results(sequence)))
    for frame in (0, 7, 19):
        expected = by_the_functional_call(video_lifter, sequence, frame, frame + 1)
        np.testing.assert_allclose(lifted[frame].keypoints_3d, expected, atol=1e-5)
    assert lifted[3].keypoints_3d.dtype == np.float32
    assert lifted[3].metainfo_3d["dataset_name"] == "h36m"
    assert "metres" in lifted[3].space_3d
    assert lifted[3].instances.keypoint_scores_3d.shape == (2, 17)
    np.testing.assert_allclose(lifted[3].keypoints_3d[..., 2].min(1), 0)


def test_centred_windows_know_the_future_and_come_late_by_the_stated_lag(video_lifter):
    sequence = poses(60)
    stage = build_lifter(video_lifter)
    assert stage.lag == 13 + 15
    taken = []

    def source():
        for result in results(sequence):
            taken.append(result.frame_index)
            yield result

    lifted = []
    for result in stage(source()):
        lifted.append(result)
        if len(lifted) == 1:
            assert len(taken) == stage.lag + 1
    assert [r.frame_index for r in lifted] == list(range(60))
    for frame in (0, 30, 59):
        expected = by_the_functional_call(video_lifter, sequence, frame, 60)
        np.testing.assert_allclose(lifted[frame].keypoints_3d, expected, atol=1e-5)


def test_a_person_who_comes_later_has_no_past_and_videos_do_not_mix(video_lifter):
    sequence = poses(12)
    late = [p if t >= 6 else p[:1] for t, p in enumerate(sequence)]
    stage = build_lifter({"model": video_lifter, "window": "online"})
    lifted = list(stage(results(late)))
    assert [len(r.keypoints_3d) for r in lifted] == [1] * 6 + [2] * 6
    alone = list(stage(results(sequence[8:, 1:])))
    again = list(
        stage(iter([*results(sequence, video="a"), *results(sequence[8:, 1:], video="b")]))
    )
    np.testing.assert_array_equal(again[12].keypoints_3d, alone[0].keypoints_3d)


def test_clips_give_every_frame_and_single_frames_what_the_functional_call_gives(motion_lifter):
    sequence = poses(70)
    lifted = list(build_lifter(motion_lifter)(results(sequence)))
    assert [r.frame_index for r in lifted] == list(range(70))
    assert all(r.keypoints_3d.shape == (2, 17, 3) for r in lifted)
    steps = np.diff([r.keypoints_3d for r in lifted], axis=0)
    assert np.abs(steps).max() < 0.5
    online = build_lifter({"model": motion_lifter, "window": "online"})
    first = next(iter(online(results(sequence))))
    assert np.isfinite(first.keypoints_3d).all()


def test_a_clip_is_the_same_whether_or_not_another_video_follows(motion_lifter):
    sequence = poses(70, people=1)
    stage = build_lifter(motion_lifter)
    alone = [r.keypoints_3d for r in stage(results(sequence, video="a"))]
    both = stage(iter([*results(sequence, video="a"), *results(sequence[:2], video="b")]))
    followed = [r.keypoints_3d for r in both][:70]
    np.testing.assert_allclose(followed, alone, atol=1e-4)


def test_nobody_gives_an_empty_pose_and_derived_joints_are_told_once(video_lifter, caplog):
    empty = [np.zeros((0, 17, 2), np.float32)] * 3
    lifted = list(build_lifter(video_lifter)(results(empty)))
    assert [r.keypoints_3d.shape for r in lifted] == [(0, 17, 3)] * 3
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        list(build_lifter(video_lifter)(results(poses(3))))
    told = [r.message for r in caplog.records if "coco has no" in r.message]
    assert len(told) == 1
    assert "thorax" in told[0]


def test_what_cannot_be_lifted_is_told(video_lifter):
    hand = parse_pose_metainfo({"from_file": "configs/_base_/datasets/onehand10k.py"})
    with pytest.raises(DataError, match="onehand10k"):
        list(build_lifter(video_lifter)(results(poses(1), schema=hand)))
    with pytest.raises(ArgumentError, match="did you mean 'window'"):
        build_lifter({"model": video_lifter, "windw": "online"})
    with pytest.raises(ConfigError, match="window must be one of"):
        build_lifter({"model": video_lifter, "window": "late"})
    with pytest.raises(ConfigError, match="got a Linear"):
        build_lifter(torch.nn.Linear(2, 2))
