"""What small hooks tell and do at each point of a run, on a run that stands still."""

import json
import logging
import pickle
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import torch

from poise.errors import ConfigError
from poise.losses import KeypointMSELoss
from poise.registry import HOOKS
from poise.structures import InstanceData, PixelData, PoseDataSample
from poise.training.hooks import (
    BadCaseAnalysisHook,
    DetVisualizationHook,
    DumpHook,
    LoggerHook,
    PoseVisualizationHook,
)
from poise.training.logs.log_processor import LogProcessor
from poise.training.logs.message_hub import MessageHub


def a_run(**parts):
    """A run in its second epoch of three, ten batches each."""
    loop = SimpleNamespace(epoch=1, iter=10, max_epochs=3, max_iters=30, by_epoch=True)
    written = []
    parts = {
        "train_loop": loop,
        "epoch": loop.epoch,
        "iter": loop.iter,
        "max_epochs": 3,
        "max_iters": 30,
        "train_dataloader": range(10),
        "val_dataloader": range(4),
        "message_hub": MessageHub("still"),
        "log_processor": LogProcessor(),
        "logger": logging.getLogger("poise"),
        "written": written,
        "scalars": SimpleNamespace(write=lambda line, **at: written.append((line, at))),
        "world_size": 1,
        "is_main": True,
    } | parts
    return SimpleNamespace(**parts)


@pytest.mark.parametrize(
    ("settings", "length", "lines"),
    [
        ({"interval": 4}, 10, [4, 8]),
        ({"interval": 4, "ignore_last": False}, 10, [4, 8, 10]),
        # an epoch shorter than the interval would have no line
        ({"interval": 20}, 10, [10]),
        ({"interval": 5}, 10, [5, 10]),
    ],
)
def test_losses_are_logged_at_intervals(settings, length, lines):
    runner, hook = a_run(train_dataloader=range(length)), LoggerHook(**settings)
    runner.message_hub.update_scalar("train/loss", 2.0)
    logged = []
    for batch in range(length):
        runner.train_loop.iter = batch
        hook.after_train_iter(runner, batch)
        if len(runner.written) > len(logged):
            logged.append(batch + 1)
    assert logged == lines
    line, at = runner.written[-1]
    assert (line["loss"], line["epoch"], line["step"]) == (2.0, 2, lines[-1])
    assert at == {"step": lines[-1], "group": "train"}


def test_the_time_left_counts_the_batches_that_are_left(caplog):
    runner, hook = a_run(), LoggerHook(interval=1)
    runner.message_hub.update_scalar("train/time", 2.0)
    with caplog.at_level("INFO", logger="poise"):
        hook.after_train_iter(runner, 0)
        runner.message_hub.update_scalar("val/time", 3.0)
        hook._after_iter(runner, 0, mode="val")
    train, val = (record.getMessage() for record in caplog.records)
    assert train.startswith("Epoch(train) [2][1/10]  eta: 0:00:38")
    assert val.startswith("Epoch(val) [1][1/4]  eta: 0:00:09")


def test_metrics_are_numbered_by_epoch_or_by_iteration():
    for by_epoch, step in ((True, 1), (False, 10)):
        runner = a_run()
        hook = LoggerHook(log_metric_by_epoch=by_epoch)
        hook.after_val_epoch(runner, {"coco/AP": torch.tensor(0.5)})
        assert runner.written == [({"coco/AP": 0.5, "step": step}, {"step": 10, "group": "val"})]


def test_a_validation_is_left_out_of_the_next_batch_and_waiting_is_told(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 100.0, 101.0, 104.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    runner, hook = a_run(), HOOKS.build({"type": "mmengine.IterTimerHook"})
    hook._before_epoch(runner)
    for _ in range(2):
        hook._before_iter(runner, 0)
        hook._after_iter(runner, 0)
        if _ == 0:
            hook.after_val(runner)
    scalars = runner.message_hub.log_scalars
    assert scalars["train/time"].data[0] == [3.0, 4.0]
    assert scalars["train/data_time"].data[0] == [1.0, 1.0]


def test_each_schedule_steps_where_it_counts():
    class Schedule:
        need_val_args = False

        def __init__(self, by_epoch, needs=False):
            self.by_epoch, self.need_val_args, self.steps = by_epoch, needs, []

        def step(self, *args):
            self.steps.append(args)

    schedules = [Schedule(False), Schedule(True), Schedule(None, needs=True)]
    schedules[2].by_epoch = "by metrics"
    runner, hook = a_run(param_schedulers=schedules), HOOKS.build({"type": "ParamSchedulerHook"})
    hook.after_train_iter(runner, 0)
    assert [len(s.steps) for s in schedules] == [1, 0, 0]
    hook.after_val_epoch(runner, {"PCK": 0.5})
    hook.after_val_epoch(runner, None)
    assert schedules[2].steps == [({"PCK": 0.5},)]
    assert [len(s.steps) for s in schedules[:2]] == [1, 0]
    hook.after_train_epoch(runner)
    assert len(schedules[1].steps) == 1


def test_position_rates_and_losses_stand_in_the_message_hub():
    rates = {"base_lr": [0.5], "lr": [0.1]}
    runner = a_run(
        seed=7, experiment_name="still", optim_wrapper=SimpleNamespace(get_lr=lambda: rates)
    )
    hook = HOOKS.build({"type": "RuntimeInfoHook"})
    hook.before_run(runner)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0, outputs={"loss": torch.tensor(3.0)})
    hub = runner.message_hub
    assert [hub.get_info(k) for k in ("seed", "epoch", "iter", "max_iters")] == [7, 1, 10, 30]
    # the first group's, and that of the config, as MMEngine logs them
    assert hub.get_scalar("train/lr").current() == 0.1
    assert hub.get_scalar("train/base_lr").current() == 0.5
    assert hub.get_scalar("train/loss").current() == 3.0


@pytest.mark.parametrize(("last", "epoch"), [(1, 1), (2, 0)])
def test_mosaics_end_so_many_epochs_before_the_end(last, epoch):
    for kind in ("mmpose.YOLOXPoseModeSwitchHook", "mmdet.YOLOXModeSwitchHook"):
        done = []
        runner = a_run(
            cfg={"train_dataloader": {"dataset": {"pipeline": ["mosaic"]}}},
            model=SimpleNamespace(head=SimpleNamespace(), bbox_head=SimpleNamespace()),
            set_train_dataloader=lambda cfg, done=done: done.append(cfg),
            restart_workers=lambda done=done: done.append("again"),
        )
        runner.train_dataloader = SimpleNamespace(
            dataset=SimpleNamespace(update_skip_type_keys=lambda keys: None)
        )
        hook = HOOKS.build({"type": kind, "num_last_epochs": last})
        began = []
        for runner.epoch in range(3):
            hook.before_train_epoch(runner)
            began += [runner.epoch] * (len(done) > len(began))
        # once, and as early as MMDetection counts: an epoch before the last ones
        assert began == [epoch]


@pytest.mark.parametrize("name", ["poses.pkl", "poses.json"])
def test_predictions_are_written_for_others_to_read(tmp_path, name):
    sample = PoseDataSample(metainfo={"img_id": 3})
    sample.pred_instances = InstanceData(keypoints=torch.ones(1, 2, 2, dtype=torch.bfloat16))
    sample.pred_fields = PixelData(heatmaps=torch.zeros(2, 4, 4))
    hook, runner = DumpHook(tmp_path / name), a_run()
    runner.test_dataloader = SimpleNamespace(dataset=[0])
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=[sample])
    hook.after_test(runner)
    content = (tmp_path / name).read_bytes()
    (row,) = pickle.loads(content) if name.endswith("pkl") else json.loads(content)
    points = row["pred_instances"]["keypoints"]
    if name.endswith("pkl"):
        assert (points.shape, points.dtype.name) == ((1, 2, 2), "float32")
        assert row["pred_fields"]["heatmaps"].shape == (2, 4, 4)
    else:
        assert points == [[[1.0, 1.0], [1.0, 1.0]]]
        assert "pred_fields" not in row


def test_a_test_that_fails_leaves_no_part_of_its_predictions(tmp_path):
    hook, runner = DumpHook(tmp_path / "p.jsonl"), a_run(closing=ExitStack(), cfg={})
    runner.test_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo={}))

    def tests():
        with runner.closing:
            hook.before_test(runner)
            hook.after_test_iter(runner, 0, outputs=[{"id": 1}])
            raise RuntimeError("no memory left")

    with pytest.raises(RuntimeError, match="no memory left"):
        tests()
    assert not list(tmp_path.iterdir())


def test_a_built_loss_judges_bad_cases_under_its_class():
    hook = BadCaseAnalysisHook(enable=True, metric=KeypointMSELoss())
    assert hook.metric_name == "KeypointMSELoss"


def test_bad_cases_need_labels():
    data = SimpleNamespace(dataset=SimpleNamespace(bbox_file="boxes.json"))
    with pytest.raises(ConfigError, match=r"boxes of boxes\.json; .*bbox_file=None"):
        BadCaseAnalysisHook(enable=True).before_test(a_run(test_dataloader=data))
    BadCaseAnalysisHook().before_test(a_run(test_dataloader=data))


@pytest.mark.parametrize("kind", [PoseVisualizationHook, DetVisualizationHook])
def test_pictures_need_an_interval(kind):
    with pytest.raises(ConfigError, match=f"interval of {kind.__name__} must be at least 1, got 0"):
        kind(interval=0)
