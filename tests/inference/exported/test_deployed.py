"""ONNX files of MMDeploy: found out what they are, and giving what their model gives."""

import json
import logging
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import poise
from poise.errors import CheckpointError, ConfigError, DataError, FileMissingError
from poise.inference import Inferencer
from poise.inference.exported import opening
from poise.inference.exported.fetched import local_network
from poise.runtimes import Signature
from poise.zoo import find_model
from poise.zoo.downloads import fetching

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
BOXES = [[60, 0, 420, 512], [100, 20, 380, 400], [-40, 300, 200, 600]]
NAME = "rtmpose-t_8xb256-420e_coco-256x192"

NORMALIZE = {
    "type": "Normalize",
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "to_rgb": True,
}


def pipeline(params, *, size=(192, 256), normalize=NORMALIZE, padding=1.25):
    """What MMDeploy writes into `pipeline.json`."""
    transforms = [
        {"type": "LoadImageFromFile"},
        {"type": "TopDownGetBboxCenterScale", "padding": padding, "image_size": size},
        {"type": "TopDownAffine", "image_size": size},
        normalize,
        {"type": "ImageToTensor", "keys": ["img"]},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["center", "scale"]},
    ]
    tasks = [
        {"type": "Task", "module": "Transform", "name": "Preprocess", "transforms": transforms},
        {"type": "Task", "module": "Net", "name": "topdownposeestimator"},
        {"type": "Task", "module": "mmpose", "name": "postprocess", "params": params},
    ]
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}}


class Stub:
    """A session that answers with given arrays, and remembers what came in."""

    metadata: dict = {}
    batch_size, lanes = 8, 1

    def __init__(self, shape, answer, outputs, dtype="float32"):
        self._signature = Signature(shape, dtype, outputs)
        self._answer, self.inputs = answer, []

    def signature(self):
        return self._signature

    def __call__(self, inputs):
        self.inputs.append(inputs)
        return self._answer(inputs)


@pytest.fixture
def stubbed(monkeypatch):
    def use(*args, **options):
        stub = Stub(*args, **options)
        monkeypatch.setattr(opening, "open_session", lambda *a, **k: stub)
        return stub

    return use


def heatmaps_of(place, keypoints=17, size=(48, 64)):
    """Maps with a bump at a pixel, for each input."""

    def answer(inputs):
        maps = np.zeros((len(inputs), keypoints, size[1], size[0]), np.float32)
        maps[..., place[1], place[0]] = 1
        return (maps,)

    return answer


# ------------------------------------------------------------------------ a real network


@pytest.fixture(scope="module")
def model():
    import torch

    torch.manual_seed(0)
    return poise.build_model(NAME).eval()


@pytest.fixture(scope="module")
def network(model, tmp_path_factory):
    """The model as MMDeploy writes it: normalised pictures in, SimCC vectors out."""
    pytest.importorskip("onnx", reason="writing the file needs onnx")
    pytest.importorskip("onnxruntime", reason="running the file needs onnxruntime")
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, pixels):
            return self.model.head(self.model.extract_feat(pixels))

    path = tmp_path_factory.mktemp("deployed") / "end2end.onnx"
    names = ["input", "simcc_x", "simcc_y"]
    torch.onnx.export(
        Network().eval(),
        (torch.zeros(2, 3, 256, 192),),
        str(path),
        input_names=names[:1],
        output_names=names[1:],
        dynamic_axes={name: {0: "batch"} for name in names},
        dynamo=False,
    )
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("known_by", ["config", "name", "folder", "detail", "pipeline"])
def test_a_file_gives_what_its_model_gives(model, network, tmp_path, backend, known_by, caplog):
    pytest.importorskip(backend, reason=f"needs {backend}")
    stem = Path(find_model(NAME).weights).stem
    path = tmp_path / (f"{stem}.onnx" if known_by == "name" else "end2end.onnx")
    if known_by == "folder":
        path = tmp_path / stem / "work" / "end2end.onnx"
        path.parent.mkdir(parents=True)
    shutil.copy(network, path)
    if known_by == "detail":
        codebase = {"task": "PoseDetection", "pth": f"https://host/v1/{stem}.pth"}
        (path.parent / "detail.json").write_text(json.dumps({"codebase": codebase}))
    if known_by == "pipeline":
        # as in a released folder: the size of the transforms is not the network's
        params = {"type": "SimCCLabel", "input_size": [192, 256], "simcc_split_ratio": 2.0}
        described = pipeline(params, size=(256, 256))
        (path.parent / "pipeline.json").write_text(json.dumps(described))
    expected = Inferencer(model, device="cpu", flip_test=False)(PHOTO, boxes=BOXES)[0]
    config = NAME if known_by == "config" else None
    with caplog.at_level(logging.WARNING):
        inferencer = (
            Inferencer(path, backend=backend)
            if config is None
            else Inferencer(config, path, backend=backend)
        )
    found = inferencer(PHOTO, boxes=BOXES, batch_size=2)[0]
    # vectors of untrained networks are flat: a maximum may move by a bin
    assert np.mean(np.abs(found.keypoints - expected.keypoints) < 1e-2) > 0.95
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-3)
    assert ("taken for those of coco" in caplog.text) == (known_by == "pipeline")


# ------------------------------------------------------------------------ archives


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "unpacked"


def packed(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_an_archive_is_unpacked_once(cache, tmp_path):
    members = [("d/end2end.onnx", b"net"), ("d/pipeline.json", b"{}"), ("d/a.jpg", b"")]
    archive = packed(tmp_path / "net-e48f03d0_20230504.zip", *members, ("detail.json", b""))
    found = local_network(archive)
    assert found.read_bytes() == b"net"
    assert found.parent.name == "net-e48f03d0_20230504"
    assert {file.name for file in found.parent.iterdir()} == {"end2end.onnx", "pipeline.json"}
    found.write_bytes(b"kept")
    assert local_network(archive).read_bytes() == b"kept"
    # another archive in its place is another network
    packed(archive, ("end2end.onnx", b"longer"))
    assert local_network(archive).read_bytes() == b"longer"
    assert len(list(cache.iterdir())) == 2


def test_an_archive_at_an_address_is_fetched(cache, tmp_path, monkeypatch):
    archive = packed(tmp_path / "net.zip", ("end2end.onnx", b"net"))
    asked = []
    monkeypatch.setattr(fetching, "fetch", lambda url: asked.append(url) or archive)
    assert local_network("https://host/net.zip").read_bytes() == b"net"
    assert asked == ["https://host/net.zip"]
    # the digits in such a name are those of the weights
    assert fetching.hash_in_name("rtmpose-m-e48f03d0_20230504.zip") == ""


def test_archives_without_just_one_network_are_refused(cache, tmp_path):
    for members, text in [
        ((), "holds nothing"),
        ((("a.pth", b""),), r"holds a\.pth"),
        ((("a.onnx", b""), ("b/c.onnx", b"")), r"holds a\.onnx, b/c\.onnx"),
    ]:
        with pytest.raises(CheckpointError, match=text):
            local_network(packed(tmp_path / "net.zip", *members))
    (tmp_path / "net.zip").write_bytes(b"PK no archive")
    with pytest.raises(CheckpointError, match="is no zip archive"):
        local_network(tmp_path / "net.zip")
    with pytest.raises(FileMissingError, match="there is no archive"):
        Inferencer(tmp_path / "other.zip")
    assert list(cache.iterdir()) == []


def test_an_encrypted_archive_and_a_cache_that_is_no_folder_are_told(cache, tmp_path, monkeypatch):
    archive = packed(tmp_path / "net.zip", ("end2end.onnx", b"net"))
    content = bytearray(archive.read_bytes())
    # the flag of encryption, in the file's own header and in the directory
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + place] |= 1
    secret = tmp_path / "secret.zip"
    secret.write_bytes(content)
    with pytest.raises(CheckpointError, match="encrypted"):
        local_network(secret)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match="cannot unpack .* POISE_CACHE_DIR names another"):
        local_network(archive)


# ------------------------------------------------------------------------ forms of outputs


def test_heatmaps_are_decoded_as_pipeline_json_says(stubbed, tmp_path):
    stub = stubbed((1, 3, 256, 192), heatmaps_of((24, 32)), {"output": (1, 17, 64, 48)})
    codec = {"type": "MSRAHeatmap", "input_size": [192, 256], "heatmap_size": [48, 64], "sigma": 2}
    params = {**codec, "flip_test": False, "post_process": "default"}
    normalize = {"type": "Normalize", "mean": [1, 2, 3], "std": [2, 2, 2], "to_rgb": False}
    described = pipeline(params, normalize=normalize, padding=1.0)
    (tmp_path / "pipeline.json").write_text(json.dumps(described))
    picture = np.full((400, 300, 3), (11, 12, 13), np.uint8)
    (result,) = Inferencer(tmp_path / "end2end.onnx")(picture, boxes=[[0, 0, 300, 400]] * 3)
    # the input is 4 times as fine as the map, and the picture 300 / 192 times as fine as that
    np.testing.assert_allclose(result.keypoints, np.full((3, 17, 2), (150.0, 200.0)), atol=1e-3)
    # a file of one input a call is called three times, with BGR of the given mean and deviation
    assert [len(batch) for batch in stub.inputs] == [1, 1, 1]
    np.testing.assert_array_equal(stub.inputs[0][0, :, 128, 96], [5, 5, 5])


def test_shapes_that_a_file_leaves_open_are_seen_on_a_black_picture(stubbed, tmp_path):
    stub = stubbed((None, 3, 256, 192), heatmaps_of((1, 1)), {"output": (None, None, None, None)})
    inferencer = Inferencer("td-hm_res50_8xb64-210e_coco-256x192", tmp_path / "hm.onnx")
    assert inferencer.metainfo["num_keypoints"] == 17
    assert not stub.inputs[0].any()


def test_inputs_have_the_type_of_the_file(stubbed, tmp_path):
    stub = stubbed(
        (2, 3, 256, 192), heatmaps_of((5, 5)), {"output": (2, 17, 64, 48)}, dtype="float16"
    )
    inferencer = Inferencer("td-hm_res50_8xb64-210e_coco-256x192", tmp_path / "half.onnx")
    (result,) = inferencer(PHOTO, boxes=BOXES)
    assert len(result) == 3
    assert [(batch.shape, batch.dtype) for batch in stub.inputs] == [
        ((2, 3, 256, 192), np.float16)
    ] * 2


@pytest.mark.parametrize("name", ["rtmo-t_8xb32-600e_body7-416x416", None])
def test_whole_pictures_come_out_in_image_space(stubbed, tmp_path, name):
    dets = np.array([[10, 20, 110, 220, 0.9], [0, 0, 5, 5, 0.05]], np.float32)
    points = np.zeros((2, 17, 3), np.float32)
    points[:, :, 0], points[:, :, 1], points[:, :, 2] = 60, 104, 0.7
    stub = stubbed(
        (1, 3, 416, 416),
        lambda inputs: (dets[None], points[None]),
        {"dets": (1, None, 5), "keypoints": (1, None, 17, 3)},
    )
    path = tmp_path / "rtmo.onnx"
    inferencer = Inferencer(path) if name is None else Inferencer(name, path)
    picture = np.full((208, 416, 3), (7, 8, 9), np.uint8)
    (result,) = inferencer(picture)
    # twice as wide as high: fitted in the middle, between 104 grey lines above and below
    assert len(result) == 1
    np.testing.assert_allclose(result.keypoints, np.full((1, 17, 2), (60, 0)), atol=1e-3)
    np.testing.assert_allclose(result.keypoint_scores, 0.7, atol=1e-6)
    np.testing.assert_allclose(result.bboxes[0], [10, -84, 110, 116], atol=1e-3)
    # neither swapped nor normalised; a black picture came first, since N is open
    np.testing.assert_array_equal(stub.inputs[-1][0, :, 208, 208], [7, 8, 9])
    np.testing.assert_array_equal(stub.inputs[-1][0, :, 0, 0], [114, 114, 114])


def test_three_vectors_are_keypoints_in_metres(stubbed, tmp_path):
    name = "rtmw3d-l_8xb64_cocktail14-384x288"
    sizes = {"output": 576, "1554": 768, "1556": 576}

    def answer(inputs):
        vectors = [np.zeros((len(inputs), 133, bins), np.float32) for bins in sizes.values()]
        for vector, place in zip(vectors, (288, 384, 288), strict=True):
            vector[..., place] = 1
        return tuple(vectors)

    stubbed((1, 3, 384, 288), answer, {key: (1, 133, bins) for key, bins in sizes.items()})
    inferencer = Inferencer(name, tmp_path / "rtmw3d.onnx")
    (result,) = inferencer(np.zeros((400, 300, 3), np.uint8), boxes=[[0, 0, 300, 400]])
    # all in the middle of the picture and of the depth: right ahead, where the root is
    np.testing.assert_allclose(result.keypoints, np.full((1, 133, 2), (150, 200)), atol=1e-3)
    assert result.keypoints_3d.shape == (1, 133, 3)
    np.testing.assert_allclose(result.keypoints_3d[..., 1], 5.14, atol=0.02)
    with pytest.raises(ConfigError, match="has keypoints in 3D, and nothing says which"):
        Inferencer(tmp_path / "end2end.onnx")


# ------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("shape", "outputs", "text"),
    [
        ((1, 3, 640, 640), {"dets": (1, 9, 5), "labels": (1, 9)}, "is a detector"),
        ((1, 3, 640, 640), {"output0": (1, 56, 8400)}, r"into output0 \(1, 56, 8400\)"),
        ((None, 256), {"y": (None, 3)}, r"turns \(\?, 256\) into y \(\?, 3\)"),
        ((1, 3, 256, 192), {"x": (1, 17, 384), "y": (1, 18, 512)}, "is no pose model of MMDeploy"),
        ((1, 3, 64, 48), {"output": (1, 19, 16, 12)}, "19 keypoints, and nothing says which"),
        ((1, 3, 64, 48), {"output": (1, 17, 16, 12)}, "nothing says how the outputs"),
        (
            (1, 3, None, None),
            {"x": (1, 17, 384), "y": (1, 17, 512)},
            "takes pictures of any size, and nothing says which is right",
        ),
    ],
)
def test_files_that_say_too_little_are_refused(stubbed, tmp_path, shape, outputs, text):
    stubbed(shape, None, outputs)
    with pytest.raises(ConfigError, match=text):
        Inferencer(tmp_path / "end2end.onnx")


@pytest.mark.parametrize(
    ("shape", "outputs", "text"),
    [
        ((1, 3, 256, 192), {"x": (1, 21, 384), "y": (1, 21, 512)}, "has 21 keypoints, but"),
        ((1, 3, 256, 192), {"maps": (1, 17, 64, 48)}, "gives maps, but .* decodes by SimCCLabel"),
        (
            (1, 3, 384, 288),
            {"x": (1, 17, 576), "y": (1, 17, 768)},
            f"takes pictures of 288 x 384, but {NAME} ones of 192 x 256",
        ),
    ],
)
def test_a_config_of_another_model_is_refused(stubbed, tmp_path, shape, outputs, text):
    stubbed(shape, None, outputs)
    with pytest.raises(ConfigError, match=text):
        Inferencer(NAME, tmp_path / "end2end.onnx")


def test_a_name_that_does_not_fit_is_not_heeded(stubbed, tmp_path, caplog):
    stubbed((1, 3, 256, 256), None, {"simcc_y": (1, 21, 512), "simcc_x": (1, 21, 512)})
    inferencer = Inferencer(tmp_path / f"{NAME}.onnx")
    assert "has 21 keypoints" in caplog.text
    assert "is not heeded" in caplog.text
    assert inferencer.metainfo["dataset_name"] == "coco_wholebody_hand"
    assert inferencer.model.session._order == (1, 0)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("pipeline.json", "{", "is no JSON file, as MMDeploy writes it"),
        ("pipeline.json", "[]", "expected a JSON object"),
        ("pipeline.json", '{"tasks": []}', "expected pipeline.tasks"),
        (
            "pipeline.json",
            '{"pipeline": {"tasks": [{"transforms": [1]}]}}',
            "expected pipeline.tasks",
        ),
        ("detail.json", "7", "expected a JSON object"),
        ("detail.json", '{"codebase": "mmpose"}', "expected a codebase"),
    ],
)
def test_broken_files_beside_it_are_told(stubbed, tmp_path, name, content, text):
    stubbed((1, 3, 256, 192), None, {"x": (1, 17, 384), "y": (1, 17, 512)})
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=text):
        Inferencer(tmp_path / "end2end.onnx")


def test_a_file_of_poise_needs_no_config(stubbed, tmp_path):
    stub = stubbed((1, 256, 192, 3), None, {})
    stub.metadata = {"kind": "topdown"}
    with pytest.raises(ConfigError, match="says itself what it holds"):
        Inferencer(NAME, tmp_path / "own.onnx")
