"""Whole runs on a device that is not there: training, resuming, testing, pictures to poses."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy

from poise.check.synthetic import use_synthetic_data
from poise.inference import Inferencer
from poise.training.runner import Runner
from poise.zoo import load_config

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "photos" / "astronaut.png"
#: config, and the device that it trains on
RUNS = {
    "rtmpose-t_8xb256-420e_coco-256x192": "mps",
    "yoloxpose_tiny_4xb64-300e_coco-416": "cuda",
}


class Anywhere(CPUAccelerator):
    """Lets a run take any device."""

    def setup_device(self, device):
        pass


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("poise").handlers.clear()


def small(name, folder, epochs):
    cfg = use_synthetic_data(load_config(name), folder)
    for part in ("train", "val", "test"):
        cfg[f"{part}_dataloader"] |= {"num_workers": 0, "batch_size": 8}
        cfg[f"{part}_dataloader"].pop("persistent_workers", None)
    cfg["model"]["backbone"].pop("init_cfg", None)
    cfg["train_cfg"] |= {"max_epochs": epochs, "val_interval": 1}
    cfg["default_hooks"]["checkpoint"]["interval"] = 1
    cfg["default_hooks"]["visualization"] |= {"enable": True, "interval": 1}
    cfg["custom_hooks"] = [{"type": "EMAHook", "ema_type": "ExpMomentumEMA"}]
    cfg["log_level"] = "WARNING"
    return cfg


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bbox_center and bbox_scale are there already")
# a detector that has learned nothing may find nobody
@pytest.mark.filterwarnings("ignore:.*no poses were predicted")
@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_trained_resumed_and_tested(name, pretending, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with pretending(RUNS[name]) as device:
        for epochs in (1, 2):
            strategy = SingleDeviceStrategy(device, Anywhere())
            cfg = small(name, tmp_path, epochs)
            runner = Runner(cfg, work_dir=folder, resume=epochs > 1, strategy=strategy)
            runner.train()
            assert runner.device == device
            assert (runner.epoch, runner.iter) == (epochs, 2 * epochs)

        # a Mac's is found, other machines are told
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: device.type == "mps")
        monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
        asked = {} if device.type == "mps" else {"device": device.type}
        tested = Runner(small(name, tmp_path, 1), work_dir=folder)
        metrics = tested.test(folder / "epoch_2.pth", **asked)
        assert tested.device.type == device.type
        assert next(tested.model.parameters()).device.type == device.type
    assert all(np.isfinite(value) for value in metrics.values())
    assert list(folder.rglob("*.jpg"))


@pytest.mark.slow
@pytest.mark.parametrize("crops", ["opencv", "torch"])
def test_poses_are_found_there_as_on_the_host(pretending, crops):
    photo = cv2.imread(str(PHOTO))
    (here,) = Inferencer("movenet-lightning", device="cpu", crops=crops)(photo)
    with pretending("mps"):
        (there,) = Inferencer("movenet-lightning", device="mps", crops=crops)(photo)
    assert len(here) == 1
    np.testing.assert_allclose(there.keypoints, here.keypoints, atol=0.01)
    np.testing.assert_allclose(there.keypoint_scores, here.keypoint_scores, atol=1e-4)
