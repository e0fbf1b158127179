"""The same model as an ONNX file, for OpenVINO, for torch alone, and with weights of 16 bits."""

from pathlib import Path

import numpy as np
import pytest
import torch

import poise
from poise.errors import ArgumentError, CheckpointError
from poise.export import export_model
from poise.inference import Inferencer
from poise.runtimes import open_session, read_metadata

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
ENDINGS = [".onnx", ".xml", ".pt2"]
SLOW_XML = pytest.param(".xml", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def model():
    return poise.load_model("movenet-lightning", device="cpu")


@pytest.fixture(scope="module")
def expected(model):
    return Inferencer(model, device="cpu", detector=None, flip_test=False)(PHOTO)[0]


@pytest.mark.parametrize("ending", [".onnx", SLOW_XML, ".pt2"])
def test_every_form_finds_the_same_pose(model, expected, ending, tmp_path):
    if ending == ".xml":
        pytest.importorskip("openvino", reason="needs openvino")
    path = tmp_path / f"model{ending}"
    report = export_model(model, path)
    assert report.poses.same > 0.95
    about = read_metadata(path)
    assert about["dataset_meta"]["dataset_name"] == "coco"
    inferencer = Inferencer(path, detector=None)
    found = inferencer(PHOTO)[0]
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.05)
    assert {file.suffix for file in tmp_path.iterdir()} <= {ending, ".bin"}


def test_torch_file_needs_torch_alone(model, tmp_path):
    export_model(model, tmp_path / "model.pt2", check=False)
    network = torch.export.load(tmp_path / "model.pt2").module()
    heatmaps, *_ = network(torch.zeros((1, 192, 192, 3), dtype=torch.uint8))
    assert heatmaps.shape == (1, 17, 48, 48)


@pytest.mark.parametrize("ending", [".onnx", SLOW_XML])
def test_weights_of_16_bits_take_half_the_room(model, expected, ending, tmp_path):
    if ending == ".xml":
        pytest.importorskip("openvino", reason="needs openvino")
    whole, half = tmp_path / "whole", tmp_path / "half"
    export_model(model, whole / f"m{ending}", check=False)
    export_model(model, half / f"m{ending}", half=True)
    sizes = [sum(f.stat().st_size for f in folder.iterdir()) for folder in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    found = Inferencer(half / f"m{ending}", detector=None)(PHOTO)[0]
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1)


def test_half_of_a_torch_file_is_refused_and_leaves_nothing(model, tmp_path):
    with pytest.raises(ArgumentError, match=r"--half is for .onnx, .xml, .param"):
        export_model(model, tmp_path / "model.pt2", half=True)
    assert list(tmp_path.iterdir()) == []


def test_each_form_has_its_runtime(model, tmp_path):
    export_model(model, tmp_path / "model.pt2", check=False)
    with pytest.raises(ArgumentError, match="is run by torch, not by onnxruntime"):
        Inferencer(tmp_path / "model.pt2", backend="onnxruntime")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", [b"", b"no network"])
def test_broken_files_are_named(ending, content, tmp_path):
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    assert read_metadata(path) == {}
    with pytest.raises(CheckpointError, match=f"cannot read '.*broken{ending}'"):
        open_session(path, {".onnx": "onnxruntime", ".xml": "openvino", ".pt2": "torch"}[ending])
