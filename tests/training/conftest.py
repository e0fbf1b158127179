"""A small model, data and config that train in a second."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket

import cv2
import numpy as np
import pytest
import torch
from torch import nn


class Sample:
    """What a metric and an error text look at."""

    def __init__(self, number: int) -> None:
        self.metainfo = {"id": number, "img_path": f"{number}.jpg"}


class Points(torch.utils.data.Dataset):
    """Points whose target is a linear map of them."""

    metainfo = {"dataset_name": "points", "num_keypoints": 2}

    def __init__(self, size: int = 8, bad: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(size, 4, generator=generator)
        if bad is not None:
            self.x[bad] = float("nan")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict:
        return {"inputs": self.x[index], "data_samples": Sample(index)}


class Stack(nn.Module):
    def forward(self, data: dict, training: bool = False) -> dict:
        return {"inputs": torch.stack(data["inputs"]), "data_samples": data["data_samples"]}


class Regressor(nn.Module):
    """Estimator in miniature; remembers which samples it trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = Stack()
        self.backbone = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 2)
        self.seen: list[list[int]] = []
        self.noise = True

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = self.head(self.norm(self.backbone(inputs)))
        if mode == "tensor":
            return out
        if mode == "predict":
            return [(s.metainfo["id"], o) for s, o in zip(data_samples, out, strict=True)]
        self.seen.append([s.metainfo["id"] for s in data_samples])
        # a draw, so that a resumed run shows whether the generators were restored
        jitter = 0.01 * torch.randn(()) if self.noise else 0
        loss = ((out - inputs[:, :2]) ** 2).mean() + jitter
        return {"loss_kpt": loss, "acc_pose": loss.detach()}


class CountEvaluator:
    """Evaluator whose metric is what the test says, or the number of samples."""

    def __init__(self, scores=()) -> None:
        self.scores = list(scores)
        self.sizes: list[int] = []
        self.seen = 0

    def process(self, data_samples, data_batch) -> None:
        self.seen += len(data_samples)

    def evaluate(self, size: int) -> dict:
        self.sizes.append(self.seen)
        self.seen = 0
        score = self.scores[len(self.sizes) - 1] if self.scores else float(size)
        return {"coco/AP": score, "EPE": 1 - score}


@pytest.fixture
def make_config(tmp_path):
    """Function that gives a config; keyword arguments replace its keys."""

    def make(**changes) -> dict:
        loader = {
            "batch_size": 2,
            "num_workers": 0,
            "dataset": Points(),
            "sampler": {"type": "DefaultSampler", "shuffle": True},
        }
        config = {
            "work_dir": str(tmp_path / "run"),
            "model": Regressor(),
            "train_dataloader": loader,
            "val_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}},
            "val_evaluator": CountEvaluator(),
            "test_dataloader": loader,
            "test_evaluator": CountEvaluator(),
            "train_cfg": {"max_epochs": 3, "val_interval": 1},
            "optim_wrapper": {"optimizer": {"type": "Adam", "lr": 0.01}},
            "param_scheduler": [
                {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 6},
                {"type": "MultiStepLR", "milestones": [2], "by_epoch": True},
            ],
            "default_hooks": {"report": None},
            "randomness": {"seed": 3},
            "log_level": "WARNING",
        }
        return {**config, **changes}

    return make


@pytest.fixture
def parts():
    """The classes above, for tests that make their own."""

    class Parts:
        pass

    for thing in (Points, Regressor, CountEvaluator, Sample):
        setattr(Parts, thing.__name__, thing)
    return Parts


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


@pytest.fixture
def dots(tmp_path):
    """Path of a config whose data are eight pictures of three coloured dots."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(8):
        points = rng.uniform(16, 80, (3, 2))
        picture = np.full((96, 96, 3), 60, np.uint8)
        for (x, y), colour in zip(points, np.eye(3) * 255, strict=True):
            cv2.circle(picture, (int(x), int(y)), 5, colour.tolist(), -1)
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png", "width": 96, "height": 96})
        keypoints = np.concatenate([points, np.full((3, 1), 2)], axis=1).ravel().tolist()
        annotations.append(
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [0, 0, 96, 96],
                "area": 9216,
                "num_keypoints": 3,
                "keypoints": keypoints,
            }
        )
    categories = [{"id": 1, "name": "dots", "keypoints": ["left", "right", "middle"]}]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "ann.json").write_text(json.dumps(tree))
    path = tmp_path / "dots.py"
    path.write_text(CONFIG.replace("ROOT", str(tmp_path)))
    return path


# --------------------------------------------------------------- several processes


def _torchrun(rank: int, world: int) -> dict[str, str]:
    """What torchrun sets."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
    }


def _slurm(rank: int, world: int) -> dict[str, str]:
    """What srun sets on one machine."""
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "train",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_NTASKS": str(world),
        "SLURM_NTASKS_PER_NODE": str(world),
        "SLURM_NODELIST": "localhost",
        "SLURM_NODEID": "0",
        "SLURM_NNODES": "1",
    }


#: name -> what the launcher sets.
_LAUNCHERS = {"torchrun": _torchrun, "slurm": _slurm}
#: Longest that processes may take.
_JOIN_SECONDS = 240


def _in_process(rank: int, world: int, port: int, launcher, work, args) -> None:
    """What the launcher sets, then the work."""
    torch.set_num_threads(1)
    os.environ.update(_LAUNCHERS[launcher](rank, world))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES="")
    work(rank, *args)


@pytest.fixture
def in_processes():
    """Function that runs `work(rank, *args)` in as many processes as a launcher would start."""

    def run(world: int, work, *args, launcher: str = "torchrun") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("fork")
        started = [
            context.Process(target=_in_process, args=(rank, world, port, launcher, work, args))
            for rank in range(world)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(_JOIN_SECONDS)
        codes = [process.exitcode for process in started]
        for process in started:
            process.kill()
        assert codes == [0] * world

    return run
