"""Ids that stay with people, on clips whose truth is known."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry.oks import COCO_SIGMAS
from poise.inference.tracking import NO_TRACK, PoseTracker
from poise.metrics import track_scores

spec = importlib.util.spec_from_file_location(
    "clips", Path(__file__).parents[3] / "benchmarks" / "tracking.py"
)
clips = importlib.util.module_from_spec(spec)
# dataclasses look their module up
importlib.sys.modules["clips"] = clips
spec.loader.exec_module(clips)

QUIET = clips.Troubles(0, 0, 0.005, 0, occlusion=False, leaves=False)


def scores_of(clip, **options):
    ids, _ = clips.track(clip, **options)
    truth = [(f.true_ids, f.true_boxes) for f in clip]
    return track_scores(truth, [(i, f.boxes) for i, f in zip(ids, clip, strict=True)])


def person(x, y=100.0, size=100.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([x, y]) + rng.uniform(-0.5, 0.5, (17, 2)) * [0.4 * size, size]


def follow(frames, **options):
    """Ids of frames of (pose, score) pairs."""
    tracker = PoseTracker(**options)
    out = []
    for people in frames:
        poses = np.array([p for p, _ in people]).reshape(-1, 17, 2)
        scores = np.array([s for _, s in people])
        out.append(tracker.update(poses, np.ones((len(poses), 17)), None, scores).tolist())
    return out


def test_people_who_walk_and_cross_keep_their_ids_through_noise_and_misses():
    quiet = scores_of(clips.make_clip(200, 5, 1, QUIET))
    assert (quiet.mota, quiet.idf1) == (1.0, 1.0)
    noisy = scores_of(clips.make_clip(250, 8, 0))
    assert noisy.mota > noisy.recall - 0.02
    assert noisy.idf1 > 0.7


def test_a_shaking_camera_is_told_from_walking():
    shaken = clips.make_clip(150, 6, 2, clips.Troubles(0, 0, 0.01, 40, leaves=False))
    with_it = scores_of(shaken)
    without = scores_of(shaken, camera_motion=False)
    assert with_it.switches <= 6
    assert without.switches > 10 * max(with_it.switches, 1)


def test_the_same_input_gives_the_same_ids():
    clip = clips.make_clip(60, 6, 3)
    first, second = clips.track(clip)[0], clips.track(clip)[0]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_somebody_hidden_for_a_while_is_found_again_where_the_way_led():
    walk = [[(person(50 + 4 * t), 0.9), (person(600), 0.9)] for t in range(60)]
    for t in range(20, 40):
        walk[t] = walk[t][1:]
    ids = follow(walk)
    assert ids[0] == [1, 2]
    assert ids[30] == [2]
    assert ids[45] == [1, 2]
    # and forgotten when it took too long
    assert follow(walk, buffer=10)[45] == [3, 2]


def test_unsure_people_continue_a_track_but_begin_none():
    frames = [[(person(50 + t), 0.9 if t < 10 else 0.2), (person(400), 0.2)] for t in range(20)]
    ids = follow(frames, high=0.5, low=0.1)
    assert all(row == [1, NO_TRACK] for row in ids)


def test_a_ghost_of_one_frame_gets_no_id_and_a_person_gets_one_in_the_second():
    frames = [[(person(100), 0.9)] for _ in range(6)]
    frames[2].append((person(700, seed=5), 0.9))
    frames[4].append((person(400), 0.9))
    frames[5].append((person(401), 0.9))
    assert follow(frames) == [[1], [1], [1, NO_TRACK], [1], [1, NO_TRACK], [1, 2]]
    assert follow(frames, confirm=1)[2] == [1, 2]


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_what_a_good_score_is_follows_from_the_model(scale):
    frames = [[(person(100 + t), 0.9 * scale), (person(400), 0.7 * scale)] for t in range(5)]
    assert follow(frames)[-1] == [1, 2]


def test_poses_in_space_are_followed_by_themselves():
    rng = np.random.default_rng(0)
    body = rng.uniform(-0.8, 0.8, (2, 17, 3))
    tracker = PoseTracker()
    for t in range(40):
        places = np.array([[-2 + 0.1 * t, 0, 5], [2 - 0.1 * t, 0.3, 4]])
        order = [0, 1] if t % 2 else [1, 0]
        ids = tracker.update((body + places[:, None])[order], np.ones((2, 17)))
    assert ids.tolist() == [2, 1]
    assert tracker.update(np.zeros((0, 17, 3)), np.zeros((0, 17))).tolist() == []


def test_nobody_nan_and_unsure_keypoints_are_no_error():
    tracker = PoseTracker(sigmas=COCO_SIGMAS)
    assert tracker.update(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 4))).size == 0
    poses = np.stack([person(50), person(300)])
    assert tracker.update(poses, np.ones((2, 17))).tolist() == [1, 2]
    broken = poses.copy()
    broken[0, :8] = np.nan
    scores = np.ones((2, 17))
    scores[1] = 0
    assert tracker.update(broken, scores, None, [0.9, 0.9]).tolist() == [1, 2]
    nowhere = np.full((2, 4), np.nan)
    assert tracker.update(poses, np.ones((2, 17)), nowhere).tolist() == [1, 2]
    assert tracker.update(np.full((1, 17, 2), np.nan), np.ones((1, 17))).shape == (1,)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: t.update(np.zeros((2, 17)), np.zeros(2)), r"\(N, K, 2 or 3\)"),
        (lambda t: t.update(np.zeros((2, 5, 2)), np.ones((2, 5))), "17 sigmas for 5"),
        (
            lambda t: t.update(np.zeros((2, 17, 2)), np.ones((2, 17)), np.zeros((3, 4))),
            r"boxes \(N, 4\), got \(3, 4\)",
        ),
        (
            lambda t: t.update(np.zeros((2, 17, 2)), np.ones((2, 17)), scores=[1]),
            "2 people and 1 scores",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, says):
    with pytest.raises(DataError, match=says):
        call(PoseTracker(sigmas=COCO_SIGMAS))


@pytest.mark.parametrize("shape", [(2, 5, 2), (2, 17, 3)])
def test_other_keypoints_than_before_are_named_and_may_come_after_a_reset(shape):
    tracker = PoseTracker()
    tracker.update(np.zeros((2, 17, 2)), np.ones((2, 17)))
    with pytest.raises(DataError, match=r"before had keypoints \(17, 2\)"):
        tracker.update(np.zeros(shape), np.ones(shape[:2]))
    tracker.reset()
    assert tracker.update(np.zeros(shape), np.ones(shape[:2])).tolist() == [1, 2]


def test_impossible_settings_are_refused():
    with pytest.raises(DataError, match="confirm >= 1"):
        PoseTracker(confirm=0)
