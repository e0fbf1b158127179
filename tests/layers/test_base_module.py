"""BaseModule: init_cfg says how weights start."""

import pytest
import torch
from torch import nn

from poise.errors import ArgumentError, ConfigError
from poise.layers import (
    BaseModule,
    ConstantInit,
    ModuleDict,
    ModuleList,
    NormalInit,
    Sequential,
    XavierInit,
    initialize,
)


class Net(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)
        self.own = Sequential(
            nn.Linear(2, 2), init_cfg={"type": "Constant", "layer": "Linear", "val": 7}
        )


def filled(parameter, value):
    return bool((parameter == value).all())


def test_layers_are_named_by_class_or_direct_base():
    net = Net({"type": "Constant", "val": 3, "bias": 1, "layer": ["Conv2d", "_BatchNorm"]})
    before = net.fc.weight.clone()
    net.init_weights()
    assert filled(net.conv.weight, 3)
    assert filled(net.conv.bias, 1)
    assert filled(net.norm.weight, 3)
    assert torch.equal(net.fc.weight, before)


def test_a_childs_own_setting_wins():
    net = Net({"type": "Constant", "val": 3, "layer": "Linear"})
    net.init_weights()
    assert filled(net.fc.weight, 3)
    assert filled(net.own[0].weight, 7)


def test_a_list_is_applied_in_order():
    net = Net(
        [
            {"type": "Constant", "val": 1, "layer": "Linear"},
            {"type": "Constant", "val": 2, "layer": "Linear"},
        ]
    )
    net.init_weights()
    assert filled(net.fc.weight, 2)


def test_override_repeats_the_outer_setting_for_a_whole_attribute():
    net = Net({"type": "Constant", "val": 5, "layer": "Linear", "override": {"name": "conv"}})
    net.init_weights()
    assert filled(net.conv.weight, 5)
    assert filled(net.fc.weight, 5)


def test_override_may_have_a_type_of_its_own():
    override = {"name": "conv", "type": "Constant", "val": 9, "bias_prob": 0.01}
    net = Net({"type": "Normal", "std": 0.01, "layer": "Linear", "override": override})
    net.init_weights()
    assert filled(net.conv.weight, 9)
    assert net.conv.bias[0].item() == pytest.approx(-4.59512)


def test_weights_start_once(caplog):
    net = Net({"type": "Constant", "val": 1, "layer": "Linear"})
    net.init_weights()
    assert net.is_init
    nn.init.constant_(net.fc.weight, 4)
    net.init_weights()
    assert filled(net.fc.weight, 4)
    assert "called before" in caplog.text


def test_init_cfg_is_copied_and_shown():
    cfg = {"type": "Constant", "val": 1, "layer": "Linear"}
    net = Net(cfg)
    cfg["val"] = 2
    assert net.init_cfg["val"] == 1
    assert "init_cfg=" in repr(net)


@pytest.mark.parametrize("name", ["Kaiming", "mmengine.Kaiming", "Xavier", "Uniform"])
def test_a_file_is_loaded_after_everything_else(name, tmp_path):
    donor = Net()
    nn.init.constant_(donor.own[0].weight, 0.5)
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    net = Net(
        [
            {"type": "Pretrained", "checkpoint": str(tmp_path / "donor.pth")},
            {"type": name, "layer": "Linear"},
        ]
    )
    net.init_weights()
    assert filled(net.own[0].weight, 0.5)
    assert torch.equal(net.fc.weight, donor.fc.weight)


@pytest.mark.parametrize(
    ("distribution", "name"),
    [(d, n) for d in ("normal", "uniform") for n in ("Kaiming", "Xavier")],
)
def test_both_distributions_give_the_variance_of_the_formula(distribution, name):
    torch.manual_seed(0)
    layer = nn.Linear(400, 300)
    initialize(layer, {"type": name, "layer": "Linear", "distribution": distribution})
    expected = 2 / 300 if name == "Kaiming" else 2 / 700
    assert layer.weight.var().item() == pytest.approx(expected, rel=0.03)


def test_a_cut_gaussian_stays_inside():
    layer = nn.Linear(100, 100)
    initialize(layer, {"type": "TruncNormal", "std": 1.0, "a": -0.5, "b": 0.5, "layer": "Linear"})
    assert layer.weight.abs().max() <= 0.5


def test_containers_hold_modules():
    assert len(ModuleList([nn.ReLU(), nn.ReLU()], init_cfg=None)) == 2
    assert "a" in ModuleDict({"a": nn.ReLU()})


@pytest.mark.parametrize(
    ("cfg", "error", "text"),
    [
        ("Kaiming", ArgumentError, "must be a dict or a list of dicts"),
        ({"type": "Constant", "val": 1, "override": 3}, ArgumentError, "override must be"),
        ({"type": "Constant", "val": 1, "override": {"type": "Normal"}}, ConfigError, "'name'"),
        (
            {"type": "Constant", "val": 1, "override": {"name": "fc", "val": 2}},
            ConfigError,
            "no 'type'",
        ),
        ({"type": "Constant", "val": 1, "override": {"name": "nose"}}, ConfigError, "'nose'"),
        ({"type": "Constant", "val": 1, "bias": "x"}, ArgumentError, "bias must be a number"),
        ({"type": "Constant", "val": 1, "layer": 3}, ArgumentError, "layer must be"),
        ({"type": "Kaimin"}, KeyError, "did you mean 'Kaiming'"),
    ],
)
def test_faults_are_named(cfg, error, text):
    with pytest.raises(error, match=text):
        initialize(Net(), cfg)


def test_start_values_take_the_arguments_of_their_function():
    assert XavierInit(2.0, "uniform", layer="Linear").options == {
        "gain": 2.0,
        "distribution": "uniform",
    }
    assert ConstantInit(3).options == {"val": 3}
    with pytest.raises(ArgumentError, match="NormalInit: .*'sdt'; it takes mean.*std"):
        NormalInit(sdt=0.1)
    with pytest.raises(ArgumentError, match="ConstantInit: .*'val'"):
        ConstantInit(layer="Linear")
