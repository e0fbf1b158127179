"""3D poses straight from pictures."""

import numpy as np
import pytest
import torch

from poise import Inferencer, load_config
from poise.apis import MMPoseInferencer
from poise.errors import DataError
from poise.inference.networks.direct3d import SPACE_CAMERA, SPACE_HANDS, hand_poses
from poise.inference.sinks import open_sinks
from poise.models.build import build_model

INTERNET = "internet_res50_4xb16-20e_interhand3d-256x256"


def test_hands_are_put_where_the_right_wrist_says_and_absent_ones_have_no_score():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 50, (1, 42, 3))
    scores = rng.uniform(50, 255, (1, 42))
    poses, sure = hand_poses(points, scores, np.array([[30.0]]), np.array([[1.0, 0.0]]))
    moved = points.copy()
    moved[:, 21:, 2] += 30
    np.testing.assert_allclose(poses[..., 0], moved[..., 0])
    np.testing.assert_allclose(poses[..., 1], moved[..., 2])
    height = -moved[..., 1]
    np.testing.assert_allclose(poses[..., 2], height - height[:, :21].min())
    assert not sure[:, 21:].any()
    np.testing.assert_allclose(sure[:, :21], scores[:, :21] / 255)
    assert hand_poses(points, scores, np.array([0.0]), np.zeros((1, 2)))[1].sum() == 0


@pytest.fixture(scope="module")
def hands():
    torch.manual_seed(0)
    return Inferencer(build_model(load_config(INTERNET)).eval())


def test_hands_have_flat_keypoints_and_poses_in_a_stated_space(hands, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    seen, empty = hands.predict([picture, picture], boxes=[[[10, 10, 100, 100]], np.zeros((0, 4))])
    assert seen.keypoints.shape == (1, 42, 2)
    assert seen.keypoints_3d.shape == (1, 42, 3)
    assert empty.keypoints_3d.shape == (0, 42, 3)
    assert seen.space_3d == SPACE_HANDS
    assert seen.metainfo_3d["dataset_name"] == "interhand3d"
    (sink,) = open_sinks("html", tmp_path)
    with sink:
        sink.write(seen)
    assert "right wrist" in sink.written[0].read_text()
    (markers,) = open_sinks("c3d", tmp_path)
    with pytest.raises(DataError, match="--save html shows them"), markers:
        markers.write(seen)


def test_whole_bodies_by_rtmw3d_are_in_camera_space():
    torch.manual_seed(0)
    config = load_config("rtmw3d-l_8xb64_cocktail14-384x288")
    # a network as small as can be: only what comes after it is looked at
    config.model.backbone.update(deepen_factor=0.167, widen_factor=0.375)
    config.model.neck.update(in_channels=[c * 3 // 8 for c in config.model.neck.in_channels])
    config.model.head.in_channels = 384
    model = build_model(config).eval()
    picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    (seen,) = Inferencer(model).predict(picture, boxes=[[10, 10, 100, 100]])
    assert seen.space_3d == SPACE_CAMERA
    assert seen.keypoints.shape == (1, 133, 2)
    x, away, up = np.moveaxis(seen.keypoints_3d[0], -1, 0)
    # by the same pinhole, the keypoints of the picture
    center = np.array([120, 160]) / 2
    focal = (seen.keypoints[0] - center) / np.stack((x, -up), -1) * away[:, None]
    np.testing.assert_allclose(focal, np.broadcast_to(np.median(focal, 0), focal.shape), rtol=1e-3)


def test_mmposes_inferencer_takes_a_model_of_hands_as_its_3d_model(hands):
    picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    answer = next(MMPoseInferencer(pose3d=hands.model)(picture, return_vis=True))
    (person,) = answer["predictions"][0]
    assert np.shape(person["keypoints"]) == (42, 3)
    assert np.shape(person["keypoint_scores"]) == (42,)
    # the picture, and a panel as wide as its longer side
    assert answer["visualization"][0].shape == (160, 320, 3)
