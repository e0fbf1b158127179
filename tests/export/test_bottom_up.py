"""Bottom-up models in files: maps of pictures of any size, and the same people."""

import numpy as np
import pytest
import torch

import poise
from poise.export import export_model
from poise.export.trial import trial_pictures
from poise.inference import Inferencer

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")
pytestmark = pytest.mark.slow

SMALL = {
    "stage1": {"num_blocks": [1], "num_channels": [16]},
    "stage2": {"num_blocks": [1] * 2, "num_channels": [8, 16]},
    "stage3": {"num_modules": 1, "num_blocks": [1] * 3, "num_channels": [8, 16, 32]},
    "stage4": {"num_modules": 1, "num_blocks": [1] * 4, "num_channels": [8, 16, 32, 64]},
}


def small(name):
    """The model with a narrow backbone, and maps with a few clear maxima."""
    config = poise.load_config(name)
    for stage, settings in SMALL.items():
        config.model.backbone.extra[stage].update(settings)
    config.model.head.in_channels = 8
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
