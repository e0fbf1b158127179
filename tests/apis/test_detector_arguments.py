"""MMPose's three arguments about the detector, and its calls of detectors."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poise.apis import MMPoseInferencer
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
