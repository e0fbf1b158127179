"""Training in 16 bits: bfloat16, and float16 with a loss scale, which a CPU has as well."""

import logging

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from poise.cli.train import open_config
from poise.errors import DataError
from poise.training.optim import overflows
from poise.training.run import engine
from poise.training.runner import Runner

CLIPPED = {
    "type": "AmpOptimWrapper",
    "optimizer": {"type": "SGD", "lr": 0.05},
    "clip_grad": {"max_norm": 0.3, "norm_type": 2},
}


@pytest.fixture(autouse=True)
def quiet():
    yield
    logger = logging.getLogger("poise")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture
def scaler(monkeypatch):
    """Loss scale of the next runs, as on a GPU."""
    made = []

    def precision(runner):
        made.append(torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=4))
        return None, [MixedPrecision("16-mixed", "cpu", made[-1])]

    monkeypatch.setattr(engine, "_precision", precision)
    return made


class Norms:
    """Hook that notes the norm of the gradients and the step that was made."""

    priority = "NORMAL"

    def __init__(self):
        self.norms = []

    def __getattr__(self, name):
        if not name.startswith(("before_", "after_")):
            raise AttributeError(name)
        return lambda *_, **__: None

    def after_train_iter(self, runner, **_):
        self.norms.append(runner.message_hub.get_scalar("train/grad_norm").current())


def trained(cfg, **options):
    notes = Norms()
    runner = Runner({**cfg, "custom_hooks": [notes]}, accelerator="cpu", validate=False, **options)
    runner.train()
    return runner, notes.norms


@pytest.fixture
def config(make_config):
    """Function that gives the config of a run of few steps, always from the same weights."""

    def make(**changes):
        torch.manual_seed(0)
        return make_config(**{"optim_wrapper": CLIPPED, "train_cfg": {"max_epochs": 1}, **changes})

    return make


def test_gradients_are_clipped_at_their_own_size_not_at_the_scaled_one(config, scaler):
    runner, scaled = trained(config())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_precision", lambda runner: ("32-true", []))
        plain, norms = trained(config())
    assert len(norms) == 4
    assert scaled == pytest.approx(norms, rel=2e-2)
    for (name, a), b in zip(plain.model.named_parameters(), runner.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=5e-3), name


def test_a_step_without_finite_gradients_is_left_out_and_the_scale_falls(config, scaler):
    cfg = config()
    weight = cfg["model"].head.weight
    seen = []

    def spoil(gradient):
        seen.append(weight.detach().clone())
        return torch.full_like(gradient, float("inf")) if len(seen) == 2 else gradient

    weight.register_hook(spoil)
    trained(cfg)
    assert torch.equal(seen[2], seen[1])
    assert not torch.equal(seen[3], seen[2])
    assert scaler[0].get_scale() == 512


def spoiled(parts, *bad):
    """Data of which some samples are not numbers, in batches of two."""
    data = parts.Points()
    data.x[list(bad)] = float("nan")
    sampler = {"type": "DefaultSampler", "shuffle": False}
    return {"batch_size": 2, "dataset": data, "sampler": sampler}


def finite(model):
    """Whether all weights are; running means of norms saw what was not."""
    return all(torch.isfinite(p).all() for p in model.parameters())


def test_a_loss_that_is_not_finite_leaves_its_step_out(config, scaler, parts, capsys):
    runner, _ = trained(config(train_dataloader=spoiled(parts, 3), log_level="INFO"))
    assert runner.iter == 4
    assert finite(runner.model)
    assert scaler[0].get_scale() == 512
    assert runner.message_hub.get_scalar("train/loss_scale").current() == 512
    told = capsys.readouterr().err
    assert (
        "no step at epoch 1, iteration 2, as the loss is not finite; loss scale 1024 -> 512; "
        "1 of 2 steps of this run are left out so far"
    ) in told
    assert "1 of 4 steps were left out" in told


def test_gathered_gradients_are_left_out_with_the_one_that_is_not_finite(config, scaler, parts):
    cfg = config(train_dataloader=spoiled(parts, 3))
    unclipped = {k: v for k, v in CLIPPED.items() if k != "clip_grad"}
    cfg["optim_wrapper"] = {**unclipped, "accumulative_counts": 2}
    runner = Runner(cfg, accelerator="cpu", validate=False)
    runner.train()
    assert finite(runner.model)
    assert scaler[0].get_scale() == 512


def test_a_fixed_loss_scale_stays(config, scaler, parts):
    cfg = config(train_dataloader=spoiled(parts, 3))
    cfg["optim_wrapper"] = {**CLIPPED, "loss_scale": 1024.0}
    trained(cfg)
    assert scaler[0].get_scale() == 1024


def test_many_losses_in_a_row_that_are_not_finite_end_the_run(config, scaler, parts, monkeypatch):
    monkeypatch.setattr(overflows, "MOST_IN_A_ROW", 3)
    every = config(train_dataloader=spoiled(parts, *range(8)))
    with pytest.raises(DataError, match=r"3 steps in a row .* iteration 3; train with --amp") as e:
        trained(every)
    assert "At the last one the loss is not a finite number" in str(e.value)
    assert "id 4 img_path 4.jpg" in str(e.value)
    # a finite one between them begins the count anew
    runner, _ = trained(config(train_dataloader=spoiled(parts, 0, 2, 6)))
    assert runner.iter == 4


def test_gradients_alone_that_are_not_finite_end_the_run_as_well(config, scaler, monkeypatch):
    monkeypatch.setattr(overflows, "MOST_IN_A_ROW", 2)
    cfg = config()
    cfg["model"].head.weight.register_hook(lambda g: torch.full_like(g, float("inf")))
    with pytest.raises(DataError, match=r"2 steps in a row had gradients .*max_norm=1\)$"):
        trained(cfg)


def test_without_a_loss_scale_the_first_one_ends_the_run(config, parts, monkeypatch):
    monkeypatch.setattr(engine, "_precision", lambda runner: ("bf16-mixed", []))
    with pytest.raises(DataError, match="the loss is not a finite number at epoch 1, iteration 2"):
        trained(config(train_dataloader=spoiled(parts, 3)))


def test_a_resumed_run_goes_on_with_its_loss_scale(config, scaler, tmp_path):
    trained(config(default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1}}))
    assert scaler[0].get_scale() == 2048
    longer = config(train_cfg={"max_epochs": 2})
    trained(longer, resume=True)
    assert scaler[1].get_scale() == 4096


def test_bfloat16_trains_and_losses_are_float32(dots, tmp_path):
    """The precision of AmpOptimWrapper's bfloat16, on a network of convolutions."""
    cfg = open_config(
        str(dots), [f"optim_wrapper.{s}" for s in ("type=AmpOptimWrapper", "dtype=bfloat16")]
    )
    types = []

    class Types(Norms):
        def after_train_iter(self, runner, outputs=None, **_):
            types.append({value.dtype for value in outputs.values()})

    cfg = {**cfg, "custom_hooks": [Types()], "work_dir": str(tmp_path / "run")}
    Runner(cfg, accelerator="cpu", validate=False).train()
    assert types
    assert all(kinds == {torch.float32} for kinds in types)
