"""`vis_backends`: MMEngine's names, arguments and pictures reach the loggers of Lightning."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

import cv2
import numpy as np
import pytest

from poise.errors import ConfigError, MissingDependencyError
from poise.training.logs.scalars import ScalarWriter
from poise.visualization import PoseLocalVisualizer


class FakeLogger:
    """Remembers what it was made with and what it was given."""

    def __init__(self, **kwargs):
        self.kwargs, self.logged, self.status = kwargs, [], None
        self.experiment, self.run_id, self.pictures = self, "run 1", []

    def log_metrics(self, metrics, step):
        self.logged.append((metrics, step))

    def log_image(self, *args, **kwargs):
        self.pictures.append((args, kwargs))

    add_image = log_image

    def finalize(self, status):
        self.status = status


@pytest.fixture
def all_installed(monkeypatch):
    """Every package is there, and every logger of Lightning is a fake one."""
    loggers = importlib.import_module("lightning.pytorch.loggers")
    for name in ("TensorBoardLogger", "WandbLogger", "MLFlowLogger", "CometLogger"):
        monkeypatch.setattr(loggers, name, FakeLogger)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("backend", "arguments"),
    [
        ({"type": "TensorboardVisBackend"}, {"save_dir": "RUN"}),
        (
            {"type": "WandbVisBackend", "init_kwargs": {"project": "p", "name": "n"}, "commit": 1},
            {"project": "p", "name": "n", "save_dir": "RUN"},
        ),
        (
            {"type": "MLflowVisBackend", "exp_name": "e", "run_name": "r", "tracking_uri": "u"},
            {"experiment_name": "e", "run_name": "r", "tracking_uri": "u", "save_dir": "RUN"},
        ),
        (
            {"type": "CometVisBackend", "init_kwargs": {"project_name": "p", "workspace": "w"}},
            {"project": "p", "workspace": "w"},
        ),
    ],
)
def test_arguments_and_scalars_arrive(tmp_path, all_installed, backend, arguments):
    with ScalarWriter(tmp_path, [backend, {"type": "LocalVisBackend"}]) as writer:
        writer.write({"loss": 1.5, "note": "text"}, step=7, group="train")
    logger = writer.backends[1].logger
    expected = {k: str(tmp_path) if v == "RUN" else v for k, v in arguments.items()}
    assert logger.kwargs == expected
    assert logger.logged == [({"train/loss": 1.5}, 7)]
    assert logger.status == "success"
    assert writer.path.read_text().count("\n") == 1


def test_mlflow_keeps_to_the_folder_unless_it_is_told(tmp_path, all_installed, monkeypatch):
    def uri():
        writer = ScalarWriter(tmp_path / "run", [{"type": "MLflowVisBackend"}])
        return writer.backends[-1].logger.kwargs.get("tracking_uri")

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert uri() == f"sqlite:///{tmp_path}/run/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert uri() is None


PICTURE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.mark.parametrize(
    ("kind", "args", "kwargs"),
    [
        ("Tensorboard", ("val_img", PICTURE, 7), {"dataformats": "HWC"}),
        ("Wandb", ("val_img", [PICTURE]), {"step": 7}),
        ("MLflow", ("run 1", PICTURE, "val_img_7.png"), {}),
        ("Comet", (PICTURE,), {"name": "val_img", "step": 7}),
    ],
)
def test_a_picture_arrives_as_the_service_takes_it(tmp_path, all_installed, kind, args, kwargs):
    writer = ScalarWriter(tmp_path, [{"type": f"{kind}VisBackend"}])
    writer.send_picture("val_img", PICTURE, step=7)
    assert writer.backends[1].logger.pictures == [(args, kwargs)]
    assert not list(tmp_path.rglob("*.png"))


def test_files_take_pictures_of_a_visualizer(tmp_path):
    writer = ScalarWriter(tmp_path)
    PoseLocalVisualizer(vis_backends=writer.backends).add_image("mine", PICTURE, 3)
    path = tmp_path / "vis_data" / "vis_image" / "mine_3.png"
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], PICTURE)


def test_clearml_gets_titles_and_series(tmp_path, all_installed, monkeypatch):
    reported, pictures, ended = [], [], []

    class Task:
        @staticmethod
        def init(**kwargs):
            assert kwargs == {"project_name": "p"}
            return Task()

        def get_logger(self):
            return self

        def report_scalar(self, title, series, value, iteration):
            reported.append((title, series, value, iteration))

        def report_image(self, title, series, iteration, image):
            pictures.append((title, series, iteration, image))

        def close(self):
            ended.append(True)

    monkeypatch.setitem(sys.modules, "clearml", types.SimpleNamespace(Task=Task))
    backend = {"type": "ClearMLVisBackend", "init_kwargs": {"project_name": "p"}}
    with ScalarWriter(tmp_path, [backend]) as writer:
        writer.write({"coco/AP": 0.5, "loss": 2.0}, step=3, group="val")
        writer.send_picture("val_img", PICTURE, step=3)
    assert pictures == [("pictures", "val_img", 3, PICTURE)]
    assert reported == [("coco", "AP", 0.5, 3), ("loss", "loss", 2.0, 3)]
    assert ended == [True]


@pytest.mark.parametrize("kind", ["Wandb", "MLflow", "Comet", "ClearML"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=f"{kind}VisBackend, which needs the package"):
        ScalarWriter(tmp_path, [{"type": f"{kind}VisBackend"}])


@pytest.mark.parametrize("kind", ["Neptune", "Aim", "DVCLive"])
def test_backends_that_lightning_does_not_have_are_named(tmp_path, kind):
    with pytest.raises(ConfigError, match=f"{kind}VisBackend does not exist here"):
        ScalarWriter(tmp_path, [{"type": f"{kind}VisBackend"}])
