"""What a training starts from, and that nothing is fetched where nothing is asked for."""

import copy

import pytest
from typer.testing import CliRunner

from poise.cli.main import app
from poise.cli.train import open_config
from poise.errors import CheckpointError, ConfigError
from poise.training.build import build_model
from poise.training.run.start import find_start, forget_files, put_start
from poise.training.runner import Runner
from poise.zoo import load_config

RTMPOSE = "rtmpose-t_8xb256-420e_coco-256x192"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A download is an error, and nothing lies ready."""
    monkeypatch.setenv("POISE_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path / "weights"))


@pytest.mark.parametrize(
    "name",
    [
        RTMPOSE,
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192",
        "td-hm_ViTPose-small_8xb64-210e_coco-256x192",
        "rtmo-s_8xb32-600e_coco-640x640",
        "td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192",
    ],
)
def test_none_starts_without_any_file(offline, name):
    tree = load_config(name).to_dict()
    assert put_start(tree, find_start(name, "none"), "none") == "start: random weights"
    assert tree["load_from"] is None
    assert "checkpoint" not in str(tree["model"])
    # BaseModule.init_weights would fetch it
    build_model(tree, init=True)


def test_the_backbones_weights_are_those_that_the_config_names(offline):
    tree = load_config(RTMPOSE).to_dict()
    before = copy.deepcopy(tree["model"])
    said = put_start(tree, find_start(RTMPOSE, "backbone"), "backbone")
    assert said == f"start: {before['backbone']['init_cfg']['checkpoint']}"
    assert tree["model"] == before


def test_a_file_is_all_there_is(offline, tmp_path):
    file = tmp_path / "mine.pth"
    file.touch()
    tree = load_config(RTMPOSE).to_dict()
    assert put_start(tree, find_start(RTMPOSE, str(file)), str(file)) == f"start: {file}"
    assert tree["load_from"] == str(file)
    assert "init_cfg" not in tree["model"]["backbone"]


def test_files_at_any_depth_and_of_other_libraries_are_left_out():
    model = {
        "type": "A",
        "init_cfg": [{"type": "Normal"}, {"type": "Pretrained", "checkpoint": "a.pth"}],
        "parts": [{"backbone": {"type": "B", "init_cfg": {"checkpoint": "b.pth"}}}],
        "backbone": {"type": "TIMMBackbone", "pretrained": True, "checkpoint_path": "c.pth"},
        "neck": {"type": "Swin", "pretrained": "d.pth"},
    }
    tree = {"model": copy.deepcopy(model)}
    assert put_start(tree, None, None) == "start: a.pth"
    forget_files(model)
    assert model == {
        "type": "A",
        "init_cfg": [{"type": "Normal"}],
        "parts": [{"backbone": {"type": "B"}}],
        "backbone": {"type": "TIMMBackbone", "pretrained": False, "checkpoint_path": None},
        "neck": {"type": "Swin", "pretrained": None},
    }


def test_a_distiller_needs_its_teacher():
    tree = load_config("dwpose_m-mm_coco-256x192").to_dict()
    with pytest.raises(ConfigError, match="--weights none: .* learns from a teacher"):
        put_start(tree, None, "none")


def test_the_command_takes_them_without_own_data_too(offline, tmp_path):
    made = str(tmp_path / "run")
    start = ["train", RTMPOSE, "--synthetic", "--epochs", "1", "-w", made, "--no-validate"]
    small = ["--set", "train_dataloader.num_workers=0", "--set", "train_dataloader.batch_size=4"]
    small += ["--set", "train_dataloader.persistent_workers=False"]
    done = CliRunner().invoke(app, [*start, *small])
    assert isinstance(done.exception, CheckpointError)
    done = CliRunner().invoke(app, [*start, *small, "--weights", "none"])
    assert done.exit_code == 0, done.output
    assert "start: random weights" in done.output
    # a change that comes last wins
    cfg = open_config(RTMPOSE, ["load_from=x.pth"])
    assert cfg.load_from == "x.pth"


def test_going_on_needs_no_weights_to_start_from(make_config, monkeypatch):
    done = Runner(make_config(train_cfg={"by_epoch": True, "max_epochs": 1}))
    done.train()
    monkeypatch.setattr(
        type(done.model), "init_weights", lambda _: pytest.fail("fetches"), raising=False
    )
    Runner(make_config(), resume="auto").train()
