"""Pages: what is in them, and what is refused before anything takes time."""

import base64
import gzip
import json
import re

import numpy as np
import onnxruntime
import pytest

import poise
from poise.errors import ArgumentError, ConfigError, FileMissingError
from poise.export import export_onnx, export_page
from poise.export.web import runtime
from poise.export.web.plan import control_values, detector_plan, made_picture, pose_plan
from poise.inference.detectors import NanoDetDetector
from poise.runtimes import read_metadata

pytest.importorskip("onnx", reason="exporting needs onnx")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(movenet, tmp_path_factory):
    return export_onnx(movenet, tmp_path_factory.mktemp("onnx") / "movenet.onnx", check=False)


def known(page):
    """What a page knows."""
    return json.loads(re.search(r"^const PAGE = (.*);$", page, re.M)[1])


def inside(page, name):
    """A file in a page."""
    text = re.search(rf'id="file-{re.escape(name)}">([^<]*)<', page)
    return text and gzip.decompress(base64.b64decode(text[1]))


def test_a_page_holds_model_detector_and_names(file, tmp_path):
    export_page(file, tmp_path / "pose.html", title="Mice & <men>")
    page = (tmp_path / "pose.html").read_text()
    assert "<h1>Mice &amp; &lt;men&gt;</h1>" in page
    assert inside(page, "pose") == file.read_bytes()
    assert onnxruntime.InferenceSession(inside(page, "detector"))
    data = known(page)
    assert data["names"][:2] == ["nose", "left_eye"]
    assert data["links"][0] == [15, 13]
    assert data["linkColors"][0] == "#00ff00"
    assert data["pose"]["codec"]["name"] == "movenet"
    assert '<option value="detector">' in page
    assert not re.search(r"@[A-Z]+@", page)
    assert {path.name for path in tmp_path.iterdir()} == {"pose.html"}


def test_the_whole_picture_is_looked_at_without_a_detector(file, tmp_path):
    # in a folder that is made, as other files of exports are
    export_page(file, tmp_path / "site" / "pose.html", detector="whole-image")
    page = (tmp_path / "site" / "pose.html").read_text()
    assert "detector" not in known(page)
    assert inside(page, "detector") is None
    assert '<option value="detector">' not in page


def test_control_values_are_what_the_network_says(file):
    plan = pose_plan(read_metadata(file))
    values = control_values(file, plan)
    session = onnxruntime.InferenceSession(file)
    outputs = session.run(None, {"pixels": made_picture(*plan["size"])[None]})
    assert [value["output"] for value in values] == [0, 1, 2, 3]
    heatmaps = outputs[0].ravel()
    places = np.arange(64) * heatmaps.size // 64
    np.testing.assert_allclose(values[0]["values"], heatmaps[places], atol=1e-4)
    assert values[0]["range"] == pytest.approx(np.ptp(heatmaps), rel=1e-3)


def test_a_copy_of_the_runtime_is_put_into_the_page(file, tmp_path, monkeypatch):
    files = {name: name.encode() for name in runtime._FILES}
    place = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    place.mkdir(parents=True)
    for name, raw in files.items():
        (place / name).write_bytes(raw)
    with pytest.raises(ConfigError, match=r"is not that of onnxruntime-web 1\.30\.0.*npm install"):
        export_page(file, tmp_path / "pose.html", runtime=tmp_path)
    monkeypatch.setattr(runtime, "_FILES", {name: hash_of(raw) for name, raw in files.items()})
    export_page(file, tmp_path / "pose.html", runtime=tmp_path, detector="whole-image")
    page = (tmp_path / "pose.html").read_text()
    assert all(inside(page, name) == raw for name, raw in files.items())
    (place / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(
        FileMissingError, match=r"has no ort-wasm-simd-threaded\.wasm; `npm install"
    ):
        export_page(file, tmp_path / "pose.html", runtime=tmp_path)
    with pytest.raises(FileMissingError, match="expected the npm package onnxruntime-web in"):
        export_page(file, tmp_path / "pose.html", runtime=tmp_path / "elsewhere")


def hash_of(raw):
    import hashlib

    return "sha384-" + base64.b64encode(hashlib.sha384(raw).digest()).decode()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ae_hrnet-w32_8xb24-300e_coco-512x512", "not one whose people are put together from maps"),
        ("rtmw3d-l_8xb64_cocktail14-384x288", "not one of 3D keypoints"),
    ],
)
def test_models_that_a_page_cannot_run_are_refused(name, text, tmp_path):
    with pytest.raises(ConfigError, match=f"a web page runs top-down models.*{text}.*poise serve"):
        export_page(poise.build_model(name), tmp_path / "pose.html")
    assert not list(tmp_path.iterdir())


def test_detectors_are_refused_as_models(tmp_path):
    with pytest.raises(ConfigError, match="finds boxes alone .give it as --detector"):
        export_page(NanoDetDetector(), tmp_path / "pose.html")


def test_files_of_others_are_refused(file, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(b"no model")
    with pytest.raises(
        ConfigError, match=r"other\.onnx' is no pose model that `poise export` wrote"
    ):
        export_page(other, tmp_path / "pose.html")
    with pytest.raises(
        ConfigError, match=r"'other\.onnx' is no detector that `poise export` wrote"
    ):
        export_page(file, tmp_path / "pose.html", detector=other)
    with pytest.raises(FileMissingError, match="there is no file 'none.onnx'"):
        export_page("none.onnx", tmp_path / "pose.html")
    with pytest.raises(FileMissingError, match="--detector: there is no file 'none.onnx'"):
        export_page(file, tmp_path / "pose.html", detector="none.onnx")
    with pytest.raises(ArgumentError, match=r"a page is a file \.html, got 'pose\.htm'"):
        export_page(file, "pose.htm")


def test_detectors_of_other_things_are_refused():
    about = {"kind": "boxes", "num_classes": 80, "classes": None}
    with pytest.raises(ConfigError, match="knows COCO's 80 classes, and what the pose model looks"):
        detector_plan(about, {"dataset_name": "hand", "keypoint_name2id": {"thumb1": 0}}, "d.onnx")


def about_of(**changes):
    steps = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}]
    steps += [{"type": "TopdownAffine", "input_size": [48, 64]}, {"type": "PackPoseInputs"}]
    codec = {"type": "RegressionLabel", "input_size": [48, 64]}
    return {"kind": "topdown", "pipeline": steps, "codec": codec, "dataset_meta": {}, **changes}


def test_the_box_of_a_pipeline_is_that_of_the_page():
    about = about_of()
    about["pipeline"][1]["padding"] = 1.4
    about["pipeline"][2]["use_udp"] = True
    assert pose_plan(about) == {
        "kind": "topdown",
        "size": [48, 64],
        "udp": True,
        "padding": 1.4,
        "codec": {"name": "regression", "size": [48, 64]},
    }


def test_other_pipelines_and_codecs_are_refused():
    steps = about_of()["pipeline"]
    with pytest.raises(
        ConfigError, match="the model's has LoadImage, TopdownAffine, PackPoseInputs"
    ):
        pose_plan(about_of(pipeline=[steps[0], *steps[2:]]))
    codec = {"type": "SPR", "input_size": [48, 64], "heatmap_size": [12, 16], "sigma": 2}
    with pytest.raises(ConfigError, match="a web page decodes MSRAHeatmap.*, not SPR"):
        pose_plan(about_of(codec=codec))


def test_one_stage_models_take_no_detector(file, tmp_path, monkeypatch):
    from poise.export.web import page

    about = {
        **read_metadata(file),
        "kind": "people",
        "input_size": [192, 192],
        "padding": 0,
        "select": {},
    }
    monkeypatch.setattr(page, "read_metadata", lambda path: about)
    with pytest.raises(ArgumentError, match="--detector nanodet: one-stage models find everybody"):
        export_page(file, tmp_path / "pose.html", detector="nanodet")
