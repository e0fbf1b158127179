"""Poise's own options of a training: freezing, speed, memory that runs out, searches."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from poise.errors import ConfigError
from poise.models.backbones import ResNet
from poise.training.machine.memory import BatchTooLargeError, is_out_of_memory, largest_that_fits
from poise.training.machine.speed import checkpoint_blocks, fuse_optimizer, prepare_model
from poise.training.optim.freezing import freeze
from poise.training.runner import Runner
from poise.training.trials.tuning import RateCurve, _prepared, find_batch_size, find_learning_rate


def train(cfg, **more):
    runner = Runner(cfg, accelerator="cpu", devices=1, **more)
    runner.train()
    return runner


@pytest.mark.parametrize("part", ["backbone", "back*", ["norm", "backbone.weight"]])
def test_frozen_parts_do_not_change(make_config, part):
    cfg = make_config(freeze=part)
    before = copy.deepcopy(cfg["model"].state_dict())
    after = train(cfg).model.state_dict()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    names = [part] if isinstance(part, str) else part
    prefixes = tuple(n.rstrip("*") for n in names)
    assert changed
    assert not [n for n in changed if n.startswith(prefixes)]


def test_norms_of_frozen_parts_stay_in_eval_mode():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 1))
    assert freeze(model, "0") == {"0": 10}
    assert [m.training for m in model.train().modules()] == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("part", "match"),
    [
        ("backbon", "freeze names 'backbon', .*; its parts are .*did you mean 'backbone'"),
        ("*", "leaves nothing of the model to train"),
    ],
)
def test_wrong_names_to_freeze_are_named(make_config, part, match):
    with pytest.raises(ConfigError, match=match):
        freeze(make_config()["model"], part)


# -------------------------------------------------------------------------- speed


def small_resnet():
    torch.manual_seed(0)
    return ResNet(18, stem_channels=8, base_channels=8)


def gradients(model, x):
    model.train()
    model(x)[-1].square().mean().backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_checkpointed_blocks_give_the_same_gradients_and_statistics():
    x = torch.randn(2, 3, 64, 64)
    plain, again = small_resnet(), small_resnet()
    assert checkpoint_blocks(again) == 8
    expected, found = gradients(plain, x), gradients(again, x)
    for name, gradient in expected.items():
        assert torch.equal(gradient, found[name]), name
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_channels_last_leaves_the_names():
    model = small_resnet()
    names = list(model.state_dict())
    prepare_model(model, {"channels_last": True})
    assert list(model.state_dict()) == names
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_compiling_leaves_the_names_and_the_numbers(make_config):
    model = make_config()["model"]
    x = torch.randn(3, 4)
    expected, names = model.backbone(x), list(model.state_dict())
    prepare_model(model, {"compile": {"backend": "eager"}})
    assert torch.allclose(model.backbone(x), expected)
    assert list(model.state_dict()) == names


def test_an_unknown_speed_is_named():
    with pytest.raises(ConfigError, match="speed does not know 'compil'; did you mean 'compile'"):
        prepare_model(nn.Linear(1, 1), {"compil": True})


def test_a_fused_step_gives_the_same_weights(make_config):
    states = []
    for speed in ({}, {"fused": True}):
        torch.manual_seed(0)
        cfg = make_config(speed=speed, randomness={"seed": 0})
        cfg["optim_wrapper"] = {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}}
        cfg["model"] = copy.deepcopy(states[0][0]) if states else cfg["model"]
        before = copy.deepcopy(cfg["model"])
        runner = train(cfg, validate=False)
        assert runner.optimizer.defaults["fused"] is (True if speed else None)
        states.append((before, runner.model.state_dict()))
    for name, tensor in states[0][1].items():
        assert torch.allclose(tensor, states[1][1][name], atol=1e-4), name


def test_optimizers_without_a_fused_step_are_named():
    with pytest.raises(ConfigError, match="RMSprop has no fused step"):
        fuse_optimizer({"type": "RMSprop"}, {"fused": True})


# ------------------------------------------------------------------------- memory


@pytest.mark.parametrize("fitting", [0, 1, 2, 7, 21, 40, 63])
def test_the_batch_that_fits_is_found_within_a_sixteenth(fitting):
    found = largest_that_fits(64, lambda n: n <= fitting)
    assert found <= fitting
    assert fitting - found <= max(0, found // 16)


@pytest.mark.parametrize(
    ("error", "yes"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, yes):
    assert is_out_of_memory(error) is yes


@pytest.mark.parametrize(
    ("limit", "match"),
    [
        (3, "with 8 samples in the batch; 3 fit. Go on with --batch-size 2 --resume auto .*=4;"),
        (0, "one sample does not fit either"),
    ],
)
def test_a_batch_too_large_says_which_would_fit(make_config, parts, limit, match):
    class Hungry(parts.Regressor):
        def forward(self, inputs, data_samples=None, mode="tensor"):
            if len(inputs) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(inputs, data_samples, mode)

    cfg = make_config(model=Hungry())
    cfg["model"].norm = nn.Identity()
    cfg["train_dataloader"] = {**cfg["train_dataloader"], "batch_size": 8}
    with pytest.raises(BatchTooLargeError, match=match):
        train(cfg, validate=False)


def test_other_errors_pass_as_they_are(make_config, parts):
    class Broken(parts.Regressor):
        def forward(self, inputs, data_samples=None, mode="tensor"):
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(make_config(model=Broken()), validate=False)


def test_a_strategy_that_was_never_tried_is_warned_of(make_config, capsys):
    with pytest.raises(ConfigError, match="no devices could be set up"):
        train(make_config(), validate=False, strategy="deepspeed")
    assert "deepspeed is handed to Lightning and has never been run" in capsys.readouterr().err


# ----------------------------------------------------------------------- searches


def test_lightning_finds_a_batch_size_within_the_memory(make_config, parts):
    class Hungry(parts.Regressor):
        def forward(self, inputs, data_samples=None, mode="tensor"):
            if len(inputs) > 13:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().forward(inputs, data_samples, mode)

    cfg = make_config(model=Hungry())
    cfg["train_dataloader"] = {**cfg["train_dataloader"], "dataset": parts.Points(64)}
    assert find_batch_size(cfg, accelerator="cpu") in (12, 13)


def test_a_search_begins_with_the_weights_to_be_tuned(make_config, parts, tmp_path):
    given = parts.Regressor()
    torch.save({"state_dict": given.state_dict(), "meta": {}}, tmp_path / "given.pth")
    cfg = make_config(load_from=str(tmp_path / "given.pth"))
    with _prepared(cfg, "cpu") as (_, module, _):
        for name, tensor in module.estimator.state_dict().items():
            assert torch.equal(tensor, given.state_dict()[name]), name


def test_a_flat_curve_suggests_a_rate_below_its_rise():
    rates = [10 ** (n / 10 - 7) for n in range(60)]
    losses = [0.069 if n == 20 else 0.07 if n < 50 else n * n for n in range(60)]
    assert RateCurve(rates, losses, None).suggestion == pytest.approx(10**-3.1)


def test_lightning_finds_a_learning_rate(make_config, parts, tmp_path):
    cfg = make_config()
    cfg["model"].noise = False
    cfg["train_dataloader"] = {**cfg["train_dataloader"], "dataset": parts.Points(64)}
    cfg["train_dataloader"]["batch_size"] = 16
    curve = find_learning_rate(cfg, accelerator="cpu", lowest=1e-5, highest=10, steps=60)
    assert isinstance(curve, RateCurve)
    assert curve.rates == sorted(curve.rates)
    assert curve.rates[10] / 10 <= curve.suggestion <= 1
    curve.draw(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000
