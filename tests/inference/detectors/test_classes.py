"""Detectors of a user's own classes: which count, and what the pose model is told of them."""

import numpy as np
import pytest
import torch

from poise.errors import ConfigError
from poise.export import export_model
from poise.inference import Inferencer
from poise.inference.detectors import build_detector
from poise.inference.detectors.targets import wanted_classes
from poise.models.build import build_model, load_model
from poise.zoo import load_config

NANO = "rtmdet_nano_320-8xb32_coco-person"
KINDS = ("fish", "mouse", "pebble")
BOTH = {
    "dataset_name": "mouse+fish",
    "keypoint_name2id": {"nose": 0, "fin": 1},
    "categories": [
        {"id": 7, "name": "mouse", "keypoints": [0]},
        {"id": 2, "name": "Fish", "keypoints": [1]},
    ],
}
MOUSE = {"dataset_name": "mouse", "keypoint_name2id": {"nose": 0}}
PERSON = {"dataset_name": "own", "keypoint_name2id": {"shoulder": 0, "wrist": 1}}


@pytest.mark.parametrize(
    ("names", "metainfo", "classes", "ids"),
    [
        (KINDS, BOTH, (0, 1), (2, 7, 0)),
        (KINDS, MOUSE, (1,), None),
        (KINDS, PERSON, None, None),
        (("person", "mouse"), PERSON, (0,), None),
        (("person", "mouse"), None, (0,), None),
        (None, BOTH, None, None),
        (("mouse",), PERSON, None, None),
    ],
)
def test_classes_of_the_pose_models_names_count(names, metainfo, classes, ids):
    assert wanted_classes(len(names or "12"), names, metainfo) == (classes, ids)


def test_eighty_classes_are_cocos_unless_they_say_otherwise():
    own = [f"part {n}" for n in range(80)]
    assert wanted_classes(80, own, PERSON) == (None, None)
    assert wanted_classes(80, None, PERSON).classes == (0,)
    assert wanted_classes(80, None, {"dataset_name": "x", "keypoint_name2id": {"thumb": 0}}) is None


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A config and a checkpoint of three classes, which only the checkpoint names."""
    folder = tmp_path_factory.mktemp("detector")
    config = folder / "mine.py"
    config.write_text(
        f"_base_ = 'demo/mmdetection_cfg/{NANO}.py'\nmodel = dict(bbox_head=dict(num_classes=3))\n"
    )
    torch.manual_seed(3)
    model = build_model(load_config(config))
    for name, value in model.state_dict().items():
        if name.startswith("bbox_head.rtm_cls") and name.endswith("weight"):
            value.normal_(0, 0.02)
    # norms that know their inputs: with others all places of a picture have the same score, and
    # which boxes are the best hangs on the last digits
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None
    with torch.no_grad():
        model.train()(4 * torch.rand(2, 3, 320, 320) - 2, None, mode="tensor")
    model.eval()
    file = folder / "mine.pth"
    meta = {"dataset_meta": {"classes": KINDS, "palette": None}}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, file)
    return config, file


def found(detector, photo):
    detector.score_threshold = 0.0
    (boxes,) = detector.detect([photo])
    return boxes


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 255, (200, 240, 3), dtype=np.uint8)


def test_the_checkpoint_names_the_classes(weights, photo):
    config, file = weights
    detector = build_detector(str(config), BOTH, weights=file)
    assert detector.classes == KINDS
    assert detector.description == "mine (boxes of fish, mouse with a score of 0.3 or more)"
    boxes = found(detector, photo)
    assert boxes.shape[1] == 6
    assert len(boxes)
    assert set(boxes[:, 5]) <= {7.0, 2.0}
    alone = build_detector(str(config), MOUSE, weights=file)
    assert alone.categories == (1,)
    assert found(alone, photo).shape[1] == 5
    assert alone.description == "mine (boxes of mouse with a score of 0 or more)"
    every = build_detector(str(config), PERSON, weights=file)
    assert every.categories is None
    assert build_detector(str(config), BOTH, weights=file, categories=2).categories == (2,)


def test_an_exported_detector_keeps_its_classes(weights, photo, tmp_path):
    config, file = weights
    path = tmp_path / "mine.onnx"
    report = export_model(load_model(load_config(config), file), path)
    assert report.poses.model > 20
    assert report.poses.things.name == "boxes"
    detector = build_detector(str(path), BOTH)
    assert detector.classes == KINDS
    ours = found(build_detector(str(config), BOTH, weights=file), photo)
    theirs = found(detector, photo)
    np.testing.assert_allclose(theirs[:20, 4], ours[:20, 4], atol=0.01)
    assert set(theirs[:, 5]) <= {7.0, 2.0}


def test_a_detector_of_cocos_classes_in_a_file_is_checked_after_loading(tmp_path):
    config = tmp_path / "coco.py"
    config.write_text("_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'\n")
    file = tmp_path / "coco.pth"
    torch.save({"state_dict": build_model(load_config(config)).state_dict()}, file)
    hand = {"dataset_name": "hand", "keypoint_name2id": {"thumb": 0}}
    with pytest.raises(ConfigError, match="no 'hand' among them"):
        build_detector(str(config), hand, weights=file)
    assert build_detector(str(config), PERSON, weights=file).categories == (0,)


def test_a_model_of_small_boxes_is_not_given_whole_pictures_in_silence(caplog):
    inferencer = Inferencer("movenet-lightning", detector="whole-image", device="cpu")
    inferencer.metainfo = {**inferencer.metainfo, "box_share": 0.123}
    assert inferencer.detector is not None
    assert "boxes of about 12 % of their pictures" in caplog.text
    assert "poise train nanodet" in caplog.text
    caplog.clear()
    other = Inferencer("movenet-lightning", detector="whole-image", device="cpu")
    other.metainfo = {**other.metainfo, "box_share": 0.6}
    assert other.detector is not None
    assert not caplog.text
