"""Whole models through torch.compile with its own code generator, which takes minutes."""

import os

import pytest
import torch

from poise import load_config
from poise.models import build_model

pytestmark = pytest.mark.skipif(
    not os.environ.get("POISE_TEST_INDUCTOR"),
    reason="compiling three models takes minutes; POISE_TEST_INDUCTOR=1 does it",
)

MODELS = [
    "td-hm_res50_8xb64-210e_coco-256x192",
    "rtmpose-t_8xb256-420e_coco-256x192",
    "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192",
]


@pytest.mark.parametrize("name", MODELS)
def test_generated_code_gives_the_same(name):
    torch.compiler.reset()
    torch.manual_seed(0)
    model = build_model(load_config(name)).eval()
    x = torch.randn(2, 3, 256, 192)
    with torch.no_grad():
        expected = model(x, None, mode="tensor")
        found = torch.compile(model, fullgraph=True)(x, None, mode="tensor")
    if isinstance(expected, torch.Tensor):
        expected, found = (expected,), (found,)
    for a, b in zip(expected, found, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-3)
