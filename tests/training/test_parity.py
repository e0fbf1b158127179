"""Short trainings have the losses that MMPose 1.3.2 had from the same weights on the same data.

`python -m benchmarks training_parity --peer PYTHON` compares with an installed MMPose, and more
cases; its `--record` wrote the losses here (torch 2.14, one CPU thread).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training_parity.py"
LOSSES = json.loads((Path(__file__).parent / "reference" / "mmpose_losses.json").read_text())
#: Another torch, or another processor, rounds otherwise: seen are 1e-6 of the first losses, which
#: show a wrong step, and after 20 steps of Adam, which makes small gradients large, 8e-4.
FIRST, NOISE = 1e-4, 5e-3


@pytest.fixture
def script():
    """The benchmark, which is not part of a package."""
    spec = importlib.util.spec_from_file_location("training_parity", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_mmposes(tmp_path, script, name):
    script.make_data(tmp_path)
    before = torch.get_num_threads()
    try:
        found = script.train("poise", name, tmp_path, steps=20)["losses"]
    finally:
        torch.set_num_threads(before)
    assert found[:3] == pytest.approx(LOSSES[name][:3], rel=FIRST)
    assert found == pytest.approx(LOSSES[name], rel=NOISE)
