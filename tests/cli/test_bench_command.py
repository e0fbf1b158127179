"""`poise bench` measures what can be run, and says what cannot."""

import json

import pytest
from typer.testing import CliRunner

import poise
from poise.cli.bench import _ways_of
from poise.cli.main import app
from poise.errors import ArgumentError, ConfigError
from poise.inference.speed import measure_speed

QUICK = ["--seconds", "0.05", "--people", "2"]


def bench(*args):
    return CliRunner().invoke(app, ["bench", *args, *QUICK])


def test_the_fastest_way_is_named():
    done = bench("movenet-lightning", "--backends", "torch", "--modes", "accurate,balanced")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "movenet-lightning"
    assert [line.split()[:2] for line in lines[2:4]] == [
        ["torch", "accurate"],
        ["torch", "balanced"],
    ]
    rates = [float(line.split()[-1]) for line in lines[2:4]]
    # printed rates are rounded: both may be the best
    best = [
        m for m, rate in zip(("accurate", "balanced"), rates, strict=True) if rate == max(rates)
    ]
    assert lines[4].strip() in [f"fastest here: --backend torch --mode {mode}" for mode in best]
    assert "movenet-lightning.safetensors" in done.stderr


# boxes of untrained networks know no bounds
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_models_of_whole_pictures_are_counted_in_pictures():
    name = "rtmo-t_8xb32-600e_body7-416x416"
    done = bench(name, "--modes", "balanced", "--json")
    assert done.exit_code == 0, done.output
    torch, *others = json.loads(done.stdout)
    assert torch["unit"] == "picture"
    assert torch["milliseconds"] == pytest.approx(1000 / torch["per_second"])
    assert "made-up weights" in done.stderr
    assert [row["backend"] for row in others] == ["onnxruntime", "openvino"]
    # a runtime that is installed takes it, too
    assert all(row["error"] or row["unit"] == "picture" for row in others)


def test_a_model_that_no_runtime_takes_is_said(monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")

    def refused(model, **options):
        raise ConfigError("a model of one's own is not exported; run it with backend='torch'")

    monkeypatch.setattr("poise.export.exporting.plan_of", refused)
    # nor is there a file of an earlier test
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path))
    done = bench(
        "rtmpose-t_8xb256-420e_coco-256x192", "--backends", "onnxruntime", "--modes", "fast"
    )
    assert done.exit_code == 1
    assert "run it with backend='torch'" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["movenet-lightning", "--backends", "tensorrt"], "--backends takes some of torch"),
        (["movenet-lightning", "--modes", ""], "--modes takes some of accurate"),
        (["movenet-lightnin"], "did you mean"),
    ],
)
def test_wrong_arguments_are_explained(args, said):
    done = bench(*args)
    assert done.exit_code
    assert said in f"{done.output}{done.exception}"


def test_numbers_must_be_positive():
    inferencer = poise.Inferencer("movenet-lightning", device="cpu", detector=None)
    for options in ({"people": 0}, {"seconds": -1.0}, {"batch_size": 0}):
        with pytest.raises(ArgumentError, match=f"{next(iter(options))} must be greater than 0"):
            measure_speed(inferencer, **options)


def test_exported_files_are_measured_with_what_runs_them():
    ways = [("torch", "accurate"), ("onnxruntime", "accurate"), ("openvino", "fast")]
    assert _ways_of("m.onnx", ways) == ways[1:]
    assert _ways_of("m.xml", ways) == [("openvino", "accurate"), ("openvino", "fast")]
    assert _ways_of("movenet-thunder", ways) == ways
