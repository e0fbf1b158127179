"""From pictures and annotations to metrics: `poise train` and `poise test` on made data."""

import json
import logging

import cv2
import numpy as np
import pytest
import torch

from poise.cli.test import test as run_test
from poise.cli.train import train as run_train
from poise.errors import ConfigError, FileMissingError
from poise.training import checkpoint as files

K = 3
CONFIG = """
default_scope = 'mmpose'
codec = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16),
    head=dict(
        type='HeatmapHead', in_channels=128, out_channels=3,
        deconv_out_channels=(16, 16, 16), deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
]
train_pipeline = pipeline + [
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
test_pipeline = pipeline + [dict(type='PackPoseInputs')]
dataset = dict(
    type='CocoDataset', data_root='ROOT/', data_mode='topdown', ann_file='ann.json',
    data_prefix=dict(img='images/'),
    metainfo=dict(
        dataset_name='dots', skeleton_info={}, joint_weights=[1.0] * 3, sigmas=[0.1] * 3,
        keypoint_info={
            0: dict(name='left', id=0, color=[255, 0, 0], type='upper', swap='right'),
            1: dict(name='right', id=1, color=[0, 255, 0], type='upper', swap='left'),
            2: dict(name='middle', id=2, color=[0, 0, 255], type='lower', swap=''),
        }))
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True, **dataset))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='CocoMetric', ann_file='ROOT/ann.json'), dict(type='PCKAccuracy', thr=0.2)]
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-4))
param_scheduler = [dict(type='LinearLR', begin=0, end=5, start_factor=0.1, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='coco/AP', rule='greater'))
log_level = 'WARNING'
"""


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("poise").handlers.clear()


@pytest.fixture
def config(tmp_path):
    """Path of a config whose data are eight pictures of three coloured dots."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(8):
        points = rng.uniform(16, 80, (K, 2))
        picture = np.full((96, 96, 3), 60, np.uint8)
        for (x, y), colour in zip(points, np.eye(3) * 255, strict=True):
            cv2.circle(picture, (int(x), int(y)), 5, colour.tolist(), -1)
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png", "width": 96, "height": 96})
        keypoints = np.concatenate([points, np.full((K, 1), 2)], axis=1).ravel().tolist()
        annotations.append(
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [0, 0, 96, 96],
                "area": 9216,
                "num_keypoints": K,
                "keypoints": keypoints,
            }
        )
    categories = [{"id": 1, "name": "dots", "keypoints": ["left", "right", "middle"]}]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "ann.json").write_text(json.dumps(tree))
    path = tmp_path / "dots.py"
    path.write_text(CONFIG.replace("ROOT", str(tmp_path)))
    return path


def test_train_resume_and_test_a_topdown_model(config, tmp_path, capsys):
    run = tmp_path / "run"
    run_train(str(config), work_dir=run, seed=1, accelerator="cpu")
    names = sorted(p.name for p in run.glob("*.pth"))
    assert names[1:] == ["epoch_1.pth", "epoch_2.pth"]
    assert names[0].startswith("best_coco_AP_epoch_")
    first = files.read(run / "epoch_2.pth")
    assert first["meta"]["dataset_meta"]["num_keypoints"] == K

    second = tmp_path / "second"
    run_train(str(config), work_dir=second, seed=1, resume=str(run / "epoch_1.pth"))
    again = files.read(second / "epoch_2.pth")
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, again["state_dict"][name]), name

    out, dump = tmp_path / "out.json", tmp_path / "dump.json"
    run_test(str(config), str(run / "epoch_2.pth"), work_dir=run, out=out, dump=dump)
    assert {"coco/AP", "PCK"} <= set(json.loads(out.read_text()))
    rows = json.loads(dump.read_text())
    assert np.shape(rows[0]["pred_instances"]["keypoints"]) == (1, K, 2)
    assert "coco/AP" in capsys.readouterr().out


def test_training_learns_the_dots(config, tmp_path):
    run_train(
        str(config),
        work_dir=tmp_path / "run",
        seed=1,
        options=["train_cfg.max_epochs=8", "train_cfg.val_interval=8", "param_scheduler=None"],
    )
    scalars = next((tmp_path / "run").rglob("scalars.json")).read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in scalars if "loss_kpt" in line]
    assert losses[-1] < 0.85 * losses[0]


def test_a_missing_annotation_file_is_named_with_its_key(config, tmp_path):
    (tmp_path / "ann.json").unlink()
    with pytest.raises(FileMissingError, match=r"(?s)train_dataloader.*ann.json.*--set"):
        run_train(str(config), work_dir=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"options": ["train_config.max_epochs=1"]}, "did you mean 'train_cfg'"),
        ({"options": ["train_cfg.max_epoch=1"]}, "did you mean 'max_epochs'"),
        ({"amp": "fp8"}, "bf16 or fp16"),
    ],
)
def test_wrong_options_are_named(config, tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        run_train(str(config), work_dir=tmp_path / "run", **options)


@pytest.fixture
def checkpoint(config, tmp_path):
    """Weights after an epoch."""
    run_train(str(config), work_dir=tmp_path / "run", max_epochs=1, validate=False)
    return str(tmp_path / "run" / "epoch_1.pth")


def with_hook(config, hook):
    text = config.read_text()
    config.write_text(text.replace("default_hooks = dict(", f"default_hooks = dict({hook}, "))
    return str(config)


@pytest.mark.parametrize(("threshold", "count"), [(-1, 8), (1e9, 0)])
def test_bad_cases_are_listed_and_drawn(config, checkpoint, tmp_path, threshold, count):
    hook = f"badcase=dict(type='BadCaseAnalysisHook', enable=True, badcase_thr={threshold})"
    run_test(with_hook(config, hook), checkpoint, work_dir=tmp_path / "test")
    listed = [json.loads(p.read_text()) for p in (tmp_path / "test").rglob("results.json")]
    assert [len(rows) for rows in listed] == ([count] if count else [])
    assert len(list((tmp_path / "test").rglob("*.png"))) == count


def test_predictions_are_drawn_if_asked(config, checkpoint, tmp_path):
    hook = "visualization=dict(type='PoseVisualizationHook', enable=True, kpt_thr=0.0)"
    run_test(with_hook(config, hook), checkpoint, work_dir=tmp_path / "test")
    assert len(list((tmp_path / "test").rglob("test_*.jpg"))) == 8
