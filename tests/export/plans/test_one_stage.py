"""One-stage models and detectors in files: the same people, without torch."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import poise
from poise.errors import ArgumentError, ConfigError
from poise.export import export_model
from poise.export.checks.agreement import agreement, trial_pictures
from poise.inference import Inferencer
from poise.inference.detectors import NetworkDetector, build_detector
from poise.models.detectors import YOLOX, RTMDet, SSDHead
from poise.runtimes import open_session, read_metadata

onnx = pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")
pytestmark = pytest.mark.slow

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
RTMO = "rtmo-t_8xb32-600e_body7-416x416"
YOLOX_POSE = "yoloxpose_tiny_4xb64-300e_coco-416"
MMYOLO = "yolox-pose_tiny_4xb64-300e_coco"


def made_up(name):
    """A model whose weights tell places apart, and that finds a few people or things."""
    torch.manual_seed(0)
    model = poise.build_model(name).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        first = next(weight for weight in model.parameters() if weight.ndim == 4)
        for weight in model.parameters():
            if weight.ndim > 1:
                noise = torch.randn(weight.shape, generator=generator)
                weight.copy_(noise * (1.5 / weight[0].numel()) ** 0.5)
        mean = getattr(model.data_preprocessor, "mean", None)
        if mean is None or not mean.any():
            # the network takes levels as they are
            first /= 100
        for layer in getattr(getattr(model, "bbox_head", None), "rtm_reg", ()):
            # sides on the right side of their point
            layer.bias.fill_(3)
    set_threshold(model, 0.0)
    set_threshold(model, middle_of_a_gap(scores_of(model)))
    return model


def scores_of(model):
    """Scores of all that is found in made pictures."""
    pictures = trial_pictures()
    if isinstance(model, (RTMDet, YOLOX)) or isinstance(getattr(model, "bbox_head", None), SSDHead):
        detector = NetworkDetector(model, score_threshold=0.0, categories=None)
        return np.concatenate([boxes[:, 4] for boxes in detector.detect(pictures)])
    results = Inferencer(model, device="cpu", flip_test=False)(pictures)
    return np.concatenate([np.asarray(r.instances.bbox_scores) for r in results])


def middle_of_a_gap(scores):
    """A score that some exceed, and that none is near to."""
    best = np.sort(scores)[::-1][8:60]
    gap = -np.diff(best)
    widest = int(gap.argmax())
    return float(best[widest : widest + 2].mean())


def set_threshold(model, value):
    model.test_cfg["score_thr"] = value
    if hasattr(model, "bbox_head"):
        model.bbox_head.test_cfg["score_thr"] = value


@pytest.fixture(scope="module")
def rtmo(tmp_path_factory):
    model = made_up(RTMO)
    path = tmp_path_factory.mktemp("rtmo") / "rtmo.onnx"
    return model, path, export_model(model, path)


def test_rtmo_in_a_file_finds_the_same_people(rtmo):
    model, path, report = rtmo
    assert {row.name for row in report.outputs} == {
        "boxes",
        "scores",
        "keypoints",
        "keypoint_scores",
    }
    assert report.poses.model == report.poses.file > 0
    pictures = [PHOTO, *trial_pictures()]
    expected = Inferencer(model, device="cpu")(pictures)
    found = Inferencer(path)(pictures)
    assert sum(map(len, expected)) > 1
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other)
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=0.05)
        np.testing.assert_allclose(one.keypoint_scores, other.keypoint_scores, atol=1e-4)
        np.testing.assert_allclose(one.bboxes, other.bboxes, atol=1e-2)


def test_rtmo_file_says_how_pictures_get_in_and_who_is_a_person(rtmo):
    model, path, _ = rtmo
    about = read_metadata(path)
    assert about == open_session(path).metadata
    assert about["kind"] == "people"
    assert about["input_size"] == [416, 416]
    assert about["padding"] == [114, 114, 114]
    assert about["select"]["score_threshold"] == model.test_cfg["score_thr"]
    assert about["select"]["iou_threshold"] == 0.65


def test_rtmo_with_fixed_candidates_has_fixed_shapes_and_says_when_they_are_few(tmp_path, caplog):
    model = made_up(RTMO)
    set_threshold(model, 0.0)
    path = tmp_path / "fixed.onnx"
    export_model(model, path, candidates=5, check=False)
    shapes = [
        [d.dim_value or d.dim_param for d in output.type.tensor_type.shape.dim]
        for output in onnx.load(str(path)).graph.output
    ]
    assert shapes == [["batch", 5, 4], ["batch", 5], ["batch", 5, 17, 2], ["batch", 5, 17]]
    assert len(Inferencer(path)(PHOTO)[0]) <= 5
    assert "looks at the best 5 points" in caplog.text


@pytest.mark.parametrize("name", [YOLOX_POSE, MMYOLO])
def test_yolox_pose_in_a_file_finds_the_same_people(name, tmp_path):
    model = made_up(name)
    report = export_model(model, tmp_path / "y.onnx")
    assert all(row.share < 1e-4 for row in report.outputs)
    found = agreement(model, tmp_path / "y.onnx", trial_pictures())
    assert found.model == found.file > 3
    assert found.same > 0.99
    assert found.scores < 1e-3


def test_nobody_found_is_an_empty_result(rtmo, tmp_path):
    model = copy.deepcopy(rtmo[0])
    set_threshold(model, 1.0)
    export_model(model, tmp_path / "nobody.onnx")
    (result,) = Inferencer(tmp_path / "nobody.onnx")(PHOTO)
    assert len(result) == 0


def test_one_stage_file_is_used_with_torch_blocked(rtmo, without_torch):
    model, path, _ = rtmo
    code = f"import poise; print(len(poise.Inferencer({str(path)!r})({str(PHOTO)!r})[0]))"
    assert int(without_torch(code)) == len(Inferencer(model, device="cpu")(PHOTO)[0])


def test_backend_onnxruntime_takes_one_stage_models(rtmo, monkeypatch, tmp_path):
    model, path, _ = rtmo
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path))
    found = Inferencer(model, device="cpu", backend="onnxruntime")(PHOTO)[0]
    np.testing.assert_allclose(found.keypoints, Inferencer(path)(PHOTO)[0].keypoints, atol=1e-3)


# ------------------------------------------------------------------ detectors


@pytest.mark.parametrize("name", ["rtmdet-nano-person", "yolox-tiny", "ssdlite"])
def test_detectors_in_files_find_the_same_boxes(name, tmp_path):
    model = made_up(name)
    path = tmp_path / "detector.onnx"
    report = export_model(model, path)
    assert [row.name for row in report.outputs] == ["boxes", "scores"]
    options = {"categories": None, "score_threshold": 0.0}
    pictures = trial_pictures()
    expected = NetworkDetector(model, **options).detect(pictures)
    found = build_detector(str(path), **options).detect(pictures)
    assert sum(map(len, expected)) > 1
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=0.05)


@pytest.mark.parametrize("name", ["faster_rcnn_r50_fpn_1class", "yolov3"])
def test_detectors_of_two_stages_and_yolov3_are_not_exported(name, tmp_path):
    with torch.device("meta"):
        model = poise.build_model(name).to_empty(device="cpu")
    text = r"NanoDetHead, SSDHead are exported, not \w+ with \w+; run it with torch, or export"
    with pytest.raises(ConfigError, match=text):
        export_model(model, tmp_path / "detector.onnx")


def test_pose_model_and_detector_files_are_told_apart(rtmo, tmp_path):
    _, path, _ = rtmo
    with pytest.raises(ConfigError, match="is a pose model, not a detector"):
        build_detector(str(path))
    detector = tmp_path / "detector.onnx"
    export_model(made_up("rtmdet-nano-person"), detector, check=False)
    with pytest.raises(ConfigError, match=r"finds boxes and no keypoints; .*\(--detector\)"):
        Inferencer(detector)


def test_unknown_ending_is_refused_before_any_work(tmp_path):
    with pytest.raises(ArgumentError, match="ends in .onnx.*got '.*model.pb'"):
        export_model(None, tmp_path / "model.pb")


def test_a_one_stage_file_has_no_covariances_and_says_who_has(rtmo):
    model, path, _ = rtmo
    (result,) = Inferencer(model, device="cpu").predict(PHOTO, covariances=True)
    assert result.keypoint_covariances.shape == (*result.keypoint_scores.shape, 2, 2)
    assert (np.linalg.eigvalsh(result.keypoint_covariances) > 0).all()
    with pytest.raises(ConfigError, match=r"\('people'\) give no covariances.*backend='torch'"):
        next(Inferencer(path).predict(PHOTO, covariances=True))
