"""Two processes over gloo: the losses, weights and metrics of one."""

import json
import logging
import os
import signal

import numpy as np
import pytest
import torch

from poise.training.hooks import Hook
from poise.training.runner import Runner


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("poise").handlers.clear()


def plain(parts):
    class Plain(parts.Regressor):
        """Without what a process knows only of its own samples: batch norm, noise."""

        def __init__(self):
            torch.manual_seed(0)
            super().__init__()
            self.norm = torch.nn.Identity()
            self.noise = False

    return Plain()


def joined(parts, kind):
    """With a batch norm over all processes, by its layer, by the estimator's or the run's wish."""
    model = plain(parts)
    model.norm = torch.nn.SyncBatchNorm(8) if kind == "layer" else torch.nn.BatchNorm1d(8)
    if kind == "estimator":
        model.use_syncbn = True
    return model


def _train(rank, make_config, parts, folder, batch_size, devices, norm=None):
    loader = {
        "batch_size": batch_size,
        "num_workers": 0,
        "dataset": parts.Points(16),
        "sampler": {"type": "DefaultSampler", "shuffle": True},
    }
    model = joined(parts, norm) if norm else plain(parts)
    cfg = make_config(model=model, train_dataloader=loader, work_dir=str(folder))
    cfg["optim_wrapper"] = {"optimizer": {"type": "SGD", "lr": 0.1}, "clip_grad": {"max_norm": 1}}
    cfg["sync_bn"] = "torch" if norm == "run" else None
    runner = Runner(cfg, accelerator="cpu", devices=devices, validate=False)
    runner.train()
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    seen = [n for batch in runner.model.seen for n in batch]
    state = runner.model.state_dict()
    torch.save({"losses": losses, "seen": seen, "state": state}, f"{folder}-{rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "world"), [("torchrun", 2), ("torchrun", 4), ("slurm", 2)])
def test_several_processes_train_as_one(
    make_config, parts, in_processes, tmp_path, launcher, world
):
    _train(9, make_config, parts, tmp_path / "one", 8, 1)
    work = (_train, make_config, parts, tmp_path / "many", 8 // world, world)
    in_processes(world, *work, launcher=launcher)
    one = torch.load(tmp_path / "one-9.pt")
    many = [torch.load(tmp_path / f"many-{rank}.pt") for rank in range(world)]
    for name, tensor in one["state"].items():
        for part in many:
            assert torch.allclose(tensor, part["state"][name], atol=1e-5), name
    means = torch.tensor([part["losses"] for part in many]).mean(0)
    assert torch.allclose(means, torch.tensor(one["losses"]), atol=1e-5)
    assert sorted(n for part in many for n in part["seen"]) == sorted(one["seen"])


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["layer", "estimator", "run"])
def test_joined_norms_see_the_batch_of_all(make_config, parts, in_processes, tmp_path, norm):
    _train(9, make_config, parts, tmp_path / "one", 8, 1, norm)
    in_processes(2, _train, make_config, parts, tmp_path / "two", 4, 2, norm)
    one, two, other = (torch.load(tmp_path / f"{n}.pt") for n in ("one-9", "two-0", "two-1"))
    for name, tensor in one["state"].items():
        assert torch.allclose(tensor, two["state"][name], atol=1e-4), name
        assert torch.allclose(tensor, other["state"][name], atol=1e-4), name


class Statistics(Hook):
    """Keeps what a process knows of its batches before and after the averaging."""

    def __init__(self, kept, priority):
        self.kept, self.priority = kept, priority

    def before_val_epoch(self, runner):
        self.kept.append({k: v.clone() for k, v in runner.model.norm.state_dict().items()})


def _train_with_norms(rank, make_config, folder):
    kept = []
    hooks = [Statistics(kept, 40), {"type": "SyncNormHook", "priority": 48}, Statistics(kept, 49)]
    cfg = make_config(custom_hooks=hooks, work_dir=str(folder), train_cfg={"max_epochs": 1})
    Runner(cfg, accelerator="cpu", devices=2).train()
    torch.save(kept, f"{folder}-{rank}.pt")


@pytest.mark.slow
def test_statistics_of_norms_are_averaged_before_a_validation(make_config, in_processes, tmp_path):
    in_processes(2, _train_with_norms, make_config, tmp_path / "run")
    (before, after), (other_before, other_after) = (
        torch.load(tmp_path / f"run-{rank}.pt") for rank in (0, 1)
    )
    for name in ("running_mean", "running_var"):
        assert not torch.equal(before[name], other_before[name])
        assert torch.equal(after[name], other_after[name])
        assert torch.allclose(after[name], (before[name] + other_before[name]) / 2)
    assert after["num_batches_tracked"] == 2


class StopOne(Hook):
    """Ctrl-C that reaches one process only."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.rank == 1 and runner.iter == 4:
            os.kill(os.getpid(), signal.SIGINT)


def _stop(rank, make_config, folder, strategy):
    cfg = make_config(work_dir=str(folder), custom_hooks=[StopOne()])
    runner = Runner(cfg, accelerator="cpu", devices=2, strategy=strategy, validate=False)
    runner.train()
    assert runner.interrupted == folder / "iter_5.pth"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_stop_of_one_process_is_one_of_all(make_config, in_processes, tmp_path, strategy):
    in_processes(2, _stop, make_config, tmp_path / "run", strategy)
    assert (tmp_path / "run" / "iter_5.pth").is_file()


def _test(rank, config, checkpoint, folder):
    from poise.cli.test import test as run_test

    run_test(
        config,
        checkpoint,
        work_dir=folder,
        out=folder / "out.json",
        dump=folder / "dump.jsonl",
        batch_size=2,
    )


@pytest.mark.slow
def test_several_processes_test_as_one(dots, in_processes, tmp_path):
    from poise.cli.train import train as run_train
    from poise.metrics.prediction_file import read_predictions

    # seven samples: one process gets one twice
    tree = json.loads((tmp_path / "ann.json").read_text())
    tree["annotations"], tree["images"] = tree["annotations"][:7], tree["images"][:7]
    (tmp_path / "ann.json").write_text(json.dumps(tree))
    with dots.open("a") as file:
        file.write(
            "default_hooks['visualization'] = dict(type='PoseVisualizationHook', enable=True)\n"
            "default_hooks['badcase'] = dict(\n"
            "    type='BadCaseAnalysisHook', enable=True, metric_type='accuracy',\n"
            "    metric=dict(type='PCKAccuracy', thr=0.2), badcase_thr=2)\n"
        )
    run = tmp_path / "run"
    run_train(str(dots), work_dir=run, max_epochs=1, validate=False, seed=1, accelerator="cpu")
    checkpoint = str(run / "epoch_1.pth")
    for world, name in ((1, "one"), (2, "two")):
        in_processes(world, _test, str(dots), checkpoint, tmp_path / name)
    one, two = (json.loads((tmp_path / n / "out.json").read_text()) for n in ("one", "two"))
    # every sample is drawn once, and in the one list of bad cases
    for folder in (tmp_path / "one", tmp_path / "two"):
        drawn = sorted(p.name for p in folder.rglob("vis_image/*.jpg"))
        assert {f"test_{i + 1:06d}_{i}.jpg" for i in range(7)} <= set(drawn)
        (listed,) = (json.loads(p.read_text()) for p in folder.rglob("results.json"))
        assert sorted(row["img"] for row in listed) == [str(i) for i in range(7)]
    assert one == pytest.approx(two, abs=1e-6)
    ids = [
        [row["img_id"] for row in read_predictions(tmp_path / n / "dump.jsonl")[1]]
        for n in ("one", "two")
    ]
    assert ids[0] == ids[1] == list(range(7))


def _train_without_a_seed(rank, make_config, folder):
    cfg = make_config(work_dir=str(folder), randomness={}, train_cfg={"max_epochs": 1})
    # processes that were started apart draw apart
    np.random.seed(rank)
    runner = Runner(cfg, accelerator="cpu", devices=2, validate=False)
    runner.train()
    seen = [n for batch in runner.model.seen for n in batch]
    torch.save({"seed": runner.seed, "seen": seen}, f"{folder}-{rank}.pt")


@pytest.mark.slow
def test_processes_without_a_seed_agree_on_one(make_config, in_processes, tmp_path):
    in_processes(2, _train_without_a_seed, make_config, tmp_path / "run")
    parts = [torch.load(tmp_path / f"run-{rank}.pt") for rank in (0, 1)]
    assert parts[0]["seed"] == parts[1]["seed"]
    assert sorted(parts[0]["seen"] + parts[1]["seen"]) == list(range(8))
