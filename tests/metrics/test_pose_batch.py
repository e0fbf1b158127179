"""Evaluation's columns: what a batch keeps, what a file's table holds, what first sight drops."""

import json
from pathlib import Path

import numpy as np
import pytest

from poise.metrics import CocoMetric, coco_table
from poise.metrics.coco_table import ABSENT, CocoTable, read_coco_table
from poise.metrics.coco_truth import CocoTruth
from poise.metrics.pose_batch import PoseBatch
from poise.metrics.pose_columns import PoseColumns


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample(rng, people, **more):
    keypoints = rng.uniform(0, 100, (people, 5, 2))
    predicted = {"keypoints": keypoints, "keypoint_scores": rng.random((people, 5))}
    return {"id": 3, "img_id": 7, "pred_instances": predicted, **more}


def test_areas_are_given_or_those_around_the_keypoints(rng):
    scaled = sample(rng, 1, gt_instances={"bbox_scales": np.array([[20, 30]])})
    bare, nobody = sample(rng, 2), sample(rng, 0)
    batch = PoseBatch.from_samples([scaled, bare, nobody], metric="the test")
    around = np.ptp(bare["pred_instances"]["keypoints"], axis=1).prod(axis=1)
    np.testing.assert_allclose(batch.areas, [600, *around])
    assert batch.counts == [1, 2, 0]
    assert batch.bbox is None
    np.testing.assert_array_equal(batch.bbox_scores, np.ones(3))


def test_converted_poses_have_the_size_of_what_they_became(rng):
    given = sample(rng, 2)
    converter = {"num_keypoints": 2, "mapping": [(1, 0), (4, 1)]}
    batch = PoseBatch.from_samples([given], metric="the test", converter=converter)
    points = given["pred_instances"]["keypoints"][:, [1, 4]]
    np.testing.assert_array_equal(batch.keypoints, points)
    np.testing.assert_allclose(batch.areas, np.ptp(points, axis=1).prod(axis=1))


def test_an_entry_stands_for_each_sample(scene):
    data = scene()
    metric = CocoMetric(data.path)
    metric.process(None, data.samples[:5])
    metric.process(None, data.samples[5:8])
    assert len(metric.entries()) == 8
    assert [batch.ids[place] for batch, place in metric.entries()] == [
        s["id"] for s in data.samples[:8]
    ]


def test_repeated_and_reordered_entries_give_the_same_columns(scene):
    data = scene(copies=3)
    batch = PoseBatch.from_samples(data.samples, metric="the test")
    rows = [(batch, place) for place in range(len(data.samples))]
    expected = PoseColumns.from_batches(rows, 17)
    again = PoseColumns.from_batches([*rows, *rows[:4]], 17)
    np.testing.assert_array_equal(again.keypoints, expected.keypoints)
    np.testing.assert_array_equal(again.image_id, expected.image_id)


@pytest.mark.parametrize("spread", [0.5, 4, 40])
@pytest.mark.parametrize("thr", [0.3, 0.7, 0.9])
def test_first_sight_drops_no_pair_that_counts(spread, thr, rng, monkeypatch):
    from poise.metrics import pose_columns

    center = rng.uniform(0, 60, (40, 1, 2))
    poses = center[rng.integers(0, 5, 40)] + rng.normal(size=(40, 17, 2)) * spread
    predicted = [
        {
            "id": i,
            "img_id": i % 3,
            "pred_instances": {"keypoints": poses[i : i + 1], "keypoint_scores": np.ones((1, 17))},
            "gt_instances": {"bbox_scores": rng.random(1)},
        }
        for i in range(40)
    ]
    batch = PoseBatch.from_samples(predicted, metric="the test")
    columns = PoseColumns.from_batches([(batch, i) for i in range(40)], 17)
    sigmas = np.full(17, 0.08)
    short = columns.thinned("oks_nms", thr, sigmas)
    # so few that nothing is decided at first sight
    monkeypatch.setattr(pose_columns, "_TELLING", 0)
    np.testing.assert_array_equal(
        short.keypoints, columns.thinned("oks_nms", thr, sigmas).keypoints
    )


@pytest.mark.parametrize("spoil", ["nothing", "a shorter pose", "no box"])
def test_a_file_is_read_like_its_content(spoil, scene, tmp_path):
    content = json.loads(Path(scene().path).read_text())
    if spoil == "a shorter pose":
        del content["annotations"][3]["keypoints"][-3:]
    elif spoil == "no box":
        del content["annotations"][3]["bbox"]
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(content))
    table = read_coco_table(file, ("keypoints",))
    expected = CocoTable.from_coco(content, ("keypoints",), source="the test")
    assert (table.images, table.categories) == (expected.images, expected.categories)
    assert {name: list(map(_plain, values)) for name, values in table.annotations.items()} == (
        expected.annotations
    )


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(
    ("field", "value"), [("area", float("nan")), ("area", "large"), ("keypoints", None)]
)
def test_a_file_in_another_form_is_read_as_a_whole(field, value, scene, tmp_path):
    content = json.loads(Path(scene().path).read_text())
    content["annotations"][0][field] = value
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps(content))
    found = read_coco_table(odd, ("keypoints",)).annotations[field][0]
    assert found == value or np.isnan(found)


def test_annotations_of_unknown_pictures_are_left_out(scene):
    content = json.loads(Path(scene().path).read_text())
    whole = CocoTruth.from_coco(content, source="the test")
    content["annotations"].append({**content["annotations"][0], "image_id": 10**9})
    del content["annotations"][-1]["bbox"]
    assert len(CocoTruth.from_coco(content, source="the test").image) == len(whole.image)
    assert coco_table.ABSENT is ABSENT
