"""Results as other libraries hold them, seen through stand-ins for these libraries."""

import sys
import types

import numpy as np
import pytest

from poise.errors import DataError, MissingDependencyError
from poise.inference import log_rerun, to_fiftyone
from poise.inference.results.pose_result import PoseResult
from poise.structures import InstanceData, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})


class Thing(types.SimpleNamespace):
    """Keeps what it is made of."""

    def __init__(self, *args, **kwargs):
        super().__init__(args=args, **kwargs)

    def compress(self):
        return self


def result(people=2):
    points = np.full((people, 17, 2), (50, 20), np.float32)
    scores = np.ones((people, 17), np.float32)
    scores[:, 3] = 0.1
    fields = InstanceData(
        keypoints=points,
        keypoint_scores=scores,
        bboxes=np.array([[10, 10, 60, 50]] * people, np.float32).reshape(-1, 4),
        bbox_scores=np.full(people, 0.5, np.float32),
        track_ids=np.arange(people),
    )
    return PoseResult(np.zeros((100, 200, 3), np.uint8), fields, COCO, "a.jpg", frame_index=7)


def test_fiftyone_gets_parts_of_the_picture_and_no_unseen_keypoints(monkeypatch):
    names = ("Keypoint", "Keypoints", "Detection", "Detections")
    monkeypatch.setitem(
        sys.modules, "fiftyone", types.SimpleNamespace(**dict.fromkeys(names, Thing))
    )
    fields = to_fiftyone(result())
    first = fields["poses"].keypoints[0]
    assert first.points[0] == (0.25, pytest.approx(0.2))
    assert np.isnan(first.points[3]).all()
    assert len(first.confidence) == 17
    person = fields["people"].detections[1]
    np.testing.assert_allclose(person.bounding_box, [0.05, 0.1, 0.25, 0.4], rtol=1e-6)
    assert (person.confidence, person.index) == (0.5, 1)
    without = result()
    without.image = None
    with pytest.raises(DataError, match="a.jpg has no picture"):
        to_fiftyone(without)


@pytest.mark.parametrize("people", [0, 2])
def test_rerun_gets_the_picture_links_keypoints_and_boxes(people, monkeypatch):
    logged = {}
    stand_in = types.SimpleNamespace(
        set_time=lambda name, sequence: logged.setdefault(name, sequence),
        log=lambda path, thing: logged.setdefault(path, thing),
        Box2DFormat=types.SimpleNamespace(XYXY="xyxy"),
        **dict.fromkeys(("Image", "Boxes2D", "LineStrips2D", "Points2D"), Thing),
    )
    monkeypatch.setitem(sys.modules, "rerun", stand_in)
    log_rerun(result(people), "clip")
    assert logged["frame"] == 7
    assert set(logged) == {"frame", "clip", "clip/boxes", "clip/links_2d", "clip/keypoints_2d"}
    assert logged["clip/keypoints_2d"].args[0].shape == (people * 16, 2)
    assert len(logged["clip/links_2d"].colors) == len(logged["clip/links_2d"].args[0])


@pytest.mark.parametrize(("name", "call"), [("fiftyone", to_fiftyone), ("rerun", log_rerun)])
def test_an_absent_library_is_named(name, call, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        call(result())
