"""What a result says about itself, and the layouts it can take."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from poise.errors import MissingDependencyError, UnknownNameError
from poise.inference import PoseResult, SourceInfo
from poise.inference.results.pose_result import empty_instances
from poise.inference.results.probabilities import probabilities_of, score_kind_of
from poise.structures import InstanceData, parse_pose_metainfo

META = parse_pose_metainfo({"from_file": "coco"})


def result(n=2, **extra):
    points = np.arange(n * 34, dtype=np.float32).reshape(n, 17, 2)
    fields = {
        "keypoints": points,
        "keypoint_scores": np.linspace(-0.2, 1.4, n * 17, dtype=np.float32).reshape(n, 17),
        "bboxes": np.tile(np.float32([1, 2, 3, 4]), (n, 1)),
        "bbox_scores": np.full(n, 0.9, np.float32),
    }
    instances = InstanceData(**fields) if n else empty_instances(17)
    source = SourceInfo("clip.mp4", "video", fps=25.0)
    return PoseResult(
        np.zeros((30, 40, 3), np.uint8),
        instances,
        META,
        "clip.mp4",
        frame_index=7,
        time=0.28,
        source=source,
        **extra,
    )


def test_flags_and_probabilities_follow_from_scores_and_places():
    found = result(score_kind="simcc", keypoint_threshold=0.5)
    assert found.probabilities.min() == 0
    assert found.probabilities.max() == 1
    np.testing.assert_array_equal(found.visible, found.keypoint_scores >= 0.5)
    expected = (found.keypoints[..., 0] <= 39) & (found.keypoints[..., 1] <= 29)
    np.testing.assert_array_equal(found.in_frame, expected)
    assert found.where == "clip.mp4, frame 7"
    assert (found.fps, found.track_ids, found.keypoints_3d) == (25.0, None, None)


def test_its_text_is_a_line_and_says_what_went_wrong():
    assert repr(result()) == "PoseResult(clip.mp4, frame 7: 2 poses of 17 keypoints (coco))"
    assert repr(result(1)) == "PoseResult(clip.mp4, frame 7: 1 pose of 17 keypoints (coco))"
    assert repr(result(0, error="not read")) == "PoseResult(clip.mp4, frame 7: not read)"


def test_it_draws_itself_and_notebooks_show_that():
    found = result()
    drawn = found.draw(boxes=False)
    assert drawn.shape == found.image.shape
    assert drawn.any()
    assert not found.image.any()
    shown = cv2.imdecode(np.frombuffer(found._repr_jpeg_(), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (30, 40, 3)
    large = dataclasses.replace(found, image=np.zeros((3000, 4000, 3), np.uint8))
    shown = cv2.imdecode(np.frombuffer(large._repr_jpeg_(), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (1000, 1334, 3)
    assert dataclasses.replace(found, image=None)._repr_jpeg_() is None


def test_probabilities_keep_the_order_and_know_their_kinds():
    scores = np.array([-1, 0, 0.2, 0.9, 3, np.nan, np.inf], np.float32)
    found = probabilities_of(scores, "heatmap")
    assert found.tolist() == pytest.approx([0, 0, 0.2, 0.9, 1, 0, 1])
    with pytest.raises(
        UnknownNameError, match="kind of score must be one of.*got 'simc'; did you mean 'simcc'"
    ):
        probabilities_of(scores, "simc")
    assert score_kind_of(None) == "heatmap"


def test_json_has_the_frame_and_tracks_and_no_nan():
    found = result()
    found.instances.set_field(np.array([4, 9]), "track_ids")
    found.instances.keypoints[0, 0, 0] = np.nan
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (content["frame"], content["time"]) == (7, 0.28)
    assert [p["track_id"] for p in content["instances"]] == [4, 9]
    assert content["instances"][0]["keypoints"][0] == [None, 1]


def test_lifted_people_are_in_every_layout():
    human = parse_pose_metainfo({"from_file": "h36m"})
    found = result(1, metainfo_3d=human, space_3d="metres")
    found.instances.set_field(np.ones((1, 17, 3), np.float32), "keypoints_3d")
    content = found.to_dict()
    assert (content["schema_3d"], content["space_3d"]) == ("h36m", "metres")
    assert content["instances"][0]["keypoints_3d"][0] == [1, 1, 1]
    assert found.to_rows()[0]["root_3d_z"] == 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_rows_are_flat(n):
    rows = result(n).to_rows()
    assert len(rows) == n
    for person, row in enumerate(rows):
        assert (row["frame"], row["person"], row["bbox_x2"]) == (7, person, 3)
        assert row["nose_y"] == 34 * person + 1
        assert len(row) == 10 + 17 * 3


def test_supervision_gets_points_confidences_and_ids(monkeypatch):
    @dataclasses.dataclass
    class KeyPoints:
        xy: np.ndarray
        class_id: np.ndarray
        keypoint_confidence: np.ndarray
        visible: np.ndarray
        data: dict

        @classmethod
        def empty(cls):
            return "nobody"

    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(KeyPoints=KeyPoints))
    found = result(2)
    found.instances.set_field(np.array([4, 9]), "track_ids")
    given = found.to_supervision()
    assert given.xy.shape == (2, 17, 2)
    assert given.keypoint_confidence.max() <= 1
    assert given.data["tracker_id"].tolist() == [4, 9]
    assert result(0).to_supervision() == "nobody"
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingDependencyError, match="pip install supervision"):
        found.to_supervision()
