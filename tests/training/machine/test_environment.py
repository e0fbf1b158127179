"""`env_cfg`, and the check by overfitting."""

import datetime
import logging
import multiprocessing
import sys

import cv2
import pytest
import torch

from poise.cli.train import train as run_train
from poise.errors import ArgumentError, ConfigError
from poise.training.machine import environment
from poise.training.machine.environment import (
    apply_environment,
    distributed_settings,
    process_group,
    worker_settings,
)
from poise.training.runner import Runner


@pytest.fixture(autouse=True)
def quiet():
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)
    logging.getLogger("poise").handlers.clear()


def test_opencv_gets_the_threads_of_the_config():
    apply_environment({"mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 1}})
    assert cv2.getNumThreads() == 1
    apply_environment(None)


@pytest.mark.parametrize(
    ("env", "match"),
    [
        ({"cudnn_benchmrk": True}, "did you mean 'cudnn_benchmark'"),
        ({"mp_cfg": {"start_method": "fork"}}, "mp_cfg does not know 'start_method'"),
        ({"mp_cfg": {"mp_start_method": "forked"}}, "one of 'fork', 'spawn'.*got 'forked'; did"),
        ({"dist_cfg": {"backends": "nccl"}}, "did you mean 'backend'"),
    ],
)
def test_wrong_settings_are_named(env, match):
    with pytest.raises(ConfigError, match=match):
        apply_environment(env)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_are_started_as_the_config_says(make_config, method):
    assert worker_settings({"mp_cfg": {"mp_start_method": method}}) == {
        "multiprocessing_context": method
    }
    cfg = make_config(env_cfg={"mp_cfg": {"mp_start_method": method}})
    cfg["train_dataloader"] = {**cfg["train_dataloader"], "num_workers": 1}
    if method == "spawn":
        cfg["train_cfg"] = {"max_epochs": 1}
    runner = Runner(cfg, accelerator="cpu", validate=False)
    runner.setup_data()
    assert runner.train_dataloader.multiprocessing_context.get_start_method() == method


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep their way")
@pytest.mark.parametrize(
    ("chosen", "settings"),
    [(None, "fork"), ("forkserver", "fork"), ("spawn", None)],
)
def test_workers_are_forked_where_nobody_says_how(monkeypatch, chosen, settings):
    # as on Python 3.14, whose default is the first one
    known = ["forkserver", "spawn", "fork"]
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: known)
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: chosen)
    assert worker_settings(None).get("multiprocessing_context") == settings
    assert worker_settings({"mp_cfg": {"mp_start_method": "spawn"}}) == {
        "multiprocessing_context": "spawn"
    }


def test_processes_talk_as_the_config_says():
    timeout = {"timeout": datetime.timedelta(seconds=90)}
    assert distributed_settings({"dist_cfg": {"backend": "nccl", "timeout": 90}}, gpu=False) == (
        timeout
    )
    assert distributed_settings({"dist_cfg": {"backend": "nccl"}}, gpu=True) == {
        "process_group_backend": "nccl"
    }
    assert distributed_settings(None, gpu=True) == {}


def test_one_process_needs_no_group():
    with process_group(None) as (rank, world, device):
        assert (rank, world) == (0, 1)
        assert isinstance(device, torch.device)


def test_a_test_runs_on_the_device_that_was_asked_for(monkeypatch, make_config):
    with process_group(None, "cpu") as (*_, device):
        assert device == torch.device("cpu")
    with pytest.raises(ArgumentError, match="device 'cuda:7' cannot be used"):
        Runner(make_config()).test(device="cuda:7")
    # of several processes each would want the only one
    monkeypatch.setattr(environment, "pick_device", lambda _: torch.device("mps"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with process_group(None) as found:
        assert found == (1, 2, torch.device("cpu"))


def test_sanity_says_that_a_sound_config_fits(dots, tmp_path, capsys):
    run_train(str(dots), work_dir=tmp_path / "run", seed=1, sanity=True, sanity_seconds=20.0)
    out = capsys.readouterr().out
    assert "data, codec and head fit together" in out
    assert "loss_kpt: " in out
    assert not list(tmp_path.rglob("*.pth"))


def test_sanity_fails_where_targets_are_noise(make_config, parts, capsys):
    import typer

    from poise.cli.train import _check

    class Deaf(parts.Regressor):
        """Its loss does not depend on its weights."""

        def forward(self, inputs, data_samples=None, mode="tensor"):
            out = super().forward(inputs, data_samples, "tensor")
            return {"loss_kpt": 0 * out.sum() + 1}

    with pytest.raises(typer.Exit):
        _check(make_config(model=Deaf()), 20.0)
    assert "the loss does not fall" in capsys.readouterr().out
