"""The order of memory in which pictures pass through a network."""

import copy

import pytest
import torch
from torch import nn

from poise.layers import Conv2d
from poise.models.backbones import MobileNetV2, ResNet
from poise.models.estimators import TopdownPoseEstimator
from poise.models.heads import HeatmapHead
from poise.models.layout import dense

PICTURES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build(backbone, channels, **kwargs):
    torch.manual_seed(0)
    head = HeatmapHead(channels, 5, deconv_out_channels=(16,), deconv_kernel_sizes=(4,))
    return TopdownPoseEstimator(backbone, head=head, **kwargs)


def small():
    return build(MobileNetV2(0.25, out_indices=(7,)), 1280)


def orders(model):
    """Whether each convolution of the backbone got maps in channels-last order."""
    seen = []

    def look(_module, args):
        if args[0].shape[1] > 1 and args[0].shape[2] > 1:
            seen.append(args[0].stride(1) == 1)

    convs = [m for m in model.backbone.modules() if isinstance(m, nn.Conv2d)]
    handles = [conv.register_forward_pre_hook(look) for conv in convs]
    with torch.no_grad():
        model(PICTURES)
    for handle in handles:
        handle.remove()
    return set(seen)


def test_a_backbone_that_gains_gets_channels_last_maps_in_eval_mode_only():
    model = small()
    assert orders(model.train()) == {False}
    assert orders(model.eval()) == {True}
    assert orders(copy.deepcopy(model)) == {True}
    assert orders(build(ResNet(18, base_channels=8, stem_channels=8), 64).eval()) == {False}


def test_numbers_outputs_and_weights_keep_their_form():
    model = small().eval()
    before = {k: (v.clone(), v.stride()) for k, v in model.state_dict().items()}
    with torch.no_grad():
        found = model(PICTURES)
        model._channels_last = False
        wanted = model(PICTURES)
    assert found.is_contiguous()
    assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], v) and after[k].stride() == s for k, (v, s) in before.items())


def test_parts_from_elsewhere_get_maps_row_by_row():
    class Foreign(nn.Module):
        def forward(self, x):
            return x.view(-1).view(x.shape)

    model = small()
    model.head.conv_layers = Foreign()
    assert orders(model.eval()) == {False}
    assert orders(model.prefer_speed()) == {False}


@torch.no_grad()
def test_speed_may_be_preferred_to_the_last_digits():
    model = build(ResNet(18, base_channels=8, stem_channels=8), 64).eval()
    wanted = model(PICTURES)
    assert model.prefer_speed() is model
    assert orders(model) == {True}
    assert all(m.prefer_onednn for m in model.modules() if isinstance(m, Conv2d))
    assert torch.allclose(model(PICTURES), wanted, atol=1e-4 * float(wanted.abs().max()))
    assert orders(copy.deepcopy(model).train()) == {False}
    assert orders(copy.deepcopy(model).train().eval()) == {True}
    assert orders(model.prefer_speed(False)) == {False}
    assert not any(m.prefer_onednn for m in model.modules() if isinstance(m, Conv2d))
    assert torch.allclose(model(PICTURES), wanted, atol=1e-4 * float(wanted.abs().max()))


def test_preferring_speed_does_not_change_the_mode_of_frozen_parts():
    model = build(ResNet(18, frozen_stages=1, base_channels=8, stem_channels=8), 64).train()
    model.prefer_speed()
    assert model.training
    assert not model.backbone.layer1.training


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("quick", [False, True])
def test_graphs_hold_no_order_of_memory(quick):
    model = small().eval().prefer_speed(quick)
    exported = torch.export.export(model, (PICTURES,))
    assert "channels_last" not in str(exported.graph)
    traced = torch.jit.trace(model, (PICTURES,), check_trace=False)
    with torch.no_grad():
        wanted = model(PICTURES)
        for graph in (exported.module(), traced):
            assert torch.allclose(graph(PICTURES), wanted, atol=1e-4 * float(wanted.abs().max()))
    assert "value=[2, 2]" not in str(traced.inlined_graph)


def test_outputs_of_every_form_become_dense():
    x = torch.zeros(1, 2, 3, 4).to(memory_format=torch.channels_last)
    found = dense({"a": [x, (x, None)], "b": 1})
    assert found["a"][0].is_contiguous()
    assert found["a"][1][0].is_contiguous()
    assert found["a"][1][1] is None
    assert found["b"] == 1
