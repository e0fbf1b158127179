"""Two processes over gloo: the losses, weights and metrics of one."""

import json
import logging
import multiprocessing
import os
import socket

import pytest
import torch

from poise.training.runner import Runner

JOIN_SECONDS = 240


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger("poise").handlers.clear()


def torchrun(rank: int, world: int) -> dict[str, str]:
    """What torchrun sets."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
    }


def slurm(rank: int, world: int) -> dict[str, str]:
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


def _in_process(rank: int, world: int, port: int, launcher, work, args) -> None:
    """What the launcher sets, then the work."""
    torch.set_num_threads(1)
    os.environ.update(launcher(rank, world))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES="")
    work(rank, *args)


def in_processes(world: int, work, *args, launcher=torchrun) -> None:
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
        process.join(JOIN_SECONDS)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
    assert codes == [0] * world


def plain(parts):
    class Plain(parts.Regressor):
        """Without what a process knows only of its own samples: batch norm, noise."""

        def __init__(self):
            torch.manual_seed(0)
            super().__init__()
            self.norm = torch.nn.Identity()
            self.noise = False

    return Plain()


def _train(rank, make_config, parts, folder, batch_size, devices):
    loader = {
        "batch_size": batch_size,
        "num_workers": 0,
        "dataset": parts.Points(16),
        "sampler": {"type": "DefaultSampler", "shuffle": True},
    }
    cfg = make_config(model=plain(parts), train_dataloader=loader, work_dir=str(folder))
    cfg["optim_wrapper"] = {"optimizer": {"type": "SGD", "lr": 0.1}, "clip_grad": {"max_norm": 1}}
    runner = Runner(cfg, accelerator="cpu", devices=devices, validate=False)
    runner.train()
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    seen = [n for batch in runner.model.seen for n in batch]
    state = runner.model.state_dict()
    torch.save({"losses": losses, "seen": seen, "state": state}, f"{folder}-{rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "world"), [(torchrun, 2), (torchrun, 4), (slurm, 2)])
def test_several_processes_train_as_one(make_config, parts, tmp_path, launcher, world):
    _train(9, make_config, parts, tmp_path / "one", 8, 1)
    work = (_train, make_config, parts, tmp_path / "many", 8 // world, world)
    in_processes(world, *work, launcher=launcher)
    one = torch.load(tmp_path / "one-9.pt")
    many = [torch.load(tmp_path / f"many-{rank}.pt") for rank in range(world)]
    for name, tensor in one["state"].items():
        for part in many:
            assert torch.allclose(tensor, part["state"][name], atol=1e-6), name
    means = torch.tensor([part["losses"] for part in many]).mean(0)
    assert torch.allclose(means, torch.tensor(one["losses"]), atol=1e-6)
    assert sorted(n for part in many for n in part["seen"]) == sorted(one["seen"])


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
def test_several_processes_test_as_one(dots, tmp_path):
    from poise.cli.train import train as run_train
    from poise.metrics.prediction_file import read_predictions

    # seven samples: one process gets one twice
    tree = json.loads((tmp_path / "ann.json").read_text())
    tree["annotations"], tree["images"] = tree["annotations"][:7], tree["images"][:7]
    (tmp_path / "ann.json").write_text(json.dumps(tree))
    run = tmp_path / "run"
    run_train(str(dots), work_dir=run, max_epochs=1, validate=False, seed=1, accelerator="cpu")
    checkpoint = str(run / "epoch_1.pth")
    for world, name in ((1, "one"), (2, "two")):
        in_processes(world, _test, str(dots), checkpoint, tmp_path / name)
    one, two = (json.loads((tmp_path / n / "out.json").read_text()) for n in ("one", "two"))
    assert one == pytest.approx(two, abs=1e-6)
    ids = [
        [row["img_id"] for row in read_predictions(tmp_path / n / "dump.jsonl")[1]]
        for n in ("one", "two")
    ]
    assert ids[0] == ids[1] == list(range(7))
