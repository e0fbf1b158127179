"""Ids in a stream of results, and following one person."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from poise.errors import ArgumentError, ConfigError, DataError
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.tracking import build_tracker
from poise.structures import InstanceData


def result(number, places, video="a.mp4", skipped=0):
    """A frame with people of 40 x 100 pixels at (x, y)."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(-0.5, 0.5, (17, 2)) * [40, 100]
    poses = np.array([shape + p for p in places], np.float32).reshape(-1, 17, 2)
    boxes = np.array([[x - 20, y - 50, x + 20, y + 50] for x, y in places], np.float32)
    people = InstanceData(
        keypoints=poses,
        keypoint_scores=np.ones((len(poses), 17), np.float32),
        bboxes=boxes.reshape(-1, 4),
        bbox_scores=np.full(len(poses), 0.9, np.float32),
    )
    source = SourceInfo(video, "video", Path(video))
    return PoseResult(
        None, people, {"sigmas": np.full(17, 0.08)}, video, frame_index=number, source=source
    )


def crossing(frames=50):
    """One walks to the right, one to the left; they cross in the middle."""
    for t in range(frames):
        yield result(t, [(100 + 8 * t, 200), (500 - 8 * t, 210)][:: 1 if t % 2 else -1])


def test_results_get_ids_as_they_come():
    seen = list(build_tracker(True)(crossing()))
    right = [r.track_ids[np.isclose(r.bboxes[:, 1], 150)].item() for r in seen]
    assert set(right) == {right[0]}
    assert seen[0].track_ids.dtype == np.int64


def test_each_video_begins_anew_and_pictures_in_a_row_are_one():
    frames = [result(0, [(100, 100)], "a.mp4"), result(0, [(100, 100)], "b.mp4")]
    assert [r.track_ids.tolist() for r in build_tracker(True)(iter(frames))] == [[1], [1]]
    stills = [result(0, [(100 + t, 100), (300, 100)], f"{t}.jpg") for t in range(4)]
    for still in stills:
        still.source = None
    stills[2].instances = stills[2].instances[[1]]
    assert [r.track_ids.tolist() for r in build_tracker(True)(iter(stills))][2:] == [[2], [1, 2]]


@pytest.mark.parametrize(
    "who",
    [
        (100, 200),
        (80, 150, 120, 250),
        {"who": (100 + 8 * 5, 200), "frame": 5},
        2,
    ],
    ids=str,
)
def test_one_person_is_followed_through_a_crossing(who):
    seen = list(build_tracker({"follow": who})(crossing()))
    begin = who["frame"] if isinstance(who, dict) else 0
    assert [len(r) for r in seen] == [0] * begin + [1] * (50 - begin)
    # the one who walks to the right, 200 pixels down
    assert all(np.isclose(r.bboxes[0, 1], 150) for r in seen[begin:])


def test_nobody_at_the_point_gives_nobody_until_somebody_comes():
    frames = [result(t, [(600 - 20 * t, 200)]) for t in range(30)]
    counts = [len(r) for r in build_tracker({"follow": (300, 200)})(iter(frames))]
    assert counts == [0] * 14 + [1] * 16


@pytest.mark.parametrize(
    ("spec", "kind", "says"),
    [
        ("bytetrak", ConfigError, "did you mean 'bytetrack'"),
        ({"buffr": 3}, ArgumentError, "did you mean 'buffer'"),
        ({"follow": (1, 2, 3)}, DataError, "an id, a point"),
        ({"follow": {"id": 3}}, DataError, "'who' and 'frame'"),
        ({"buffer": -1}, DataError, "buffer >= 0"),
    ],
)
def test_wrong_settings_are_told_before_the_first_frame(spec, kind, says):
    with pytest.raises(kind, match=says):
        build_tracker(spec)


def test_options_of_the_librarys_trackers_are_checked(monkeypatch):
    class Tracker:
        def __init__(self, lost_track_buffer=30):
            self.lost_track_buffer = lost_track_buffer

    library = SimpleNamespace(ByteTrackTracker=Tracker)
    monkeypatch.setitem(sys.modules, "trackers", library)
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=dict))
    build_tracker({"type": "bytetrack", "lost_track_buffer": 5})
    with pytest.raises(ArgumentError, match="did you mean 'lost_track_buffer'"):
        build_tracker({"type": "bytetrack", "lost_track_bufer": 5})


def test_trackers_of_the_library_give_ids_too():
    pytest.importorskip("trackers", reason="the package trackers is not installed")
    seen = list(build_tracker("bytetrack")(crossing(20)))
    assert len({i for r in seen[5:] for i in r.track_ids.tolist()}) == 2
