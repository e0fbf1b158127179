"""`poise zoo backbones`."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from poise.cli.zoo import app
from poise.errors import ArgumentError
from poise.zoo.backbone_costs import variant_names


def run(*words):
    return CliRunner().invoke(app, ["backbones", *words], catch_exceptions=False)


def test_it_lists_every_variant_with_the_python_that_builds_it():
    lines = run().output.splitlines()
    assert lines[0].split() == ["backbone", "params", "GFLOPs", "in", "Python"]
    assert len([line for line in lines if ".variant(" in line]) == len(variant_names())
    assert any(line.split()[:2] == ["HRNet", "w32"] and "28.5 M" in line for line in lines)


def test_filters_and_orders():
    found = json.loads(run("net", "--max-gflops", "1", "--sort", "gflops", "--json").stdout)
    work = [record["gflops"] for record in found]
    assert work == sorted(work)
    assert work[-1] <= 1
    assert all("net" in record["backbone"].lower() for record in found)
    small = json.loads(run("--max-parameters", "1", "--sort", "parameters", "--json").stdout)
    assert small[-1]["parameters_millions"] <= 1


def test_another_size_is_counted_anew():
    (here,) = json.loads(run("ResNet", "18", "--json").stdout)[:1]
    found = json.loads(run("resnet", "18", "--input-size", "384x512", "--json").stdout)
    there = next(record for record in found if record["backbone"] == "ResNet")
    assert there["input_size"] == [384, 512]
    assert there["gflops"] == pytest.approx(4 * here["gflops"])


def test_a_size_that_is_refused_is_marked():
    done = run("HourglassNet", "1-stack")
    row = next(line for line in done.output.splitlines() if line.startswith("HourglassNet"))
    assert row.split()[4] == "-"
    assert "must be multiples" in done.stderr


def test_bad_options_are_named():
    assert run("nothing-like-it").exit_code == 1
    with pytest.raises(ArgumentError, match="such as 192x256; got '0x3'"):
        run("--input-size", "0x3")
    with pytest.raises(ArgumentError, match="'name', 'parameters', 'gflops', got 'size'"):
        run("--sort", "size")


def test_the_list_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from typer.testing import CliRunner; from poise.cli.zoo import app\n"
        "done = CliRunner().invoke(app, ['backbones', 'hrnet'], catch_exceptions=False)\n"
        "print(done.output)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HRNet w48" in done.stdout, done.stderr
