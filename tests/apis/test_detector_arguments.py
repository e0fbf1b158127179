"""MMPose's three arguments about the detector, and its calls of detectors."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poise.apis import (
    MMPoseInferencer,
    adapt_mmdet_pipeline,
    inference_detector,
    init_detector,
)
from poise.config import Config
from poise.config.migrate import migrate_source
from poise.errors import ConfigError
from poise.inference import Inferencer
from poise.inference.detectors import NanoDetDetector, NetworkDetector, WholeImage
from poise.models import build_model

NANO = "rtmdet_nano_320-8xb32_coco-person"
PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The small person detector with weights that find boxes everywhere."""
    torch.manual_seed(0)
    model = build_model(NANO)
    for layer in model.bbox_head.rtm_reg:
        layer.bias.data.fill_(3.0)
    path = tmp_path_factory.mktemp("weights") / "nano.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    return str(path)


def inferencer(**options):
    return MMPoseInferencer("movenet-lightning", device="cpu", **options)


def test_named_detector_gets_its_weights_classes_and_thresholds(weights):
    pose = inferencer(det_model=NANO, det_weights=weights, det_cat_ids=[0])
    detector = pose.inferencer.detector
    assert isinstance(detector, NetworkDetector)
    assert detector.categories == [0]
    (answer,) = pose(str(PHOTO), bbox_thr=0.4)
    (boxes,) = detector.detect([cv2.imread(str(PHOTO))])
    assert (detector.score_threshold, detector.iou_threshold) == (0.4, 0.3)
    people = answer["predictions"][0]
    assert len(people) == len(boxes) > 0
    np.testing.assert_allclose([p["bbox"][0] for p in people], boxes[:, :4], rtol=1e-5)
    # MMPose's second suppression, across what the network kept
    next(pose(str(PHOTO), bbox_thr=0.4, nms_thr=0.1))
    assert detector.iou_threshold == 0.1


@pytest.mark.parametrize(
    ("det_model", "kind"),
    [("whole_image", WholeImage), ("whole-image", WholeImage), ("nanodet", NanoDetDetector)],
)
def test_other_detectors_are_those_of_the_inferencer(det_model, kind):
    assert isinstance(inferencer(det_model=det_model).inferencer.detector, kind)


def test_a_detector_as_the_model_is_refused_before_anything_is_fetched():
    with pytest.raises(ConfigError, match="'rtmdet-m' is a detector, .* give it as detector="):
        Inferencer("rtmdet-m")


def test_mmdetections_calls_find_boxes_as_mmposes_demos_use_them(weights):
    detector = init_detector(f"demo/mmdetection_cfg/{NANO}.py", weights, device="cpu")
    detector.cfg = adapt_mmdet_pipeline(detector.cfg)
    image = cv2.imread(str(PHOTO))
    found = inference_detector(detector, image).pred_instances.cpu().numpy()
    assert found.bboxes.shape == (100, 4)
    assert set(found.labels) == {0}
    paths = inference_detector(detector, [str(PHOTO), image])
    for sample in paths:
        np.testing.assert_allclose(sample.pred_instances.scores, found.scores, rtol=1e-4)
    mine = NetworkDetector(NANO, weights, score_threshold=0.4)
    (boxes,) = mine.detect([image])
    np.testing.assert_allclose(boxes[:, :4], found.bboxes[found.scores >= 0.4], rtol=1e-5)


def test_options_change_the_detector(weights):
    options = {"model.test_cfg.max_per_img": 3}
    detector = init_detector(NANO, weights, device="cpu", cfg_options=options)
    assert len(inference_detector(detector, str(PHOTO)).pred_instances) == 3
    with pytest.raises(ConfigError, match="expected RTMDet, YOLOX, FasterRCNN"):
        init_detector("movenet-lightning", device="cpu")


def test_a_config_in_the_words_of_mmdetection_2_gives_each_picture_its_own_boxes():
    figures = (
        Path(__file__).resolve().parents[1] / "models" / "detectors" / "inference_figures.json"
    )
    model = json.loads(figures.read_text())["small"]["YOLOV3"]["model"] | {"pretrained": "x"}
    model["test_cfg"] = model["test_cfg"] | {"score_thr": 0.0}
    inner = [
        {"type": "Resize", "keep_ratio": True},
        {"type": "Normalize", "mean": [0, 0, 0], "std": [255, 255, 255], "to_rgb": True},
        {"type": "Pad", "size_divisor": 32},
        {"type": "Collect", "keys": ["img"]},
    ]
    whole = {"type": "MultiScaleFlipAug", "img_scale": (96, 96), "flip": False, "transforms": inner}
    steps = [{"type": "LoadImageFromFile"}, whole]
    config = Config({"model": model, "data": {"test": {"pipeline": steps}}})
    torch.manual_seed(0)
    detector = init_detector(config, device="cpu")
    assert "data_preprocessor" not in config.model
    image = cv2.imread(str(PHOTO))
    pictures = [image, image[:250], image[:, :400]]
    for picture, sample in zip(pictures, inference_detector(detector, pictures), strict=True):
        alone = inference_detector(detector, picture).pred_instances
        torch.testing.assert_close(sample.pred_instances.bboxes, alone.bboxes, atol=1e-2, rtol=1e-4)
        assert len(alone) == 20


def test_imports_of_demos_are_migrated():
    text = (
        "from mmdet.apis import inference_detector, init_detector\n"
        "from mmpose.utils import adapt_mmdet_pipeline\n"
    )
    assert migrate_source(text).text == (
        "from poise.apis import inference_detector, init_detector\n"
        "from poise.apis import adapt_mmdet_pipeline\n"
    )


def test_faster_modes_rearrange_the_detector_without_moving_boxes(weights):
    options = {"device": "cpu", "detector": {"name": NANO, "weights": weights}}
    plain, quick = (
        Inferencer("movenet-lightning", mode=m, **options) for m in ("accurate", "fast")
    )
    image = [cv2.imread(str(PHOTO))]
    assert len(list(quick.detector.model.buffers())) < len(list(plain.detector.model.buffers()))
    a, b = plain.detector.detect(image)[0], quick.detector.detect(image)[0]
    np.testing.assert_allclose(np.sort(b[:, 4]), np.sort(a[:, 4]), atol=1e-4)
