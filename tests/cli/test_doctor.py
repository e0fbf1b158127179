"""`poise doctor` says what is there, what works, and what would go wrong."""

import json
import re
import shutil
import sys

import pytest
import torch
from typer.testing import CliRunner

from poise.cli import doctor as doctor_module
from poise.cli.main import app
from poise.zoo import weights_url


def ask(*options):
    done = CliRunner().invoke(app, ["doctor", *options])
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("POISE_TOKEN", "hard-to-guess")
    # how much room there is, is the machine's matter
    usage = shutil.disk_usage(tmp_path)._replace(free=50 * 2**30)
    monkeypatch.setattr(doctor_module.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(doctor_module.shutil, "which", lambda _: None)


def test_it_says_what_is_there_and_finds_a_pose(tmp_path):
    weights = tmp_path / "torch/hub/checkpoints"
    weights.mkdir(parents=True)
    (weights / "a.pth").write_bytes(bytes(2**20))
    status, said = ask()
    assert status == 0
    assert "found by movenet-lightning on " in said
    assert f"{weights}: 1 files, 1 MiB; 50 GiB free" in said
    assert re.search(r"threads? of", said)
    assert "hard-to-guess" not in said
    assert "POISE_TOKEN              set" in said


def test_json_has_the_same():
    status, said = ask("--json")
    found = json.loads(said)
    assert status == 0
    assert set(found) == {
        *("poise", "needed", "optional", "devices", "folders", "detectors", "a pose"),
        *("settings", "problems"),
    }
    assert found["settings"]["POISE_TOKEN"] == "set"


def test_it_says_which_detectors_auto_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path))
    _, said = ask("--json")
    found = json.loads(said)["detectors"]
    assert found["person"].startswith("nanodet; `poise zoo download rtmdet-person` gets")
    assert found["hand"].startswith(
        "none, the whole picture is one box; `poise zoo download rtmdet-hand"
    )
    assert set(found) == {"person", "hand", "face", "animal"}
    (tmp_path / weights_url("rtmdet-hand").rpartition("/")[2]).write_bytes(b"x")
    assert "auto detector, hand      rtmdet-hand\n" in ask()[1]


def test_a_missing_library_and_two_of_one_kind_are_problems(monkeypatch):
    versions = {"opencv-python": "5.0"}
    monkeypatch.setattr(
        doctor_module,
        "_version",
        lambda name: None if name == "scipy" else versions.get(name, "1.0"),
    )
    status, said = ask()
    assert status == 1
    assert "problem: scipy is missing: pip install scipy" in said
    assert "opencv-python 5.0 and opencv-python-headless 1.0 share a folder" in said
    assert "a pose" not in said


def test_a_model_that_does_not_run_is_a_problem(monkeypatch):
    import poise.inference

    def fail(*_):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(poise.inference, "Inferencer", fail)
    status, said = ask()
    assert status == 1
    assert "problem: no pose could be found: RuntimeError: no kernel image" in said


def test_a_driver_without_a_torch_for_it_and_a_full_disk_are_problems(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor_module.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(doctor_module.shutil, "disk_usage", lambda _: usage)
    status, said = ask()
    assert status == 0
    assert "problem: there is an NVIDIA driver (nvidia-smi), and torch sees no GPU" in said
    assert "has only 1 MiB free, for downloaded weights" in said


def test_it_tries_the_runtimes_of_phones(monkeypatch):
    versions = {"ncnn": "1.0", "ai-edge-litert": "2.3"}
    version = doctor_module._version
    monkeypatch.setattr(doctor_module, "_version", lambda name: versions.get(name, version(name)))
    monkeypatch.setitem(sys.modules, "ncnn", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", sys)
    status, said = ask()
    assert status == 0
    assert "problem: ncnn is installed and cannot be loaded: " in said
    assert "device                   ai-edge-litert: CPU" in said
