"""A run that was stopped anywhere, with any number of workers, ends as the one that was not."""

import logging
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.training.hooks import Hook
from poise.training.runner import Runner


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    logging.getLogger("poise").handlers.clear()


@pytest.fixture
def make(make_config, parts, tmp_path):
    """Function that gives a config whose samples are augmented in `workers` processes."""

    class Jittered(parts.Points):
        def __init__(self):
            super().__init__()
            self.pipeline = lambda x: x + np.random.rand() + random.random()
            self.metainfo = parts.Points.metainfo

        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return {**sample, "inputs": self.pipeline(sample["inputs"])}

    def config(name="run", workers=0, persistent=True, **changes):
        torch.manual_seed(0)
        cfg = make_config(work_dir=str(tmp_path / name), **changes)
        cfg["train_dataloader"] = {
            **cfg["train_dataloader"],
            "dataset": Jittered(),
            "num_workers": workers,
            "persistent_workers": persistent,
        }
        return cfg

    return config


class StopAt(Hook):
    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGINT)


def run(cfg, **kwargs):
    runner = Runner(cfg, accelerator="cpu", **kwargs)
    runner.train()
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    return losses, {k: v.clone() for k, v in runner.model.state_dict().items()}


def same(one, other):
    return one[0] == other[0] and all(torch.equal(one[1][k], other[1][k]) for k in one[1])


ITERATIONS = {"by_epoch": False, "max_iters": 11, "val_interval": 5}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [2, 8])
def test_any_number_of_workers_gives_the_same_losses_and_weights(make, workers):
    assert same(run(make("alone")), run(make("several", workers=workers)))


@pytest.mark.parametrize("train_cfg", [{"max_epochs": 3}, ITERATIONS], ids=["epochs", "iterations"])
@pytest.mark.parametrize("sampler", ["DefaultSampler", "InfiniteSampler"])
@pytest.mark.parametrize("at", [1, 6])
def test_a_stopped_run_goes_on_bit_for_bit(make, train_cfg, sampler, at):
    def cfg(name, **changes):
        made = make(name, train_cfg=train_cfg, **changes)
        made["train_dataloader"]["sampler"] = {"type": sampler, "shuffle": True}
        return made

    whole = run(cfg("whole"))
    before = run(cfg("parts", custom_hooks=[StopAt(at)]))
    after = run(cfg("parts"), resume="auto")
    assert len(before[0]) == at
    assert same(whole, (before[0] + after[0], after[1]))


@pytest.mark.parametrize("persistent", [False, True])
def test_a_run_goes_on_with_another_number_of_workers(make, persistent):
    whole = run(make("whole"))
    before = run(make("parts", workers=2, persistent=persistent, custom_hooks=[StopAt(6)]))
    after = run(make("parts", workers=1, persistent=persistent), resume="auto")
    assert same(whole, (before[0] + after[0], after[1]))


@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_checkpoint_by_iterations_of_a_run_by_epochs_is_exact(make, at):
    every = {"checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False}}
    optim = {"optimizer": {"type": "Adam", "lr": 0.01}, "accumulative_counts": 2}
    whole = run(make("whole", default_hooks=every, optim_wrapper=optim))
    path = f"{make('whole')['work_dir']}/iter_{at}.pth"
    after = run(make("parts", default_hooks=every, optim_wrapper=optim), resume=path)
    assert same((whole[0][at:], whole[1]), after)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("at", [None, 6])
def test_a_switch_of_the_pipeline_reaches_workers(make, workers, at):
    from poise.training.hooks.switches import PipelineSwitchHook

    def hook():
        return PipelineSwitchHook(1, lambda x: x * 0 + np.random.rand())

    whole = run(make("whole", custom_hooks=[hook()]))
    assert not same(whole, run(make("never")))
    if at is None:
        assert same(whole, run(make("other", workers=workers, custom_hooks=[hook()])))
        return
    before = run(make("parts", workers=workers, custom_hooks=[hook(), StopAt(at)]))
    after = run(make("parts", workers=workers, custom_hooks=[hook()]), resume="auto")
    assert same(whole, (before[0] + after[0], after[1]))


class Killed(Exception):
    """Stands for a kill."""


class KillAt(Hook):
    """Ends the process, as far as a test can, at a point of an epoch."""

    priority = "LOWEST"

    def __init__(self, point, epoch):
        self.point, self.epoch = point, epoch

    def __getattribute__(self, name):
        get = super().__getattribute__
        if name in Hook.stages and name == get("point"):

            def strike(runner, **kwargs):
                if runner.epoch == get("epoch"):
                    raise Killed

            return strike
        return get(name)


@pytest.mark.parametrize("point", ["before_val", "after_val_iter", "after_val_epoch", "after_val"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_validation_that_was_killed_is_made_up_for(make, parts, point, epoch):
    """Schedules by metric, early stopping and the best checkpoint see each validation once."""
    hooks = {"checkpoint": {"type": "CheckpointHook", "interval": 1, "save_best": "coco/AP"}}
    settings = {
        "default_hooks": hooks,
        "param_scheduler": [
            {"type": "ReduceOnPlateauLR", "monitor": "coco/AP", "rule": "greater", "patience": 0}
        ],
        "train_cfg": {"max_epochs": 8},
    }

    def stop():
        return {"type": "EarlyStoppingHook", "monitor": "coco/AP", "patience": 3, "min_delta": 0.01}

    scores = [0.5, 0.4, 0.3, 0.2, 0.1]
    evaluator = parts.CountEvaluator(scores)
    whole = run(make("whole", val_evaluator=evaluator, custom_hooks=[stop()], **settings))
    first = parts.CountEvaluator(scores)
    with pytest.raises(Killed):
        run(make("p", val_evaluator=first, custom_hooks=[stop(), KillAt(point, epoch)], **settings))
    saved = torch.load(f"{make('p')['work_dir']}/epoch_{epoch}.pth", weights_only=True)
    done = epoch if saved["poise"]["validated"] else epoch - 1
    rest = parts.CountEvaluator(scores[done:])
    after = run(make("p", val_evaluator=rest, custom_hooks=[stop()], **settings), resume="auto")
    assert len(rest.sizes) == len(evaluator.sizes) - done
    assert same((whole[0][4 * epoch :], whole[1]), after)
    best = f"{make('p')['work_dir']}/best_coco_AP_epoch_1.pth"
    assert Path(best).is_file()


def test_what_a_kill_left_half_written_is_removed(make, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    remains = [folder / n for n in (".epoch_1.pth.ab12", "epoch_1-publishing.pth")]
    other = folder / "mine.pth"
    for path in [*remains, other]:
        path.write_bytes(b"half")
    run(make())
    assert not any(p.exists() for p in remains)
    assert other.exists()


@pytest.mark.parametrize("randomness", [{}, {"seed": 4}])
def test_a_run_goes_on_with_the_seed_that_it_began_with(make, randomness, capsys):
    """Its own, where the config names none; else an epoch had samples twice, and others never."""
    first = Runner(make("run", custom_hooks=[StopAt(6)], randomness={}), accelerator="cpu")
    first.train()
    second = Runner(make("run", randomness=randomness), accelerator="cpu", resume=True)
    second.train()
    assert second.seed == first.seed
    told = f"Going on with the seed {first.seed} of " in capsys.readouterr().err
    assert told == bool(randomness)
    begun, ended = first.model.seen[4:6], second.model.seen[:2]
    assert sorted(n for batch in [*begun, *ended] for n in batch) == list(range(8))
