"""Bottom-up models in files: maps of pictures of any size, and the same people."""

import numpy as np
import pytest
import torch

import poise
from poise.export import export_model
from poise.export.checks.agreement import trial_pictures
from poise.inference import Inferencer

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")
pytestmark = pytest.mark.slow

SMALL = {
    "stage1": {"num_blocks": [1], "num_channels": [16]},
    "stage2": {"num_blocks": [1] * 2, "num_channels": [8, 16]},
    "stage3": {"num_modules": 1, "num_blocks": [1] * 3, "num_channels": [8, 16, 32]},
    "stage4": {"num_modules": 1, "num_blocks": [1] * 4, "num_channels": [8, 16, 32, 64]},
}


def small(name, width=8):
    """The model with a narrow backbone; `width`: channels that reach its head."""
    config = poise.load_config(name)
    for stage, settings in SMALL.items():
        config.model.backbone.extra[stage].update(settings)
    config.model.head.in_channels = width
    torch.manual_seed(0)
    return poise.build_model(config).eval()


def test_associative_embedding_in_a_file_finds_the_same_people(tmp_path):
    model = small("ae_hrnet-w32_8xb24-300e_coco-512x512")
    # people are apart by their tags, which follow the place here
    torch.nn.init.normal_(model.head.final_layer.weight, std=1.0)
    path = tmp_path / "ae.onnx"
    report = export_model(model, path)
    assert all(row.share < 1e-4 for row in report.outputs)
    pictures = trial_pictures()
    expected = Inferencer(model, device="cpu", flip_test=False)(pictures)
    found = Inferencer(path)(pictures)
    assert sum(map(len, expected)) > 0
    assert [len(f) for f in found] == [len(e) for e in expected]
    places = [np.sort(r.keypoints[..., 0], axis=0) for r in (found[0], expected[0])]
    assert np.mean(np.abs(places[0] - places[1]) < 1) > 0.9


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        (
            "dekr_hrnet-w32_8xb10-140e_coco-512x512",
            ("heatmap_conv_layers.2", "displacement_conv_layers.3"),
        ),
        ("cid_hrnet-w32_8xb20-140e_coco-512x512", ("keypoint_root_conv", "heatmap_conv")),
    ],
)
def test_people_by_their_centres_are_the_same(name, layers, tmp_path):
    model = small(name, 8 + 16 + 32 + 64)
    for key, weight in model.head.named_parameters():
        if any(layer in key for layer in layers) and weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.5)
    path = tmp_path / "model.onnx"
    report = export_model(model, path)
    assert all(row.share < 1e-4 for row in report.outputs)
    pictures = trial_pictures()
    expected = Inferencer(model, device="cpu", flip_test=False)(pictures, batch_size=1)
    found = Inferencer(path)(pictures)
    assert sum(map(len, expected)) > 3
    near = []
    for one, other in zip(expected, found, strict=True):
        apart = np.linalg.norm(one.keypoints[:, None] - other.keypoints[None], axis=-1)
        near.append(np.median(apart, axis=-1).min(1) < 0.5)
    # flat maps have maxima of equal height, of which the last digits choose
    assert np.mean(np.concatenate(near)) > 0.8


def test_hands_in_space_are_the_same(tmp_path):
    torch.manual_seed(0)
    model = poise.build_model("internet_res50_4xb16-20e_interhand3d-256x256").eval()
    export_model(model, tmp_path / "hands.onnx")
    boxes = [[10, 10, 200, 300], [50, 50, 150, 180]]
    (expected,) = Inferencer(model, device="cpu")(trial_pictures()[:1], boxes=boxes)
    (found,) = Inferencer(tmp_path / "hands.onnx")(trial_pictures()[:1], boxes=boxes)
    assert found.space_3d == expected.space_3d
    assert found.instances.keypoints_3d.shape == (2, 42, 3)
    same = np.isclose(found.instances.keypoints_3d, expected.instances.keypoints_3d, atol=0.1)
    assert same.mean() > 0.9
