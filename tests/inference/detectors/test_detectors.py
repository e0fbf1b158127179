"""Detectors: who is where, and an empty answer where nobody is."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poise import schemas
from poise.errors import ArgumentError, DataError, UnknownNameError
from poise.inference import Inferencer
from poise.inference.detectors import NanoDetDetector, WholeImage, build_detector, shows_people
from poise.structures.metainfo import parse_pose_metainfo

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
PEOPLE = {"dataset_name": "own", "keypoint_name2id": {"left_shoulder": 0, "left_wrist": 1}}


@pytest.fixture(scope="module")
def photo():
    return cv2.imread(str(PHOTO))


@pytest.fixture(scope="module")
def nanodet():
    return NanoDetDetector()


@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("coco", True),
        ("mpii", True),
        ("coco_wholebody", True),
        ("halpe26", True),
        ("macaque", False),
        ("ak", False),
        ("ap10k", False),
        ("onehand10k", False),
        ("wflw", False),
        ("deepfashion_full", False),
    ],
)
def test_auto_looks_for_people_where_the_schema_is_of_people(name, people):
    assert shows_people(parse_pose_metainfo(schemas.get(name))) == people


def test_astronaut_is_found_once_and_around_her_body(nanodet, photo):
    (boxes,) = nanodet.detect([photo])
    assert boxes.shape == (1, 5)
    x1, y1, x2, y2, score = boxes[0]
    # head to hands of the shipped photo, read off the picture
    assert x1 < 100
    assert y1 < 40
    assert x2 > 340
    assert y2 > 480
    assert score > 0.5


def test_boxes_follow_the_size_of_the_picture(nanodet, photo):
    wide = np.hstack([photo, np.zeros_like(photo)])
    large = cv2.resize(wide, None, fx=2, fy=2)
    small, double = nanodet.detect([wide, large])
    assert small.shape == double.shape == (1, 5)
    np.testing.assert_allclose(double[0, :4], small[0, :4] * 2, atol=12)


def test_nobody_there_is_no_box(nanodet):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (120, 200, 3), dtype=np.uint8)
    assert [len(b) for b in nanodet.detect([np.zeros((50, 80, 3), np.uint8), noise])] == [0, 0]
    assert nanodet.detect([]) == []


def test_doubles_are_suppressed_and_boxes_cut_at_the_border(nanodet, monkeypatch):
    boxes = torch.tensor([[-20, 10, 100, 200], [-18, 12, 101, 200], [300, 50, 380, 500.0]])
    scores = torch.tensor([0.5, 0.8, 0.4])
    monkeypatch.setattr(nanodet.model, "detect_sure", lambda *_: [(boxes, scores)])
    (found,) = nanodet.detect([np.zeros((416, 416, 3), np.uint8)])
    np.testing.assert_allclose(found, [[0, 12, 101, 200, 0.8], [300, 50, 380, 416, 0.4]], atol=1e-5)


def test_the_embedded_detector_rearranged_for_speed_finds_the_same(nanodet, photo):
    quick, short = NanoDetDetector(), NanoDetDetector()
    quick.tune()
    short.tune(half=True)
    wide = np.hstack([photo, np.zeros_like(photo)])
    pictures = [photo, np.zeros((50, 80, 3), np.uint8), wide]
    expected = nanodet.detect(pictures)
    for detector, pixels in ((quick, 0.01), (short, 4)):
        found = detector.detect(pictures)
        assert [len(boxes) for boxes in found] == [1, 0, 1]
        for boxes, same in zip(found, expected, strict=True):
            np.testing.assert_allclose(boxes[:, :4], same[:, :4], atol=pixels)
            np.testing.assert_allclose(boxes[:, 4], same[:, 4], atol=0.02)


def test_callable_gets_the_picture_and_its_boxes_are_checked(photo):
    seen = []

    def upper_half(image):
        seen.append(image.shape)
        return [[0, 0, image.shape[1], image.shape[0] / 2]]

    detector = build_detector(upper_half, PEOPLE)
    assert detector.detect([photo])[0].tolist() == [[0, 0, 512, 256, 1]]
    assert seen == [(512, 512, 3)]
    assert build_detector(lambda _: None, PEOPLE).detect([photo])[0].shape == (0, 5)

    def wrong(_):
        return [[5, 5, 1, 1]]

    with pytest.raises(DataError, match="what the callable wrong returned: box 0"):
        build_detector(wrong, PEOPLE).detect([photo])


def test_detector_object_is_taken_as_it_is():
    detector = WholeImage()
    assert build_detector(detector, PEOPLE) is detector
    assert isinstance(build_detector(None, PEOPLE), WholeImage)
    assert isinstance(build_detector("auto", {"keypoint_name2id": {"thumb": 0}}), WholeImage)


def test_unknown_detectors_are_named():
    with pytest.raises(UnknownNameError, match="no detector 'nanodot'; did you mean 'nanodet'"):
        build_detector("nanodot", PEOPLE)
    with pytest.raises(ArgumentError, match="detector should be a name .auto, .* got int"):
        build_detector(3, PEOPLE)


def test_several_people_are_found_without_boxes_and_nobody_in_an_empty_picture(photo):
    inferencer = Inferencer(device="cpu")
    two = np.hstack([photo, photo[:, ::-1]])
    results = inferencer([two, np.zeros((64, 64, 3), np.uint8), photo], batch_size=8)
    assert [len(r) for r in results] == [2, 0, 1]
    assert results[1].to_dict()["instances"] == []
    # she on the left and her mirror image on the right
    noses = np.sort(results[0].keypoints[:, 0, 0])
    np.testing.assert_allclose(noses, [226, 1024 - 226], atol=20)
