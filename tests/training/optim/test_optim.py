"""Parameter groups: what each parameter gets."""

import pytest
import torch
from torch import nn

from poise.config import Config
from poise.errors import ConfigError, UnknownNameError
from poise.training.optim.view import OptimizerView
from poise.training.optim.wrappers import StepSettings, build_optimizer


class DeformConv2d(nn.Module):
    """Stands for the deformable convolution: a convolution gives its offsets."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 2))
        self.conv_offset = nn.Conv2d(2, 2, 1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 1)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.zeros(4))
        self.deform = DeformConv2d()


def settings(model, **paramwise):
    """{parameter: (learning rate, weight decay)} at lr 1 and decay 0.5."""
    cfg = {
        "optimizer": {"type": "AdamW", "lr": 1.0, "weight_decay": 0.5},
        "paramwise_cfg": paramwise,
    }
    names = {id(p): n for n, p in model.named_parameters()}
    groups = build_optimizer(model, cfg).param_groups
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


def differing(table, default=(1.0, 0.5)):
    return {k: v for k, v in table.items() if v != default}


@pytest.mark.parametrize(
    ("paramwise", "expected"),
    [
        ({"norm_decay_mult": 0.0}, {"norm.weight": (1, 0), "norm.bias": (1, 0)}),
        (
            {"bias_decay_mult": 0.0},
            dict.fromkeys(("conv.bias", "depthwise.bias", "norm.bias"), (1, 0)),
        ),
        ({"bias_lr_mult": 2.0}, dict.fromkeys(("conv.bias", "depthwise.bias"), (2, 0.5))),
        (
            {"dwconv_decay_mult": 0.0},
            {"depthwise.weight": (1, 0), "depthwise.bias": (1, 0)},
        ),
        (
            {"flat_decay_mult": 0.0},
            dict.fromkeys(
                ("scale", "conv.bias", "depthwise.bias", "norm.weight", "norm.bias"), (1, 0)
            ),
        ),
        (
            {"dcn_offset_lr_mult": 0.1},
            {f"deform.conv_offset.{k}": (0.1, 0.5) for k in ("weight", "bias")},
        ),
        (
            {"custom_keys": {"conv": {"lr_mult": 0.5}, "conv.bias": {"decay_mult": 0.0}}},
            {
                "conv.weight": (0.5, 0.5),
                "conv.bias": (1, 0),
                "deform.conv_offset.weight": (0.5, 0.5),
                "deform.conv_offset.bias": (0.5, 0.5),
            },
        ),
    ],
    ids=lambda v: next(iter(v)),
)
def test_each_rule_reaches_its_parameters_and_no_others(paramwise, expected):
    got = differing(settings(Net(), **paramwise))
    assert got.keys() == expected.keys()
    for name, pair in expected.items():
        assert got[name] == pytest.approx(pair)


def test_a_norm_is_not_a_bias():
    table = settings(Net(), norm_decay_mult=0.2, bias_decay_mult=0.0, flat_decay_mult=0.4)
    assert table["norm.bias"] == (1, 0.1)
    assert table["conv.bias"] == (1, 0.0)
    assert table["scale"] == (1, 0.2)


def test_custom_keys_switch_the_other_rules_off():
    table = settings(Net(), bias_decay_mult=0.0, custom_keys={"conv.bias": {"lr_mult": 3}})
    assert table["conv.bias"] == (3.0, 0.5)
    assert table["depthwise.bias"] == (1.0, 0.0)


def test_custom_keys_carry_other_group_settings():
    cfg = {
        "optimizer": {"type": "SGD", "lr": 1.0},
        "paramwise_cfg": {"custom_keys": {"conv": {"momentum": 0.3}}},
    }
    groups = build_optimizer(nn.ModuleDict({"conv": nn.Linear(1, 1)}), cfg).param_groups
    assert [g["momentum"] for g in groups] == [0.3]


@pytest.mark.parametrize("forced", [True, False])
def test_forced_defaults_overrule_custom_keys(forced):
    cfg = {
        "constructor": "ForceDefaultOptimWrapperConstructor",
        "optimizer": {"type": "AdamW", "lr": 1.0, "weight_decay": 0.5},
        "paramwise_cfg": {
            "bias_decay_mult": 0.0,
            "force_default_settings": forced,
            "custom_keys": {"conv": {"lr_mult": 0.1}},
        },
    }
    model = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 1), "fc": nn.Linear(1, 1)})
    model["fc"].weight.requires_grad_(False)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = build_optimizer(model, cfg).param_groups
    table = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert table == {
        "conv.weight": (0.1, 0.5),
        "conv.bias": (0.1, 0.0 if forced else 0.5),
        "fc.weight": (1.0, 0.5),
        "fc.bias": (1.0, 0.0),
    }


def test_layers_of_a_vit_learn_slower_towards_the_first():
    backbone = nn.Module()
    backbone.pos_embed = nn.Parameter(torch.zeros(1, 2, 2))
    backbone.patch_embed = nn.Linear(2, 2)
    backbone.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    model = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(2, 2)})
    cfg = {
        "constructor": "LayerDecayOptimWrapperConstructor",
        "optimizer": {"type": "AdamW", "lr": 1.0, "weight_decay": 0.5},
        "paramwise_cfg": {"num_layers": 2, "layer_decay_rate": 0.5},
    }
    backbone.patch_embed.bias.requires_grad_(False)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = build_optimizer(model, cfg).param_groups
    table = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert table.keys() == set(names.values()) - {"backbone.patch_embed.bias"}
    assert table["backbone.pos_embed"] == (0.125, 0.0)
    assert table["backbone.patch_embed.weight"] == (0.125, 0.5)
    assert table["backbone.layers.0.weight"] == (0.25, 0.5)
    assert table["backbone.layers.1.bias"] == (0.5, 0.0)
    assert table["head.weight"] == (1.0, 0.5)


def test_shared_parameters_are_counted_once_if_asked():
    model = nn.ModuleDict({"a": nn.Linear(2, 2)})
    model["b"] = model["a"]
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": {"bias_lr_mult": 2.0}}
    with pytest.raises(ConfigError, match="bypass_duplicate=True"):
        build_optimizer(model, cfg)
    cfg["paramwise_cfg"]["bypass_duplicate"] = True
    groups = build_optimizer(model, cfg).param_groups
    assert sum(len(g["params"]) for g in groups) == 2


def test_frozen_parameters_are_left_out_of_groups():
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert list(settings(model, norm_decay_mult=0.0)) == ["bias"]


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop", "torch.optim.Adam"])
def test_optimizers_of_torch_are_known_by_name(name):
    optimizer = build_optimizer(nn.Linear(1, 1), {"optimizer": {"type": name, "lr": 0.1}})
    assert type(optimizer).__name__ == name.rpartition(".")[2]


def test_a_built_optimizer_is_taken_as_it_is():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    assert build_optimizer(model, optimizer) is optimizer
    assert build_optimizer(model, {"optimizer": optimizer}) is optimizer


@pytest.mark.parametrize(
    ("cfg", "match"),
    [
        ({"type": "OptimWrapper"}, "needs 'optimizer'"),
        (
            {"optimizer": {"type": "SGD", "lr": 1}, "paramwise_cfg": {"norm_decay_multi": 0}},
            "did you mean 'norm_decay_mult'",
        ),
        (
            {"optimizer": {"type": "SGD", "lr": 1}, "paramwise_cfg": {"norm_decay_mult": 0}},
            "does not set; give weight_decay",
        ),
        ({"optimizer": {"type": "SGD"}, "paramwise_cfg": {"bias_lr_mult": 0}}, "multiplies lr"),
    ],
)
def test_wrong_configs_are_named(cfg, match):
    with pytest.raises(ConfigError, match=match):
        build_optimizer(nn.Linear(1, 1), cfg)


def test_an_unknown_paramwise_key_is_named_with_its_line():
    text = "optim_wrapper = dict(\n    optimizer=dict(type='SGD', lr=1.0),\n"
    text += "    paramwise_cfg=dict(bias_lr_mul=2.0))\n"
    cfg = Config.fromstring(text, ".py")
    with pytest.raises(
        ConfigError, match=r"'bias_lr_mul' \(.*line 3\); did you mean 'bias_lr_mult'.* It knows"
    ):
        build_optimizer(torch.nn.Linear(1, 1), cfg["optim_wrapper"])


def test_an_unknown_optimizer_is_named():
    with pytest.raises(UnknownNameError, match="AdamX"):
        build_optimizer(nn.Linear(1, 1), {"optimizer": {"type": "AdamX"}})


def test_a_users_constructor_may_group_in_its_own_way():
    from poise.registry import OPTIM_WRAPPER_CONSTRUCTORS
    from poise.training.optim.constructors import DefaultOptimWrapperConstructor

    @OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
    class HalfRate(DefaultOptimWrapperConstructor):
        def add_params(self, params, module, prefix="", is_dcn_module=None):
            params += [{"params": [p], "lr": self.base_lr / 2} for p in module.parameters()]

    cfg = {
        "constructor": "HalfRate",
        "optimizer": {"type": "SGD", "lr": 1.0},
        "paramwise_cfg": {"of_my_own": 1},
    }
    assert [g["lr"] for g in build_optimizer(nn.Linear(1, 1), cfg).param_groups] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("cfg", "precision"),
    [
        ({"optimizer": {}}, "32-true"),
        ({"type": "AmpOptimWrapper", "optimizer": {}}, "16-mixed"),
        ({"type": "AmpOptimWrapper", "dtype": "bfloat16", "optimizer": {}}, "bf16-mixed"),
    ],
)
def test_the_wrapper_chooses_the_precision(cfg, precision):
    assert StepSettings.from_cfg(cfg).precision == precision


def test_clipping_limits_the_norm_and_tells_it():
    weight = nn.Parameter(torch.zeros(4))
    weight.grad = torch.full((4,), 3.0)
    made = StepSettings(clip_grad={"max_norm": 1.0})
    assert made.clip([weight]) == pytest.approx(6.0)
    assert weight.grad.norm() == pytest.approx(1.0, rel=1e-4)
    weight.grad = torch.full((4,), 3.0)
    assert StepSettings(clip_grad={"type": "value", "clip_value": 2.0}).clip([weight]) is None
    assert weight.grad.max() == 2.0


@pytest.mark.parametrize(
    ("cfg", "match"),
    [
        ({"accumulative_counts": 0}, "at least 1"),
        ({"clip_grad": {"type": "median", "max_norm": 1}}, "'norm', 'value'"),
        ({"type": "AmpOptimWrapper", "dtype": "int8"}, "'float16' or 'bfloat16'"),
    ],
)
def test_wrong_step_settings_are_named(cfg, match):
    with pytest.raises(ConfigError, match=match):
        StepSettings.from_cfg({**cfg, "optimizer": {}})


def test_the_view_of_an_optimizer_tells_rates_and_momenta():
    slow, plain = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    groups = [{"params": [slow], "lr": 0.1}, {"params": [plain]}]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.8, 0.9))
    view = OptimizerView(optimizer)
    # the first group has a multiplier: the rate of the config is that of the second one
    assert view.get_lr() == {"lr": [0.1, 1.0], "base_lr": [1.0]}
    assert view.get_momentum() == {"momentum": [0.8, 0.8]}
    assert view.defaults["lr"] == 1.0
    assert view.state_dict() == optimizer.state_dict()
    plain.grad = torch.ones(1)
    view.zero_grad()
    assert plain.grad is None
