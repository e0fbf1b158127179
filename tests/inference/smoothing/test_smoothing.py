"""Filters against SciPy and the paper's formula; lags, gaps and people in a stream of results."""

import itertools

import numpy as np
import pytest
from scipy.signal import savgol_filter

from poise.errors import ArgumentError, ConfigError, DataError
from poise.inference.results.pose_result import PoseResult
from poise.inference.smoothing import build_smoother, smooth_sequence
from poise.structures import InstanceData

FPS = 25.0


def wave(frames=60, noise=0.0, seed=0):
    """(T, 4, 2) keypoints of somebody of about 100 pixels who sways."""
    rng = np.random.default_rng(seed)
    body = np.array([[0, 0], [100, 0], [0, 100], [60, 80.0]])
    sway = 20 * np.sin(np.arange(frames) / 8)[:, None, None]
    return body + sway + noise * rng.normal(size=(frames, 4, 2))


def result(number, poses, scores=None, ids=None):
    """A frame of people; poses (N, K, 2)."""
    poses = np.asarray(poses, np.float32).reshape(-1, 4, 2)
    count = len(poses)
    people = InstanceData(
        keypoints=poses,
        keypoint_scores=np.ones((count, 4), np.float32) if scores is None else scores,
        bboxes=np.concatenate((poses.min(1), poses.max(1)), 1).reshape(-1, 4),
        bbox_scores=np.ones(count, np.float32),
        track_ids=np.arange(count) if ids is None else np.asarray(ids),
    )
    return PoseResult(None, people, {}, "", frame_index=number, time=number / FPS)


def test_savitzky_golay_equals_scipy_also_at_the_ends():
    noisy = wave(noise=3)
    smooth, filled = smooth_sequence(noisy, method={"type": "savgol", "window": 9, "degree": 2})
    np.testing.assert_allclose(smooth, savgol_filter(noisy, 9, 2, axis=0), atol=1e-3)
    assert not filled.any()


def test_one_euro_follows_the_formula_of_the_paper():
    x = wave(noise=2)[:, 0, 0]
    expected, speed = [x[0]], 0.0

    def blend(cutoff, step):
        return 1 / (1 + 1 / (2 * np.pi * cutoff * step))

    for value in x[1:]:
        a = blend(1.0, 1.0)
        speed = a * (value - expected[-1]) + (1 - a) * speed
        a = blend(0.004 + 0.7 * abs(speed), 1.0)
        expected.append(a * value + (1 - a) * expected[-1])
    poses = np.repeat(x[:, None, None], 2, 2)
    smooth, _ = smooth_sequence(poses, method="OneEuroFilter")
    np.testing.assert_allclose(smooth[:, 0, 0], expected, rtol=1e-5)


METHODS = ["one-euro", "savgol", "gaussian", "kalman", {"type": "kalman", "lag": 5}]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_noise_becomes_less_and_the_movement_stays(method):
    smooth, _ = smooth_sequence(wave(200, noise=2), method=method)
    rough = wave(200, noise=2)
    jerk = [np.abs(np.diff(p, 3, axis=0)).mean() for p in (smooth, rough)]
    assert jerk[0] < 0.55 * jerk[1]
    assert np.abs(smooth - wave(200))[20:].mean() < 3.5
    still, _ = smooth_sequence(
        np.ones((30, 4, 2)) * [[1, 2], [3, 4], [9, 1], [5, 5]], method=method
    )
    np.testing.assert_allclose(still[-1], [[1, 2], [3, 4], [9, 1], [5, 5]], atol=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_uneven_time_stamps_and_missing_joints_are_no_error(method):
    times = np.sort(np.random.default_rng(0).uniform(0, 4, 100))
    poses = np.stack([10 * times, 5 * times], -1)[:, None] + np.zeros((1, 3, 1))
    poses[20:23, 1] = np.nan
    poses[:, 2] = np.nan
    smooth, filled = smooth_sequence(poses, times=times, method=method)
    assert filled[20:23, 1].all()
    assert filled.sum() == 3
    assert np.isnan(smooth[:, 2]).all()
    assert np.abs(smooth[20:23, 1] - poses[20:23, 0]).max() < 3


def test_a_gap_is_filled_from_both_sides_up_to_its_limit_and_flagged():
    scores = np.ones((40, 4))
    scores[10:13, 1] = 0.05
    scores[20:32, 2] = 0.05
    poses = wave(40)
    poses[scores < 0.1] = 500
    smooth, filled = smooth_sequence(poses, scores, method={"type": "savgol", "max_gap": 4})
    assert np.argwhere(filled).tolist() == [[10, 1], [11, 1], [12, 1]]
    assert np.abs(smooth[10:13, 1] - wave(40)[10:13, 1]).max() < 3
    # too long: what the model said stays
    assert (smooth[20:32, 2] == 500).all()


@pytest.mark.parametrize(
    ("method", "lag"), [("one-euro", 0), ({"type": "kalman", "lag": 3}, 3), ("gaussian", 5)]
)
def test_results_come_late_by_the_stated_lag_in_order_and_all_of_them(method, lag):
    stage = build_smoother(method)
    assert stage.lag == lag
    asked = itertools.count()
    poses = wave(50)
    stream = stage(result(next(asked), [p]) for p in poses)
    out = []
    for got in stream:
        out.append((got.frame_index, next(asked)))
        asked = itertools.count(out[-1][1])
    assert [frame for frame, _ in out] == list(range(50))
    assert out[30][1] == 31 + lag


def test_people_are_told_apart_by_their_ids_whatever_their_order():
    poses = wave(60, noise=2)
    alone, _ = smooth_sequence(poses, method="savgol")
    frames = [
        result(
            t, [poses[t], 300 - poses[t]][:: 1 if t % 2 else -1], ids=[4, 9][:: 1 if t % 2 else -1]
        )
        for t in range(60)
    ]
    for t, got in enumerate(build_smoother("savgol")(iter(frames))):
        place = got.track_ids.tolist().index(4)
        np.testing.assert_allclose(got.keypoints[place], alone[t], atol=1e-3)


def test_somebody_missed_for_a_few_frames_is_put_in_and_flagged():
    poses = wave(40)
    away = (10, 11, 20, 21, 22, 23, 24, 25)

    def frames():
        return (result(t, [] if t in away else [poses[t]]) for t in range(40))

    out = list(build_smoother({"type": "savgol", "window": 7})(frames()))
    counts = [len(r) for r in out]
    assert [t for t, n in enumerate(counts) if n == 0] == list(range(20, 26))
    assert out[10].instances.keypoints_filled.all()
    assert np.abs(out[10].keypoints[0] - poses[10]).max() < 3
    assert np.abs(out[10].bboxes[0] - out[9].bboxes[0]).max() < 10
    # nobody is made up where the future is not known
    live = [len(r) for r in build_smoother("one-euro")(frames())]
    assert live[10] == 0


def test_results_without_ids_are_tracked_first():
    frames = [result(t, [p]) for t, p in enumerate(wave(10))]
    for frame in frames:
        del frame.instances.track_ids
    out = list(build_smoother(True)(iter(frames)))
    assert [r.track_ids.tolist() for r in out] == [[1]] * 10


def test_nobody_anywhere_and_no_results_are_no_error():
    empty = [result(t, []) for t in range(15)]
    for method in METHODS:
        assert [len(r) for r in build_smoother(method)(iter(empty))] == [0] * 15
        assert list(build_smoother(method)(iter([]))) == []


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_scores_boxes_and_keypoints_that_are_no_numbers_are_no_error(method):
    frames = [result(t, [p]) for t, p in enumerate(wave(30))]
    frames[7].instances.bboxes[:] = np.nan
    frames[9].instances.keypoint_scores[:] = np.nan
    frames[11].instances.keypoints[:] = np.nan
    out = list(build_smoother(method)(iter(frames)))
    assert np.isfinite([r.keypoints[0] for r in out]).all()


@pytest.mark.parametrize(
    ("spec", "kind", "says"),
    [
        ("one-eur", ConfigError, "did you mean 'one-euro'"),
        ("SmoothNetFilter", ConfigError, "weights of its own"),
        ({"type": "savgol", "windw": 5}, ArgumentError, "did you mean 'window'"),
        ({"type": "savgol", "window": 4}, DataError, "must be odd"),
        ({"type": "savgol", "lag": 1}, DataError, "at least the filter's 5"),
        ({"type": "one-euro", "min_cutoff": 0}, DataError, "min_cutoff > 0"),
    ],
)
def test_wrong_settings_are_told_before_the_first_frame(spec, kind, says):
    with pytest.raises(kind, match=says):
        build_smoother(spec)


def test_names_and_settings_of_mmpose_are_known():
    old = build_smoother({"type": "SavizkyGolayFilter", "window_size": 7, "polyorder": 3}).make()
    assert (old.window, old.degree) == (7, 3)
    assert build_smoother({"type": "GaussianFilter", "window_size": 5}).make().sigma == 4.0


def doubted(poses, variances):
    """Frames of one person with covariances of these variances (T, 4)."""
    for number, (pose, own) in enumerate(zip(poses, variances, strict=True)):
        frame = result(number, pose[None])
        spread = own[None, :, None, None] * np.eye(2)
        frame.instances.set_field(spread.astype(np.float32), "keypoint_covariances")
        yield frame


@pytest.mark.parametrize("method", ["savgol", "gaussian", {"type": "kalman", "lag": 5}], ids=str)
def test_joints_count_by_their_covariances(method):
    rng = np.random.default_rng(3)
    deviations = np.where(rng.random((100, 4)) < 0.3, 12.0, 1.0)
    noisy = wave(100) + deviations[..., None] * rng.normal(size=(100, 4, 2))
    stage = build_smoother(method)

    def smoothed(frames):
        return np.concatenate([r.keypoints for r in stage(frames)])

    plain = smoothed(result(i, p) for i, p in enumerate(noisy))
    error, before = (
        np.abs(smooth - wave(100))[20:-20].mean()
        for smooth in (smoothed(doubted(noisy, deviations**2)), plain)
    )
    assert error < 0.7 * before
    # alike, or not known: as without
    for told in (np.ones((100, 4)), np.full((100, 4), np.nan)):
        np.testing.assert_allclose(smoothed(doubted(noisy, told)), plain, atol=1e-3)


def test_the_covariances_of_who_is_put_in_are_not_known():
    frames = list(doubted(wave(20), np.ones((20, 4))))
    frames[9] = result(9, np.zeros((0, 4, 2)))
    frames[9].instances.set_field(np.zeros((0, 4, 2, 2), np.float32), "keypoint_covariances")
    smooth = list(build_smoother("savgol")(iter(frames)))
    assert len(smooth[9]) == 1
    assert np.isnan(smooth[9].keypoint_covariances).all()
    np.testing.assert_allclose(smooth[9].keypoints[0], wave(20)[9], atol=1)
    assert smooth[8].keypoint_covariances.shape == (1, 4, 2, 2)


def test_who_is_put_in_is_what_it_was():
    frames = [result(i, pose[None]) for i, pose in enumerate(wave(20))]
    for frame in frames:
        frame.instances.set_field(np.array([7]), "categories")
    frames[9] = result(9, np.zeros((0, 4, 2)))
    smooth = list(build_smoother("savgol")(iter(frames)))
    assert [r.categories.tolist() for r in smooth[8:11]] == [[7]] * 3


@pytest.mark.parametrize("method", ["one-euro", "savgol", "gaussian", "kalman"])
def test_still_pictures_in_a_row_are_smoothed_as_frames_of_a_video(method):
    """Pictures of a folder have no times: they count as frames at 25 a second."""
    poses = wave(noise=2)
    expected = [r.keypoints for r in build_smoother(method)(map(result, range(60), poses))]

    def stills():
        for number, pose in enumerate(poses):
            still = result(0, pose)
            still.name, still.time = f"{number}.png", None
            yield still

    found = [r.keypoints for r in build_smoother(method)(stills())]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_times_that_stand_still_do_not_stop_a_filter():
    def damaged():
        for number, pose in enumerate(wave(noise=2)):
            frame = result(number, pose)
            frame.time = min(frame.time, 1.0)
            yield frame

    found = [r.keypoints for r in build_smoother("savgol")(damaged())]
    assert np.isfinite(found).all()


def test_a_frame_without_3d_poses_among_others_is_one_without_people():
    rng = np.random.default_rng(0)

    def frames():
        for number, pose in enumerate(wave(20)):
            frame = result(number, pose if number != 9 else [])
            if number != 9:
                points = rng.normal(size=(1, 5, 3)).astype(np.float32)
                frame.instances.set_field(points, "keypoints_3d")
            yield frame

    found = list(build_smoother("savgol")(frames()))
    assert [len(f) for f in found] == [1] * 20
    assert all(f.instances.keypoints_3d.shape == (1, 5, 3) for f in found if f.frame_index != 9)


def test_nobody_is_put_into_a_frame_that_could_not_be_read():
    def damaged():
        for number, pose in enumerate(wave(20)):
            frame = result(number, pose if number != 9 else [])
            frame.error = "broken" if number == 9 else None
            yield frame

    found = list(build_smoother("savgol")(damaged()))
    assert [len(f) for f in found] == [1] * 9 + [0] + [1] * 10


def test_times_are_those_of_25_frames_a_second_unless_given():
    poses = wave(40, noise=2)
    plain, _ = smooth_sequence(poses)
    same, _ = smooth_sequence(poses, times=np.arange(40) / 25)
    slow, _ = smooth_sequence(poses, times=np.arange(40) / 5)
    np.testing.assert_array_equal(same, plain)
    assert np.abs(slow - poses).mean() < np.abs(plain - poses).mean()


@pytest.mark.parametrize(
    "options", [{"scores": np.ones((4, 1))}, {"times": np.arange(3)}, {"scores": np.ones(4)}]
)
def test_scores_and_times_that_do_not_fit_are_refused(options):
    with pytest.raises(DataError, match=r"take scores \(4, 17\) and times \(4,\), got"):
        smooth_sequence(np.zeros((4, 17, 2)), **options)


def test_one_field_may_be_named_alone():
    noisy = wave(noise=3)
    stage = build_smoother({"type": "savgol", "fields": "keypoints"})
    calm = [r.keypoints[0] for r in stage(result(t, pose) for t, pose in enumerate(noisy))]
    np.testing.assert_allclose(calm, smooth_sequence(noisy, method="savgol")[0])
