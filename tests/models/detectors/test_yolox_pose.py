"""YOLOX-Pose of MMPose's projects: weights' names, raw maps and people, compared with MMYOLO's."""

import importlib.util
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.apis import inference_bottomup, init_model
from poise.errors import DataError
from poise.models import build_model
from poise.models.necks import YOLOPAFPN
from poise.registry import MODELS
from poise.structures import PoseDataSample

FIGURES = json.loads((Path(__file__).parent / "mmyolo_figures.json").read_text())
TINY = "yolox-pose_tiny_4xb64-300e_coco"
FOLDER = "projects/yolox_pose/configs"
#: what released weights carry of the training
CALCULATOR = "bbox_head.assigner_oks_calculator.sigmas"


def sample(shape=(256, 300), scale=(0.5, 0.5)):
    return PoseDataSample(metainfo={"ori_shape": shape, "scale_factor": scale})


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_model(TINY).eval()


@pytest.mark.parametrize("name", FIGURES)
def test_state_dict_has_the_projects_keys_and_shapes_in_its_order(name):
    with torch.device("meta"):
        state = build_model(f"{FOLDER}/{name}.py").state_dict()
    rows = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in state.items()]
    assert [len(rows), zlib.crc32("\n".join(rows).encode())] == FIGURES[name]["state_dict"]


@pytest.mark.parametrize("name", [name for name, row in FIGURES.items() if "raw" in row])
def test_maps_and_people_are_the_projects(name, shared):
    spec = importlib.util.spec_from_file_location("inputs", shared / "golden" / "inputs.py")
    inputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inputs)
    row, model = FIGURES[name], build_model(name).eval()
    inputs.fill_model(model.state_dict(), to_tensor=torch.from_numpy)
    x = torch.from_numpy(inputs.image_tensor("detector", 1, 3, 128, 160))
    with torch.inference_mode():
        raw = [level for maps in model(x) for level in maps]
        (found,) = model(x, [sample()], mode="predict")
    for values, expected in zip(raw, row["raw"], strict=True):
        places = torch.linspace(0, values.numel() - 1, 8).round().long()
        figures = [values.abs().mean(), *values.flatten()[places]]
        np.testing.assert_allclose(figures, expected, rtol=1e-4, atol=1e-4 * expected[0])
    people = found.pred_instances
    assert len(people) == row["count"]
    count, points = len(people), people.keypoints[:, :3].reshape(len(people), -1)
    table = [people.bboxes, people.scores.reshape(count, 1), points, people.keypoint_scores[:, :3]]
    table, expected = np.concatenate(table, 1), np.array(row["people"])
    # some scores differ in the last digit only, so that their order is another machine's
    apart = np.abs(table[None] - expected[:, None]).max(-1)
    assert apart.min(1).max() < 1e-2


def test_released_weights_load_whether_or_not_the_model_is_built_to_train(tmp_path, tiny):
    torch.save({"state_dict": tiny.state_dict(), "meta": {}}, tmp_path / "tiny.pth")
    assert CALCULATOR in tiny.state_dict()
    model = init_model(f"{FOLDER}/{TINY}.py", str(tmp_path / "tiny.pth"), device="cpu")
    assert CALCULATOR not in model.state_dict()
    torch.testing.assert_close(model.backbone.state_dict(), tiny.backbone.state_dict())
    picture = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    (found,) = inference_bottomup(model, picture)
    assert found.metainfo["img_shape"] == (416, 416)
    assert found.pred_instances.keypoints.shape[1:] == (17, 2)


def test_people_come_in_image_space_and_inside_it(tiny):
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 100
    with torch.inference_mode():
        (plain,) = tiny(x, [sample((64, 64), (1.0, 1.0))], mode="predict")
        (twice,) = tiny(x, [sample((128, 128), (0.5, 0.5))], mode="predict")
    first, second = plain.pred_instances, twice.pred_instances
    assert len(first) > 0
    assert (np.diff(first.scores) <= 0).all()
    assert first.bboxes.min() >= 0
    assert first.bboxes.max() <= 64
    np.testing.assert_allclose(second.keypoints, first.keypoints * 2, rtol=1e-5)
    np.testing.assert_allclose(second.bboxes, first.bboxes * 2, rtol=1e-5)


def test_nobody_is_an_empty_result(tiny):
    before = tiny.bbox_head.test_cfg
    tiny.bbox_head.test_cfg = before | {"score_thr": 1.0}
    with torch.inference_mode():
        (found,) = tiny(torch.zeros(1, 3, 64, 64), [sample()], mode="predict")
    tiny.bbox_head.test_cfg = before
    assert found.pred_instances.keypoints.shape == (0, 17, 2)
    assert found.pred_instances.bboxes.shape == (0, 4)


def test_another_number_of_maps_is_refused():
    with pytest.raises(DataError, match="YOLOPAFPN expects 3 maps, got 2"):
        YOLOPAFPN([8, 16, 32], 8)([torch.zeros(1, 8, 4, 4)] * 2)


def test_similarity_counts_sigmas_once_and_sizes_by_the_diagonal():
    loss = MODELS.build({"type": "mmyolo.OksLoss", "metainfo": "configs/_base_/datasets/coco.py"})
    target, weights = torch.zeros(1, 17, 2), torch.ones(1, 17)
    output = target + torch.tensor([3.0, 4.0])
    box = torch.tensor([[0.0, 0.0, 30.0, 40.0]])
    # 5 pixels off in a box of 50 pixels' diagonal
    expected = 1 - torch.exp(-((0.1 / loss.sigmas) ** 2) / 2).mean()
    torch.testing.assert_close(loss(output, target, weights, box), expected[None])
    torch.testing.assert_close(loss(output / 50, target, weights), expected[None])
