"""From the covariances that a model tells to those of errors, and where results hold them."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.analyze import app
from poise.errors import DataError
from poise.geometry import ellipse_radius
from poise.inference import open_sinks, read_results
from poise.inference.results.calibration import FITTED, Calibration, calibrate_covariances
from poise.inference.results.covariances import (
    CovarianceCalibration,
    KeypointErrors,
    fit_covariances,
    report_covariances,
)
from poise.inference.results.labelled import keypoint_errors
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.metrics.prediction_file import PredictionWriter
from poise.structures import InstanceData, parse_pose_metainfo

#: what the deviations of three keypoints must be multiplied by, and the power of the score
FACTORS, POWER = np.array([0.5, 1.0, 3.0]), -0.5


def told(count=3000, seed=0, wrong=0.15):
    """Keypoints whose errors follow from what is told; a share of them is anywhere."""
    rng = np.random.default_rng(seed)
    kinds = np.tile(np.arange(3), count // 3)
    scores = rng.uniform(0.2, 1, count)
    roots = rng.normal(size=(count, 2, 2)) * rng.uniform(1, 5, (count, 1, 1))
    spread = roots @ roots.swapaxes(1, 2) + 0.5 * np.eye(2)
    scale = FACTORS[kinds] * scores**POWER
    within = np.linalg.cholesky(spread) @ rng.normal(size=(count, 2, 1))
    offsets = within[..., 0] * scale[:, None]
    offsets[rng.random(count) < wrong] *= 15
    return KeypointErrors(offsets, spread, scores, kinds, np.arange(count) // 3, 3)


def test_factors_and_the_power_are_found_in_spite_of_gross_errors():
    fitted = fit_covariances(told(wrong=0.0))
    np.testing.assert_allclose(fitted.factors, FACTORS, rtol=0.12)
    assert fitted.power == pytest.approx(POWER, abs=0.1)
    # of normal errors the radii are the normal ones
    for level in (0.3, 0.5, 0.9, 0.95):
        assert fitted.radius(level) == pytest.approx(ellipse_radius(level), rel=0.06)
    gross = fit_covariances(told())
    np.testing.assert_allclose(gross.factors, FACTORS, rtol=0.35)
    assert gross.radius(0.5) == pytest.approx(ellipse_radius(0.5), abs=1e-4)
    assert gross.radius(0.95) > 3 * ellipse_radius(0.95)
    assert gross.radius(0.99) > gross.radius(0.98) > gross.radius(0.95) > gross.radius(0.7)


def test_half_of_the_people_tell_how_good_what_the_others_taught_is():
    report = report_covariances(told())
    assert report.keypoints == 3000
    assert report.levels == (0.5, 0.9, 0.95)
    np.testing.assert_allclose(report.fitted, report.levels, atol=0.025)
    # ellipses of a normal distribution are too small for gross errors, the model's own wrong
    assert report.normal[0] == pytest.approx(0.5, abs=0.025)
    assert report.normal[2] < 0.9
    assert abs(report.raw[0] - 0.5) > 0.03
    assert 1 > report.rank_fitted > report.rank_raw > 0.2
    assert report.rank_score > 0


def test_keypoints_with_few_labels_take_what_all_have_in_common():
    errors = told(600, wrong=0.0)
    kept = (errors.kinds != 1) | (np.arange(600) < 20)
    fitted = fit_covariances(errors.part(kept))
    factors = np.array(fitted.factors)
    assert factors[0] < factors[1] < factors[2]
    with pytest.raises(DataError, match="at least 100 labelled keypoints that have some, got 60"):
        fit_covariances(errors.part(np.arange(600) < 60))
    nothing = errors._replace(covariances=np.full((600, 2, 2), np.nan))
    with pytest.raises(DataError, match="have some, got 0"):
        fit_covariances(nothing)


def test_calibrated_covariances_keep_their_shape():
    known = CovarianceCalibration((2.0, 1.0, 3.0), -0.5)
    spread = np.tile(np.array([[4.0, 1.0], [1.0, 2.0]]), (2, 3, 1, 1))
    spread[1, 2] = np.nan
    scores = np.array([[1.0, 0.25, 1.0], [1.0, np.nan, 0.5]])
    found = known(spread, scores)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], spread[0, 0] * 4)
    np.testing.assert_allclose(found[0, 1], spread[0, 1] * 4)
    # no score counts as a very low one
    np.testing.assert_allclose(found[1, 1], spread[1, 1] * 100, rtol=1e-6)
    assert np.isnan(found[1, 2]).all()
    with pytest.raises(DataError, match="for 3 keypoints, the model has 2; it was fitted to"):
        known(spread[:, :2], scores[:, :2])
    assert known.radius(0.9) == ellipse_radius(0.9)


@pytest.mark.parametrize(
    "settings",
    [
        {"factors": ()},
        {"factors": (1.0, 0.0)},
        {"factors": (float("nan"),)},
        {"power": 0.5},
        {"levels": (0.5,)},
        {"levels": (0.5, 0.4), "distances": (1.0, 2.0)},
        {"levels": (0.5, 0.9), "distances": (2.0, 1.0)},
        {"levels": (0.5, 1.0), "distances": (1.0, 2.0)},
    ],
    ids=str,
)
def test_what_is_no_calibration_is_refused(settings):
    with pytest.raises(DataError, match="a calibration of covariances has factors above 0"):
        CovarianceCalibration(**{"factors": (1.0,), **settings})


def test_files_hold_both_calibrations(tmp_path):
    path = tmp_path / "map.json"
    made = Calibration((0.0, 0.5), (0.1, 0.9), "here", fit_covariances(told()))
    made.save(path)
    assert Calibration.load(path) == made
    dataclasses.replace(made, covariances=None).save(path)
    assert "covariances" not in json.loads(path.read_text())
    for spread in ({}, 3, {"factors": ["a"]}, {"factors": [-1]}):
        content = {"scores": [0], "chances": [1], "covariances": spread}
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match="is no calibration|a calibration of covariances has"):
            Calibration.load(path)


def test_models_inside_the_package_have_one():
    for name in ("movenet-thunder", "movenet-lightning"):
        known = FITTED[name].covariances
        assert len(known.factors) == 17
        # as the held-out figures say: gross errors make large ellipses larger
        assert known.radius(0.5) == pytest.approx(ellipse_radius(0.5), abs=0.01)
        assert known.radius(0.95) > 2 * ellipse_radius(0.95)


def samples(count=400):
    """Predictions of a test of one person each, 3 keypoints."""
    errors = told(3 * count)
    for i in range(count):
        own = slice(3 * i, 3 * i + 3)
        truth = np.full((1, 3, 2), 50.0)
        yield {
            "id": i,
            "pred_instances": {
                "keypoints": truth + errors.offsets[own],
                "keypoint_scores": errors.scores[None, own],
                "keypoint_covariances": errors.covariances[None, own].astype(np.float32),
            },
            "gt_instances": {
                "keypoints": truth,
                "keypoints_visible": np.array([[2, 2, 0 if i == 7 else 1]]),
                "bboxes": np.array([[0, 0, 100, 100]]),
            },
        }


def test_errors_are_those_of_labelled_keypoints():
    errors = keypoint_errors(samples(10))
    assert errors.total == 3
    assert len(errors.scores) == 29
    np.testing.assert_array_equal(errors.kinds[:5], [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(np.bincount(errors.people), [3] * 7 + [2, 3, 3])
    np.testing.assert_allclose(errors.offsets[:21], told(30).offsets[:21])
    plain = list(samples(4))
    del plain[2]["pred_instances"]["keypoint_covariances"]
    with pytest.raises(DataError, match="1 of 4 samples have no covariances"):
        keypoint_errors(plain)
    for sample in plain:
        sample["pred_instances"].pop("keypoint_covariances", None)
    assert keypoint_errors(plain) is None


def test_the_command_tells_what_covariances_are_worth(tmp_path):
    writer = PredictionWriter(tmp_path / "out.jsonl", {"meta": {"sigmas": [0.1] * 3}})
    writer.write(samples())
    writer.close()
    out = tmp_path / "map.json"
    arguments = ["calibration", str(tmp_path / "out.jsonl"), "--out", str(out)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert "covariances of 1,199 labelled keypoints" in answer.output
    assert "labels within the ellipse of      50%     90%     95%" in answer.output
    assert "rank correlation with the errors: deviations 0." in answer.output
    assert Calibration.load(out).covariances == fit_covariances(keypoint_errors(samples()))


COCO = parse_pose_metainfo({"from_file": "coco"})


def result(people=2, calibration=None, frame=0):
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(people, 17, 2, 2))
    fields = InstanceData(
        keypoints=rng.uniform(5, 40, (people, 17, 2)).astype(np.float32),
        keypoint_scores=rng.uniform(0.1, 1, (people, 17)).astype(np.float32),
        bboxes=np.tile(np.float32([[2, 3, 45, 46]]), (people, 1)),
        bbox_scores=np.full(people, 0.9, np.float32),
    )
    spread = (roots @ roots.swapaxes(-1, -2)).astype(np.float32)
    fields.set_field(spread, "keypoint_covariances")
    source = SourceInfo("clip.mp4", "video", fps=25.0)
    return PoseResult(
        np.zeros((50, 50, 3), np.uint8), fields, COCO, "clip.mp4", frame_index=frame, time=0.0,
        source=source, calibration=calibration,
    )  # fmt: skip


def test_results_hold_covariances_in_every_layout(tmp_path):
    found = result()
    found.instances.keypoint_covariances[1, 16] = np.nan
    rows = found.to_dict()["instances"]
    np.testing.assert_allclose(
        rows[0]["keypoint_covariances"], found.keypoint_covariances[0], atol=1e-4
    )
    assert rows[1]["keypoint_covariances"][16] == [[None, None], [None, None]]
    table = found.to_rows()
    assert list(table[0]) == found.row_keys
    assert table[0]["nose_var_x"] == pytest.approx(found.keypoint_covariances[0, 0, 0, 0])
    assert table[0]["nose_cov_xy"] == pytest.approx(found.keypoint_covariances[0, 0, 0, 1])
    assert table[1]["left_eye_var_y"] == pytest.approx(found.keypoint_covariances[1, 1, 1, 1])
    assert result(0).row_keys == found.row_keys
    assert result(0).to_rows() == []
    assert set(found.to_mmpose()[0]) == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}
    (sink,) = open_sinks("jsonl", tmp_path)
    with sink:
        sink.write(found)
        sink.write(result(0, frame=1))
    again, nobody = read_results(tmp_path / "clip.jsonl")
    np.testing.assert_allclose(again.keypoint_covariances, found.keypoint_covariances, atol=1e-4)
    assert not len(nobody)


def test_expected_oks_is_the_mean_over_the_places_that_covariances_allow():
    found = result()
    found.instances.keypoint_covariances[...] *= 3
    found.instances.keypoint_covariances[1, 16] = np.nan
    draws = np.random.default_rng(1)
    area = 43 * 43 * 0.53
    expected = found.expected_oks()
    for person, known in ((0, 17), (1, 16)):
        spread = found.keypoint_covariances[person, :known]
        offsets = [draws.multivariate_normal((0, 0), each, 20_000) for each in spread]
        squares = np.square(offsets).sum(axis=-1)
        unit = 2 * area * (2 * found.metainfo["sigmas"][:known, None]) ** 2
        assert expected[person] == pytest.approx(np.exp(-squares / unit).mean(), abs=2e-3)
    rows = found.to_dict()["instances"]
    assert [row["expected_oks"] for row in rows] == pytest.approx(expected, abs=1e-4)


def test_expected_oks_of_what_is_not_known():
    found = result()
    found.instances.keypoint_covariances[0] = np.nan
    found.instances.bboxes[1] = 7
    assert np.isnan(found.expected_oks()).all()
    assert found.to_dict()["instances"][0]["expected_oks"] is None
    assert result(0).expected_oks().shape == (0,)
    bare = dataclasses.replace(found, metainfo={**COCO, "sigmas": []})
    assert "expected_oks" not in bare.to_dict()["instances"][0]
    with pytest.raises(DataError, match="'coco' has no sigmas.*poise data sigmas"):
        bare.expected_oks()
    del found.instances.keypoint_covariances
    with pytest.raises(DataError, match="covariances=True"):
        found.expected_oks()


def test_tables_of_frames_with_and_without_people_have_the_same_columns(tmp_path):
    (sink,) = open_sinks("csv", tmp_path)
    with sink:
        for frame, people in enumerate((0, 2, 1)):
            sink.write(result(people, frame=frame))
    header, *rows = (tmp_path / "clip.csv").read_text().splitlines()
    assert len(rows) == 3
    assert header.endswith("right_ankle_var_x,right_ankle_cov_xy,right_ankle_var_y")
    assert {line.count(",") for line in rows} == {header.count(",")}


def test_radii_are_those_of_the_calibration_where_it_knows():
    assert result().covariance_radius(0.9) == ellipse_radius(0.9)
    known = CovarianceCalibration((1.0,) * 17, 0.0, (0.5, 0.9), (1.2, 4.0))
    chances = Calibration((0.0, 1.0), (0.0, 1.0))
    assert result(calibration=chances).covariance_radius(0.9) == ellipse_radius(0.9)
    both = dataclasses.replace(chances, covariances=known)
    assert result(calibration=both).covariance_radius(0.9) == pytest.approx(4.0)
    fields = result().instances
    before = fields.keypoint_covariances.copy()
    calibrate_covariances(fields, chances)
    np.testing.assert_array_equal(fields.keypoint_covariances, before)
    calibrate_covariances(
        fields, dataclasses.replace(both, covariances=CovarianceCalibration((2.0,) * 17))
    )
    np.testing.assert_allclose(fields.keypoint_covariances, 4 * before)
