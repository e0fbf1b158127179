"""Whole runs of a small model: training, validation, resuming, stopping, errors."""

import contextlib
import json
import logging
import os
import re
import shutil
import signal

import numpy as np
import pytest
import torch

from poise.cli.train import _tell_cut_off
from poise.cli.train import train as train_command
from poise.config import Config
from poise.datasets import pseudo_collate
from poise.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    FileMissingError,
    UnknownNameError,
)
from poise.training.hooks import Hook
from poise.training.logs.log_processor import LogProcessor
from poise.training.logs.message_hub import MessageHub
from poise.training.logs.scalars import LightningBackend
from poise.training.module import parse_losses
from poise.training.run import checkpoint as files
from poise.training.run.engine import _strategy
from poise.training.run.signals import StopRequests
from poise.training.runner import Runner


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    logging.getLogger("poise").handlers.clear()


def run(cfg, **kwargs):
    runner = Runner(cfg, accelerator="cpu", **kwargs)
    runner.train()
    return runner


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def flat(batches):
    return [number for batch in batches for number in batch]


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


class Recorder(Hook):
    """Writes down every point it passes."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name in Hook.stages:

            def record(runner, **kwargs):
                self.calls.append((name, runner.epoch, runner.iter))

            return record
        return super().__getattribute__(name)


class StopAt(Hook):
    """Sends a signal to this process after some iterations, as Ctrl-C does."""

    def __init__(self, iteration, number=signal.SIGINT):
        self.iteration, self.number = iteration, number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), self.number)


def test_a_run_sees_every_sample_once_an_epoch_and_validates(make_config):
    runner = run(make_config())
    seen = runner.model.seen
    assert len(seen) == 12
    for epoch in range(3):
        part = flat(seen[4 * epoch : 4 * epoch + 4])
        assert sorted(part) == list(range(8))
    assert seen[:4] != seen[4:8]
    assert runner.val_evaluator.sizes == [8, 8, 8]
    assert (runner.epoch, runner.iter) == (3, 12)


def test_the_loss_falls(make_config):
    torch.manual_seed(0)
    config = make_config(param_scheduler=None, train_cfg={"max_epochs": 60, "val_interval": 60})
    # a batch norm over two samples says no more than which is larger
    config["train_dataloader"]["batch_size"] = 8
    runner = run(config)
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_learning_rates_follow_the_schedules(make_config):
    rates = run(make_config()).message_hub.get_scalar("train/lr").data[0]
    warm_up = [0.001 + 0.0018 * i for i in range(6)]
    assert rates == pytest.approx(warm_up + [0.01] * 2 + [0.001] * 4)


def test_hooks_are_called_in_mmengines_order(make_config):
    recorder = Recorder()
    run(make_config(train_cfg={"max_epochs": 1, "val_interval": 1}, custom_hooks=[recorder]))
    names = [c[0] for c in recorder.calls]
    iteration = ["before_train_iter", "after_train_iter"]
    val_iteration = ["before_val_iter", "after_val_iter"]
    assert names == [
        "before_run",
        "before_train",
        "before_train_epoch",
        *iteration * 4,
        "after_train_epoch",
        "before_save_checkpoint",
        "before_val",
        "before_val_epoch",
        *val_iteration * 4,
        "after_val_epoch",
        "after_val",
        "after_train",
        "after_run",
    ]
    positions = {c[0]: c[1:] for c in recorder.calls}
    # an iteration is counted after its hooks, an epoch after its last hook
    assert positions["after_train_iter"] == (0, 3)
    assert positions["after_train_epoch"] == (0, 4)
    assert positions["after_val_epoch"] == (1, 4)


def test_hooks_run_by_priority(make_config):
    order = []

    def make(name, priority):
        class Named(Hook):
            def before_train(self, runner):
                order.append(name)

        hook = Named()
        hook.priority = priority
        return hook

    hooks = [make("late", "LOWEST"), make("middle", 49), make("early", "VERY_HIGH")]
    run(make_config(custom_hooks=hooks))
    assert order == ["early", "middle", "late"]


@pytest.mark.parametrize("at", [4, 8])
def test_a_run_resumed_after_an_epoch_ends_with_the_same_weights(make_config, tmp_path, at):
    torch.manual_seed(0)
    config = make_config()
    whole = run(config)
    torch.manual_seed(0)
    config = make_config(work_dir=str(tmp_path / "second"))
    resumed = run(config, resume=tmp_path / "run" / f"epoch_{at // 4}.pth")
    assert same(weights(whole), weights(resumed))
    assert resumed.model.seen == whole.model.seen[at:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [1, 6])
def test_a_run_stopped_in_an_epoch_goes_on_where_it_was(make_config, tmp_path, at, number):
    torch.manual_seed(0)
    whole = run(make_config())
    torch.manual_seed(0)
    work_dir = str(tmp_path / "second")
    stopped = run(make_config(work_dir=work_dir, custom_hooks=[StopAt(at, number)]))
    assert (stopped.iter, len(stopped.model.seen)) == (at, at)
    assert stopped.interrupted.name == f"iter_{at}.pth"
    torch.manual_seed(1)
    resumed = run(make_config(work_dir=work_dir), resume="auto")
    assert stopped.model.seen + resumed.model.seen == whole.model.seen
    assert same(weights(whole), weights(resumed))
    assert resumed.interrupted is None


@pytest.mark.parametrize("at", [1, 5, 7])
def test_gathered_gradients_survive_a_stop(make_config, tmp_path, at):
    optim = {"optimizer": {"type": "Adam", "lr": 0.01}, "accumulative_counts": 3}
    torch.manual_seed(0)
    whole = run(make_config(optim_wrapper=optim))
    torch.manual_seed(0)
    settings = {"optim_wrapper": optim, "work_dir": str(tmp_path / "second")}
    run(make_config(**settings, custom_hooks=[StopAt(at)]))
    torch.manual_seed(1)
    resumed = run(make_config(**settings), resume="auto")
    assert same(weights(whole), weights(resumed))


def test_a_signal_that_comes_twice_at_once_is_one_request(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("poise.training.run.signals.time.monotonic", lambda: clock[0])
    with StopRequests(logging.getLogger("poise")) as requests:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert requests.requested
        clock[0] = 5.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


class Impatient(Hook):
    """Ctrl-C twice in a validation, one some time after the other."""

    def __init__(self, clock):
        self.clock = clock

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.clock[0] += 5
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def impatient(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("poise.training.run.signals.time.monotonic", lambda: clock[0])
    return Impatient(clock)


def test_a_second_ctrl_c_is_one_for_whoever_called(make_config, impatient):
    """Lightning would end the program, with the status of a fault and without a word."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(make_config(custom_hooks=[impatient]))
    assert signal.getsignal(signal.SIGINT) is before
    assert run(make_config(), resume=True).epoch == 3


def test_the_command_says_what_a_run_that_was_cut_off_has_left(
    make_config, impatient, monkeypatch, capsys
):
    cfg = make_config(custom_hooks=[impatient], train_cfg={"max_epochs": 2})
    monkeypatch.setattr("poise.cli.train.open_config", lambda *args, **kwargs: Config(cfg))
    monkeypatch.setattr("poise.cli.train._look_before", lambda *args, **kwargs: None)
    monkeypatch.setattr("sys.argv", ["poise", "train", "my.py"])
    with pytest.raises(KeyboardInterrupt):
        train_command("my.py", accelerator="cpu")
    told = capsys.readouterr().err
    # whoever starts anew in the folder of another run is not told to go on with that
    anew = Runner(cfg)
    _tell_cut_off(anew)
    assert capsys.readouterr().err == ""
    assert re.search(r"stopped without saving; the latest checkpoint is .*epoch_1\.pth", told)
    assert "poise train my.py --resume" in told


def test_signals_are_as_before_after_a_run(make_config):
    before = signal.getsignal(signal.SIGINT)
    run(make_config(train_cfg={"max_epochs": 1}))
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_without_a_checkpoint_starts_anew(make_config):
    assert run(make_config(), resume="auto").iter == 12


def test_a_file_to_go_on_from_counts_before_one_to_load(make_config, tmp_path):
    run(make_config())
    first, third = (str(tmp_path / "run" / f"epoch_{n}.pth") for n in (1, 3))
    cfg = make_config(work_dir=str(tmp_path / "other"), resume=first, load_from=third)
    assert len(run(cfg).message_hub.get_scalar("train/loss").data[0]) == 8


@pytest.mark.parametrize("resume", [None, True])
def test_a_config_goes_on_from_the_file_that_it_names(make_config, tmp_path, resume):
    """MMEngine has `resume=True` beside `load_from`; `resume` of the call asks for the latest."""
    run(make_config())
    changes = {"work_dir": str(tmp_path / "other"), "resume": True}
    cfg = make_config(load_from=str(tmp_path / "run" / "epoch_1.pth"), **changes)
    rest = run(cfg, resume=resume)
    assert len(rest.message_hub.get_scalar("train/loss").data[0]) == (12 if resume else 8)


def test_a_copied_folder_goes_on_from_its_copy(make_config, tmp_path):
    run(make_config())
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert files.find_latest(tmp_path / "copy") == tmp_path / "copy" / "epoch_3.pth"


def test_other_schedules_than_those_of_the_checkpoint_are_told(make_config, capsys):
    run(make_config())
    run(make_config(param_scheduler=None, train_cfg={"max_epochs": 4}), resume=True)
    assert "2 schedules, the config has 0" in capsys.readouterr().err


def test_resuming_from_a_missing_file_is_an_error(make_config):
    with pytest.raises(FileMissingError, match="nowhere.pth, which does not exist"):
        run(make_config(), resume="nowhere.pth")


def test_resuming_from_weights_alone_is_an_error(make_config, tmp_path):
    model = make_config()["model"]
    path = tmp_path / "only.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {}}, path)
    with pytest.raises(CheckpointError, match="holds weights only"):
        run(make_config(), resume=path)


def test_load_from_starts_with_the_weights_of_a_file(make_config, tmp_path, parts):
    given = parts.Regressor()
    path = tmp_path / "given.pth"
    torch.save({"state_dict": given.state_dict(), "meta": {"epoch": 7}}, path)

    class Keep(Hook):
        def before_train(self, runner):
            self.weights = weights(runner)

    keep = Keep()
    runner = run(make_config(load_from=str(path), custom_hooks=[keep]))
    assert same(keep.weights, given.state_dict())
    assert runner.epoch == 3


@pytest.mark.parametrize("counts", [2, 5])
def test_accumulation_equals_one_step_on_the_mean_of_the_batches(make_config, parts, counts):
    """Without batch norm; the last, shorter step of the run is a mean of what it has."""

    class Plain(parts.Regressor):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.Identity()
            self.noise = False

    torch.manual_seed(0)
    model = Plain()
    start = {k: v.clone() for k, v in model.state_dict().items()}
    optim = {"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": counts}
    runner = run(
        make_config(
            model=model,
            optim_wrapper=optim,
            param_scheduler=None,
            train_cfg={"max_epochs": 3},
        )
    )
    other = Plain()
    other.load_state_dict(start)
    sgd = torch.optim.SGD(other.parameters(), lr=0.1)
    data = parts.Points()
    batches = runner.model.seen
    for first in range(0, 12, counts):
        group = batches[first : first + counts]
        losses = []
        for numbers in group:
            x = torch.stack([data.x[n] for n in numbers])
            losses.append(((other(x) - x[:, :2]) ** 2).mean())
        (sum(losses) / len(losses)).backward()
        sgd.step()
        sgd.zero_grad()
    for name, tensor in other.state_dict().items():
        assert torch.allclose(tensor, runner.model.state_dict()[name], atol=1e-5), name


def test_iteration_based_runs_count_iterations(make_config):
    recorder = Recorder()
    config = make_config(
        train_cfg={"by_epoch": False, "max_iters": 10, "val_interval": 4},
        param_scheduler=[{"type": "LinearLR", "by_epoch": False, "end": 5}],
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 3, "by_epoch": False}},
        custom_hooks=[recorder],
    )
    runner = run(config)
    names = [c[0] for c in recorder.calls]
    assert len(runner.model.seen) == 10
    assert sorted(flat(runner.model.seen[4:8])) == list(range(8))
    assert runner.model.seen[:4] != runner.model.seen[4:8]
    assert names.count("before_val") == 3
    assert names.count("before_train_epoch") == names.count("after_train_epoch") == 1
    saved = {p.name for p in files.Path(runner.work_dir).glob("*.pth")}
    assert saved == {"iter_3.pth", "iter_6.pth", "iter_9.pth", "iter_10.pth"}


def test_an_iteration_based_run_is_resumed_in_the_middle(make_config, tmp_path):
    settings = {
        "train_cfg": {"by_epoch": False, "max_iters": 10, "val_interval": 100},
        "param_scheduler": None,
    }
    torch.manual_seed(0)
    whole = run(make_config(**settings))
    torch.manual_seed(0)
    settings["work_dir"] = str(tmp_path / "second")
    stopped = run(make_config(**settings, custom_hooks=[StopAt(6)]))
    resumed = run(make_config(**settings), resume="auto")
    assert stopped.model.seen + resumed.model.seen == whole.model.seen
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    ("train_cfg", "epochs"),
    [
        ({"max_epochs": 5, "val_interval": 2}, [2, 4, 5]),
        ({"max_epochs": 5, "val_interval": 1, "val_begin": 4}, [4, 5]),
        ({"max_epochs": 6, "val_interval": 3, "dynamic_intervals": [(4, 1)]}, [3, 4, 5, 6]),
    ],
)
def test_validation_comes_at_its_intervals(make_config, train_cfg, epochs):
    recorder = Recorder()
    run(make_config(train_cfg=train_cfg, custom_hooks=[recorder], param_scheduler=None))
    assert [c[1] for c in recorder.calls if c[0] == "before_val"] == epochs


def test_a_run_without_validation(make_config):
    assert run(make_config(), validate=False).val_loop is None


def test_a_run_without_a_val_evaluator_says_so(make_config):
    with pytest.raises(ConfigError, match=r"val_dataloader but no val_evaluator.*--no-validate"):
        run(make_config(val_evaluator=None))


def test_a_hook_can_end_the_run(make_config):
    class Enough(Hook):
        def after_val_epoch(self, runner, metrics=None):
            runner.train_loop.stop_training = True

    runner = run(make_config(custom_hooks=[Enough()]))
    assert runner.epoch == 1
    # hooks see an iteration-based run as one epoch, which ends with it
    recorder = Recorder()
    by_iteration = {"by_epoch": False, "max_iters": 10, "val_interval": 4}
    settings = {"train_cfg": by_iteration, "param_scheduler": None}
    runner = run(make_config(**settings, custom_hooks=[Enough(), recorder]))
    assert runner.iter == 4
    ends = [
        c[0] for c in recorder.calls if c[0] in ("after_val", "after_train_epoch", "after_train")
    ]
    assert ends == ["after_val", "after_train_epoch", "after_train"]


def test_an_iteration_based_run_reads_no_batch_that_it_does_not_train_on(make_config, parts):
    read = []

    class Counted(parts.Points):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    loader = {"batch_size": 2, "dataset": Counted(), "sampler": {"type": "DefaultSampler"}}
    settings = {"train_cfg": {"by_epoch": False, "max_iters": 3}, "param_scheduler": None}
    run(make_config(train_dataloader=loader, **settings), validate=False)
    assert len(read) == 6


def test_a_run_ends_with_loaders_that_give_fewer_than_they_say(make_config):
    class Fewer(torch.utils.data.DataLoader):
        def __len__(self):
            return super().__len__() + 1

    settings = make_config()["train_dataloader"]
    loader = Fewer(settings["dataset"], batch_size=2, collate_fn=pseudo_collate)
    recorder = Recorder()
    publish = {"checkpoint": {"published_keys": ["state_dict"]}, "report": None}
    cfg = make_config(train_dataloader=loader, custom_hooks=[recorder], default_hooks=publish)
    runner = run(cfg)
    assert (runner.epoch, runner.iter) == (3, 12)
    assert "after_train" in [call[0] for call in recorder.calls]
    assert list(files.Path(runner.work_dir).glob("epoch_3-*.pth"))


def test_data_that_can_be_gone_over_once_only_end_a_run_by_iterations(make_config, parts):
    class Once:
        dataset, left = parts.Points(), 4

        def __len__(self):
            return 4

        def __iter__(self):
            while self.left:
                self.left -= 1
                yield {"inputs": [self.dataset[i]["inputs"] for i in range(2)], "data_samples": []}

    settings = {"train_cfg": {"by_epoch": False, "max_iters": 9}, "param_scheduler": None}
    with pytest.raises(ConfigError, match="the training data gave no batch in a pass"):
        run(make_config(train_dataloader=Once(), **settings), validate=False)


def test_a_validation_after_no_epochs_at_all_is_refused(make_config):
    with pytest.raises(ConfigError, match=r"val_interval of train_cfg cannot be 0.*--no-validate"):
        run(make_config(train_cfg={"max_epochs": 3, "val_interval": 0}))


def test_a_loss_that_is_not_finite_stops_with_the_samples_named(make_config, parts):
    data = {"batch_size": 4, "dataset": parts.Points(bad=5), "sampler": {"type": "DefaultSampler"}}
    config = make_config(train_dataloader=data)
    with pytest.raises(DataError, match=r"(?s)loss = nan.*id 5 img_path 5.jpg.*max_norm"):
        run(config)
    (saved,) = files.Path(config["work_dir"]).rglob("not_finite_rank0.json")
    content = json.loads(saved.read_text())
    assert "id 5 img_path 5.jpg" in content["samples"]
    assert len(content["samples"]) == 4


@pytest.mark.parametrize("bad", [None, 5])
def test_the_log_is_left_as_it_was_found(make_config, parts, bad):
    logger, mine = logging.getLogger("poise"), logging.NullHandler()
    logger.addHandler(mine)
    logger.setLevel("WARNING")
    data = {"batch_size": 4, "dataset": parts.Points(bad=bad)}
    config = make_config(train_dataloader=data, log_level="INFO")
    with pytest.raises(DataError) if bad else contextlib.nullcontext():
        run(config)
    assert (logger.handlers, logger.level) == ([mine], logging.WARNING)
    assert logger.propagate
    (log,) = files.Path(config["work_dir"]).rglob("*.log")
    assert "Checkpoints go to" in log.read_text()


@pytest.mark.parametrize("bad", [None, 5])
def test_loggers_are_closed_and_told_how_the_run_ended(make_config, parts, bad):
    told = []

    class Service:
        def log_metrics(self, metrics, step):
            told.append(step)

        def finalize(self, status):
            told.append(status)

    backend = LightningBackend(Service(), picture=None)
    data = {"batch_size": 4, "dataset": parts.Points(bad=bad)}
    ends = pytest.raises(DataError) if bad else contextlib.nullcontext()
    with ends:
        run(make_config(train_dataloader=data, vis_backends=[backend]))
    assert told[-1] == ("failed" if bad else "success")


def test_scalars_are_written_as_json_lines(make_config):
    logger = {"logger": {"type": "LoggerHook", "interval": 2}}
    runner = run(make_config(default_hooks=logger))
    lines = [json.loads(line) for line in runner.scalars.path.read_text().splitlines()]
    train = [line for line in lines if "loss" in line]
    assert [(row["epoch"], row["iter"]) for row in train] == [
        (e, 4 * e - 4 + i) for e in (1, 2, 3) for i in (2, 4)
    ]
    assert {"lr", "time", "data_time", "loss_kpt", "acc_pose", "step"} <= set(train[0])
    assert [row["step"] for row in lines if "coco/AP" in row] == [1, 2, 3]


def test_tensorboard_files_are_written_if_listed(make_config):
    pytest.importorskip("tensorboard")
    runner = run(make_config(vis_backends=[{"type": "TensorboardVisBackend"}]))
    assert list(files.Path(runner.log_dir).rglob("events.out.tfevents.*"))


def test_an_unknown_vis_backend_is_named(make_config):
    with pytest.raises(UnknownNameError, match="did you mean 'TensorboardVisBackend'"):
        run(make_config(vis_backends=[{"type": "TensorBoardVisBackend"}]))


def test_gradients_are_clipped(make_config):
    optim = {"optimizer": {"type": "SGD", "lr": 1.0}, "clip_grad": {"max_norm": 1e-9}}
    config = make_config(optim_wrapper=optim, param_scheduler=None)
    before = {k: v.clone() for k, v in config["model"].named_parameters()}
    runner = run(config)
    for name, tensor in runner.model.named_parameters():
        assert torch.allclose(before[name], tensor, atol=1e-7)
    assert runner.message_hub.get_scalar("train/grad_norm").mean() > 1e-3


def test_auto_scale_lr_scales_by_the_batch_size(make_config):
    config = make_config(auto_scale_lr={"enable": True, "base_batch_size": 8}, param_scheduler=None)
    assert run(config).optimizer.param_groups[0]["lr"] == pytest.approx(0.0025)


def test_the_log_knows_the_scaled_rate_of_groups_without_a_multiplier(make_config):
    optim = {
        "optimizer": {"type": "SGD", "lr": 0.1},
        "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.5}}},
    }
    scale = {"enable": True, "base_batch_size": 4}
    settings = {"optim_wrapper": optim, "auto_scale_lr": scale, "param_scheduler": None}
    runner = run(make_config(**settings))
    assert runner.message_hub.get_scalar("train/base_lr").current() == pytest.approx(0.05)
    assert runner.message_hub.get_scalar("train/lr").current() == pytest.approx(0.025)


def test_settings_of_the_wrapper_reach_the_strategy(make_config):
    def strategy(**changes):
        runner = Runner(make_config(**changes), accelerator="cpu", devices=2)
        return _strategy(runner)

    wrapper = {"type": "MMDistributedDataParallel", "find_unused_parameters": True}
    assert strategy(model_wrapper_cfg=wrapper)._ddp_kwargs["find_unused_parameters"]
    assert not strategy(model_wrapper_cfg={})._ddp_kwargs["find_unused_parameters"]
    # as in MMEngine: torch's default where a wrapper is configured, else none
    assert strategy(model_wrapper_cfg=wrapper)._ddp_kwargs["broadcast_buffers"]
    assert not strategy()._ddp_kwargs["broadcast_buffers"]
    with pytest.raises(ConfigError, match="--strategy fsdp"):
        strategy(model_wrapper_cfg={"type": "MMFullyShardedDataParallel"})


def test_bfloat16_trains_on_a_cpu(make_config):
    runner = run(make_config(), precision="bf16-mixed")
    assert runner.trainer.precision == "bf16-mixed"
    assert run(make_config(), precision="16-mixed").trainer.precision == "bf16-mixed"


def test_testing_gives_metrics_and_a_json_file(make_config):
    trained = run(make_config())
    runner = Runner(make_config())
    metrics = runner.test(files.Path(trained.work_dir) / "epoch_3.pth")
    assert metrics == {"coco/AP": 8.0, "EPE": -7.0}
    assert same(weights(runner), weights(trained))
    (found,) = files.Path(runner.log_dir).glob("*.json")
    assert json.loads(found.read_text()) == metrics


def test_testing_with_another_number_of_keypoints_is_an_error(make_config, tmp_path):
    path = tmp_path / "other.pth"
    state = make_config()["model"].state_dict()
    meta = {"dataset_meta": {"num_keypoints": 17, "dataset_name": "coco"}}
    torch.save({"state_dict": state, "meta": meta}, path)
    with pytest.raises(CheckpointError, match=r"17 keypoints \(dataset coco\).* has 2"):
        Runner(make_config()).test(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train_cfg": {"max_epoch": 3}}, "did you mean 'max_epochs'"),
        ({"train_cfg": {"val_interval": 3}}, "needs max_epochs"),
        ({"train_cfg": {"max_epochs": 2.5}}, "whole number"),
        ({"train_dataloader": None}, "needs 'train_dataloader'"),
        ({"model": None}, "needs 'model'"),
        ({"auto_scale_lr": {"enable": True}}, "base_batch_size"),
        ({"custom_hook": []}, "did you mean 'custom_hooks'"),
    ],
)
def test_wrong_configs_are_named(make_config, change, match):
    with pytest.raises(ConfigError, match=match):
        run(make_config(**change))


def test_a_loader_without_batches_is_an_error(make_config, parts):
    data = {"batch_size": 9, "drop_last": True, "dataset": parts.Points()}
    with pytest.raises(ConfigError, match=r"gives no batch: 8 samples, batch_size 9, drop_last"):
        run(make_config(train_dataloader=data))


def test_losses_are_what_has_loss_in_its_name():
    one, two = torch.tensor(1.0), torch.tensor([2.0, 4.0])
    total, shown = parse_losses({"loss_a": one, "aux_loss": [two, one], "acc": two})
    assert total == 5
    assert {k: float(v) for k, v in shown.items()} == {
        "loss": 5,
        "loss_a": 1,
        "aux_loss": 4,
        "acc": 3,
    }


@pytest.mark.parametrize(
    ("losses", "match"),
    [({"acc": torch.ones(())}, "none of the values"), ({"loss": 1.0}, "'loss'")],
)
def test_wrong_losses_are_named(losses, match):
    with pytest.raises(TypeError, match=match):
        parse_losses(losses)


def test_the_config_is_written_beside_the_checkpoints(make_config):
    runner = run(make_config())
    text = (files.Path(runner.work_dir) / "run.py").read_text()
    assert re.search(r"^train_cfg = ", text, re.M)


def test_a_test_leaves_the_records_of_the_training_alone(make_config, tmp_path):
    run(make_config())
    records = [tmp_path / "run" / name for name in ("run.py", "environment.json")]
    before = [path.read_bytes() for path in records]
    runner = Runner(make_config(randomness={"seed": 7}), accelerator="cpu")
    runner.test(tmp_path / "run" / "epoch_3.pth")
    assert [path.read_bytes() for path in records] == before
    assert "'seed': 7" in (files.Path(runner.log_dir) / "vis_data" / "run.py").read_text()


def test_single_scalars_are_logged_as_the_config_says(make_config):
    processor = {
        "type": "LogProcessor",
        "custom_cfg": [{"data_src": "loss", "method_name": "max", "log_name": "loss_max"}],
    }
    runner = run(make_config(log_processor=processor))
    means = runner.log_processor.means(runner.message_hub, "train")
    assert means["loss_max"] == max(runner.message_hub.get_scalar("train/loss").data[0])
    assert "loss_max: " in runner.log_processor.text(means)
    processor["custom_cfg"][0]["method_name"] = "median"
    with pytest.raises(ConfigError, match="'mean', 'max', 'min', 'current', got 'median'"):
        run(make_config(log_processor=processor))


def test_figures_of_the_log_are_mmengines():
    hub, values = MessageHub("figures"), [4.0, 1.0, 2.0, 3.0]
    for value in values:
        hub.update_scalars({"train/loss": value, "train/acc_pose": value, "train/lr": value})
    windows = [("max", 3, "w"), ("max", "epoch", "e"), ("mean", "global", "g"), ("mean", None, "n")]
    rows = [
        {"data_src": "loss", "method_name": m, "log_name": n} | ({"window_size": w} if w else {})
        for m, w, n in windows
    ]
    found = LogProcessor(2, custom_cfg=rows).means(hub, "train", batches=2)
    # a mean of what `mean_pattern` finds, the latest value of others
    assert found == {
        "lr": 3.0, "loss": 2.5, "acc_pose": 3.0, "w": 3.0, "e": 3.0, "g": 2.5, "n": 2.5
    }  # fmt: skip
    assert LogProcessor(2, mean_pattern="acc").means(hub, "train")["acc_pose"] == 2.5
    with pytest.raises(ConfigError, match="unless a number, must be one of 'epoch', 'global'"):
        LogProcessor(custom_cfg=[{"data_src": "loss", "window_size": "all"}])


def test_loaders_are_built_without_a_run(make_config):
    config = make_config()["train_dataloader"]
    batch = next(iter(Runner.build_dataloader(config, seed=0)))
    assert len(batch["inputs"]) == config["batch_size"]


def test_the_latest_run_is_found_from_anywhere(make_config):
    runner = Runner(make_config())
    assert MessageHub.get_current_instance() is runner.message_hub
