"""The embedded model gives the numbers of the released graph."""

import numpy as np
import pytest
import torch

from poise.codecs.movenet import MoveNetLabel
from poise.errors import ConfigError
from poise.models.build import load_model

NAMES = {"movenet-thunder": 256, "movenet-lightning": 192}


@pytest.fixture(scope="module", params=NAMES)
def named_model(request):
    return request.param, load_model(request.param, device="cpu")


@pytest.mark.parametrize("picture", ["skier", "astronaut", "table"])
def test_outputs_equal_those_of_the_released_graph(named_model, shared, picture):
    name, model = named_model
    oracle = np.load(shared / "weights" / "oracle.npz")
    image = torch.from_numpy(oracle[f"{name}/{picture}/input_bgr_uint8"]).permute(2, 0, 1)
    expected = oracle[f"{name}/{picture}/output0"][0, 0]
    batch = model.data_preprocessor({"inputs": [image, image], "data_samples": None}, False)
    with torch.no_grad():
        maps = model(batch["inputs"], None, mode="tensor")
    keypoints, scores = model.head.decoder.batch_decode(*maps)
    for i in range(2):
        np.testing.assert_allclose(keypoints[i, 0] / NAMES[name], expected[:, 1::-1], atol=2e-3)
        np.testing.assert_allclose(scores[i, 0], expected[:, 2], atol=1e-2)


def test_weights_are_shipped_in_half_precision_and_load_strictly(named_model):
    _, model = named_model
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.equal(p, p.half().float()) for p in model.parameters())


@pytest.fixture
def codec():
    return MoveNetLabel(input_size=(192, 256))


def test_decode_inverts_encode(codec):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform((60, 80), (130, 180), (1, 17, 2)).astype(np.float32)
    encoded = codec.encode(keypoints)
    maps = [encoded[k] for k in ("heatmaps", "centers", "regressions", "offsets")]
    decoded, scores = codec.decode(*maps)
    np.testing.assert_allclose(decoded, keypoints, atol=1e-3)
    assert scores.min() > 0.75


def test_encode_leaves_out_what_is_invisible_or_outside(codec):
    keypoints = np.array([[[50, 60], [-5, 20], [60, 70]]], np.float32)
    encoded = codec.encode(keypoints, np.array([[1, 1, 0]], np.float32))
    assert encoded["keypoint_weights"].tolist() == [[1, 0, 0]]
    assert not encoded["heatmaps"][1:].any()


def test_flip_test_is_refused_with_the_setting_to_change(named_model):
    _, model = named_model
    with pytest.raises(ConfigError, match="no flip test.*flip_test=False"):
        model.head.predict([], [], dict(flip_test=True))


def test_training_is_refused_with_a_model_to_take_instead(named_model):
    _, model = named_model
    with pytest.raises(ConfigError, match="cannot be trained here.*RTMPose"):
        model.head.loss([], [])
