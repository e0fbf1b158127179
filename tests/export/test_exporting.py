"""Exported networks say what the model says; files need no torch."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import poise
from poise.errors import ConfigError, DataError, FileMissingError, UnknownNameError
from poise.export import export_detector, export_onnx
from poise.inference import Inferencer
from poise.runtimes import open_session

pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"
BOXES = [[60, 0, 420, 512], [100, 20, 380, 400], [-40, 300, 200, 600]]


@pytest.fixture(scope="module")
def model():
    return poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return export_onnx(model, tmp_path_factory.mktemp("exported") / "rtmpose-t.onnx")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("flip_test", [False, True])
def test_backends_give_what_torch_gives(model, backend, flip_test):
    pytest.importorskip(backend, reason=f"needs {backend}")
    expected = Inferencer(model, device="cpu", flip_test=flip_test)(PHOTO, boxes=BOXES)[0]
    found = Inferencer(model, device="cpu", backend=backend, flip_test=flip_test)(
        PHOTO, boxes=BOXES, batch_size=2
    )[0]
    # vectors of untrained networks are flat: a maximum may move by a bin
    assert np.mean(np.abs(found.keypoints - expected.keypoints) < 1e-2) > 0.95
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-3)


def test_embedded_model_runs_exported():
    expected = Inferencer(device="cpu", detector=None)(PHOTO)[0]
    found = Inferencer(device="cpu", detector=None, backend="onnxruntime")(PHOTO)[0]
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-2)


def test_file_alone_is_enough(model, file):
    expected = Inferencer(model, device="cpu", flip_test=False)(PHOTO, boxes=BOXES)[0]
    inferencer = Inferencer(file)
    found = inferencer(PHOTO, boxes=BOXES)[0]
    assert inferencer.backend == "onnxruntime"
    assert found.keypoint_names == expected.keypoint_names
    assert np.mean(np.abs(found.keypoints - expected.keypoints) < 1e-2) > 0.95
    with pytest.raises(ConfigError, match="no flip test"):
        inferencer(PHOTO, boxes=BOXES, flip_test=True)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_calls_at_once_say_what_calls_in_turn_say(file, runtime, monkeypatch):
    pytest.importorskip(runtime, reason=f"needs {runtime}")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    session = open_session(file, runtime)
    assert session.lanes == 2
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 256, 192, 3), dtype=np.uint8)
    expected = [session(batch) for batch in pixels]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(session, pixels))
    for one, other in zip(expected, found, strict=True):
        for x, y in zip(one, other, strict=True):
            # a layer is shared out among the threads that are free: sums differ in the last digits
            np.testing.assert_allclose(x, y, atol=1e-3)
            assert not np.allclose(x, y[::-1], atol=1e-3)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_batches_of_any_size_say_the_same(file, runtime):
    pytest.importorskip(runtime, reason=f"needs {runtime}")
    session = open_session(file, runtime)
    size = session.batch_size
    pixels = np.random.default_rng(0).integers(0, 255, (size + 1, 256, 192, 3), dtype=np.uint8)
    whole, more = session(pixels[:size]), session(pixels)
    for x, y, first in zip(whole, more, session(pixels[:1]), strict=True):
        np.testing.assert_allclose(x, y[:size], atol=1e-3)
        np.testing.assert_allclose(first, y[:1], atol=1e-3)
        assert not np.allclose(first, y[1:2], atol=1e-3)


def test_file_is_used_with_torch_blocked(file, without_torch):
    code = f"""
        import poise
        inferencer = poise.Inferencer({str(file)!r}, detector="whole-image")
        (result,) = inferencer({str(PHOTO)!r})
        print(result.keypoints.shape, len(result.to_dict()["instances"]))
        try:
            poise.Inferencer({str(file)!r})({str(PHOTO)!r})
        except poise.errors.PoiseError as error:
            print(error)
    """
    shape, advice = without_torch(code).splitlines()
    assert shape == "(1, 17, 2) 1"
    # the embedded detector runs on torch
    assert advice.startswith("the detector 'nanodet' runs on torch, which is not installed here.")
    assert "detector='whole-image'" in advice
    assert "poise export nanodet --out nanodet.onnx" in advice


def test_exported_detector_finds_what_the_embedded_one_finds(tmp_path, monkeypatch):
    from poise.inference.detectors import NanoDetDetector, OnnxDetector

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    exported = OnnxDetector(export_detector(tmp_path / "nanodet.onnx"))
    assert exported._session.get_session_options().intra_op_num_threads == 3
    photo = cv2.imread(str(PHOTO))
    # sides whose scale is rounded, too
    pictures = [photo, photo[:300], np.concatenate((photo, photo), 1), photo[:331, :499]]
    found, expected = exported.detect(pictures), NanoDetDetector().detect(pictures)
    assert [len(boxes) for boxes in expected] == [1, 1, 2, 1]
    for boxes, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(boxes[:, :4], same[:, :4], atol=0.1)
        np.testing.assert_allclose(boxes[:, 4], same[:, 4], atol=1e-3)


def test_other_models_and_files_are_refused_with_the_way_out(model, tmp_path):
    bottomup = poise.build_model("dekr_hrnet-w32_8xb10-140e_coco-512x512").eval()
    with pytest.raises(ConfigError, match="without flip test only; .* or backend='torch'"):
        Inferencer(bottomup, device="cpu", backend="onnxruntime")(PHOTO)
    other = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    own = {"predict": lambda self, feats, samples, test_cfg: []}
    other.head.__class__ = type("OwnHead", (type(other.head),), own)
    with pytest.raises(ConfigError, match="a OwnHead reads outputs .*backend='torch'"):
        export_onnx(other, tmp_path / "x.onnx")
    with pytest.raises(
        UnknownNameError,
        match="must be one of.*got 'onnxruntme'; did you mean 'onnxruntime'",
    ):
        Inferencer(model, backend="onnxruntme")
    with pytest.raises(FileMissingError, match="no exported network 'nowhere.onnx'"):
        Inferencer("nowhere.onnx")


def test_embedded_model_needs_no_torch(tmp_path, without_torch):
    path = export_onnx(poise.load_model("movenet-lightning", device="cpu"), tmp_path / "m.onnx")
    code = f"""
        import poise
        (result,) = poise.Inferencer({str(path)!r}, detector="whole-image")({str(PHOTO)!r})
        print(result.visible.sum())
    """
    assert int(without_torch(code)) > 8


def test_what_torch_cannot_write_is_one_plain_line(model, tmp_path, monkeypatch, capfd):
    def refuse(*args, **kwargs):
        raise RuntimeError("operator x is not supported\nand a graph of a thousand lines")

    monkeypatch.setattr("torch.onnx.export", refuse)
    with pytest.raises(ConfigError) as caught:
        export_onnx(model, tmp_path / "bad.onnx")
    text = str(caught.value)
    assert text.startswith("torch cannot write TopdownPoseEstimator with CSPNeXt with RTMCCHead")
    assert "operator x is not supported; try another form (.onnx, .xml, .pt2, .param" in text
    assert "graph" not in text
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_file_of_somebody_else_is_refused(tmp_path, file):
    import onnx

    foreign = onnx.load(str(file))
    del foreign.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    onnx.save(foreign, str(path))
    with pytest.raises(ConfigError, match="says nothing of what it holds"):
        Inferencer(path)


def test_export_that_differs_is_not_kept(model, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.export.exporting.TOLERANCE", -1.0)
    with pytest.raises(ConfigError, match="gives another 'output_0' than the model"):
        export_onnx(model, tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_file_and_leaves_nothing(model, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("poise.export.exporting.writer_of", lambda _: full)
    with pytest.raises(DataError, match=r"cannot write .*m\.onnx: No space left"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flip_test", [False, True])
def test_covariances_of_a_file_are_those_of_the_model(model, file, flip_test):
    def found(source, **options):
        inferencer = Inferencer(source, device="cpu", **options)
        (result,) = inferencer.predict(PHOTO, boxes=BOXES, covariances=True)
        return np.sqrt(result.keypoint_covariances[..., [0, 1], [0, 1]])

    expected = found(model, flip_test=flip_test)
    sources = [found(model, flip_test=flip_test, backend="onnxruntime")]
    if not flip_test:
        sources.append(found(file))
    for other in sources:
        # vectors of untrained networks are flat: a maximum, and so its shape, may be another
        assert np.mean(np.abs(other / expected - 1) < 0.02) > 0.8


def test_a_file_says_how_sharp_the_loss_was(file):
    assert open_session(file, "onnxruntime").metadata["covariance_options"] == {"beta": 10.0}
