"""Layers that take a quicker way on a processor."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from poise.layers import (
    Conv2d,
    Linear,
    MaxPool2d,
    build_conv_layer,
    channel_shuffle,
    interleave,
)
from poise.layers.pooling import max_pool2d


def last(x):
    return x.contiguous(memory_format=torch.channels_last)


def is_last(x):
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


@pytest.mark.parametrize("options", [(3, 2, 1), (2, 2), (5, 1, 2), (3, 2, 0, 1, True), (2,)])
def test_max_pooling_is_that_of_torch_in_either_order(options):
    x = torch.randn(2, 4, 9, 12)
    x[0, 0, 0, 0], x[0, 1, 2, 3] = torch.nan, -torch.inf
    wanted = F.max_pool2d(x, *options)
    plain, other = max_pool2d(x, *options), max_pool2d(last(x), *options)
    assert torch.equal(plain.nan_to_num(), wanted.nan_to_num())
    assert torch.equal(other.nan_to_num(), wanted.nan_to_num())
    assert plain.is_contiguous()
    assert is_last(other)


def test_the_pooling_layer_still_trains_and_gives_indices():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    MaxPool2d(3, 2, 1)(x).sum().backward()
    other = x.detach().requires_grad_()
    nn.MaxPool2d(3, 2, 1)(other).sum().backward()
    assert torch.equal(x.grad, other.grad)
    values, places = MaxPool2d(2, return_indices=True)(x)
    assert values.shape == places.shape
    assert MaxPool2d(2)(x[0].detach()).shape == (3, 4, 4)


@pytest.mark.parametrize(
    "deal", [lambda a, b: interleave(a, b), lambda a, b: channel_shuffle(torch.cat((a, b), 1), 2)]
)
def test_shuffling_keeps_the_order_of_memory(deal):
    a, b = torch.randn(2, 6, 5, 4), torch.randn(2, 6, 5, 4)
    plain, other = deal(a, b), deal(last(a), last(b))
    assert torch.equal(plain, other)
    assert plain.is_contiguous()
    assert is_last(other)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_left_to_onednn_gives_the_same_numbers(bias, groups):
    conv = Conv2d(64, 128, 1, bias=bias, groups=groups).eval()
    x = last(torch.randn(4, 64, 24, 16))
    with torch.no_grad():
        wanted = conv(x)
        conv.prefer_onednn = True
        assert torch.allclose(conv(x), wanted, atol=1e-4)
        assert torch.equal(conv(x[:1, :, :2, :2]), nn.Conv2d.forward(conv, x[:1, :, :2, :2]))
        assert conv.double()(x.double()).dtype is torch.float64


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(4, 192, 64), (2, 3, 96, 64), (700, 64)])
def test_a_linear_layer_left_to_onednn_gives_the_same_numbers(bias, shape):
    layer, x = Linear(64, 256, bias=bias).eval(), torch.randn(shape)
    with torch.no_grad():
        wanted = layer(x)
        layer.prefer_onednn = True
        assert layer._gains(x) == torch.backends.mkldnn.is_available()
        assert layer(x).shape == wanted.shape
        assert torch.allclose(layer(x), wanted, atol=1e-4)
        turned = x.transpose(0, 1).contiguous().transpose(0, 1)
        assert torch.allclose(layer(turned), wanted, atol=1e-4)


def test_a_linear_layer_keeps_torchs_way_where_that_is_quicker_or_asked_for():
    layer = Linear(64, 256).eval()
    layer.prefer_onednn = True
    few, many = torch.randn(17, 64), torch.randn(900, 64)
    with torch.no_grad():
        assert torch.equal(layer(few), nn.Linear.forward(layer, few))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer(many), nn.Linear.forward(layer, many))
        graph = torch.export.export(layer, (many,)).graph
        assert not [node for node in graph.nodes if "conv" in str(node.target)]
        assert layer.double()(many.double()).dtype is torch.float64


def test_a_recorded_graph_holds_an_ordinary_convolution():
    conv = Conv2d(64, 128, 1).eval()
    conv.prefer_onednn = True
    graph = torch.export.export(conv, (torch.randn(4, 64, 24, 16),)).graph
    calls = [node for node in graph.nodes if "conv" in str(node.target)]
    assert len(calls) == 1
    assert [2, 2] not in list(calls[0].args)


@pytest.mark.parametrize("cfg", [None, {"type": "Conv2d"}, {"type": "Conv"}])
def test_configs_build_it(cfg):
    conv = build_conv_layer(cfg, 3, 4, 1)
    assert type(conv) is Conv2d
    assert isinstance(conv, nn.Conv2d)
    assert list(conv.state_dict()) == ["weight", "bias"]
