"""Hooks: checkpoints, averages, switches, stopping."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from poise.datasets import ConcatDataset, RepeatDataset
from poise.errors import ConfigError, UnknownNameError
from poise.registry import HOOKS, MODELS
from poise.training.hooks import (
    CheckpointHook,
    DumpHook,
    EarlyStoppingHook,
    Hook,
    PipelineSwitchHook,
    ProgressHook,
    RTMOModeSwitchHook,
    priority_of,
)
from poise.training.hooks.direction import rule_for
from poise.training.hooks.switches import _set_attribute
from poise.training.optim.averages import ExpMomentumEMA, ExponentialMovingAverage
from poise.training.run import checkpoint as files
from poise.training.runner import Runner


def run(cfg, **kwargs):
    runner = Runner(cfg, accelerator="cpu", **kwargs)
    runner.train()
    return runner


def saved(runner):
    return sorted(p.name for p in files.Path(runner.work_dir).glob("*.pth"))


def checkpoint_hook(**kwargs):
    return {"checkpoint": {"type": "CheckpointHook", **kwargs}}


# ------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"interval": 2}, ["epoch_2.pth", "epoch_4.pth", "epoch_5.pth"]),
        ({"interval": 2, "save_last": False}, ["epoch_2.pth", "epoch_4.pth"]),
        ({"interval": 1, "max_keep_ckpts": 2}, ["epoch_4.pth", "epoch_5.pth"]),
        ({"interval": 1, "save_begin": 3}, ["epoch_3.pth", "epoch_4.pth", "epoch_5.pth"]),
        ({"interval": 3, "filename_tmpl": "e{}.pth"}, ["e3.pth", "e5.pth"]),
        ({"interval": -1, "save_last": False}, []),
    ],
    ids=str,
)
def test_files_are_written_at_intervals_and_old_ones_go(make_config, settings, names):
    config = make_config(train_cfg={"max_epochs": 5}, default_hooks=checkpoint_hook(**settings))
    assert saved(run(config)) == names


def test_the_newest_file_is_noted(make_config):
    runner = run(make_config())
    assert files.find_latest(files.Path(runner.work_dir)).name == "epoch_3.pth"


def test_a_lost_note_is_made_up_for_by_the_files(make_config):
    folder = files.Path(run(make_config()).work_dir)
    (folder / files.LAST_CHECKPOINT).unlink()
    assert files.find_latest(folder).name == "epoch_3.pth"
    assert files.find_latest(folder / "nothing") is None


@pytest.mark.parametrize(
    ("save_best", "rule", "scores", "best"),
    [
        ("coco/AP", None, [0.1, 0.5, 0.3], "best_coco_AP_epoch_2.pth"),
        ("EPE", None, [0.1, 0.5, 0.3], "best_EPE_epoch_2.pth"),
        ("coco/AP", "less", [0.1, 0.5, 0.3], "best_coco_AP_epoch_1.pth"),
        ("auto", None, [0.1, 0.3, 0.3], "best_coco_AP_epoch_2.pth"),
        ("coco/AP", None, [math.nan, 0.2, 0.1], "best_coco_AP_epoch_2.pth"),
    ],
)
def test_the_best_stays(make_config, parts, save_best, rule, scores, best):
    config = make_config(
        val_evaluator=parts.CountEvaluator(scores),
        default_hooks=checkpoint_hook(interval=1, save_best=save_best, rule=rule),
    )
    runner = run(config)
    assert [n for n in saved(runner) if n.startswith("best")] == [best]
    content = files.read(files.Path(runner.work_dir) / best)
    assert "optimizer" not in content
    assert content["meta"]["epoch"] == int(best[-5])


def test_several_metrics_have_a_best_each(make_config, parts):
    config = make_config(
        val_evaluator=parts.CountEvaluator([0.1, 0.5, 0.3]),
        default_hooks=checkpoint_hook(
            interval=1, save_best=["coco/AP", "EPE"], rule=["greater", "greater"]
        ),
    )
    best = [n for n in saved(run(config)) if n.startswith("best")]
    assert best == ["best_EPE_epoch_1.pth", "best_coco_AP_epoch_2.pth"]


def test_a_resumed_run_remembers_the_best(make_config, parts, tmp_path):
    hooks = checkpoint_hook(interval=1, save_best="coco/AP")
    first = make_config(
        val_evaluator=parts.CountEvaluator([0.9, 0.2]),
        default_hooks=hooks,
        train_cfg={"max_epochs": 2},
    )
    run(first)
    # the checkpoint of epoch 2 was written before its validation, which is run again
    again = parts.CountEvaluator([0.2, 0.5])
    second = make_config(val_evaluator=again, default_hooks=hooks)
    runner = run(second, resume="auto")
    assert [n for n in saved(runner) if n.startswith("best")] == ["best_coco_AP_epoch_1.pth"]


def test_a_run_that_goes_on_elsewhere_leaves_the_best_of_the_first(make_config, parts, tmp_path):
    hooks = checkpoint_hook(interval=1, save_best="coco/AP")
    evaluator = {"val_evaluator": parts.CountEvaluator([0.2, 0.1])}
    first = run(make_config(**evaluator, default_hooks=hooks, train_cfg={"max_epochs": 2}))
    best = files.Path(first.work_dir) / "best_coco_AP_epoch_1.pth"
    assert best.exists()
    evaluator = {"val_evaluator": parts.CountEvaluator([0.1, 0.9])}
    config = make_config(**evaluator, default_hooks=hooks, work_dir=str(tmp_path / "elsewhere"))
    second = run(config, resume=str(files.Path(first.work_dir) / "epoch_2.pth"))
    assert "best_coco_AP_epoch_3.pth" in saved(second)
    assert best.exists()


def test_the_live_line_ends_with_an_error_of_the_run(make_config, monkeypatch):
    class Fail(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            (progress,) = (hook for hook in runner.hooks if isinstance(hook, ProgressHook))
            live.append(progress._bar.live)
            raise RuntimeError("on purpose")

    live = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(RuntimeError, match="on purpose"):
        run(make_config(custom_hooks=[Fail()]))
    assert not live[0].is_started


def test_a_best_metric_that_is_not_there_is_named(make_config):
    config = make_config(default_hooks=checkpoint_hook(save_best="coco/APP", rule="greater"))
    with pytest.raises(ConfigError, match="did you mean 'coco/AP'"):
        run(config)


def test_files_have_mmposes_form(make_config):
    runner = run(make_config())
    content = torch.load(files.Path(runner.work_dir) / "epoch_3.pth", weights_only=False)
    assert {"meta", "state_dict", "optimizer", "param_schedulers", "message_hub"} <= set(content)
    meta = content["meta"]
    assert (meta["epoch"], meta["iter"], meta["seed"]) == (3, 12, 3)
    assert meta["dataset_meta"]["dataset_name"] == "points"
    assert "optim_wrapper" in meta["cfg"]
    assert list(content["state_dict"]) == list(runner.model.state_dict())


def test_published_files_hold_only_some_keys_and_their_hash(make_config):
    hooks = checkpoint_hook(interval=3, published_keys=["meta", "state_dict"])
    (published,) = [n for n in saved(run(make_config(default_hooks=hooks))) if "-" in n]
    assert published.startswith("epoch_3-")
    assert len(published) == len("epoch_3-01234567.pth")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"save_best": ["auto", "EPE"]}, "'auto' or names"),
        ({"save_best": ["EPE", "EPE"]}, "twice"),
        ({"save_best": ["EPE", "AP"], "rule": ["less"] * 3}, "as many as save_best"),
        ({"save_best": "height"}, "more or less of 'height'"),
        ({"save_best": "EPE", "rule": "more"}, "'greater', 'less' or None"),
        ({"save_begin": -1}, "must not be negative"),
    ],
)
def test_wrong_checkpoint_settings_are_named(settings, match):
    with pytest.raises(ConfigError, match=match):
        CheckpointHook(**settings)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("coco/AP", "greater"),
        ("coco/AP .5", "greater"),
        ("PCK", "greater"),
        ("AUC", "greater"),
        ("NME", "less"),
        ("EPE", "less"),
        ("MPJPE", "less"),
        ("val_loss", "less"),
        ("top1_acc", "greater"),
    ],
)
def test_names_of_metrics_tell_the_direction(name, rule):
    assert rule_for(name) == rule


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "epoch_1.pth"
    files.write({"state_dict": {"a": torch.ones(1)}}, path)

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(files.CheckpointError, match="could not be written|No space left"):
        files.write({"state_dict": {"a": torch.zeros(1)}}, path)
    monkeypatch.undo()
    assert torch.load(path)["state_dict"]["a"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_1.pth"]


@pytest.mark.parametrize("name", ["p.pkl", "p.json"])
def test_a_full_disk_leaves_the_predictions_of_before(tmp_path, monkeypatch, name):
    def half(path, data):
        with path.open("wb") as opened:
            opened.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device", str(path))

    path = tmp_path / name
    path.write_bytes(b"before")
    monkeypatch.setattr(Path, "write_bytes", half)
    hook = DumpHook(path)
    hook.after_test_iter(None, 0, outputs=[{"id": 1}])
    loader = SimpleNamespace(dataset=[None])
    with pytest.raises(OSError, match="No space left"):
        hook.after_test(SimpleNamespace(test_dataloader=loader, world_size=1))
    assert path.read_bytes() == b"before"


def test_random_generators_go_on_where_they_were():
    import random

    import numpy as np

    state = files.get_rng_state()
    draw = lambda: (random.random(), np.random.rand(), torch.rand(()).item())  # noqa: E731
    first = draw()
    files.set_rng_state(state)
    assert draw() == first


# --------------------------------------------------------------------- averages


@pytest.mark.parametrize("update_buffers", [False, True])
def test_an_average_follows_its_formula(update_buffers):
    model = nn.BatchNorm1d(2)
    ema = ExponentialMovingAverage(model, momentum=0.25, update_buffers=update_buffers)
    for value in (1.0, 2.0, 4.0):
        nn.init.constant_(model.weight, value)
        model.running_mean.fill_(value)
        model.num_batches_tracked += 1
        ema.update_parameters(model)
    mean = 0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4
    assert ema.shadow["weight"].tolist() == pytest.approx([mean] * 2)
    buffer = mean if update_buffers else 4.0
    assert ema.shadow["running_mean"].tolist() == pytest.approx([buffer] * 2)
    assert int(ema.shadow["num_batches_tracked"]) == (1 if update_buffers else 3)


def test_the_momentum_of_yolox_falls_from_one():
    ema = ExpMomentumEMA(nn.Linear(1, 1), momentum=0.1, gamma=10)
    assert ema.weight(0) == pytest.approx(0.9 * math.exp(-0.1) + 0.1)
    assert ema.weight(10_000) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("StochasticWeightAverage", {1: 1 / 2, 3: 1 / 4}),
        ("MomentumAnnealingEMA", {0: 1.0, 300: 0.25}),
    ],
)
def test_other_averages_weigh_as_they_should(kind, weights):
    average = MODELS.build({"type": kind}, model=nn.Linear(1, 1))
    assert {s: average.weight(s) for s in weights} == pytest.approx(weights)


def test_swapping_twice_changes_nothing():
    model = nn.Linear(2, 2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    ema = ExponentialMovingAverage(model)
    nn.init.zeros_(model.weight)
    ema.swap(model)
    assert torch.equal(model.weight, before["weight"])
    ema.swap(model)
    assert not model.weight.any()


def ema_hook(**kwargs):
    return [{"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.5, **kwargs}]


def test_validation_and_files_use_the_average_and_training_does_not(make_config):
    class Compare(Hook):
        priority = "LOWEST"

        def before_val_iter(self, runner, batch_idx, data_batch=None):
            self.validated = runner.model.head.weight.detach().clone()

        def after_val(self, runner):
            self.trained = runner.model.head.weight.detach().clone()

    compare = Compare()
    runner = run(make_config(custom_hooks=[*ema_hook(), compare]))
    content = files.read(files.Path(runner.work_dir) / "epoch_3.pth")
    assert torch.equal(content["state_dict"]["head.weight"], compare.validated)
    assert torch.equal(content["ema_state_dict"]["module.head.weight"], compare.trained)
    assert not torch.equal(compare.validated, compare.trained)
    assert int(content["ema_state_dict"]["steps"]) == 12


def test_a_run_with_an_average_resumes_exactly(make_config, tmp_path):
    torch.manual_seed(0)
    whole = run(make_config(custom_hooks=ema_hook()))
    torch.manual_seed(0)
    second = make_config(custom_hooks=ema_hook(), work_dir=str(tmp_path / "second"))
    resumed = run(second, resume=files.Path(whole.work_dir) / "epoch_1.pth")
    ends = [files.read(files.Path(r.work_dir) / "epoch_3.pth") for r in (whole, resumed)]
    for part in ("state_dict", "ema_state_dict"):
        for name, tensor in ends[0][part].items():
            assert torch.equal(tensor, ends[1][part][name]), name


class Weights(Hook):
    """Keeps what a test is made with."""

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        self.seen = {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.mark.parametrize("custom", [[], ema_hook()])
def test_a_test_after_the_training_is_one_of_what_was_trained(make_config, parts, custom):
    """As in MMEngine, but for averages, which it forgets; a new model would tell nothing."""
    MODELS.register_module(name="TrainedHere", module=parts.Regressor, force=True)
    cfg = make_config(custom_hooks=custom, model={"type": "TrainedHere"})
    runner, look = Runner(cfg, accelerator="cpu"), Weights()
    runner.train()
    runner.test(hooks=[look])
    saved = torch.load(f"{runner.work_dir}/epoch_3.pth")["state_dict"]
    for name in saved:
        assert torch.equal(look.seen[name], saved[name]), name


def test_an_average_that_begins_later_is_a_copy_until_then(make_config):
    runner = run(make_config(custom_hooks=ema_hook(begin_epoch=3), train_cfg={"max_epochs": 3}))
    content = files.read(files.Path(runner.work_dir) / "epoch_2.pth")
    trained = content["ema_state_dict"]["module.head.weight"]
    assert torch.equal(content["state_dict"]["head.weight"], trained)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"momentum": 2.0}, "between 0 and 1"),
        ({"gamma": 0}, "must be positive"),
        ({"begin_epoch": 9}, "begins at epoch 9"),
        ({"begin_epoch": 1, "begin_iter": 1}, "begin_iter or begin_epoch"),
    ],
)
def test_wrong_averages_are_named(make_config, settings, match):
    with pytest.raises(ConfigError, match=match):
        run(make_config(custom_hooks=ema_hook(**settings)))


# --------------------------------------------------------------------- switches


def test_the_pipeline_switches_once_at_its_epoch(make_config):
    seen = []

    def other(item):
        return item

    class Look(Hook):
        priority = "LOWEST"

        def before_train_epoch(self, runner):
            seen.append(getattr(runner.train_dataloader.dataset, "pipeline", None) is other)

    switch = PipelineSwitchHook(switch_epoch=1, switch_pipeline=other)
    run(make_config(custom_hooks=[switch, Look()]))
    assert seen == [False, True, True]


@pytest.mark.parametrize("kind", [RepeatDataset, ConcatDataset])
def test_the_pipeline_switches_in_each_part_of_a_mixture(make_config, kind):
    class Piped(torch.utils.data.Dataset):
        metainfo = {}

        def __init__(self):
            self.pipeline, self.seen = None, []

        def full_init(self):
            """There is nothing to load."""

        def __len__(self):
            return 4

        def __getitem__(self, index):
            self.seen.append(self.pipeline)
            return {"inputs": torch.randn(4), "data_samples": SimpleNamespace(metainfo={"id": 0})}

    parts = [Piped(), Piped()]
    cfg = make_config(custom_hooks=[PipelineSwitchHook(2, len)])
    data = ConcatDataset(parts) if kind is ConcatDataset else RepeatDataset(parts[0], 2)
    cfg["train_dataloader"] = {**cfg["train_dataloader"], "dataset": data}
    Runner(cfg, accelerator="cpu", validate=False).train()
    for part in parts if kind is ConcatDataset else parts[:1]:
        count = len(part.seen)
        assert part.seen == [None] * (count // 3 * 2) + [len] * (count // 3)


def test_yolox_ends_its_mosaics_near_the_end():
    class Mixed:
        skipped = None

        def update_skip_type_keys(self, keys):
            self.skipped = keys

    loader = SimpleNamespace(dataset=Mixed(), persistent_workers=False)
    runner = SimpleNamespace(
        epoch=2,
        max_epochs=6,
        train_dataloader=loader,
        model=SimpleNamespace(bbox_head=SimpleNamespace(use_l1=False)),
        logger=SimpleNamespace(info=lambda text: None),
        restart_workers=lambda: None,
    )
    hook = HOOKS.build({"type": "mmdet.YOLOXModeSwitchHook", "num_last_epochs": 2})
    hook.before_train_epoch(runner)
    assert (loader.dataset.skipped, runner.model.bbox_head.use_l1) == (None, False)
    # one epoch early, as MMDetection counts
    runner.epoch = 3
    hook.before_train_epoch(runner)
    assert loader.dataset.skipped == ("Mosaic", "RandomAffine", "MixUp")
    assert runner.model.bbox_head.use_l1


def test_attributes_of_the_head_switch_at_epochs(make_config):
    seen = []

    class Look(Hook):
        priority = "LOWEST"

        def before_train_epoch(self, runner):
            seen.append(runner.model.head.in_features)

    switch = RTMOModeSwitchHook({1: {"in_features": 99}})
    run(make_config(custom_hooks=[switch, Look()]))
    assert seen == [8, 99, 99]
    with pytest.raises(ConfigError, match="Linear has no 'in_feature'"):
        run(make_config(custom_hooks=[RTMOModeSwitchHook({0: {"in_feature.x": 1}})]))


def test_attributes_of_one_name_at_two_depths_are_told_apart():
    head = SimpleNamespace(a=SimpleNamespace(a=1))
    _set_attribute(head, "a.a", 2)
    assert head.a.a == 2
    with pytest.raises(ConfigError, match="'a.b', but SimpleNamespace has no 'b'"):
        _set_attribute(head, "a.b", 2)


@pytest.mark.parametrize(
    "name",
    [
        "mmdet.DetVisualizationHook",
        "mmdet.PipelineSwitchHook",
        "SyncBuffersHook",
        "mmpose.SyncNormHook",
    ],
)
def test_hooks_of_zoo_configs_are_known(name):
    assert issubclass(HOOKS.get(name), Hook)


def test_an_unknown_hook_is_named(make_config):
    with pytest.raises(UnknownNameError, match="did you mean 'EMAHook'"):
        run(make_config(custom_hooks=[{"type": "EMAHok"}]))


def test_default_hooks_can_be_dropped(make_config):
    config = make_config(default_hooks={"checkpoint": None, "logger": None})
    assert saved(run(config)) == []


# ------------------------------------------------------------- stopping, base


@pytest.mark.parametrize(
    ("settings", "scores", "epochs"),
    [
        ({"patience": 2, "min_delta": 0.05}, [0.1, 0.2, 0.22, 0.21, 0.9], 4),
        ({"stopping_threshold": 0.15, "min_delta": 0}, [0.1, 0.2, 0.3, 0.4, 0.5], 2),
        ({"patience": 5}, [0.1, math.inf, 0.3, 0.4, 0.5], 2),
    ],
)
def test_training_stops_when_a_metric_stands_still(make_config, parts, settings, scores, epochs):
    hook = {"type": "EarlyStoppingHook", "monitor": "coco/AP", "rule": "greater", **settings}
    config = make_config(
        val_evaluator=parts.CountEvaluator(scores),
        train_cfg={"max_epochs": 5},
        custom_hooks=[hook],
    )
    assert run(config).epoch == epochs


def test_a_strict_early_stop_needs_its_metric(make_config):
    hook = EarlyStoppingHook("coco/AR", rule="greater", strict=True)
    with pytest.raises(ConfigError, match="watches 'coco/AR'"):
        run(make_config(custom_hooks=[hook]))


@pytest.mark.parametrize(("priority", "number"), [("NORMAL", 50), ("very_low", 90), (49, 49)])
def test_priorities_are_names_or_numbers(priority, number):
    assert priority_of(priority) == number


@pytest.mark.parametrize(
    ("priority", "match"), [("NORML", "did you mean 'NORMAL'"), (101, "between 0 and 100")]
)
def test_wrong_priorities_are_named(priority, match):
    with pytest.raises(ConfigError, match=match):
        priority_of(priority)


def test_a_hook_knows_the_points_it_acts_at():
    class Mine(Hook):
        def before_train(self, runner):
            pass

        def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
            pass

    expected = ["before_train", "after_train_iter", "after_val_iter", "after_test_iter"]
    assert Mine().get_triggered_stages() == expected
