"""A disk that fills up while a checkpoint is written: told, and nothing of before is lost."""

from __future__ import annotations

import multiprocessing
import signal

import pytest
import torch

from poise.errors import CheckpointError
from poise.training.hooks import Hook
from poise.training.run import checkpoint as files
from poise.training.runner import Runner

resource = pytest.importorskip("resource", reason="limits of files exist on POSIX systems only")


class FillDisk(Hook):
    """After the first epoch no file may grow beyond some bytes, as on a full disk."""

    priority = "HIGHEST"

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def after_train_epoch(self, runner):
        if runner.epoch == 1:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, hard))


def train_on_a_full_disk(cfg, limit: int, answer) -> None:
    torch.set_num_threads(1)  # the others of torch do not survive the fork
    cfg["custom_hooks"] = [FillDisk(limit)]
    try:
        Runner(cfg, accelerator="cpu", devices=1, validate=False).train()
    except CheckpointError as error:
        answer.put(str(error))
    else:
        answer.put("no error")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 500, 3000])
def test_the_checkpoint_before_stays_and_the_run_goes_on(make_config, tmp_path, limit):
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    cfg = make_config(randomness={"seed": 1})
    process = context.Process(target=train_on_a_full_disk, args=(cfg, limit, answer))
    process.start()
    text = answer.get(timeout=240)
    process.join(240)
    folder = tmp_path / "run"
    assert "epoch_2.pth could not be written" in text
    assert "files written before it are as they were" in text
    assert files.find_latest(folder) == folder / "epoch_1.pth"
    assert files.read(folder / "epoch_1.pth")["meta"]["epoch"] == 1

    runner = Runner(
        make_config(randomness={"seed": 1}), resume="auto", accelerator="cpu", devices=1
    )
    runner.train()
    assert runner.epoch == 3
    assert {p.name for p in folder.glob("*.pth")} >= {"epoch_2.pth", "epoch_3.pth"}
    assert not list(folder.glob(".*.pth.*"))
