"""Any network of timm as a pyramid."""

import pytest
import torch

import poise
from poise.errors import ConfigError
from poise.models.backbones import TIMMBackbone
from poise.registry import MODELS

pytest.importorskip("timm", reason="timm is not installed: pip install 'poise[backbones]'")

#: one of each kind: residual, searched mobile, modern convolutional, window and plain transformer
NETWORKS = [
    "resnet10t",
    "mobilenetv3_small_050",
    "efficientnet_lite0",
    "convnext_atto",
    "swin_tiny_patch4_window7_224",
    "vit_tiny_patch16_224",
    "hrnet_w18_small",
    "regnetx_002",
]
#: options without which timm's transformers take one size only
OPTIONS = {
    "swin_tiny_patch4_window7_224": {"img_size": (64, 96), "window_size": 4},
    "vit_tiny_patch16_224": {"img_size": (64, 96)},
}


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_have_the_channels_and_strides_that_the_backbone_says(name):
    torch.manual_seed(0)
    net = TIMMBackbone(name, **OPTIONS.get(name, {})).train()
    outs = net(images(2, 3, 64, 96))
    expected = [
        (2, c, 64 // s, 96 // s) for c, s in zip(net.out_channels, net.strides, strict=True)
    ]
    assert [tuple(o.shape) for o in outs] == expected
    sum(o.square().mean() for o in outs).backward()
    used = [p for p in net.parameters() if p.grad is not None]
    assert len(used) / len(list(net.parameters())) > 0.9


def test_single_maps_can_be_chosen():
    net = TIMMBackbone("resnet10t", out_indices=(2, 4))
    assert len(net(images(1, 3, 64, 64))) == len(net.out_channels) == 2
    assert net.strides == [8, 32]


def test_the_scope_of_mmpretrain_gives_the_last_features():
    net = MODELS.build({"type": "mmpretrain.TIMMBackbone", "model_name": "resnet10t"})
    (out,) = net(images(1, 3, 64, 64))
    assert out.shape == (1, 512, 2, 2)


def test_a_pose_model_stands_on_it():
    model = poise.build_model(
        {
            "type": "TopdownPoseEstimator",
            "backbone": {"type": "TIMMBackbone", "model_name": "resnet10t", "out_indices": [4]},
            "head": {"type": "HeatmapHead", "in_channels": 512, "out_channels": 5},
        }
    )
    with torch.no_grad():
        assert model.eval()(images(1, 3, 64, 64), None, mode="tensor").shape == (1, 5, 16, 16)


def test_faults_are_named():
    with pytest.raises(ConfigError, match="has no model 'resnet_10t'.*resnet10t"):
        TIMMBackbone("resnet_10t")
    with pytest.raises(ConfigError, match="timm cannot make 'resnet10t'"):
        TIMMBackbone("resnet10t", out_indices=(17,))
