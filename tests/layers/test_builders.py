"""Layers from config dicts."""

import pytest
import torch
from torch import nn

from poise.errors import ArgumentError, ConfigError
from poise.layers import (
    build_activation_layer,
    build_conv_layer,
    build_dropout,
    build_norm_layer,
    build_padding_layer,
    build_plugin_layer,
    build_upsample_layer,
    infer_abbr,
    is_norm,
)


@pytest.mark.parametrize(
    ("cfg", "name", "cls"),
    [
        ({"type": "BN"}, "bn", nn.BatchNorm2d),
        ({"type": "BN1d"}, "bn", nn.BatchNorm1d),
        ({"type": "BN3d"}, "bn", nn.BatchNorm3d),
        ({"type": "SyncBN"}, "bn", nn.SyncBatchNorm),
        ({"type": "GN", "num_groups": 2}, "gn", nn.GroupNorm),
        ({"type": "LN"}, "ln", nn.LayerNorm),
        ({"type": "LN2d"}, "ln", nn.LayerNorm),
        ({"type": "IN"}, "in", nn.InstanceNorm2d),
        ({"type": "FrozenBatchNorm2d"}, "bn", nn.Module),
        ({"type": nn.GroupNorm, "num_groups": 4}, "gn", nn.GroupNorm),
        ({"type": "torch.nn.GroupNorm", "num_groups": 4}, "gn", nn.GroupNorm),
    ],
)
def test_norms_have_the_names_of_checkpoints(cfg, name, cls):
    built, layer = build_norm_layer(cfg, 8, postfix=2)
    assert built == f"{name}2"
    assert isinstance(layer, cls)
    assert layer.eps == 1e-5


def test_norms_may_be_fixed():
    _, layer = build_norm_layer({"type": "BN", "requires_grad": False, "eps": 1e-3}, 8)
    assert not any(p.requires_grad for p in layer.parameters())
    assert layer.eps == 1e-3


def test_channel_last_norm_equals_layer_norm_of_the_permuted_map():
    _, layer = build_norm_layer({"type": "LN2d"}, 8)
    x = torch.randn(2, 8, 3, 5)
    expected = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x), expected)


def test_a_frozen_norm_equals_batch_norm_in_eval_mode():
    norm = nn.BatchNorm2d(4).eval()
    for p in (*norm.parameters(), norm.running_mean):
        nn.init.normal_(p)
    norm.running_var.uniform_(0.5, 2)
    _, frozen = build_norm_layer({"type": "FrozenBatchNorm2d"}, 4)
    frozen.load_state_dict(norm.state_dict())
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(frozen(x), norm(x))


@pytest.mark.parametrize(
    "name",
    [
        "ReLU",
        "LeakyReLU",
        "PReLU",
        "RReLU",
        "ReLU6",
        "ELU",
        "SiLU",
        "Swish",
        "GELU",
        "HSwish",
        "HSigmoid",
        "Sigmoid",
        "Tanh",
        "Mish",
        "Clamp",
        "Clip",
    ],
)
def test_activations_keep_the_shape(name):
    x = torch.randn(2, 3)
    assert build_activation_layer({"type": name})(x).shape == x.shape


def test_hard_sigmoid_takes_mmcvs_older_gate():
    gate = build_activation_layer({"type": "HSigmoid", "bias": 1.0, "divisor": 2.0})
    assert gate(torch.tensor([-2.0, 0.0, 0.5, 2.0])).tolist() == [0, 0.5, 0.75, 1]


@pytest.mark.parametrize(
    ("cfg", "dims"),
    [
        (None, 2),
        ({"type": "Conv"}, 2),
        ({"type": "Conv1d"}, 1),
        ({"type": "Conv2d"}, 2),
        ({"type": "Conv3d"}, 3),
        ({"type": "DCN", "deform_groups": 1}, 2),
        ({"type": "DCNv2", "deform_groups": 2}, 2),
    ],
)
def test_convolutions(cfg, dims):
    conv = build_conv_layer(cfg, 4, 6, 3, padding=1)
    assert conv(torch.randn(2, 4, *[8] * dims)).shape == (2, 6, *[8] * dims)


def test_a_deformable_convolution_starts_as_an_ordinary_one():
    conv = build_conv_layer({"type": "DCN"}, 4, 6, 3, padding=1)
    x = torch.randn(1, 4, 7, 9)
    torch.testing.assert_close(conv(x), nn.functional.conv2d(x, conv.weight, padding=1))


@pytest.mark.parametrize(
    ("cfg", "size"),
    [
        ({"type": "nearest", "scale_factor": 2}, 8),
        ({"type": "bilinear", "scale_factor": 3}, 12),
        (
            {"type": "deconv", "in_channels": 4, "out_channels": 4, "kernel_size": 2, "stride": 2},
            8,
        ),
        (
            {
                "type": "pixel_shuffle",
                "in_channels": 4,
                "out_channels": 4,
                "scale_factor": 2,
                "upsample_kernel": 3,
            },
            8,
        ),
    ],
)
def test_upsampling(cfg, size):
    assert build_upsample_layer(cfg)(torch.randn(1, 4, 4, 4)).shape == (1, 4, size, size)


@pytest.mark.parametrize("name", ["zero", "reflect", "replicate"])
def test_paddings(name):
    assert build_padding_layer({"type": name}, 2)(torch.randn(1, 2, 5, 5)).shape[-1] == 9


def test_plugins_have_names():
    name, layer = build_plugin_layer(
        {"type": "ConvModule"}, postfix=1, in_channels=3, out_channels=4, kernel_size=1
    )
    assert name == "conv_block1"
    assert layer.out_channels == 4
    assert infer_abbr(nn.BatchNorm2d) == "batch_norm2d"


def test_dropouts_call_their_probability_drop_prob():
    assert build_dropout({"type": "Dropout", "drop_prob": 0.2}).p == 0.2
    assert build_dropout({"type": "DropPath"}, {"drop_prob": 0.3}).drop_prob == 0.3


def test_is_norm_leaves_classes_out():
    assert is_norm(nn.BatchNorm2d(2))
    assert not is_norm(nn.BatchNorm2d(2), exclude=nn.BatchNorm2d)
    assert not is_norm(nn.ReLU())
    with pytest.raises(ArgumentError, match="exclude must be a class"):
        is_norm(nn.ReLU(), exclude="BN")


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: build_norm_layer("BN", 4), ArgumentError, "must be a dict"),
        (lambda: build_norm_layer({}, 4), KeyError, 'must contain the key "type"'),
        (lambda: build_norm_layer({"type": "GN"}, 4), ConfigError, "num_groups"),
        (lambda: build_conv_layer({"type": "DCNv3"}, 4), KeyError, "did you mean 'DCNv2'"),
        (lambda: build_upsample_layer({"type": "carafe"}), ConfigError, "use 'bilinear'"),
        (lambda: infer_abbr("x"), ArgumentError, "must be a class"),
    ],
)
def test_faults_are_named(build, error, text):
    with pytest.raises(error, match=text):
        build()
