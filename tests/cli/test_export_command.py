"""`poise export` writes files that `poise predict` takes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from poise.cli.export_report import tell
from poise.cli.main import app
from poise.export import Report
from poise.export.checks import parity
from poise.export.checks.agreement import Agreement
from poise.export.checks.looking import BOXES
from poise.inference import Inferencer
from poise.inference.results.calibration import FITTED

pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"


def test_exported_model_finds_the_pose(tmp_path):
    file = tmp_path / "thunder.onnx"
    done = CliRunner().invoke(app, ["export", "movenet-lightning", "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert f"--model {file}" in done.output
    exported = Inferencer(file, detector="whole-image")
    (result,) = exported(PHOTO)
    assert result.visible.sum() > 8
    # chances and covariances mean what they mean of the model itself
    assert exported.calibration == FITTED["movenet-lightning"]


def test_only_a_command_that_works_is_advised(tmp_path):
    for ending, advised in ((".onnx", True), (".pt2", False)):
        args = ["export", "nanodet", "--no-check", "--out", str(tmp_path / f"n{ending}")]
        done = CliRunner().invoke(app, args)
        assert done.exit_code == 0, done.output
        assert ("poise predict PICTURE --detector" in done.output) == advised


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["movenet-lightning", "--out", "model.pt"], "ends in .onnx"),
        (["movenet-lightning", "--out", "model.engine"], "trtexec --onnx=model.onnx"),
        (["movenet-lightning", "--out", "model.mlpackage"], ".onnx runs with ONNX Runtime"),
        (["{config}", "--out", "model.onnx"], "--weights FILE.pth"),
        (["pose.html", "--out", "y.html"], "'pose.html' is called as web pages are"),
        (["model.onnx", "--out", "y.xml"], "'model.onnx' is an exported file; only .onnx"),
        (["model.xml", "--out", "y.html"], "'model.xml' is an exported file; only .onnx"),
        (["photo.png"], "'photo.png' is neither a config file nor the name"),
        (["movenet-lightning", "--out", "y.html", "--backend", "ncnn"], "is for files .ncnn.param"),
        (["movenet-lightning", "--out", "y.onnx", "--backend", "ncnn"], "run by onnxruntime or op"),
        (["movenet-lightning", "--images", "."], "--images is the folder of an annotation file"),
        (["movenet-lightning", "--max-drop", "1"], "--max-drop is what the file may lose on"),
        (["movenet-lightning", "--calibration", "."], "--calibration is for --int8"),
        (["movenet-lightning", "--candidates", "9"], "--candidates is for RTMO; TopdownPoseEst"),
    ],
)
def test_wrong_arguments_are_explained(args, said, tmp_path):
    config = tmp_path / "config.py"
    config.write_text("model = dict(type='TopdownPoseEstimator')\n")
    done = CliRunner().invoke(app, ["export", *(arg.format(config=config) for arg in args)])
    assert done.exit_code
    assert said in f"{done.output}{done.exception}"


def test_a_folder_in_place_of_the_file_is_named_as_it_was_given(tmp_path):
    (tmp_path / "m.onnx").mkdir()
    done = CliRunner().invoke(app, ["export", "nanodet", "--out", str(tmp_path / "m.onnx")])
    assert f"cannot write {tmp_path / 'm.onnx'}: it is a folder" in str(done.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_what_is_missing_is_not_said_to_be_unwritable(tmp_path):
    args = ["export", "nanodet", "--no-check", "--out", str(tmp_path / "m.onnx")]
    done = CliRunner().invoke(app, [*args, "--data", str(tmp_path / "none")])
    assert "cannot write" not in str(done.exception)
    assert "none" in str(done.exception)


def test_an_onnx_file_is_tried_with_the_runtime_that_it_is_for(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    opened = []
    usual = parity.open_session
    monkeypatch.setattr(parity, "open_session", lambda *args: opened.append(args) or usual(*args))
    file = tmp_path / "a b.onnx"
    args = ["export", "movenet-lightning", "--backend", "openvino", "--out", str(file)]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert [runtime for _, runtime in opened] == ["openvino"]
    # the advice may be pasted into a shell
    assert f"--model '{file}'" in done.output


def test_the_report_of_a_detector_is_about_boxes(tmp_path):
    args = ["export", "nanodet", "--out", str(tmp_path / "n.onnx"), "--data", str(PHOTO.parent)]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert "upper left corner" in done.output
    assert "1 box in 1 picture:" in done.output
    for word in ("poses", "keypoint"):
        assert word not in done.output.replace("poise predict", "")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((0, 0, 1.0, 0.0, 0.0, "px", BOXES), "neither finds boxes in made pictures"),
        ((4, 4, 0.75, 0.02, 0.001, "px", BOXES), "4 of 4 boxes, on made pictures: 75.0% of the co"),
        ((4, 3, 0.75, 0.02, 0.001), "3 of 4 poses, on made pictures: 75.0% of the keypoints"),
    ],
)
def test_made_pictures_without_anybody_prove_nothing(found, said, capsys):
    tell(Report(poses=Agreement(*found)))
    assert capsys.readouterr().out.startswith(said)


def test_a_page_is_written_of_a_model_and_of_a_file(tmp_path):
    page, file = tmp_path / "pose.html", tmp_path / "pose.onnx"
    run = CliRunner().invoke
    args = ["export", "movenet-lightning", "--detector", "whole-image", "--out", str(page)]
    done = run(app, args)
    assert done.exit_code == 0, done.output
    assert "of the keypoints in the same place" in done.output
    assert "open it in a browser" in done.output
    assert "<h1>movenet-lightning</h1>" in page.read_text()
    run(app, ["export", "movenet-lightning", "--no-check", "--out", str(file)])
    done = run(app, ["export", str(file), "--detector", "whole-image", "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert "<h1>pose</h1>" in page.read_text()
    for option in (["--half"], ["--weights", "w.pth"]):
        done = run(app, ["export", str(file), *option, "--out", str(page)])
        assert "is written already: give options of the export" in str(done.exception)


def test_options_of_pages_are_refused_elsewhere():
    done = CliRunner().invoke(
        app, ["export", "movenet-lightning", "-o", "m.xml", "--detector", "x"]
    )
    assert "are of web pages, --out FILE.html; got 'm.xml'" in str(done.exception)
