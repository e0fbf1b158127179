"""Optimizer state in files: a group per parameter outside, few groups inside."""

import pytest
import torch
from torch import nn

from poise.errors import CheckpointError
from poise.training.optim.optimizer_state import from_file, to_file
from poise.training.optim.wrappers import build_optimizer

CFG = {
    "optimizer": {"type": "AdamW", "lr": 0.1, "weight_decay": 0.5},
    "paramwise_cfg": {"bias_decay_mult": 0.0},
}


@pytest.fixture
def trained():
    """A model after a step, with its optimizer."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = build_optimizer(model, CFG)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_a_file_has_a_group_of_each_parameter_in_model_order(trained):
    model, optimizer = trained
    state = to_file(optimizer, model)
    assert len(optimizer.param_groups) == 2
    assert [g["params"] for g in state["param_groups"]] == [[0], [1], [2], [3]]
    assert [g["weight_decay"] for g in state["param_groups"]] == [0.5, 0.0, 0.5, 0.0]
    for i, parameter in enumerate(model.parameters()):
        assert torch.equal(state["state"][i]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_a_file_gives_the_same_optimizer_again(trained):
    model, optimizer = trained
    optimizer.param_groups[0]["lr"] = 0.03
    other = build_optimizer(model, CFG)
    other.load_state_dict(from_file(to_file(optimizer, model), other, model))
    assert [g["lr"] for g in other.param_groups] == [0.03, 0.1]
    for parameter in model.parameters():
        for key, value in optimizer.state[parameter].items():
            assert torch.equal(value, other.state[parameter][key])


def test_one_group_stays_one_group(trained):
    model, _ = trained
    optimizer = build_optimizer(model, {"optimizer": {"type": "SGD", "lr": 1.0}})
    assert [g["params"] for g in to_file(optimizer, model)["param_groups"]] == [[0, 1, 2, 3]]


def test_other_groups_are_refused(trained):
    model, optimizer = trained
    plain = build_optimizer(model, {"optimizer": {"type": "AdamW", "lr": 0.1}})
    with pytest.raises(CheckpointError, match="4 groups of 4 parameters, the config gives 1"):
        from_file(to_file(optimizer, model), plain, model)
    with pytest.raises(CheckpointError, match="1 groups of 4 parameters, the config gives 2"):
        from_file(to_file(plain, model), optimizer, model)
