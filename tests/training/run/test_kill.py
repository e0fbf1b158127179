"""kill -9 at any moment of a real run: going on ends with the weights of the run left alone."""

import multiprocessing
import os
import random
import signal
import threading
from pathlib import Path

import pytest
import torch

from poise.training.hooks import Hook
from poise.training.run import checkpoint as files

#: How many moments are tried; more of them by hand.
KILLS = int(os.environ.get("POISE_TEST_KILLS", "4"))
#: Kinds of moments, and how often each comes in the run (checkpoints: four epochs' and the best).
MOMENTS = {"batch": 8, "loading": 32, "validation": 8, "writing": 5, "renaming": 5, "time": 40}


class Count:
    """Kills the process at the n-th call, with what is in hand done halfway."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class KillHook(Hook):
    def __init__(self, batch: Count | None = None, validation: Count | None = None) -> None:
        self.batch, self.validation = batch, validation

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.batch:
            self.batch()

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.validation:
            self.validation()


def prepare(kind: str, n: int) -> list:
    """Arrange for a kill; hooks to be added."""
    count = Count(n)
    if kind in ("batch", "validation"):
        return [KillHook(**{kind: count})]
    if kind == "time":
        timer = threading.Timer(0.1 * n, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    if kind == "loading":
        from poise.transforms.loading import LoadImage

        load = LoadImage.transform

        def loading(self, results):
            # a worker's kill is seen by the run as an error; here the run itself dies
            count.left -= 1
            if count.left < 0:
                os.kill(RUN[0], signal.SIGKILL)
            return load(self, results)

        LoadImage.transform = loading
    if kind == "writing":
        save = torch.save

        def half(content, target):
            save(content, target)
            with Path(target).open("r+b") as file:
                file.truncate(Path(target).stat().st_size // 2)
            count()
            save(content, target)

        torch.save = half
    if kind == "renaming":
        replace = Path.replace

        def renaming(self, target):
            if random.random() < 0.5:
                count()
                return replace(self, target)
            done = replace(self, target)
            count()
            return done

        Path.replace = renaming
    return []


RUN = [0]


def train(config: str, folder: str, workers: int, moment: tuple[str, int] | None) -> None:
    """In a process of its own: train to the end, or to the kill."""
    from poise.cli.train import open_config
    from poise.training.runner import Runner

    torch.set_num_threads(1)
    os.setpgrp()
    RUN[0] = os.getpid()
    random.seed(os.getpid())
    cfg = open_config(config, [f"train_dataloader.num_workers={workers}"])
    if workers:
        cfg["train_dataloader"]["persistent_workers"] = True
    cfg["train_cfg"]["max_epochs"] = 4
    cfg["default_hooks"]["checkpoint"]["max_keep_ckpts"] = 2
    ema = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.01}
    cfg["custom_hooks"] = [ema, *(prepare(*moment) if moment else [])]
    cfg["randomness"] = {"seed": 5}
    Runner(cfg, work_dir=folder, resume="auto", accelerator="cpu").train()


@pytest.fixture
def start(dots, tmp_path):
    """Function that runs `train` in a process; its exit code (negative: the signal)."""
    text = dots.read_text()
    augment = "[dict(type='RandomFlip'), dict(type='RandomBBoxTransform')]"
    pipeline = "pipeline[:2] + " + augment + " + pipeline[2:]"
    dots.write_text(text.replace("train_pipeline = pipeline", f"train_pipeline = {pipeline}"))
    context = multiprocessing.get_context("fork")

    def run(name: str, workers: int = 0, moment: tuple[str, int] | None = None) -> int:
        process = context.Process(
            target=train, args=(str(dots), str(tmp_path / name), workers, moment)
        )
        process.start()
        process.join(240)
        assert process.exitcode is not None, "the run hangs"
        return process.exitcode

    return run


def equal(one, other) -> bool:
    """Whether two trees hold the same tensors and values."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_happened(start, tmp_path):
    assert start("whole") == 0
    expected = files.read(tmp_path / "whole" / "epoch_4.pth")
    chosen = random.Random(KILLS)
    kinds = list(MOMENTS)
    killed = 0
    for number in range(KILLS):
        kind = kinds[number % len(kinds)]
        moment = (kind, chosen.randrange(MOMENTS[kind]))
        name = f"killed-{number}"
        code = start(name, workers=number % 2, moment=moment)
        killed += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL), moment
        assert start(name, workers=chosen.choice([0, 1])) == 0, moment
        folder = tmp_path / name
        ended = files.read(folder / "epoch_4.pth")
        for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
            assert equal(expected[key], ended[key]), (moment, key)
        left = {p.name for p in folder.iterdir() if p.is_file()} - {"dots.py"}
        there = {p.name for p in (tmp_path / "whole").iterdir() if p.is_file()} - {"dots.py"}
        assert left == there, moment
        print(f"{moment}: {'killed' if code else 'ran through'}, went on to the same weights")
    assert killed > KILLS // 2
