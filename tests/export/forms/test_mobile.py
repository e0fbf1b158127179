"""Files for phones and small boards say what the model says, and say plainly what they cannot."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import poise
from poise.cli.main import app
from poise.errors import (
    ArgumentError,
    CheckpointError,
    ConfigError,
    FileMissingError,
    MissingDependencyError,
    UnknownNameError,
)
from poise.export import export_model
from poise.export.forms.mobile import write_ncnn, write_tflite
from poise.export.forms.mobile_words import PlainMethods, plainly
from poise.export.plans.plan import FromPixels, Plan
from poise.inference import Inferencer
from poise.inference.detectors import NanoDetDetector, build_detector
from poise.layers.attention import SelfAttention
from poise.layers.csp import Focus
from poise.models.preprocessors import PoseDataPreprocessor
from poise.runtimes import open_session, read_metadata, runtime_of

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
#: Ending -> packages that write and run such files.
PACKAGES = {".param": ("pnnx", "ncnn"), ".tflite": ("litert_torch", "ai_edge_litert")}
FORMS = [".param", pytest.param(".tflite", marks=pytest.mark.slow)]


def need(ending):
    for package in PACKAGES[ending]:
        pytest.importorskip(package, reason=f"files {ending} need {package}")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Ending -> file of the embedded model, written once, and the report of its check."""
    found = {}

    def export(ending):
        need(ending)
        if ending not in found:
            path = tmp_path_factory.mktemp("mobile") / f"m{ending}"
            model = poise.load_model("movenet-lightning", device="cpu")
            found[ending] = path, export_model(model, path)
        return found[ending]

    return export


@pytest.fixture
def tiny():
    """A plan of a network of a few numbers."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    return Plan(network.eval(), torch.rand(3, 3, 8, 8), {}, ("maps",), input="images")


@pytest.mark.parametrize("ending", FORMS)
def test_the_file_finds_the_same_pose(ending, exported):
    path, report = exported(ending)
    assert report.poses.same > 0.95
    assert all(row.share < 1e-4 for row in report.outputs)
    model = poise.load_model("movenet-lightning", device="cpu")
    expected = Inferencer(model, device="cpu", detector=None, flip_test=False)(PHOTO)[0]
    inferencer = Inferencer(path, detector=None)
    found = inferencer(PHOTO)[0]
    assert inferencer.backend == runtime_of(path)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=0.05)
    assert {file.suffix for file in path.parent.iterdir()} <= {ending, ".bin"}


@pytest.mark.parametrize("ending", FORMS)
def test_the_metadata_says_what_goes_in_and_comes_out(ending, exported):
    about = read_metadata(exported(ending)[0])
    assert about["dataset_meta"]["dataset_name"] == "coco"
    given = about["tensors"]["input"]
    assert (given["channels"], given["levels"], given["dtype"]) == ("BGR", [0, 255], "float32")
    shape = {"CHW": [3, 192, 192], "HWC": [192, 192, 3]}[given["layout"]]
    assert given["shape"] == shape
    assert about["tensors"]["outputs"][0]["shape"] == [17, 48, 48]


@pytest.mark.parametrize("ending", FORMS)
def test_an_input_of_another_size_is_refused(ending, exported):
    session = open_session(path := exported(ending)[0], runtime_of(path))
    with pytest.raises(ArgumentError, match="takes inputs of the shape"):
        session(np.zeros((1, 100, 192, 3), np.uint8))


@pytest.mark.parametrize("ending", FORMS)
def test_its_runtime_may_be_named_and_is_measured(ending, exported):
    path = str(exported(ending)[0])
    runtime = runtime_of(path)
    assert Inferencer(path, backend=runtime, detector=None).backend == runtime
    args = ["bench", path, "--modes", "balanced", "--seconds", "0.05", "--people", "1"]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert f"fastest here: --backend {runtime} --mode balanced" in done.stdout
    with pytest.raises(UnknownNameError, match=f"backend must be one of .*'{runtime}', got 'npu'"):
        Inferencer(path, backend="npu")
    with pytest.raises(ArgumentError, match=f"is run by {runtime}, not by onnxruntime"):
        Inferencer(path, backend="onnxruntime")


def test_the_embedded_detector_in_a_file_is_for_programs_of_ones_own(tmp_path):
    need(".param")
    path = tmp_path / "nanodet.param"
    export_model(NanoDetDetector(), path)
    with pytest.raises(ConfigError, match=r"an \.onnx file, such as of nanodet"):
        build_detector(str(path))
    with pytest.raises(ConfigError, match=r"names no keypoints: .* of a pose model"):
        Inferencer(path)


@pytest.mark.parametrize("ending", FORMS)
def test_weights_of_16_bits_take_half_the_room(ending, tmp_path):
    need(ending)
    detector, path = NanoDetDetector(), tmp_path / f"n{ending}"
    report = export_model(detector, path, half=True)
    weights = sum(weight.numel() for weight in detector.model.parameters())
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2.3 * weights
    assert report.outputs[0].share < 1e-3


@pytest.mark.parametrize("ending", FORMS)
@pytest.mark.parametrize("content", [b"", b"no network"])
def test_broken_files_are_named(ending, content, tmp_path):
    need(ending)
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    path.with_suffix(".bin").write_bytes(content)
    assert read_metadata(path) == {}
    with pytest.raises(CheckpointError, match=f"cannot read '.*broken{ending}'"):
        open_session(path, runtime_of(path))


def test_layers_without_their_weights_are_named(exported, tmp_path):
    alone = tmp_path / "alone.param"
    alone.write_bytes(exported(".param")[0].read_bytes())
    assert read_metadata(alone) == {}
    with pytest.raises(FileMissingError, match=r"in 'alone\.bin', which is not there"):
        open_session(alone, "ncnn")


def test_weights_written_anew_without_metadata_are_named(exported, tmp_path):
    source, other = exported(".param")[0], tmp_path / "m.param"
    other.write_bytes(source.read_bytes())
    whole = source.with_suffix(".bin").read_bytes()
    other.with_suffix(".bin").write_bytes(whole[: whole.rindex(b"PK\x03\x04")])
    with pytest.raises(ConfigError, match=r"expected poise\.json in a zip at the end of 'm\.bin'"):
        open_session(other, "ncnn")


def test_what_ncnn_has_no_layer_for_is_named_and_leaves_nothing(tiny, tmp_path):
    need(".param")

    class Best(nn.Module):
        def forward(self, x):
            return x.flatten(1).topk(4).indices

    plan = Plan(Best(), tiny.sample, {}, ("best",), input="images")
    with pytest.raises(ConfigError, match=r"NCNN cannot be written of .*torch\.topk.*\.onnx"):
        write_ncnn(plan, tmp_path / "m.param")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("write", "form"), [(write_ncnn, "NCNN"), (write_tflite, "TFLite")])
def test_inputs_of_any_size_are_refused(write, form, tiny, tmp_path):
    plan = Plan(tiny.network, tiny.sample, {}, ("maps",), free_axes={1: "height", 2: "width"})
    with pytest.raises(ConfigError, match=f"any height and width, and {form} .* export .onnx"):
        write(plan, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("write", "package", "extra"),
    [(write_ncnn, "pnnx", "ncnn"), (write_tflite, "litert_torch", "tflite")],
)
def test_a_missing_converter_is_named(write, package, extra, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'poise\[{extra}\]'"):
        write(tiny, tmp_path / "m")


@pytest.mark.parametrize(
    ("ending", "package", "extra"),
    [(".param", "ncnn", "ncnn"), (".tflite", "ai_edge_litert.interpreter", "tflite")],
)
def test_a_missing_runtime_is_named(ending, package, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"m{ending}"
    path.touch()
    with pytest.raises(MissingDependencyError, match=rf"pip install 'poise\[{extra}\]'"):
        open_session(path, runtime_of(path))


def test_one_form_does_not_take_the_weights_of_another(movenet, tmp_path):
    (tmp_path / "m.xml").touch()
    with pytest.raises(ArgumentError, match=r"'m\.bin', which 'm\.xml' has; .* as m\.ncnn\.param"):
        export_model(movenet, tmp_path / "m.param")
    (tmp_path / "n.param").touch()
    with pytest.raises(ArgumentError, match=r"take another name, such as n\.openvino\.xml"):
        export_model(movenet, tmp_path / "n.xml")


def test_metadata_of_a_file_needs_no_runtime(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"weights")
    with zipfile.ZipFile(tmp_path / "m.tflite", "a") as file:
        file.writestr("poise.json", '{"kind": "topdown"}')
    assert read_metadata(tmp_path / "m.tflite") == {"kind": "topdown"}


def test_plain_words_say_the_same():
    torch.manual_seed(0)

    class Tokens(FromPixels):
        def forward(self, pixels):
            tokens = self.inputs(pixels).flatten(2).transpose(1, 2)
            return self.model.attention(self.model.projection(tokens)).view_as(pixels[..., :2])

    model = nn.Module()
    model.data_preprocessor = PoseDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    model.projection, model.attention = nn.Linear(3, 8), SelfAttention(8, 2)
    model.attention.proj = nn.Linear(8, 2)
    network = Tokens(model).eval()
    pixels = torch.randint(0, 256, (1, 4, 5, 3)).float()
    expected = network(pixels)
    with PlainMethods():
        found = plainly(network)(pixels)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_picked_pixels_are_those_of_slices():
    torch.manual_seed(0)
    network, x = nn.Sequential(Focus(3, 8, 3)).eval(), torch.rand(1, 3, 8, 6)
    torch.testing.assert_close(plainly(network)(x), network(x), atol=1e-6, rtol=1e-5)


def test_limits_in_tensors_hold():
    x, low, high = torch.randn(2, 9), torch.zeros(9), torch.full((9,), 0.5)
    with PlainMethods():
        found, one_sided = x.clamp(min=low, max=high), x.clamp(min=0)
    torch.testing.assert_close(found, x.clamp(low, high))
    torch.testing.assert_close(one_sided, x.relu())
    with pytest.raises(RuntimeError, match="must not be None"):
        x.clamp()
