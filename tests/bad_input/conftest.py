"""A beginner's project of four tiny pictures, and `poise` run inside this process."""

import json
import logging
import os
import sys

import cv2
import numpy as np
import pytest

CONFIG = """default_scope = 'mmpose'
codec = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    head=dict(
        type='HeatmapHead', in_channels=64, out_channels=17,
        deconv_out_channels=(8, 8, 8), deconv_kernel_sizes=(4, 4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True), decoder=codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
data_root = 'data/'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset', data_root=data_root, data_mode='topdown', ann_file='train.json',
        data_prefix=dict(img='images/'), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset', data_root=data_root, data_mode='topdown', ann_file='train.json',
        data_prefix=dict(img='images/'), test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'train.json')
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-4))
"""


def annotations(keypoints=17, people=4):
    """Content of a COCO file: one person in each of the pictures 1.png to 4.png."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for i in range(1, people + 1):
        images.append({"id": i, "file_name": f"{i}.png", "width": 64, "height": 64})
        points = np.c_[rng.uniform(5, 59, (keypoints, 2)), np.full(keypoints, 2)]
        rows.append(
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [2, 2, 60, 60],
                "area": 3600,
                "num_keypoints": keypoints,
                "keypoints": points.round(1).ravel().tolist(),
            }
        )
    return {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "person"}]}


def schema(count, *, swaps=None, sigmas=None):
    """Text of a metadata file of `count` keypoints, of which the first two are a pair."""
    swaps = {0: "k1", 1: "k0"} if swaps is None else swaps
    info = {
        i: {"name": f"k{i}", "id": i, "color": [0, 0, 255], "type": "upper", "swap": ""}
        for i in range(count)
    }
    for i, other in swaps.items():
        info[i]["swap"] = other
    tree = {
        "dataset_name": "toy",
        "keypoint_info": info,
        "skeleton_info": {},
        "joint_weights": [1.0] * count,
        "sigmas": [0.05] * (count if sigmas is None else sigmas),
    }
    return f"dataset_info = {tree!r}\n"


class Project:
    """Folder with `cfg.py`, `data/train.json` and `data/images`."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        (folder / "data" / "images").mkdir(parents=True)
        rng = np.random.default_rng(0)
        for i in range(1, 5):
            picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
            cv2.imwrite(str(folder / "data" / "images" / f"{i}.png"), picture)
        self.annotate(annotations())
        self.config()

    def config(self, *changes):
        """Write `cfg.py`, with pieces of its text replaced."""
        text = CONFIG
        for old, new in changes:
            assert old in text, f"the config has no {old!r}"
            text = text.replace(old, new)
        (self.folder / "cfg.py").write_text(text)

    def annotate(self, content):
        """Write the annotation file."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / "data" / "train.json").write_text(text)

    def line(self, text, file="cfg.py"):
        """Number of the first line of a file that holds a text."""
        lines = (self.folder / file).read_text().splitlines()
        return next(i for i, line in enumerate(lines, 1) if text in line)

    def poise(self, *args):
        """Run a command; its exit status, and everything it wrote."""
        from poise.cli.main import main

        before, status = sys.argv, 0
        sys.argv = ["poise", *map(str, args)]
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        finally:
            sys.argv = before
            logger = logging.getLogger("poise")
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()
        out, err = self.capsys.readouterr()
        return status, out + err

    def train(self, *options):
        """`poise train` of the config on the CPU."""
        return self.poise("train", "cfg.py", "-w", "run", "--accelerator", "cpu", *options)

    def fails(self, *args):
        """The error text of a command that must fail; without a traceback."""
        status, text = self.poise(*args)
        return self._error(status, text)

    def train_fails(self, *options):
        """The error text of a training that must fail."""
        status, text = self.train(*options)
        return self._error(status, text)

    @staticmethod
    def _error(status, text):
        assert status != 0, text
        assert "Traceback" not in text
        _, found, message = text.partition("error: ")
        assert found, text
        return message.strip()


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POISE_TRACEBACK", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield Project(tmp_path, capsys)
    assert os.environ.get("POISE_TRACEBACK") is None


@pytest.fixture(name="annotations")
def annotations_fixture():
    return annotations


@pytest.fixture(name="schema")
def schema_fixture():
    return schema


@pytest.fixture
def save(project):
    """`save(name, out_channels=17, change=None, meta=None)`: a checkpoint of the model."""
    import torch

    from poise.config import Config
    from poise.models.build import build_model

    def write(name="w.pth", *, out_channels=17, change=None, meta=None):
        text = CONFIG.replace("out_channels=17", f"out_channels={out_channels}")
        (project.folder / "as_trained.py").write_text(text)
        state = build_model(Config.fromfile("as_trained.py").model).state_dict()
        if change is not None:
            change(state)
        torch.save({"state_dict": state, "meta": meta or {}}, project.folder / name)
        return name

    return write
