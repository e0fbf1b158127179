"""Networks of 8 bits: smaller, nearly as right, and checked."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import poise
from poise.cli.main import app
from poise.errors import ArgumentError, ConfigError
from poise.export import Pictured, export_model
from poise.export.forms.quantiser import Quantiser
from poise.inference import Inferencer
from poise.runtimes import open_session, read_metadata

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"

pytest.importorskip("onnx", reason="INT8 needs onnx")
pytest.importorskip("onnxruntime", reason="INT8 needs onnxruntime")


@pytest.fixture(scope="module")
def whole(movenet, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "m.onnx"
    export_model(movenet, path, check=False)
    return path


@pytest.fixture(scope="module")
def inputs():
    photo = cv2.resize(cv2.imread(str(PHOTO)), (192, 192))
    return [np.ascontiguousarray(view[None]) for view in (photo, photo[:, ::-1], photo // 2)]


@pytest.fixture(scope="module")
def quantiser(whole, inputs, tmp_path_factory):
    return Quantiser(whole, inputs[:2], tmp_path_factory.mktemp("parts"))


@pytest.mark.parametrize("ending", [".onnx", pytest.param(".xml", marks=pytest.mark.slow)])
def test_file_is_small_and_finds_the_pose(movenet, folder, ending, tmp_path, monkeypatch):
    # processors without products of 8 bits round them otherwise
    monkeypatch.setattr("poise.export.checks.accuracy.LEAST_LIKENESS", 0.5)
    if ending == ".xml":
        pytest.importorskip("openvino", reason="needs openvino")
    file = tmp_path / f"m{ending}"
    pictured = Pictured(calibration=folder, max_drop=1)
    report = export_model(movenet, file, int8=True, pictured=pictured)
    # the model itself has 2.3 million weights
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4e6
    assert report.accuracy.likeness >= 0.5
    assert report.kept_parts <= report.parts // 2
    assert set(report.times) == {"model", "file32", "file"}
    assert read_metadata(file)["bits"] == 8
    found = Inferencer(file, detector="whole-image")(PHOTO)[0]
    expected = Inferencer(movenet, device="cpu", detector="whole-image", flip_test=False)(PHOTO)[0]
    apart = np.linalg.norm(found.keypoints - expected.keypoints, axis=-1)
    assert np.median(apart[expected.visible]) < 16


def test_nothing_is_left_in_the_working_folder(whole, inputs, tmp_path, monkeypatch):
    place, work = tmp_path / "here", tmp_path / "work"
    place.mkdir()
    work.mkdir()
    monkeypatch.chdir(place)
    Quantiser(whole, inputs[:1], work).write(work / "m.onnx", [0])
    assert list(place.iterdir()) == []


def test_first_and_last_layers_and_decoding_keep_32_bits(quantiser):
    names = [name for part in quantiser.parts for name in part]
    assert len(names) == len(set(names))
    assert not any(name in ("/Sub", "/Div", "/Cast", "/Gather") for name in names)
    # the last convolutions of the four heads
    assert not any(name.endswith("heatmaps.1/Conv") for name in names)
    assert any(name.endswith("heatmaps.0/pointwise/Conv") for name in names)


def test_parts_alone_do_less_than_all(quantiser, inputs, tmp_path):
    damages = quantiser.damages(inputs[2:], tmp_path)
    assert len(damages) == len(quantiser.parts)
    assert all(damage > 0 for damage in damages)
    quantiser.write(tmp_path / "none.onnx", [])
    quantiser.write(tmp_path / "all.onnx", range(len(quantiser.parts)))
    plain, none, every = (
        open_session(path)(inputs[2])[0]
        for path in (quantiser._plain, tmp_path / "none.onnx", tmp_path / "all.onnx")
    )
    np.testing.assert_allclose(none, plain, atol=1e-4)
    assert np.abs(every - plain).max() > 1e-3


def test_parts_that_change_most_keep_32_bits(movenet, folder, tmp_path, monkeypatch):
    asked = []

    def refusal(self, max_drop, *, exact):
        asked.append(max_drop)
        return "the file loses 3 points" if len(asked) < 3 else None

    monkeypatch.setattr("poise.export.checks.accuracy.Accuracy.refusal", refusal)
    monkeypatch.setattr(Quantiser, "damages", lambda self, *_: np.arange(len(self.parts)) * 1.0)
    written = []
    write = Quantiser.write
    monkeypatch.setattr(
        Quantiser,
        "write",
        lambda self, path, parts: written.append(list(parts)) or write(self, path, parts),
    )
    report = export_model(
        movenet, tmp_path / "m.onnx", int8=True, pictured=Pictured(calibration=folder, max_drop=2)
    )
    parts = list(range(report.parts))
    assert written == [parts, parts[:-1], parts[:-2]]
    assert report.kept_parts == 2
    assert asked == [2, 2, 2]


def test_network_that_loses_too_much_is_not_written(movenet, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.export.checks.accuracy.LEAST_LIKENESS", 2.0)
    monkeypatch.setattr(Quantiser, "damages", lambda self, *_: np.ones(len(self.parts)))
    monkeypatch.setattr("poise.export.forms.quantiser._PARTS", 2)
    with pytest.raises(ConfigError, match=r"not the model's: .*with 1 of 2 parts .*--half"):
        export_model(movenet, tmp_path / "m.onnx", int8=True, pictured=Pictured(calibration=folder))
    assert list(tmp_path.iterdir()) == []


def test_wrong_uses_are_explained(movenet, folder, tmp_path):
    with pytest.raises(ArgumentError, match="give --calibration FOLDER"):
        export_model(movenet, tmp_path / "m.onnx", int8=True)
    pictured = Pictured(calibration=folder)
    with pytest.raises(ArgumentError, match="--int8 is for .onnx and .xml"):
        export_model(movenet, tmp_path / "m.pt2", int8=True, pictured=pictured)
    with pytest.raises(ArgumentError, match="--int8 or --half, not both"):
        export_model(movenet, tmp_path / "m.onnx", int8=True, half=True, pictured=pictured)
    with pytest.raises(ArgumentError, match="is run by openvino, not by onnxruntime"):
        export_model(movenet, tmp_path / "m.xml", pictured=Pictured(folder, runtime="onnxruntime"))
    assert list(tmp_path.iterdir()) == []
    lifter = poise.build_model("image-pose-lift_tcn_8xb64-200e_h36m").eval()
    with pytest.raises(ConfigError, match="a lifter looks at no pictures"):
        export_model(lifter, tmp_path / "m.onnx", int8=True, pictured=pictured)


@pytest.mark.slow
def test_command_makes_a_detector_of_8_bits(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.export.checks.accuracy.LEAST_LIKENESS", 0.5)
    file = tmp_path / "nanodet.onnx"
    args = ["export", "nanodet", "--int8", "--calibration", str(folder), "-o", str(file)]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert re.search(r"INT8: .* parts|INT8: all layers", words)
    assert re.search(r"torch \d+.\d\d ms, 32 bits \d+.\d\d ms, this file \d+.\d\d ms", words)
    assert file.stat().st_size < 6e6


def test_backend_gives_the_ending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", "movenet-lightning", "--backend", "openvin"])
    assert "did you mean 'openvino'" in f"{done.output}{done.exception}"
    done = CliRunner().invoke(app, ["export", "movenet-lightning", "--no-check"])
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["movenet-lightning.onnx"]
