"""Schedules: MMEngine's curves, their combinations, resuming."""

import math

import pytest
import torch

from poise.errors import ArgumentError, ConfigError
from poise.registry import PARAM_SCHEDULERS
from poise.training.optim.schedules import build_schedulers


def make_optimizer(kind="SGD", lr=1.0, **kwargs):
    weight = torch.zeros(1, requires_grad=True)
    return getattr(torch.optim, kind)([weight], lr=lr, **kwargs)


def curve(cfg, steps, *, optimizer=None, train_cfg=None, epoch_length=1, read=None):
    optimizer = optimizer or make_optimizer()
    train_cfg = train_cfg or {"max_epochs": steps}
    schedules = build_schedulers(optimizer, cfg, train_cfg=train_cfg, epoch_length=epoch_length)
    values = []
    for i in range(steps):
        group = optimizer.param_groups[0]
        values.append(read(group) if read else group["lr"])
        for s in schedules:
            if not s.by_epoch or (i + 1) % epoch_length == 0:
                s.step()
    return values


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({"type": "ConstantLR", "factor": 0.5, "end": 3}, [0.5, 0.5, 1, 1]),
        ({"type": "ConstantLR", "factor": 2.5, "end": 3}, [2.5, 2.5, 1, 1]),
        ({"type": "LinearLR", "start_factor": 0.1, "end": 4}, [0.1, 0.4, 0.7, 1.0, 1.0]),
        ({"type": "StepLR", "step_size": 2, "gamma": 0.5}, [1, 1, 0.5, 0.5, 0.25]),
        ({"type": "MultiStepLR", "milestones": [1, 3, 3]}, [1, 0.1, 0.1, 0.001]),
        ({"type": "ExponentialLR", "gamma": 0.5, "begin": 1}, [1, 1, 0.5, 0.25]),
        ({"type": "PolyLR", "power": 1, "end": 5}, [1, 0.75, 0.5, 0.25, 0.0]),
        ({"type": "QuadraticWarmupLR", "end": 2}, [0.25, 1, 1]),
    ],
    ids=lambda v: v["type"] if isinstance(v, dict) else "",
)
def test_rules_give_their_closed_forms(cfg, expected):
    assert curve(cfg, len(expected)) == pytest.approx(expected)


@pytest.mark.parametrize(("floor", "low"), [({"eta_min": 0.1}, 0.1), ({"eta_min_ratio": 0.2}, 0.4)])
def test_cosine_is_half_a_wave_above_its_floor(floor, low):
    got = curve(
        {"type": "CosineAnnealingLR", "T_max": 10, **floor},
        11,
        optimizer=make_optimizer(lr=2.0),
        train_cfg={"max_epochs": 20},
    )
    wave = [low + (2 - low) * (1 + math.cos(math.pi * i / 10)) / 2 for i in range(11)]
    assert got == pytest.approx(wave)


def test_cosine_rises_again_after_its_period():
    cfg = {"type": "CosineAnnealingLR", "T_max": 4, "end": 100}
    got = curve(cfg, 9, train_cfg={"max_epochs": 100})
    assert got[8] == pytest.approx(1.0)
    assert got[4] == pytest.approx(0.0)


def test_cosine_restarts_from_its_weights():
    cfg = {"type": "CosineRestartLR", "periods": [2, 3], "restart_weights": [1, 0.5], "eta_min": 0}
    got = curve(cfg, 6, train_cfg={"max_epochs": 10})
    half = [0.5 * (1 + math.cos(math.pi * i / 3)) / 2 for i in range(3)]
    assert got[:5] == pytest.approx([1, 0.5, *half])


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_is_that_of_torch(three_phase, strategy):
    settings = {"pct_start": 0.3, "anneal_strategy": strategy, "three_phase": three_phase}
    cfg = {"type": "OneCycleLR", "eta_max": 0.5, "total_steps": 20, "by_epoch": False, **settings}
    got = curve(cfg, 20, train_cfg={"max_iters": 20})
    optimizer = make_optimizer()
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.5, total_steps=20, cycle_momentum=False, **settings
    )
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 20:
            theirs.step()
    assert got == pytest.approx(expected)


def test_warm_up_by_iterations_and_decay_by_epochs_act_together():
    cfg = [
        {"type": "LinearLR", "start_factor": 0.5, "by_epoch": False, "end": 3},
        {"type": "MultiStepLR", "milestones": [2], "by_epoch": True},
    ]
    got = curve(cfg, 9, epoch_length=3, train_cfg={"max_epochs": 3})
    assert got == pytest.approx([0.5, 0.75, 1, 1, 1, 1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("by_epochs", "by_iterations"),
    [
        ({"type": "CosineAnnealingLR", "T_max": 3, "begin": 1, "end": 4}, {"T_max": 6}),
        ({"type": "MultiStepLR", "milestones": [2], "begin": 1, "end": 4}, {"milestones": [4]}),
        ({"type": "StepLR", "step_size": 1, "begin": 1, "end": 4}, {"step_size": 2}),
    ],
)
def test_conversion_multiplies_every_count_by_the_epoch_length(by_epochs, by_iterations):
    converted = {**by_epochs, "convert_to_iter_based": True}
    plain = {**by_epochs, "begin": 2, "end": 8, "by_epoch": False, **by_iterations}
    train_cfg = {"max_epochs": 5}
    one = curve(converted, 10, epoch_length=2, train_cfg=train_cfg)
    two = curve(plain, 10, epoch_length=2, train_cfg=train_cfg)
    assert one == two


@pytest.mark.parametrize(
    ("optimizer", "read"),
    [
        (("SGD", {"momentum": 0.8}), lambda g: g["momentum"]),
        (("AdamW", {"betas": (0.8, 0.99)}), lambda g: g["betas"][0]),
    ],
)
def test_momentum_twins_move_momentum_or_the_first_beta(optimizer, read):
    kind, kwargs = optimizer
    made = make_optimizer(kind, **kwargs)
    cfg = {"type": "StepMomentum", "step_size": 1, "gamma": 0.5}
    assert curve(cfg, 3, optimizer=made, read=read) == pytest.approx([0.8, 0.4, 0.2])
    if kind == "AdamW":
        assert made.param_groups[0]["betas"][1] == 0.99


def test_momentum_of_an_optimizer_without_one_is_refused():
    with pytest.raises(ConfigError, match="Adagrad has no momentum"):
        curve({"type": "LinearMomentum", "end": 3}, 1, optimizer=make_optimizer("Adagrad"))


def test_a_schedule_without_end_lasts_as_long_as_the_run():
    (by_epoch,) = build_schedulers(
        make_optimizer(), {"type": "LinearLR"}, train_cfg={"max_epochs": 7}, epoch_length=3
    )
    (by_iter,) = build_schedulers(
        make_optimizer(),
        {"type": "LinearLR", "by_epoch": False},
        train_cfg={"max_epochs": 7},
        epoch_length=3,
    )
    assert (by_epoch.rule.end, by_iter.rule.end) == (7, 21)


def test_a_resumed_schedule_goes_on_with_the_same_values():
    cfg = [
        {"type": "LinearLR", "by_epoch": False, "end": 5},
        {"type": "CosineAnnealingLR", "T_max": 20, "by_epoch": False, "begin": 5},
    ]
    settings = {"train_cfg": {"max_iters": 30}, "epoch_length": 10}
    whole = make_optimizer()
    schedules = build_schedulers(whole, cfg, **settings)
    for _ in range(8):
        [s.step() for s in schedules]
    states = [s.state_dict() for s in schedules]
    resumed = make_optimizer()
    others = build_schedulers(resumed, cfg, **settings)
    resumed.load_state_dict(whole.state_dict())
    for schedule, state in zip(others, states, strict=True):
        schedule.load_state_dict(state)
    for _ in range(10):
        [s.step() for s in [*schedules, *others]]
        assert whole.param_groups[0]["lr"] == resumed.param_groups[0]["lr"]


@pytest.mark.parametrize("rule", ["less", "greater"])
@pytest.mark.parametrize("threshold_rule", ["rel", "abs"])
@pytest.mark.parametrize(
    "options", [{}, {"cooldown": 2}, {"min_value": 0.2}, {"eps": 0.1}, {"threshold": 0.05}]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_plateau_is_torchs(rule, threshold_rule, options, sign):
    given = {"factor": 0.5, "patience": 1, "threshold": 0.01} | options
    ours, theirs = make_optimizer(), make_optimizer()
    cfg = {"type": "ReduceOnPlateauLR", "rule": rule, "threshold_rule": threshold_rule, **given}
    (plateau,) = build_schedulers(ours, cfg, train_cfg={"max_epochs": 99}, epoch_length=1)
    given["min_lr"] = given.pop("min_value", 0)
    mode = "min" if rule == "less" else "max"
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, mode, threshold_mode=threshold_rule, **given
    )
    for epoch in range(30):
        metric = sign * (1 + 0.1 * math.sin(epoch * 1.3) - 0.005 * epoch)
        plateau.step()
        plateau.step({"loss": metric})
        reference.step(metric)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
    assert ours.param_groups[0]["lr"] < 1


def test_a_plateau_lowers_the_rate_when_a_metric_stands_still():
    optimizer = make_optimizer()
    (plateau,) = build_schedulers(
        optimizer,
        {"type": "ReduceOnPlateauLR", "monitor": "AP", "rule": "greater", "patience": 1},
        train_cfg={"max_epochs": 10},
        epoch_length=1,
    )
    rates = []
    for score in (0.1, 0.2, 0.2, 0.2, 0.2):
        plateau.step()
        plateau.step({"AP": score})
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1])
    with pytest.raises(ConfigError, match="watches 'AP', validation gave"):
        plateau.step({"AR": 1.0})


def test_a_first_metric_that_is_no_number_is_not_the_best():
    optimizer = make_optimizer()
    cfg = {"type": "ReduceOnPlateauLR", "monitor": "loss", "patience": 1}
    (plateau,) = build_schedulers(optimizer, cfg, train_cfg={"max_epochs": 10}, epoch_length=1)
    for loss in (float("nan"), 5.0, 4.0, 3.0, 2.0):
        plateau.step({"loss": loss})
    assert optimizer.param_groups[0]["lr"] == 1


@pytest.mark.parametrize(("rule", "rate"), [("abs", 0.1), ("rel", 1.0)])
def test_a_relative_threshold_below_zero_lets_a_little_worse_count(rule, rate):
    optimizer = make_optimizer()
    cfg = {"type": "ReduceOnPlateauLR", "monitor": "loss", "rule": "less", "patience": 0}
    cfg |= {"threshold": 0.1, "threshold_rule": rule}
    (plateau,) = build_schedulers(optimizer, cfg, train_cfg={"max_epochs": 10}, epoch_length=1)
    for loss in (-1.0, -0.95):
        plateau.step({"loss": loss})
    # -0.95 < (1 - 0.1) * -1, but not < -1 - 0.1
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)


@pytest.mark.parametrize("scope", ["", "mmengine.", "mmengine.optim.", "mmpose."])
def test_names_resolve_with_and_without_scopes(scope):
    assert PARAM_SCHEDULERS.get(f"{scope}ConstantLR") is not None


@pytest.mark.parametrize(
    ("cfg", "match"),
    [
        ({"type": "LinearLR", "begin": 5, "end": 5}, "must end after it begins"),
        ({"type": "LinearLR", "start_factor": 2}, "between 0 and 1"),
        ({"type": "LinearLR", "start_factor": 0}, "cannot be 0; give a small one"),
        ({"type": "QuadraticWarmupLR", "end": 10**9}, "needs 'end'"),
        ({"type": "CosineAnnealingLR", "eta_min": 0, "eta_min_ratio": 0}, "not both"),
        ({"type": "CosineRestartLR", "periods": [1, 2]}, "same length"),
        ({"type": "OneCycleLR", "anneal_strategy": "exp"}, "'cos', 'linear'"),
        ({"type": "LinearLR", "by_epoch": False, "convert_to_iter_based": True}, "by_epoch=True"),
        ({"type": "ReduceOnPlateauLR", "rule": "more"}, "'less', 'greater'"),
    ],
)
def test_wrong_settings_are_named(cfg, match):
    with pytest.raises(ConfigError, match=match):
        curve(cfg, 1, train_cfg={"max_epochs": 100})


@pytest.mark.parametrize(
    ("cfg", "match"),
    [
        ({"type": "LinearLR", "start_facto": 0.1}, "did you mean 'start_factor'"),
        ({"type": "StepLR"}, "step_size"),
        ("LinearLR", "dicts with 'type'"),
    ],
)
def test_wrong_arguments_are_named(cfg, match):
    with pytest.raises(ArgumentError, match=match):
        curve(cfg, 1)


def test_code_outside_finds_them_where_they_were():
    import poise.training.schedules as path

    assert path.build_schedulers is build_schedulers
    assert "build_schedulers" in dir(path)
