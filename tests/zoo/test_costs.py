"""Parameters and GFLOPs of the table are those of the networks."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from poise.models.build import build_model
from poise.zoo import find_model, load_config

#: one a family, small ones
NAMES = [
    "rtmpose-t_8xb256-420e_coco-256x192",
    "td-hm_litehrnet-18_8xb64-210e_coco-256x192",
    "td-hm_vipnas-mbv3_8xb64-210e_coco-256x192",
    "td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192",
    "rtmo-t_8xb32-600e_body7-416x416",
]


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_those_of_the_network(name):
    model = find_model(name)
    width, height = model.input_size
    config = load_config(name)
    with torch.device("meta"):
        network = build_model({"default_scope": "mmpose", "model": config.model}).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, height, width), mode="tensor")
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    assert millions == pytest.approx(model.parameters, rel=0.01)
    # a multiplication with an addition counts as one, as in MMPose's tables
    assert counter.get_total_flops() / 2e9 == pytest.approx(model.gflops, rel=0.01)
