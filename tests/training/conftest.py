"""A small model, data and config that train in a second."""

from __future__ import annotations

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
