"""What a run leaves in its folder for people to look at."""

from __future__ import annotations

import json

from poise.cli.train import train
from poise.report import read_run
from poise.training.hooks import Hook
from poise.training.runner import Runner


def test_a_run_leaves_curves_a_page_and_its_environment(dots, tmp_path):
    folder = tmp_path / "run"
    train(
        str(dots),
        work_dir=folder,
        options=["default_hooks.report.cases=1"],
        max_epochs=1,
        seed=1,
        accelerator="cpu",
    )
    page = (folder / "report.html").read_text()
    for text in ("left", "right", "middle", "coco/AP", "Worst cases", "Best cases", "HeatmapHead"):
        assert text in page
    assert (folder / "curves.png").stat().st_size > 1000
    assert json.loads((folder / "environment.json").read_text())["torch"]
    assert read_run(folder).curve("coco/AP")[0] == [2]


def test_the_page_can_be_left_out(make_config, tmp_path):
    Runner(make_config(default_hooks={"report": None}), accelerator="cpu").train()
    assert not (tmp_path / "run" / "report.html").exists()


class Record(Hook):
    def __init__(self):
        self.calls = []

    def before_run(self, runner):
        self.calls.append("before_run")

    def after_load_checkpoint(self, runner, checkpoint):
        self.calls.append("after_load_checkpoint")

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.calls.append(batch_idx)

    def after_test_epoch(self, runner, metrics=None):
        self.calls.append("after_test_epoch")

    def after_run(self, runner):
        self.calls.append("after_run")


def test_hooks_of_a_run_by_iterations_count_batches_of_the_run(make_config):
    record = Record()
    cfg = make_config(train_cfg={"max_iters": 6}, custom_hooks=[record], param_scheduler=None)
    Runner(cfg, accelerator="cpu", validate=False).train()
    assert [c for c in record.calls if isinstance(c, int)] == [0, 1, 2, 3, 4, 5]


def test_a_users_hooks_are_called_in_a_test_too(make_config, tmp_path):
    Runner(make_config(), accelerator="cpu", validate=False).train()
    record, other = Record(), Record()
    hooks = {"custom_hooks": [record, {"type": "EMAHook"}], "default_hooks": {"mine": other}}
    runner = Runner(make_config(**hooks), accelerator="cpu")
    runner.test(tmp_path / "run" / "epoch_3.pth")
    expected = ["before_run", "after_load_checkpoint", "after_test_epoch", "after_run"]
    assert record.calls == other.calls == expected
    # the file's weights are averages already
    assert "EMAHook" not in [type(h).__name__ for h in runner.hooks]
