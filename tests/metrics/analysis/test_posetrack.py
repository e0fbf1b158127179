"""PoseTrack's AP over draws of whole videos, and what `poise eval` shows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.data_tools import evaluate_predictions, examine_predictions
from poise.errors import DataError
from poise.metrics import PoseTrack18Metric
from poise.metrics.analysis import differences, intervals, leaves_of
from poise.metrics.analysis.bootstrap import draws
from poise.metrics.posetrack18 import _KEYPOINTS
from poise.metrics.prediction_file import PredictionWriter

VIDEOS, FRAMES, PEOPLE = 12, 3, 2
META = {
    "dataset_name": "posetrack18",
    "num_keypoints": 17,
    "sigmas": np.full(17, 0.1, np.float32),
    "keypoint_id2name": dict(enumerate(_KEYPOINTS)),
}


def poses() -> np.ndarray:
    """(videos, frames, people, 17, 3), some joints absent."""
    rng = np.random.default_rng(0)
    found = rng.uniform(1, 400, (VIDEOS, FRAMES, PEOPLE, 17, 3))
    found[..., 2] = 1
    found[rng.random(found.shape[:-1]) < 0.1] = 0
    return found


def write(folder: Path, videos: list[int]) -> Path:
    """Annotation file with its folder of videos, in which a video may occur several times."""
    every: dict[str, Any] = {"images": [], "annotations": []}
    categories = [{"id": 1, "name": "person", "keypoints": _KEYPOINTS}]
    (folder / "val").mkdir(parents=True)
    for place, video in enumerate(videos):
        images, annotations = [], []
        for frame, people in enumerate(poses()[video]):
            image = place * FRAMES + frame
            images.append({"id": image, "file_name": f"{video}/{frame}.jpg", "vid_id": video})
            annotations += [
                {
                    "id": image * PEOPLE + person,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [0, 0, 400, 400],
                    "bbox_head": [0, 0, 60, 80],
                    "keypoints": joints.ravel().tolist(),
                }
                for person, joints in enumerate(people)
            ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "val" / f"{place:06}.json").write_text(json.dumps(content))
        every["images"] += images
        every["annotations"] += annotations
    file = folder / "posetrack18_val.json"
    file.write_text(json.dumps({**every, "categories": categories}))
    return file


def samples(videos: list[int], noise: float = 20) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    moved = poses()[..., :2] + rng.normal(0, noise, (*poses().shape[:-1], 2))
    scores = rng.uniform(0.2, 1, moved.shape[:-1])
    # PoseTrack has no ears, which predictions lack as well
    moved[..., 3:5, :], scores[..., 3:5] = 0, 0
    return [
        {
            "id": (place * FRAMES + frame) * PEOPLE + person,
            "img_id": place * FRAMES + frame,
            "gt_instances": {"bboxes": np.array([[0.0, 0, 400, 400]])},
            "pred_instances": {
                "keypoints": moved[video, frame, person][None],
                "keypoint_scores": scores[video, frame, person][None],
                "bbox_scores": np.ones(1),
            },
        }
        for place, video in enumerate(videos)
        for frame in range(FRAMES)
        for person in range(PEOPLE)
    ]


def fed(file: Path, videos: list[int], **options: Any) -> tuple[Any, dict[str, float]]:
    metric = PoseTrack18Metric(str(file), nms_mode="none", **options)
    metric.dataset_meta = META
    (leaf,) = leaves_of(metric, META)
    made = samples(videos)
    for sample in made:
        metric.process({}, [sample])
        leaf.take(sample["img_id"], sample["id"])
    leaf.close()
    return leaf, metric.evaluate(len(made))


def saved(path: Path, noise: float = 20) -> Path:
    meta = {**META, "flip_indices": list(range(17))}
    writer = PredictionWriter(path, {"meta": meta})
    writer.write(samples(list(range(VIDEOS)), noise))
    writer.close()
    return path


def test_figures_of_a_draw_are_those_of_the_drawn_videos(tmp_path):
    leaf, whole = fed(write(tmp_path / "all", list(range(VIDEOS))), list(range(VIDEOS)))
    statistic = leaf.statistic()
    assert statistic.whole() == pytest.approx(list(whole.values()), abs=1e-9)
    assert list(statistic.names) == list(whole)
    (weights,) = draws(VIDEOS, 3, seed=0)
    for place, (row, figures) in enumerate(zip(weights, statistic.figures(weights), strict=True)):
        drawn = np.repeat(np.arange(VIDEOS), row).tolist()
        _, expected = fed(write(tmp_path / str(place), drawn), drawn)
        assert figures == pytest.approx(list(expected.values()), abs=1e-9)


def test_a_draw_without_annotations_or_predictions(tmp_path):
    leaf, _ = fed(write(tmp_path, list(range(VIDEOS))), list(range(VIDEOS)))
    labelled = leaf.labelled_joints
    labelled.annotated[0] = 0
    alone = np.eye(VIDEOS, dtype=int)[:1]
    assert np.isnan(leaf.statistic().figures(alone)).all()
    labelled.score[labelled.video == 1] = np.nan
    second, _ = fed(tmp_path / "posetrack18_val.json", list(range(VIDEOS)))
    second.__dict__["labelled_joints"] = labelled
    assert not second.statistic().figures(np.eye(VIDEOS, dtype=int)[1:2]).any()


def test_intervals_and_comparison_draw_videos(tmp_path):
    file = write(tmp_path, list(range(VIDEOS)))
    leaf, whole = fed(file, list(range(VIDEOS)))
    found = intervals(leaf.statistic(), resamples=200)
    ap = found["posetrack18/AP"]
    assert ap.low < ap.value < ap.high
    assert ap.value == pytest.approx(whole["posetrack18/AP"])
    same = differences(leaf.statistic(), leaf.statistic(), resamples=50)
    assert same["posetrack18/AP"].difference == 0


def test_poise_eval_shows_intervals_joints_and_two_runs(tmp_path):
    file = write(tmp_path, list(range(VIDEOS)))
    near, far = saved(tmp_path / "near.jsonl", 10), saved(tmp_path / "far.jsonl", 30)
    metric = {"type": "PoseTrack18Metric", "ann_file": str(file), "nms_mode": "none"}
    found = examine_predictions(
        near,
        [metric],
        interval=0.9,
        resamples=100,
        by=["keypoint"],
        against=far,
        # whole videos are drawn with and without it
        group_by="vid_id",
    )
    assert found.figures == evaluate_predictions(near, [metric])
    assert found.comparison["PoseTrack18Metric"]["posetrack18/AP"].better == 1
    (table,) = found.tables["PoseTrack18Metric"]
    assert table.columns == ["labelled", "AP", "low", "high"]
    assert [name for name, _ in table.rows] == [n for n in _KEYPOINTS if not n.endswith("_ear")]
    assert "right_wrist" in found.keypoints["PoseTrack18Metric"]
    examine_predictions(near, [metric], page=tmp_path / "page.html", resamples=20)
    assert "Wri AP" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_goes_by_oks_names_the_metric_that_has_it(tmp_path):
    file = write(tmp_path, list(range(VIDEOS)))
    path = saved(tmp_path / "p.jsonl")
    metric = {"type": "PoseTrack18Metric", "ann_file": str(file)}
    with pytest.raises(DataError, match="--metric CocoMetric,use_area=false"):
        examine_predictions(path, [metric], breakdown=True)
    with pytest.raises(DataError, match="--metric CocoMetric,use_area=false"):
        examine_predictions(path, [metric], by=["size"])
    found = examine_predictions(
        path, ["CocoMetric,use_area=false"], annotations=file, breakdown=True, worst=3
    )
    assert found.tables["CocoMetric,use_area=false"]


def test_too_few_videos_are_told(tmp_path):
    leaf, _ = fed(write(tmp_path, [0, 1]), [0, 1])
    with pytest.raises(DataError, match="2 videos are too few for an interval"):
        intervals(leaf.statistic())


def test_runs_of_other_annotations_are_not_compared(tmp_path):
    ours, _ = fed(write(tmp_path / "a", list(range(VIDEOS))), list(range(VIDEOS)))
    theirs, _ = fed(write(tmp_path / "b", list(range(VIDEOS))[::-1]), list(range(VIDEOS))[::-1])
    with pytest.raises(DataError, match="tested on different labels"):
        ours.compare_truth(theirs)
