"""AP by joint on frames of a video, where each case is decided by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from poise.data_tools import evaluate_predictions
from poise.errors import DataError, FileMissingError
from poise.metrics import PoseTrack18Metric
from poise.metrics.posetrack18 import _KEYPOINTS
from poise.metrics.prediction_file import PredictionWriter

META = dict(dataset_name="posetrack18", num_keypoints=17, sigmas=np.full(17, 0.1, np.float32))


def pose(x):
    """A person (17, 3) with its ears absent, 20 pixels between joints."""
    joints = np.stack((np.full(17, x), np.arange(17) * 20.0, np.ones(17)), axis=-1)
    joints[3:5] = 0
    return joints


@pytest.fixture
def video(tmp_path):
    """Maker of a folder with one video; people are x positions per frame."""

    def make(frames, regions=None):
        images, anns = [], []
        for number, people in enumerate(frames):
            image = dict(id=number, file_name=f"{number}.jpg")
            if regions:
                image |= dict(ignore_regions_x=[regions[0]], ignore_regions_y=[regions[1]])
            images.append(image)
            anns += [
                dict(
                    id=100 * number + place,
                    image_id=number,
                    category_id=1,
                    iscrowd=0,
                    bbox=[0, 0, 1, 1],
                    bbox_head=[x, 0, 30, 40],
                    keypoints=pose(x).ravel().tolist(),
                )
                for place, x in enumerate(people)
            ]
        content = dict(
            images=images, annotations=anns, categories=[dict(id=1, keypoints=_KEYPOINTS)]
        )
        (tmp_path / "val").mkdir()
        for file in (tmp_path / "posetrack18_val.json", tmp_path / "val" / "000001.json"):
            file.write_text(json.dumps(content))
        return str(tmp_path / "posetrack18_val.json")

    return make


def predict(frame, x, score=0.9, **joints):
    keypoints = pose(x)[None, :, :2]
    for name, place in joints.items():
        keypoints[0, _KEYPOINTS.index(name)] = place
    return dict(
        id=frame * 1000 + int(x),
        img_id=frame,
        gt_instances={},
        pred_instances=dict(keypoints=keypoints, keypoint_scores=np.full((1, 17), score)),
    )


def figures(run, path, *samples, **options):
    return run(PoseTrack18Metric(path, **options), list(samples), META)


def test_perfect_predictions_give_a_hundred(run, video):
    got = figures(
        run, video([[100, 400], [100]]), *[predict(f, x) for f, x in ((0, 100), (0, 400), (1, 100))]
    )
    assert len(got) == 8
    assert list(got.values()) == pytest.approx([100] * 8)


def test_a_joint_is_right_within_half_a_head(run, video):
    # the head box's diagonal is 50, so the head size is 30 and half of it 15
    path = video([[100]])
    near = figures(run, path, predict(0, 100, left_wrist=(115, 180)))
    assert near["posetrack18/Wri AP"] == pytest.approx(100)
    far = figures(run, path, predict(0, 100, left_wrist=(115.5, 180)))
    assert far["posetrack18/Wri AP"] == pytest.approx(50)
    assert far["posetrack18/AP"] == pytest.approx(100 * 14 / 15)


def test_saved_predictions_give_the_same_figures(run, video, tmp_path):
    path = video([[100, 400], [100]])
    samples = predict(0, 100), predict(0, 420), predict(1, 100, nose=(0, 0))
    writer = PredictionWriter(tmp_path / "p.jsonl", {"meta": META})
    writer.write(samples)
    writer.close()
    metric = dict(type="PoseTrack18Metric", ann_file=path)
    (later,) = evaluate_predictions(writer.path, [metric]).values()
    assert later == figures(run, path, *samples)


def test_a_missed_person_and_a_false_one(run, video):
    path = video([[100, 400]])
    assert figures(run, path, predict(0, 100))["posetrack18/AP"] == pytest.approx(50)
    both = predict(0, 100), predict(0, 400), predict(0, 900, score=0.95)
    assert figures(run, path, *both)["posetrack18/AP"] == pytest.approx(100 * 2 / 3)


def test_of_two_predictions_of_a_person_one_counts(run, video):
    twins = predict(0, 100, score=0.5), predict(0, 112, score=0.9, nose=(300, 0))
    got = figures(run, video([[100]]), *twins, nms_mode="none")
    assert got["posetrack18/Hip AP"] == pytest.approx(50)


def test_frames_without_people_and_ignored_regions_do_not_count(run, video):
    box = ([380, 420, 420, 380], [-10, -10, 500, 500])
    path = video([[100], []], regions=box)
    samples = predict(0, 100), predict(1, 300), predict(0, 400)
    assert figures(run, path, *samples)["posetrack18/AP"] == pytest.approx(100)


def test_frames_without_a_prediction_count_as_missed(run, video):
    assert figures(run, video([[100], [100]]), predict(0, 100))["posetrack18/AP"] == 50


def test_regions_may_be_slanted(run, video):
    # a triangle: the person at 100 is left of it, that at 300 within
    path = video([[100, 300]], regions=([60, 500, 500], [-900, -900, 1900]))
    assert figures(run, path, predict(0, 300))["posetrack18/AP"] == 0
    assert figures(run, path, predict(0, 100))["posetrack18/AP"] == pytest.approx(100)


def test_joints_that_nobody_has_are_not_in_the_mean(run, video):
    path = video([[100]])
    for file in Path(path).parent.rglob("*.json"):
        content = json.loads(file.read_text())
        content["annotations"][0]["keypoints"][-6:] = [0] * 6
        file.write_text(json.dumps(content))
    got = figures(run, path, predict(0, 100, left_knee=(0, 0), right_knee=(0, 0)))
    assert np.isnan(got["posetrack18/Ankl AP"])
    assert got["posetrack18/Knee AP"] == 0
    assert got["posetrack18/AP"] == pytest.approx(100 * 11 / 13)


def test_result_files_go_by_video(run, video, tmp_path):
    path = video([[100], [100]])
    prefix = tmp_path / "out" / "results"
    assert figures(run, path, predict(0, 100), format_only=True, outfile_prefix=str(prefix)) == {}
    content = json.loads((tmp_path / "out" / "000001.json").read_text())
    assert content["annotations"][0].keys() == {
        "image_id", "keypoints", "scores", "score", "track_id"
    }  # fmt: skip


def test_wrong_files_are_explained(video, tmp_path):
    path = video([[100]])
    with pytest.raises(DataError, match="needs `ann_file`"):
        PoseTrack18Metric()
    with pytest.raises(DataError, match="would overwrite the annotations"):
        PoseTrack18Metric(path, outfile_prefix=str(tmp_path / "val" / "results"))
    (tmp_path / "val" / "000001.json").unlink()
    (tmp_path / "val").rmdir()
    with pytest.raises(FileMissingError, match="unpack the official annotations there"):
        PoseTrack18Metric(path)


def test_another_number_of_keypoints_is_explained(run, video):
    path, sample = video([[100]]), predict(0, 100)
    sample["pred_instances"] = {k: v[:, :5] for k, v in sample["pred_instances"].items()}
    with pytest.raises(DataError, match="PoseTrack has 17 keypoints, got predictions of 5"):
        figures(run, path, sample, nms_mode="none")
