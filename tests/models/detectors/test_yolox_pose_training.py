"""Training of YOLOX-Pose of MMPose's projects: losses, targets and data, compared with MMYOLO's."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.check.keys import check_training_config
from poise.datasets import CocoDataset
from poise.errors import ConfigError, PoiseError
from poise.models import build_model
from poise.registry import HOOKS, MODELS, TASK_UTILS, TRANSFORMS, use_scope
from poise.structures import InstanceData, PoseDataSample
from poise.zoo import load_config

FIGURES = json.loads((Path(__file__).parent / "yolox_pose_training.json").read_text())
TINY, SMALL = "yolox-pose_tiny_4xb64-300e_coco", "yolox-pose_s_8xb32-300e_coco"
ASSIGNER = load_config(TINY).to_dict()["model"]["train_cfg"]["assigner"]


def tensor(array):
    return torch.from_numpy(array.astype(np.float32))


def people(counts, seed):
    """Annotations of pictures of 160 x 128 pixels."""
    rng = np.random.RandomState(seed)
    for count in counts:
        corner, size = rng.rand(count, 2) * 90, rng.rand(count, 2) * 60 + 10
        keypoints = corner[:, None] + rng.rand(count, 17, 2) * size[:, None]
        visible = rng.rand(count, 17) > 0.4
        if count:
            visible[:, 0] = True
        yield InstanceData(
            bboxes=tensor(np.concatenate([corner, corner + size], 1)),
            labels=torch.zeros(count, dtype=torch.long),
            keypoints=tensor(keypoints),
            keypoints_visible=tensor(visible),
        )


def samples(counts):
    found = []
    for instances in people(counts, 5):
        found.append(PoseDataSample())
        found[-1].gt_instance_labels = instances
    return found


@pytest.fixture(scope="module")
def tiny(shared):
    spec = importlib.util.spec_from_file_location("inputs", shared / "golden" / "inputs.py")
    inputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inputs)
    model = build_model(TINY).eval()
    inputs.fill_model(model.state_dict(), to_tensor=torch.from_numpy)
    return model, torch.from_numpy(inputs.image_tensor("detector", 2, 3, 128, 160))


@pytest.mark.parametrize("counts", FIGURES["loss"])
def test_losses_and_gradients_are_the_projects(tiny, counts):
    model, x = tiny
    model.bbox_head.use_bbox_aux = True
    model.zero_grad()
    losses = model(x, samples(map(int, counts.split())), mode="loss")
    sum(value.mean() for value in losses.values()).backward()
    grads = [p.grad.double().square().sum() for p in model.parameters() if p.grad is not None]
    figures = {name: float(value.detach().mean()) for name, value in losses.items()}
    figures["gradient"] = float(sum(grads).sqrt())
    assert figures == pytest.approx(FIGURES["loss"][counts], rel=1e-5)


def test_the_loss_of_raw_boxes_counts_when_the_hook_says_so(tiny):
    model, x = tiny
    hook = HOOKS.build({"type": "mmyolo.YOLOXModeSwitchHook", "num_last_epochs": 2})
    model.bbox_head.use_bbox_aux = False
    assert "loss_bbox_aux" not in model(x, samples([1, 0]), mode="loss")
    hook.switch_head(model)
    assert "loss_bbox_aux" in model(x, samples([1, 0]), mode="loss")


@pytest.mark.parametrize("number", range(len(FIGURES["assigned"])))
def test_points_are_assigned_as_by_the_project(number):
    with use_scope("mmyolo"):
        assigner = TASK_UTILS.build(ASSIGNER)
    grid = TASK_UTILS.build({"type": "MlvlPointGenerator", "strides": [8, 16, 32]})
    sizes = [(128 // stride, 160 // stride) for stride in (8, 16, 32)]
    points = torch.cat(grid.grid_priors(sizes, device="cpu", with_stride=True))
    (wanted,) = people([number + 1], number)
    rng = np.random.RandomState(number + 100)
    who = torch.from_numpy(rng.randint(0, number + 1, len(points)))
    predicted = InstanceData(
        bboxes=wanted.bboxes[who] + tensor(rng.randn(len(points), 4) * 6),
        keypoints=wanted.keypoints[who] + tensor(rng.randn(len(points), 17, 2) * 4),
        keypoints_visible=tensor(rng.randn(len(points), 17)).sigmoid(),
        scores=tensor(rng.rand(len(points), 1)),
        priors=points,
    )
    result = assigner.assign(predicted, wanted)
    chosen = result["gt_inds"].nonzero().squeeze(1)
    indices, persons, total = FIGURES["assigned"][number]
    assert chosen.tolist() == indices
    assert result["gt_inds"][chosen].tolist() == persons
    assert float(result["max_overlaps"][chosen].sum()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("kind", FIGURES["pipelines"])
def test_the_same_draws_give_the_projects_pictures_and_people(shared, kind):
    folder = shared / "data" / "mmpose_samples" / "coco"
    cfg = load_config(SMALL).to_dict()
    late = cfg["custom_hooks"][0]["new_train_pipeline"]
    with use_scope("mmyolo"):
        data = CocoDataset(
            ann_file=str(folder / "test_coco.json"),
            data_prefix={"img": f"{folder}/"},
            data_mode="bottomup",
            pipeline=late if kind == "last" else cfg["train_pipeline_stage1"],
        )
    for seed, expected in enumerate(FIGURES["pipelines"][kind]):
        np.random.seed(seed)
        item = data[seed]
        labels = item["data_samples"].gt_instance_labels
        seen = labels.keypoints * labels.keypoints_visible[..., None]
        means = [item["inputs"].float(), labels.bboxes.double(), seen.double()]
        figures = [float(values.mean()) for values in means]
        assert [len(labels), int(labels.keypoints_visible.sum())] == [expected[0], expected[-1]]
        np.testing.assert_allclose(figures, expected[1:-1], rtol=1e-5, atol=0.02)


def results(**changes):
    return {
        "img": np.zeros((40, 60, 3), np.uint8),
        "img_shape": (40, 60),
        "bbox": np.float32([[10, 5, 30, 25]]),
        "keypoints": np.float32([[[10, 5], [30, 25]]]),
        "keypoints_visible": np.ones((1, 2), np.float32),
        "category_id": [1],
        "flip_indices": [1, 0],
    } | changes


def test_a_mirror_image_counts_from_the_border():
    flipped = TRANSFORMS.build({"type": "mmdet.RandomFlip", "prob": 1.0})(results())
    assert flipped["bbox"].tolist() == [[30, 5, 50, 25]]
    assert flipped["keypoints"].tolist() == [[[30, 25], [50, 5]]]


def test_people_who_leave_the_picture_are_dropped():
    settings = {"max_rotate_degree": 0, "max_translate_ratio": 0, "max_shear_degree": 0}
    affine = {"type": "mmdet.RandomAffine", "scaling_ratio_range": (1, 1), **settings}
    # a corner of 20 x 20 pixels is left
    data = TRANSFORMS.build(affine | {"border": (-20, -10)})(
        results(
            bbox=np.float32([[10, 5, 30, 25], [21, 5, 30, 25]]),
            keypoints=np.float32([[[10, 5], [30, 25]]] * 2),
            keypoints_visible=np.ones((2, 2), np.float32),
            category_id=np.array([1, 1]),
        )
    )
    assert data["img"].shape == (20, 20, 3)
    assert data["bbox"].tolist() == [[10, 5, 20, 20]]
    assert data["keypoints_visible"].tolist() == [[1, 0]]
    assert len(data["category_id"]) == 1


def test_a_picture_without_people_can_be_mixed_and_packed():
    convert, pack = ({"type": f"mmyolo.{n}"} for n in ("PoseToDetConverter", "PackDetPoseInputs"))
    empty = results(img_id=3)
    for key in ("bbox", "keypoints", "keypoints_visible", "category_id"):
        del empty[key]
    packed = TRANSFORMS.build(pack)(TRANSFORMS.build(convert)(empty))
    labels = packed["data_samples"].gt_instance_labels
    assert labels.bboxes.shape == (0, 4)
    assert labels.keypoints.shape == (0, 2, 2)
    assert packed["data_samples"].metainfo["img_id"] == 3


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        ("mmyolo.Mosaic", {"bbox_clip_border": False}, "clips boxes to the picture"),
        ("mmyolo.YOLOXMixUp", {"bbox_clip_border": False}, "clips boxes to the picture"),
        ("mmyolo.FilterDetPoseAnnotations", {"by_mask": True}, "by_box=True and by_mask=False"),
        ("mmdet.RandomAffine", {"scaling_ratio_range": (2, 1)}, "0 < low <= high"),
    ],
)
def test_settings_that_mean_nothing_for_poses_are_refused(kind, settings, text):
    with pytest.raises(PoiseError, match=text):
        TRANSFORMS.build({"type": kind, **settings})


def test_a_loss_of_classes_that_exclude_one_another_is_refused():
    with pytest.raises(ConfigError, match="use_sigmoid=True"):
        MODELS.build({"type": "mmdet.CrossEntropyLoss"})


def test_training_needs_an_assigner():
    cfg = load_config(TINY).to_dict()
    cfg["model"]["train_cfg"] = None
    model = build_model(cfg)
    with pytest.raises(ConfigError, match="needs train_cfg.assigner to train"):
        model(torch.zeros(1, 3, 64, 64), samples([1]), mode="loss")


def test_the_neck_can_be_frozen():
    neck = MODELS.build(
        {"type": "mmyolo.YOLOXPAFPN", "in_channels": [8, 16, 32], "out_channels": 8}
        | {"deepen_factor": 0.33, "freeze_all": True}
    ).train()
    assert not any(p.requires_grad for p in neck.parameters())
    assert not any(m.training for part in neck.children() for m in part.modules())


@pytest.mark.parametrize("name", [TINY, "py_yolox_pose_s_8xb32_300e_coco"])
def test_the_configs_are_ready_for_training(name):
    cfg = load_config(name)
    check_training_config(cfg)
    head = build_model(cfg).bbox_head
    assert head.assigner.oks_calculator is head.assigner_oks_calculator
