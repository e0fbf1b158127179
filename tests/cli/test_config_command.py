"""`poise config show` and `poise config diff`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poise.cli.config import app
from poise.config import Config
from poise.errors import ConfigError, FileMissingError

HEATMAPS = "body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192"
run = CliRunner().invoke


@pytest.fixture
def files(tmp_path):
    (tmp_path / "base.py").write_text("lr = 1\nmodel = dict(type='A', depth=50)\n")
    (tmp_path / "a.py").write_text("_base_ = 'base.py'\npipeline = [dict(type='L')]\n")
    (tmp_path / "b.py").write_text("_base_ = 'a.py'\nlr = 2\n")
    (tmp_path / "code.py").write_text("def f():\n    return 3\nx = f()\n")
    return tmp_path


def test_show_prints_a_config_that_reads_back(files):
    done = run(app, ["show", str(files / "a.py")])
    assert done.exit_code == 0
    assert done.output == "lr = 1\nmodel = dict(type='A', depth=50)\npipeline = [dict(type='L')]\n"
    assert Config.fromstring(done.output, ".py").to_dict()["model"]["depth"] == 50


def test_show_takes_overrides_and_formats(files):
    arguments = ["--set", "model.depth=18", "--set", "pipeline.0.p=0.5,1", "--format", "json"]
    done = run(app, ["show", str(files / "a.py"), *arguments])
    assert json.loads(done.stdout) == {
        "lr": 1,
        "model": {"type": "A", "depth": 18},
        "pipeline": [{"type": "L", "p": [0.5, 1]}],
    }
    assert run(app, ["show", str(files / "a.py"), "--format", "yaml"]).output.startswith("lr: 1\n")


def test_diff_prints_changes_and_says_so_by_its_status(files):
    done = run(app, ["diff", str(files / "a.py"), str(files / "b.py")])
    assert done.exit_code == 1
    assert "-lr = 1\n+lr = 2" in done.output
    same = run(app, ["diff", str(files / "a.py"), str(files / "a.py")])
    assert (same.exit_code, same.output) == (0, "")
    (files / "mine.py").write_text(f"_base_ = 'mmpose::{HEATMAPS}.py'\n")
    base = run(app, ["diff", str(files / "mine.py"), Path(HEATMAPS).name])
    assert (base.exit_code, base.output) == (0, "")
    models = run(app, ["diff", "movenet-thunder", "movenet-lightning"])
    assert models.output.startswith("--- movenet-thunder\n+++ movenet-lightning\n")


def test_code_runs_only_when_the_file_is_trusted(files):
    refused = run(app, ["show", str(files / "code.py")])
    assert isinstance(refused.exception, ConfigError)
    assert run(app, ["show", str(files / "code.py"), "--trust-config"]).output == "x = 3\n"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["show", "nowhere/none.py"], FileNotFoundError, "none.py"),
        (["show", "{files}/aa.py"], FileMissingError, "did you mean 'a.py'"),
        (["show", "{files}/a.py", "--set", "x"], ConfigError, "is not KEY=VALUE"),
        (["show", "{files}/a.py", "--set", "lr.x=1"], ConfigError, "'lr' is a dict"),
    ],
)
def test_faults(files, arguments, kind, message):
    done = run(app, [a.format(files=files) for a in arguments])
    assert isinstance(done.exception, kind)
    assert message in str(done.exception)
