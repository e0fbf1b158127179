"""RF-DETR in files: the same people, without torch."""

import numpy as np
import pytest
import torch

import poise
from poise.errors import ConfigError
from poise.export import export_model, export_page

from .made import checkpoint

pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

PHOTO = "examples/photos/astronaut.png"


def made(folder, case):
    """A network that is sure of some keypoints, and so shows some people."""
    content = checkpoint(case)
    for number in (4, 6):
        content["model"]["keypoint_embed.layers.2.bias"][number] += 6
    torch.save(content, folder / "model.pth")
    return folder / "model.pth"


@pytest.mark.slow
def test_an_exported_file_finds_the_same_people(tmp_path):
    source = made(tmp_path, "person")
    file = tmp_path / "model.onnx"
    report = export_model(poise.load_model(source), file)
    assert [output.name for output in report.outputs] == [
        *("boxes", "scores", "keypoints", "keypoint_scores")
    ]
    assert report.poses is not None
    (expected,) = poise.Inferencer(source).predict(PHOTO)
    (found,) = poise.Inferencer(file).predict(PHOTO)
    assert len(expected.keypoints) == len(found.keypoints) > 0
    for name in ("keypoints", "bboxes", "keypoint_scores"):
        values = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(*values, atol=2e-2 if name != "keypoint_scores" else 1e-5)


def test_a_page_and_several_classes_are_refused(tmp_path):
    model = poise.load_model(made(tmp_path, "person"))
    with pytest.raises(ConfigError, match=r"keeps the shape of pictures.*poise serve"):
        export_page(model, tmp_path / "pose.html")
    with pytest.raises(ConfigError, match="keypoints of one class, this one has several"):
        export_model(poise.load_model(made(tmp_path, "zoo")), tmp_path / "model.onnx")
