"""FSDP over gloo: the losses and files of one process; a file goes on with any number of them."""

import pytest
import torch
from torch import nn

from poise.errors import ConfigError
from poise.training.machine.sharding import is_sharded, lay_out, shard, whole
from poise.training.run.checkpoint import read
from poise.training.runner import Runner

#: torch 2.6 splits weights on GPUs only
on_cpus = pytest.mark.skipif(
    not hasattr(torch.cpu.Stream, "record_event"), reason="torch splits weights on CPUs from 2.7 on"
)


class Blocks(nn.Module):
    """A backbone with two blocks to split, and no norm that sees only one process's batch."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 8), nn.LayerNorm(8), nn.Tanh()) for width in (4, 8)
        )
        self.more = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for layer in [*self.layers, *self.more]:
            x = layer(x)
        return x


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 5), nn.Linear(5, 8)
        # one number, of which the second process has nothing
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("shift", torch.zeros(8))

    def forward(self, x):
        return x + self.shift + self.scale * self.second(self.first(x))


def config(make_config, parts, folder, processes, **changes):
    torch.manual_seed(0)
    model = parts.Regressor()
    model.backbone, model.norm, model.noise = Blocks(), nn.Identity(), False
    loader = {
        "batch_size": 8 // processes,
        "num_workers": 0,
        "dataset": parts.Points(16),
        "sampler": {"type": "DefaultSampler", "shuffle": True},
    }
    wrapper = {
        "optimizer": {"type": "AdamW", "lr": 0.05, "weight_decay": 0.1},
        "paramwise_cfg": {"norm_decay_mult": 0, "bias_decay_mult": 0},
        "clip_grad": {"max_norm": 0.5},
        "accumulative_counts": 2,
    }
    return make_config(
        model=model,
        train_dataloader=loader,
        optim_wrapper=wrapper,
        work_dir=str(folder),
        custom_hooks=[
            {
                "type": "EMAHook",
                "ema_type": "ExpMomentumEMA",
                "momentum": 0.1,
                "update_buffers": True,
            }
        ],
        **changes,
    )


def train(rank, make_config, parts, folder, processes, strategy, epochs, resume):
    cfg = config(make_config, parts, folder, processes, train_cfg={"max_epochs": epochs})
    runner = Runner(
        cfg, accelerator="cpu", devices=processes, strategy=strategy, resume=resume, validate=False
    )
    runner.train()
    assert is_sharded(runner.model) == (strategy == "fsdp")
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    torch.save(list(losses), f"{folder}-{rank}.pt")


def losses_of(folder, ranks):
    return torch.tensor([torch.load(f"{folder}-{rank}.pt") for rank in ranks]).mean(0)


def assert_same_file(one, other):
    """Files of runs hold the same, tensor by tensor."""
    a, b = read(one), read(other)
    assert a.keys() == b.keys()
    for part in ("state_dict", "ema_state_dict"):
        assert a[part].keys() == b[part].keys()
        for name, tensor in a[part].items():
            assert type(b[part][name]) is torch.Tensor
            assert torch.allclose(tensor, b[part][name], atol=1e-4), name
    assert a["optimizer"]["state"].keys() == b["optimizer"]["state"].keys()
    for number, entries in a["optimizer"]["state"].items():
        for name, tensor in entries.items():
            share = 1e-3 * float(tensor.abs().max())  # squares of gradients are tiny
            assert torch.allclose(tensor, b["optimizer"]["state"][number][name], atol=share)


@on_cpus
@pytest.mark.slow
def test_split_weights_train_as_whole_ones_and_files_fit_either(
    make_config, parts, in_processes, tmp_path
):
    one, split = tmp_path / "one", tmp_path / "split"
    train(9, make_config, parts, one, 1, "auto", 4, None)
    in_processes(2, train, make_config, parts, split, 2, "fsdp", 4, None)
    assert torch.allclose(losses_of(split, (0, 1)), losses_of(one, (9,)), atol=1e-5)
    assert_same_file(one / "epoch_4.pth", split / "epoch_4.pth")
    # on from the middle: whole weights split, split weights whole
    again, alone = tmp_path / "again", tmp_path / "alone"
    in_processes(2, train, make_config, parts, again, 2, "fsdp", 4, str(one / "epoch_3.pth"))
    train(9, make_config, parts, alone, 1, "auto", 4, str(split / "epoch_3.pth"))
    for folder in (again, alone):
        assert_same_file(one / "epoch_4.pth", folder / "epoch_4.pth")


def _validate(rank, make_config, parts, folder):
    cfg = config(make_config, parts, folder, 2, train_cfg={"max_epochs": 1})
    cfg["load_from"] = str(folder.parent / "weights.pth")
    runner = Runner(cfg, accelerator="cpu", devices=2, strategy="fsdp")
    runner.train()
    assert runner.val_evaluator.sizes == [4]
    assert whole(runner.model.head.bias).shape == (2,)


@on_cpus
@pytest.mark.slow
def test_split_weights_start_from_a_file_and_are_validated(
    make_config, parts, in_processes, tmp_path
):
    model = config(make_config, parts, tmp_path / "run", 2)["model"]
    torch.save({"state_dict": model.state_dict(), "meta": {}}, tmp_path / "weights.pth")
    in_processes(2, _validate, make_config, parts, tmp_path / "run")
    assert set(read(tmp_path / "run" / "epoch_1.pth")["state_dict"]) == set(model.state_dict())


def test_weights_in_channels_last_cannot_be_split():
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    with pytest.raises(ConfigError, match="fsdp cannot split 'weight'"):
        shard(model, None, torch.device("cpu"))


def test_whole_tensors_stay_as_they_are():
    tensor = torch.zeros(3)
    assert whole(tensor) is tensor
    assert torch.equal(lay_out(tensor, torch.ones(3)), tensor)
    assert not is_sharded(nn.Linear(2, 2))
