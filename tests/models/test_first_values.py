"""Networks whose weights come from a file are built without drawing others first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import poise
from poise.apis import init_model
from poise.layers import trunc_normal_
from poise.models.weights.first_values import NoFirstValues

SMALL = {
    "type": "TopdownPoseEstimator",
    "backbone": {"type": "ResNet", "depth": 18},
    "head": {
        "type": "HeatmapHead",
        "in_channels": 512,
        "out_channels": 3,
        "deconv_out_channels": (8,),
        "deconv_kernel_sizes": (4,),
        "loss": {"type": "KeypointMSELoss"},
    },
}
LAYERS = [
    lambda: nn.Conv2d(3, 8, 3),
    lambda: nn.ConvTranspose2d(3, 8, 4),
    lambda: nn.Linear(5, 7),
    lambda: nn.MultiheadAttention(8, 2),
    lambda: nn.LSTM(4, 6),
]
DISTRIBUTIONS = [
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.xavier_uniform_,
    nn.init.xavier_normal_,
    nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_,
    trunc_normal_,
]


@pytest.mark.parametrize("make", LAYERS)
def test_no_random_number_is_drawn_for_a_layer(make) -> None:
    before = torch.get_rng_state()
    with NoFirstValues():
        layer = make()
    assert torch.equal(torch.get_rng_state(), before)
    shapes = {k: v.shape for k, v in layer.state_dict().items()}
    assert shapes == {k: v.shape for k, v in make().state_dict().items()}


@pytest.mark.parametrize("fill", DISTRIBUTIONS)
def test_no_distribution_touches_a_parameter(fill) -> None:
    weight = nn.Parameter(torch.full((4, 4), 3.0))
    with NoFirstValues():
        assert fill(weight) is weight
    assert torch.equal(weight.detach(), torch.full((4, 4), 3.0))


def test_constants_buffers_and_arithmetic_are_as_ever() -> None:
    torch.manual_seed(0)
    expected = torch.empty(3).normal_()
    torch.manual_seed(0)
    with NoFirstValues():
        norm, drawn = nn.BatchNorm2d(4), torch.empty(3).normal_()
        summed = torch.ones(2).add_(1)
    assert norm.weight.tolist() == [1.0] * 4
    assert torch.equal(drawn, expected)
    assert summed.tolist() == [2.0, 2.0]


def test_a_loaded_model_has_the_weights_of_the_file_and_draws_nothing() -> None:
    weights = poise.build_model(SMALL).state_dict()
    before = torch.get_rng_state()
    model = poise.load_model(SMALL, weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


def test_what_the_file_lacks_has_its_first_values(caplog) -> None:
    weights = poise.build_model(SMALL).state_dict()
    lacking = {k: v for k, v in weights.items() if not k.startswith("head.final_layer")}
    torch.manual_seed(4)
    first = poise.build_model(SMALL).state_dict()
    torch.manual_seed(4)
    loaded = poise.load_model(SMALL, lacking).state_dict()
    for key, value in loaded.items():
        source = lacking if key in lacking else first
        assert torch.equal(value, source[key]), key
    assert "2 keys missing" in caplog.text
    assert "first, untrained values" in caplog.text


def test_a_built_model_keeps_what_the_file_lacks() -> None:
    model = poise.build_model(SMALL)
    own = model.head.final_layer.weight.clone()
    weights = {k: v + 1 for k, v in model.state_dict().items() if "final_layer" not in k}
    assert poise.load_model(model, weights) is model
    assert torch.equal(model.head.final_layer.weight, own)


def test_init_model_draws_nothing_either(tmp_path) -> None:
    name = "td-hm_res50_8xb64-210e_coco-256x192"
    path = tmp_path / "res50.pth"
    torch.save({"state_dict": poise.build_model(name).state_dict()}, path)
    before = torch.get_rng_state()
    model = init_model(name, str(path), device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert model.dataset_meta["dataset_name"] == "coco"
