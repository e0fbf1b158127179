"""Detectors that are networks: RTMDet, YOLOX, torchvision's, ONNX files; and which one is meant."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poise import schemas
from poise.errors import (
    ArgumentError,
    CheckpointError,
    ConfigError,
    DataError,
    FileMissingError,
    UnknownNameError,
)
from poise.inference.detectors import (
    FixedBoxes,
    NanoDetDetector,
    NetworkDetector,
    OnnxDetector,
    TorchvisionDetector,
    WholeImage,
    build_detector,
    target_of,
)
from poise.models import build_model
from poise.structures.metainfo import parse_pose_metainfo
from poise.zoo import load_config

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
META = {
    target: parse_pose_metainfo(schemas.get(name))
    for target, name in {
        "person": "coco",
        "hand": "onehand10k",
        "face": "wflw",
        "animal": "ap10k",
        None: "deepfashion_full",
    }.items()
}
NANO = "rtmdet_nano_320-8xb32_coco-person"


@pytest.fixture(scope="module")
def photo():
    return cv2.imread(str(PHOTO))


@pytest.fixture(scope="module")
def nano_weights(tmp_path_factory):
    """The small person detector with weights that find boxes everywhere."""
    torch.manual_seed(0)
    model = build_model(NANO)
    for layer in model.bbox_head.rtm_reg:
        layer.bias.data.fill_(3.0)
    path = tmp_path_factory.mktemp("weights") / "nano.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    return path


def save(name, path):
    """A file of zeros as the weights of a detector."""
    with torch.device("meta"):
        state = build_model(name).state_dict()
    torch.save(
        {"state_dict": {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in state.items()}}, path
    )


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """A machine that has no weights."""
    monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


# ------------------------------------------------------------------ which one


@pytest.mark.parametrize("target", META)
def test_schemas_say_what_is_looked_for(target):
    assert target_of(META[target]) == target


def test_auto_takes_what_is_inside_the_package_where_nothing_else_is(no_weights):
    assert isinstance(build_detector("auto", META["person"]), NanoDetDetector)
    for target, better in (("hand", "rtmdet-hand"), ("face", "yolox-face"), ("animal", "rtmdet-m")):
        detector = build_detector("auto", META[target])
        assert isinstance(detector, WholeImage)
        assert f"let the detector {better} look for them" in detector.description
    assert "give boxes or a detector" in build_detector("auto", META[None]).description


def test_auto_takes_a_released_detector_that_is_on_this_machine(no_weights):
    save("rtmdet-hand", no_weights / "rtmdet_nano_8xb32-300e_hand-267f9c8f.pth")
    detector = build_detector("auto", META["hand"])
    assert isinstance(detector, NetworkDetector)
    assert detector.name == "rtmdet_nano_320-8xb32_hand"
    assert isinstance(build_detector("auto", META["person"]), NanoDetDetector)


def test_names_of_released_detectors_find_their_weights(no_weights, nano_weights):
    released = no_weights / "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth"
    released.write_bytes(nano_weights.read_bytes())
    for name in (NANO, "rtmdet-nano-person", f"demo/mmdetection_cfg/{NANO}.py"):
        assert build_detector(name).name == NANO


def test_options_come_in_a_dict_or_beside_the_name(nano_weights, photo):
    spec = {"name": NANO, "weights": nano_weights, "score_threshold": 0.4}
    detector = build_detector({**spec, "max_boxes": 3}, META["person"])
    (boxes,) = detector.detect([photo])
    assert boxes.shape == (3, 5)
    again = build_detector(NANO, weights=nano_weights, score_threshold=0.4, max_boxes=3)
    np.testing.assert_array_equal(again.detect([photo])[0], boxes)
    assert (boxes[:, 4] >= 0.4).all()
    nobody = build_detector({**spec, "score_threshold": 1.0})
    assert nobody.detect([photo])[0].shape == (0, 5)


@pytest.mark.parametrize(
    ("spec", "options", "kind", "text"),
    [
        ("rtmdet-mm", {}, UnknownNameError, "no detector 'rtmdet-mm'; did you mean 'rtmdet-m'"),
        ("rtmo", {}, ConfigError, "'rtmo' is a pose model, not a detector"),
        ("nothing.onnx", {}, FileMissingError, "no detector file 'nothing.onnx'"),
        ("nothing.param", {}, FileMissingError, "no detector file 'nothing.param'"),
        ("nothing.py", {}, FileMissingError, "no config file 'nothing.py'"),
        (
            "torchvision:fastrcnn",
            {},
            UnknownNameError,
            "a detection model of torchvision must be one of",
        ),
        ("nanodet", {"treshold": 1}, ArgumentError, "does not take 'treshold'"),
        ("nanodet", {"score_threshold": 3}, ArgumentError, "a number from 0 to 1, got 3"),
        ("nanodet", {"max_boxes": 0}, ArgumentError, "at least 1, got 0"),
        ("whole-image", {"weights": "x"}, ArgumentError, "WholeImage does not take 'weights'"),
        ({"nam": "nanodet"}, {}, ArgumentError, "has 'name' and options"),
        (3, {}, ArgumentError, "got int"),
    ],
)
def test_what_is_no_detector_is_refused(spec, options, kind, text):
    with pytest.raises(kind, match=text):
        build_detector(spec, META["person"], **options)


def test_a_detector_of_cocos_classes_keeps_those_of_the_target(no_weights):
    save("rtmdet-tiny", no_weights / "rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth")
    assert build_detector("rtmdet-tiny").categories == (0,)
    assert build_detector("rtmdet-tiny", META["animal"]).categories == tuple(range(15, 24))
    assert build_detector("rtmdet-tiny", META["animal"], categories=16).categories == (16,)
    with pytest.raises(ConfigError, match="no 'hand' among them; use rtmdet-hand"):
        build_detector("rtmdet-m", META["hand"])


def test_fixed_boxes_are_those_of_every_picture(photo):
    detector = build_detector(np.array([[0, 0, 50, 60]]))
    assert isinstance(detector, FixedBoxes)
    assert [b.tolist() for b in detector.detect([photo, photo])] == [[[0, 0, 50, 60, 1]]] * 2


# ------------------------------------------------------------- RTMDet and YOLOX


def test_several_pictures_give_what_each_gives_alone(nano_weights, photo):
    detector = NetworkDetector(NANO, nano_weights, score_threshold=0.3)
    pictures = [photo, photo[:200], cv2.resize(photo, (64, 300))]
    together = detector.detect(pictures)
    for picture, boxes in zip(pictures, together, strict=True):
        (alone,) = detector.detect([picture])
        np.testing.assert_allclose(boxes[:, 4], alone[:, 4], atol=1e-5)
        assert (boxes[:, 2:4] > boxes[:, :2]).all()
        assert (np.diff(boxes[:, 4]) <= 0).all()
    assert detector.detect([]) == []


def test_config_files_need_weights(tmp_path, nano_weights, photo):
    path = tmp_path / "mine.py"
    path.write_text(
        f"_base_ = 'demo/mmdetection_cfg/{NANO}.py'\nmodel = dict(test_cfg=dict(max_per_img=7))"
    )
    with pytest.raises(ArgumentError, match="the detector mine needs weights"):
        build_detector(str(path))
    detector = build_detector(str(path), weights=nano_weights, score_threshold=0)
    assert len(detector.detect([photo])[0]) == 7
    assert detector.name == "mine"


def test_config_of_another_model_is_refused_with_what_is_known(tmp_path, nano_weights):
    pose = tmp_path / "pose.py"
    pose.write_text("model = dict(type='TopdownPoseEstimator')")
    with pytest.raises(ConfigError, match="pose is no detector that is known here: .* YOLOX, Fast"):
        build_detector(str(pose), weights=nano_weights)


# ------------------------------------------------- detectors of MMPose's demos


@pytest.fixture(scope="module")
def hand_weights(tmp_path_factory):
    """SSDLite for hands with weights that find boxes everywhere."""
    torch.manual_seed(0)
    model = build_model("ssdlite-hand")
    path = tmp_path_factory.mktemp("weights") / "ssdlite.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    return path


def test_detectors_of_demos_are_found_by_name_and_by_path(hand_weights, photo):
    spec = {"weights": hand_weights, "score_threshold": 0.0, "max_boxes": 6}
    path = "demo/mmdetection_cfg/ssdlite_mobilenetv2_scratch_600e_onehand.py"
    first, second = (build_detector(name, META["hand"], **spec) for name in ("ssdlite-hand", path))
    assert first.classes == ("hand",)
    assert first.detect([photo])[0].shape == (6, 5)
    np.testing.assert_array_equal(first.detect([photo])[0], second.detect([photo])[0])


def test_weights_of_another_number_of_classes_are_refused(hand_weights, tmp_path):
    with pytest.raises(CheckpointError, match=r"bbox_head.cls_convs.*12, .*486, "):
        build_detector("ssdlite", weights=hand_weights)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(hand_weights.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match="cut.pth"):
        build_detector("ssdlite-hand", weights=cut)


def test_pictures_of_several_sizes_do_not_change_one_anothers_boxes(photo):
    config = load_config("faster_rcnn_r50_fpn_1class")
    tree = config.to_dict()["model"]
    tree["backbone"].update(depth=18)
    tree["neck"].update(in_channels=[64, 128, 256, 512])
    config["model"] = tree
    config["test_dataloader"]["dataset"]["pipeline"][1]["scale"] = (160, 96)
    torch.manual_seed(0)
    detector = build_detector(build_model(config).eval(), score_threshold=0.0)
    assert detector.num_classes == 1
    pictures = [photo, photo[:200], photo[:, :300], photo[::-1].copy()]
    together = detector.detect(pictures)
    for picture, boxes in zip(pictures, together, strict=True):
        (alone,) = detector.detect([picture])
        assert len(boxes) == len(alone) > 0
        np.testing.assert_allclose(boxes, alone, atol=1e-2)


def test_built_network_is_a_detector(photo):
    model = build_model("yolox-face").eval()
    detector = build_detector(model, META["face"], score_threshold=0.0, max_boxes=4)
    assert detector.detect([photo])[0].shape == (4, 5)


# ----------------------------------------------------------------- torchvision


class Found(torch.nn.Module):
    """Answers as torchvision's models do; one box of each label, as large as the picture."""

    def forward(self, pictures):
        self.seen = pictures
        return [
            {
                "boxes": torch.tensor([[0.0, 0, p.shape[2], p.shape[1]]]).repeat(3, 1),
                "scores": torch.tensor([0.9, 0.8, 0.1]),
                "labels": torch.tensor([1, 18, 1]),
            }
            for p in pictures
        ]


def test_models_of_torchvision_see_rgb_and_people_are_kept(photo):
    model = Found()
    detector = TorchvisionDetector(model)
    first, second = detector.detect([photo, photo[:100]])
    assert first.tolist() == [[0, 0, 512, 512, np.float32(0.9)]]
    assert second[0, :4].tolist() == [0, 0, 512, 100]
    expected = photo[0, 0, ::-1] / 255
    np.testing.assert_allclose(model.seen[0][:, 0, 0], expected, atol=1e-6)
    everything = TorchvisionDetector(model, categories=None, score_threshold=0)
    assert len(everything.detect([photo])[0]) == 3


def test_built_model_of_torchvision_is_recognised():
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    detector = build_detector(model, max_boxes=2, score_threshold=0, categories=None)
    assert isinstance(detector, TorchvisionDetector)
    assert detector.detect([np.zeros((40, 60, 3), np.uint8)])[0].shape[1] == 5


# ------------------------------------------------------------------------ ONNX


def constant_graph(path, outputs, side=64, batch=1):
    """An ONNX file whose outputs are constants, and the mean of its input."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to write the file")
    from onnx import TensorProto, helper, numpy_helper

    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    nodes, infos = [], []
    for name, value in outputs.items():
        tensor = numpy_helper.from_array(value)
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        infos.append(helper.make_tensor_value_info(name, kinds[value.dtype], value.shape))
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, (batch, 3, side, side))
    graph = helper.make_graph(nodes, "detector", [given], infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def tall():
    return np.zeros((128, 64, 3), np.uint8)


def test_mmdeploys_outputs_are_boxes_from_the_upper_left_corner(tmp_path, tall):
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    dets = np.array([[[4, 8, 20, 40, 0.9], [4, 8, 20, 40, 0.8], [0, 0, 9, 9, 0.1]]], np.float32)
    labels = np.array([[0, 1, 0]])
    path = constant_graph(tmp_path / "end2end.onnx", {"dets": dets, "labels": labels})
    detector = build_detector(str(path))
    # the picture is twice as high as the input
    assert detector.detect([tall])[0].round(4).tolist() == [[8, 16, 40, 64 + 16, np.float32(0.9)]]
    everything = OnnxDetector(path, categories=None, score_threshold=0)
    assert [len(b) for b in everything.detect([tall, tall])] == [3, 3]


def test_pipeline_of_mmdeploy_says_how_pictures_are_normalised(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    outputs = {"dets": np.zeros((1, 1, 5), np.float32), "labels": np.zeros((1, 1), np.int64)}
    path = constant_graph(tmp_path / "end2end.onnx", outputs)
    assert OnnxDetector(path)._mean.tolist() == pytest.approx([103.53, 116.28, 123.675])
    steps = [{"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": True}]
    note = tmp_path / "pipeline.json"
    note.write_text(json.dumps({"pipeline": {"tasks": [{"transforms": steps}]}}))
    detector = OnnxDetector(path)
    assert (detector._mean.tolist(), detector._bgr) == ([1, 2, 3], False)
    assert OnnxDetector(path, bgr=True)._bgr
    note.write_text(json.dumps({"pipeline": {"tasks": [{"transforms": []}]}}))
    detector = OnnxDetector(path)
    assert (detector._mean.tolist(), detector._std.tolist()) == ([0, 0, 0], [1, 1, 1])
    note.write_text("[]")
    with pytest.raises(DataError, match="is not a pipeline.json as MMDeploy writes it"):
        OnnxDetector(path)


@pytest.mark.parametrize("layout", ["v8", "v5", "end to end"])
def test_outputs_of_yolos_are_told_apart_by_their_shapes(tmp_path, tall, layout):
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    # two boxes of one person, one of another class, and many of nothing
    rows = np.zeros((100, 6), np.float32)
    rows[:3] = [[32, 32, 16, 32, 0.9, 0], [32, 33, 16, 32, 0.8, 0], [32, 9, 4, 4, 0, 0.7]]
    if layout == "v8":
        value = rows.T[None]
    elif layout == "v5":
        value = np.insert(np.pad(rows, ((0, 0), (0, 78))), 4, 1, axis=1)[None]
    else:
        value = np.array([[[24, 16, 40, 48, 0.9, 0], [0, 0, 9, 9, 0.7, 1]]], np.float32)
    path = constant_graph(tmp_path / "yolo.onnx", {"output0": np.ascontiguousarray(value)})
    (boxes,) = build_detector(str(path)).detect([tall])
    # centred in the input, at half its size
    assert boxes.tolist() == [[16, 32, 48, 96, np.float32(0.9)]]


@pytest.mark.parametrize("decoded", [False, True])
def test_raw_boxes_of_yolox_are_decoded(tmp_path, tall, decoded):
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    rows = np.zeros((8 * 8 + 4 * 4 + 2 * 2, 85), np.float32)
    # column 2, row 3 of the cells of 8 pixels; place within the cell, logarithm of the size
    cell = 3 * 8 + 2
    rows[cell, :6] = [0.5, 0.5, np.log(2), np.log(4), 0.9, 0.5]
    if decoded:
        rows[cell, :4] = [20, 28, 16, 32]
    path = constant_graph(tmp_path / "yolox_l.onnx", {"output": rows[None]})
    detector = OnnxDetector(path)
    assert (detector._mean.tolist(), detector._std.tolist()) == ([0, 0, 0], [1, 1, 1])
    assert detector._bgr
    (boxes,) = detector.detect([tall])
    # in the upper left corner of the input, at half its size
    np.testing.assert_allclose(boxes, [[24, 24, 56, 88, 0.45]], rtol=1e-5)


def test_onnx_files_of_another_kind_are_refused(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    path = constant_graph(tmp_path / "odd.onnx", {"out": np.zeros((1, 4), np.float32)})
    with pytest.raises(DataError, match=r"outputs out \[1, 4\]; expected dets"):
        OnnxDetector(path)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match="ONNX Runtime cannot read"):
        OnnxDetector(broken)
    with pytest.raises(ArgumentError, match="give both mean and std"):
        OnnxDetector(path, mean=(1, 2, 3))


def test_weights_that_cannot_be_fetched_name_what_needs_none(monkeypatch):
    def fail(*args):
        raise CheckpointError("could not download rtmdet.pth")

    monkeypatch.setattr("poise.models.build.load_model", fail)
    with pytest.raises(CheckpointError, match="could not download") as caught:
        build_detector("rtmdet-person")
    assert "and nanodet, for people, comes inside the package" in caught.value.__notes__[0]
