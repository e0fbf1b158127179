"""torchvision's suppression without what the rest of torchvision costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torchvision.ops import nms

from poise.geometry.suppression_torch import box_nms

ALONE = """
import importlib, sys, torch
module = importlib.import_module("poise.geometry.suppression_torch")
kernels = importlib.import_module("poise.geometry.kernels_torch")
{prepare}
boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
kept = module.box_nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5)
print(kept.tolist(), "torchvision" in sys.modules, "torch._dynamo" in sys.modules)
"""


def alone(prepare: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(prepare=prepare)], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_it_keeps_what_torchvision_keeps(threshold) -> None:
    torch.manual_seed(0)
    corners = torch.rand(300, 2) * 50
    boxes = torch.cat([corners, corners + torch.rand(300, 2) * 30], dim=1)
    scores = torch.rand(300)
    assert torch.equal(box_nms(boxes, scores, threshold), nms(boxes, scores, threshold))


def test_no_boxes_keep_none() -> None:
    kept = box_nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_the_kernel_comes_without_torchvision_and_torchs_compiler() -> None:
    assert alone("") == "[1, 2] False False"


FAILS_ONCE = """
real, calls = torch.ops.load_library, []
def load(path):
    calls.append(path)
    if len(calls) == 1:
        raise OSError("no such symbol")
    return real(path)
torch.ops.load_library = load
"""


@pytest.mark.parametrize(
    "prepare",
    ["kernels.find_spec = lambda name: None", FAILS_ONCE],
    ids=["no folder is found", "the library does not load by itself"],
)
def test_where_the_library_cannot_be_had_alone_torchvision_is_imported(prepare) -> None:
    assert alone(prepare).startswith("[1, 2] True")
