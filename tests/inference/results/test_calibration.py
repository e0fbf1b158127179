"""From scores to chances: fitting, files, and where results use them."""

import json

import numpy as np
import pytest

import poise
from poise.errors import DataError, FileMissingError
from poise.inference.results.calibration import (
    FITTED,
    Calibration,
    calibration_error,
    fit_calibration,
    held_out_error,
    rated_keypoints,
)


def scored(count=4000, seed=0):
    """Keypoints that are right with the chance sqrt(score)."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, count)
    return scores, rng.uniform(0, 1, count) < np.sqrt(scores)


def sample(offset, score=0.5, people=1, visible=2):
    """A person in a box of 100 x 100 whose keypoints are off by `offset` pixels."""
    truth = np.full((people, 3, 2), 50.0)
    return {
        "id": 7,
        "pred_instances": {
            "keypoints": truth + np.array([offset, 0]),
            "keypoint_scores": np.full((people, 3), score),
        },
        "gt_instances": {
            "keypoints": truth,
            "keypoints_visible": np.full((people, 3), visible),
            "bboxes": np.array([[0, 0, 100, 100]] * people),
        },
    }


def test_the_map_says_how_often_keypoints_are_right():
    scores, right = scored()
    fitted = fit_calibration(scores, right)
    assert np.abs(fitted(scores) - np.sqrt(scores)).max() < 0.12
    assert calibration_error(scores, right) > 0.15
    assert held_out_error(scores, right) < 0.04
    # orders nothing anew, and says nothing for certain without having seen it
    assert (np.diff(fitted(np.sort(scores))) >= 0).all()
    assert fitted(0) == 0
    assert fitted([[np.nan, -3, 9]]).tolist() == [[0, 0, pytest.approx(fitted.chances[-1])]]


def test_equal_scores_share_a_knot():
    fitted = fit_calibration(np.repeat([0.2, 0.8], 300), np.tile([True, False, False], 200))
    assert fitted.scores == (0, 0.2, 0.8)
    assert fitted.chances == pytest.approx((0, 1 / 3, 1 / 3), abs=1e-3)
    # of a network that was hardly trained
    tiny = fit_calibration(np.linspace(-2e-4, 2e-4, 600), np.tile([True, False, False], 200))
    assert len(set(tiny.scores)) == len(tiny.scores)


def test_right_is_within_the_labellers_deviation():
    sigmas = np.full(3, 0.1)
    # similarity 0.5 at sqrt(2 ln 2 * area) * 2 sigma, of an area of 0.53 of the box
    limit = np.sqrt(2 * np.log(2) * 5300) * 0.2
    samples = [sample(limit * 0.99), sample(limit * 1.01, 0.1), sample(0, visible=0)]
    scores, right = rated_keypoints(samples, sigmas)
    assert scores.tolist() == [0.5] * 3 + [0.1] * 3
    assert right.tolist() == [True] * 3 + [False] * 3


def test_what_cannot_be_rated_is_told():
    with pytest.raises(DataError, match="no sigmas"):
        rated_keypoints([sample(0)], [])
    with pytest.raises(DataError, match="sample 7 holds several people"):
        rated_keypoints([sample(0, people=2)], np.ones(3))
    with pytest.raises(DataError, match="sample 7 has no predicted pose or no label"):
        rated_keypoints([{"id": 7, "pred_instances": {}}], np.ones(3))
    assert len(rated_keypoints([], np.ones(3))[0]) == 0
    with pytest.raises(DataError, match="at least 100 labelled keypoints, got 3"):
        fit_calibration(np.array([0.1, np.nan, 0.2, 0.3]), np.ones(4, bool))
    assert np.isnan(held_out_error(np.ones(120), np.ones(120, bool)))
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))


@pytest.mark.parametrize(
    ("scores", "chances"),
    [((0.2, 0.1), (0, 1)), ((0, 1), (0.5, 0.4)), ((0, 1), (0, 1.1)), ((0,), (0, 1)), ((), ()),
     ((0, float("nan")), (0, 1)), ((0, 1), (float("nan"), 1))],
)  # fmt: skip
def test_only_rising_maps_are_taken(scores, chances):
    with pytest.raises(DataError, match="a calibration has as many scores as chances"):
        Calibration(scores, chances)


def test_files(tmp_path):
    path = tmp_path / "map.json"
    made = Calibration((0.0, 0.5), (0.1, 0.9), "here")
    made.save(path)
    assert Calibration.load(path) == made
    with pytest.raises(FileMissingError, match="there is no calibration file"):
        Calibration.load(tmp_path / "other.json")
    for text in ("{}", "[]", "no json", '{"scores": 3, "chances": 4}'):
        path.write_text(text)
        with pytest.raises(DataError, match="is no calibration"):
            Calibration.load(path)


def test_results_use_the_map(tmp_path):
    picture = np.zeros((64, 64, 3), np.uint8)
    box = np.array([[0, 0, 64, 64]])

    def chances(**settings):
        inferencer = poise.Inferencer("movenet-lightning", device="cpu", **settings)
        (result,) = inferencer.predict(picture, boxes=box)
        return result.keypoint_scores, result.probabilities

    scores, own = chances()
    assert np.array_equal(own, FITTED["movenet-lightning"](scores))
    Calibration((0.0, 1.0), (0.25, 0.25)).save(tmp_path / "flat.json")
    _, flat = chances(calibration=tmp_path / "flat.json")
    assert (flat == 0.25).all()


def test_the_command_fits_predictions_of_a_test(tmp_path):
    from typer.testing import CliRunner

    from poise.cli.analyze import app
    from poise.metrics.prediction_file import PredictionWriter

    scores, right = scored(900)
    writer = PredictionWriter(tmp_path / "out.jsonl", {"meta": {"sigmas": [0.1] * 3}})
    for s, r in zip(scores.reshape(-1, 3), right.reshape(-1, 3), strict=True):
        row = sample(0)
        row["pred_instances"]["keypoint_scores"] = s[None]
        row["pred_instances"]["keypoints"] = row["pred_instances"]["keypoints"] + 99 * ~r[:, None]
        writer.write([row])
    writer.close()
    out = tmp_path / "map.json"
    arguments = ["calibration", str(tmp_path / "out.jsonl"), "--out", str(out)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert "900 labelled keypoints" in answer.output
    assert "error of the scores 0.1" in answer.output
    assert json.loads(out.read_text())["source"] == "out.jsonl"


def test_groups_that_contradict_one_another_are_weighed_by_their_size():
    # three groups of 50 are always right, the surer fourth one never
    scores = np.repeat([0.2, 0.4], [150, 50])
    found = fit_calibration(scores, scores < 0.3)
    assert found.scores == (0, 0.2, 0.4)
    assert found.chances == (0, 0.75, 0.75)
