"""What `poise predict` wrote, given where labels are expected."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from poise.data_tools.formats import Reading, read_annotations
from poise.errors import DataError
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.sinks import SinkGroup, open_sinks
from poise.structures import InstanceData, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Folder of results of one picture, which is in `photos`, with one person."""
    picture = np.full((80, 120, 3), 90, np.uint8)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), picture)
    person = InstanceData(
        keypoints=np.linspace(20, 70, 34, dtype=np.float32).reshape(1, 17, 2),
        keypoint_scores=np.full((1, 17), 0.9, np.float32),
        bboxes=np.array([[10, 10, 90, 75]], np.float32),
        bbox_scores=np.array([0.8], np.float32),
    )
    source = SourceInfo("photos/a.png", relative=Path("a.png"))
    with SinkGroup(open_sinks("yolo,sleap,coco", tmp_path / "out")) as group:
        group.write(PoseResult(picture, person, COCO, "photos/a.png", source=source))
    return tmp_path / "out"


def test_yolo_labels_beside_the_data_file_are_read(results: Path) -> None:
    found = read_annotations(results, Reading(images=results.parent / "photos"))
    (person,) = found.people
    assert np.allclose(person["keypoints"][:2], [20, 21.5], atol=0.1)
    assert found.schema == "coco"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("poses.analysis.h5", "is an analysis file of SLEAP.*in what poise predict --save jsonl"),
        ("poses_coco.json", "it is a list, as results of models are.*--save jsonl writes"),
    ],
)
def test_results_that_are_no_labels_are_told_by_name(results: Path, name: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_annotations(results / name, Reading())
    assert "pandas" not in str(caught.value)
