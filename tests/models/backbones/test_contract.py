"""One contract for all backbones: they build from a config, keep their shapes, freeze, train."""

import inspect
import pickle

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from poise.errors import ConfigError
from poise.layers import BaseModule
from poise.models.backbones import (
    BaseBackbone,
    HRNet,
    ResNet,
    SwinTransformer,
    SwinTransformerV2,
)
from poise.models.backbones.base import KAIMING_INIT
from poise.models.backbones.lite_hrnet import LiteHRModule
from poise.registry import MODELS


def hr_extra(**more):
    extra = {
        "stage1": {
            "num_modules": 1,
            "num_branches": 1,
            "block": "BOTTLENECK",
            "num_blocks": [1],
            "num_channels": [8],
        }
    }
    for n in (2, 3, 4):
        extra[f"stage{n}"] = {
            "num_modules": 1,
            "num_branches": n,
            "block": "BASIC",
            "num_blocks": [1] * n,
            "num_channels": [4 * 2**i for i in range(n)],
            **({"multiscale_output": True} if n == 4 else {}),
            **more,
        }
    return extra


def former_extra():
    extra = hr_extra(block="HRFORMERBLOCK")
    for n in (2, 3, 4):
        extra[f"stage{n}"].update(
            num_heads=[2] * n, window_sizes=[7] * n, mlp_ratios=[2] * n, num_blocks=[2] * n
        )
    return {"drop_path_rate": 0.1, "with_rpe": True, "with_pad_mask": True, **extra}


def lite_extra(kind):
    return {
        "stem": {"stem_channels": 16, "out_channels": 16, "expand_ratio": 1},
        "num_stages": 2,
        "stages_spec": {
            "num_modules": [1, 1],
            "num_branches": [2, 3],
            "num_blocks": [1, 2],
            "module_type": [kind, kind],
            "with_fuse": [True, True],
            "reduce_ratios": [8, 8],
            "num_channels": [[16, 32], [16, 32, 64]],
        },
        "with_head": True,
    }


VIT = {"embed_dims": 8, "num_layers": 2, "num_heads": 2, "feedforward_channels": 16}

#: an eighth of the channels
SMALL = {"base_channels": 8, "stem_channels": 8}

#: config -> shapes of the maps of a 64 x 64 picture, as (channels, side)
CASES = [
    ({"type": "ResNet", "depth": 18, **SMALL}, [(64, 2)]),
    ({"type": "ResNet", "depth": 50, "out_indices": [0, 3], "style": "caffe", **SMALL},
     [(32, 16), (256, 2)]),
    ({"type": "ResNet", "depth": 34, "num_stages": 2, "strides": [1, 2], "dilations": [1, 1],
      "out_indices": [1]}, [(128, 8)]),
    ({"type": "SCNet", "depth": 50, "num_stages": 3, "strides": [1, 2, 2],
      "dilations": [1, 1, 1], "out_indices": [2], **SMALL}, [(128, 4)]),
    ({"type": "ResNetV1d", "depth": 50, **SMALL}, [(256, 2)]),
    ({"type": "ResNeXt", "depth": 50, "groups": 8, "width_per_group": 2, **SMALL}, [(256, 2)]),
    ({"type": "SEResNet", "depth": 50, **SMALL}, [(256, 2)]),
    ({"type": "SEResNeXt", "depth": 50, "width_per_group": 1, **SMALL}, [(256, 2)]),
    ({"type": "ResNeSt", "depth": 50, "groups": 2, **SMALL}, [(256, 2)]),
    ({"type": "ResNeSt", "depth": 50, "radix": 1, **SMALL}, [(256, 2)]),
    ({"type": "HRNet", "extra": hr_extra()}, [(4, 16), (8, 8), (16, 4), (32, 2)]),
    ({"type": "HRFormer", "extra": former_extra()}, [(4, 16), (8, 8), (16, 4), (32, 2)]),
    ({"type": "LiteHRNet", "extra": lite_extra("LITE")}, [(16, 16)]),
    ({"type": "LiteHRNet", "extra": lite_extra("NAIVE")}, [(16, 16)]),
    ({"type": "CSPNeXt", "deepen_factor": 0.167, "widen_factor": 0.375},
     [(96, 8), (192, 4), (384, 2)]),
    ({"type": "CSPNeXt", "arch": "P6", "deepen_factor": 0.1, "widen_factor": 0.25,
      "out_indices": [0, 5]}, [(16, 32), (256, 1)]),
    ({"type": "CSPDarknet", "deepen_factor": 0.33, "widen_factor": 0.25, "use_depthwise": True},
     [(64, 8), (128, 4), (256, 2)]),
    ({"type": "MobileNetV2", "out_indices": [1, 7]}, [(24, 16), (1280, 2)]),
    ({"type": "MobileNetV2", "widen_factor": 1.4}, [(1792, 2)]),
    ({"type": "MobileNetV3", "arch": "small", "out_indices": [0, -1]}, [(16, 16), (96, 2)]),
    ({"type": "MobileNetV3", "arch": "big"}, [(160, 2)]),
    ({"type": "ShuffleNetV1", "groups": 4, "out_indices": [0, 2]}, [(272, 8), (1088, 2)]),
    ({"type": "ShuffleNetV2", "widen_factor": 0.5, "out_indices": [0, 3]}, [(48, 8), (1024, 2)]),
    ({"type": "VGG", "depth": 11, "with_last_pool": False, "out_indices": [1, 4]},
     [(128, 16), (512, 4)]),
    ({"type": "AlexNet"}, [(256, 1)]),
    ({"type": "ViPNAS_ResNet", "depth": 50}, [(608, 2)]),
    ({"type": "ViPNAS_MobileNetV3"}, [(160, 2)]),
    ({"type": "CPM", "in_channels": 3, "out_channels": 5, "feat_channels": 8, "num_stages": 2},
     [(5, 8)] * 2),
    ({"type": "HourglassNet", "downsample_times": 2, "num_stacks": 2,
      "stage_channels": [256, 16, 16], "stage_blocks": [1, 1, 1]}, [(256, 16)] * 2),
    ({"type": "HourglassAENet", "downsample_times": 2, "num_stacks": 2,
      "stage_channels": [256, 16, 16]}, [(34, 16)] * 2),
    ({"type": "MSPN", "unit_channels": 16, "num_stages": 2, "num_units": 2, "num_blocks": [1, 1]},
     [(16, 8), (16, 16)] * 2),
    ({"type": "RSN", "unit_channels": 16, "num_stages": 2, "num_units": 2, "num_blocks": [1, 1]},
     [(16, 8), (16, 16)] * 2),
    ({"type": "SwinTransformer", "embed_dims": 12, "depths": [2, 2], "num_heads": [2, 2],
      "strides": [4, 2], "out_indices": [0, 1]}, [(12, 16), (24, 8)]),
    ({"type": "PyramidVisionTransformer", "embed_dims": 8, "num_layers": [1, 1, 1, 1]},
     [(8, 16), (16, 8), (40, 4), (64, 2)]),
    ({"type": "PyramidVisionTransformerV2", "embed_dims": 8, "num_layers": [1, 1, 1, 1]},
     [(8, 16), (16, 8), (40, 4), (64, 2)]),
    ({"type": "mmpretrain.VisionTransformer", "arch": VIT, "img_size": [64, 64],
      "with_cls_token": False, "out_type": "featmap", "patch_cfg": {"padding": 2}}, [(8, 4)]),
    ({"type": "mmcls.VisionTransformer", "arch": VIT, "img_size": [64, 64],
      "with_cls_token": False, "output_cls_token": False}, [(8, 4)]),
]  # fmt: skip
IDS = [f"{i}-{c['type']}" for i, (c, _) in enumerate(CASES)]


def flat(out):
    if isinstance(out, torch.Tensor):
        return [out]
    return [t for part in out for t in flat(part)]


@pytest.mark.parametrize(("cfg", "shapes"), CASES, ids=IDS)
def test_maps_have_their_shapes_and_gradients_reach_the_picture(cfg, shapes):
    torch.manual_seed(0)
    net = MODELS.build(cfg)
    assert isinstance(net, BaseModule)
    net.init_weights()
    assert net.train() is net
    # two pictures: one value a channel is too few for a batch norm in training
    picture = torch.randn(2, 3, 64, 64, requires_grad=True)
    maps = flat(net(picture))
    assert [(m.shape[1], m.shape[-1]) for m in maps] == shapes
    sum(m.square().mean() for m in maps).backward()
    assert picture.grad.isfinite().all()


@pytest.mark.parametrize("cfg", [CASES[i][0] for i in (0, 12, 33)])
def test_a_network_survives_a_copy(cfg):
    net = MODELS.build(cfg).eval()
    twin = pickle.loads(pickle.dumps(net))
    x = torch.randn(1, 3, 64, 64)
    for a, b in zip(flat(net(x)), flat(twin(x)), strict=True):
        assert torch.equal(a, b)


FROZEN = [
    ({"type": "ResNet", "depth": 18, **SMALL}, 2, "conv1 bn1 layer1 layer2"),
    ({"type": "ResNetV1d", "depth": 50, **SMALL}, 0, "stem"),
    ({"type": "HRNet", "extra": hr_extra()}, 2,
     "conv1 bn1 conv2 bn2 layer1 transition1 stage2 transition2"),
    ({"type": "CSPNeXt", "widen_factor": 0.25}, 1, "stem stage1"),
    ({"type": "MobileNetV2"}, 1, "conv1 layer1"),
    ({"type": "MobileNetV3"}, 2, "conv1 layer1 layer2"),
    ({"type": "ShuffleNetV2"}, 1, "conv1 layers.0"),
    ({"type": "ShuffleNetV1"}, 2, "conv1 layers.0 layers.1"),
    ({"type": "ViPNAS_MobileNetV3"}, 1, "conv1 layer1"),
    ({"type": "SwinTransformer", "embed_dims": 12, "num_heads": [2, 2, 2, 2]}, 1,
     "patch_embed stages.0 norm0"),
    ({"type": "mmpretrain.VisionTransformer", "arch": VIT}, 2,
     "cls_token pos_embed patch_embed layers ln1"),
]  # fmt: skip


@pytest.mark.parametrize(("cfg", "stages", "names"), FROZEN, ids=[c["type"] for c, *_ in FROZEN])
def test_frozen_stages_do_not_train(cfg, stages, names):
    net = MODELS.build({**cfg, "frozen_stages": stages}).train()
    frozen = tuple(f"{n}." for n in names.split())
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad is not f"{name}.".startswith(frozen), name


@pytest.mark.parametrize(("cfg", "stages", "names"), FROZEN, ids=[c["type"] for c, *_ in FROZEN])
def test_frozen_stages_and_resting_norms_are_so_before_the_mode_is_set(cfg, stages, names):
    """An optimizer of one's own takes what is to learn, often before `train()` is called."""
    net = MODELS.build({**cfg, "frozen_stages": stages})
    start = [p.requires_grad for p in net.parameters()], [m.training for m in net.modules()]
    net.train()
    after = [p.requires_grad for p in net.parameters()], [m.training for m in net.modules()]
    assert start == after


def test_a_backbone_of_a_user_freezes_its_stages_from_the_start():
    class Own(BaseBackbone):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(2, 2), nn.BatchNorm1d(2)
            self.norm_eval = True

        def _freeze_stages(self):
            self.first.requires_grad_(False)

        def forward(self, x):
            return (self.norm(self.first(x)),)

    net = Own()
    assert not net.first.weight.requires_grad
    assert (net.training, net.norm.training) == (True, False)


def test_a_backbone_whose_train_returns_nothing_is_one():
    """As MMPose's own have it, and those that were written after them."""

    class Own(BaseBackbone):
        def train(self, mode=True):
            super().train(mode)

        def forward(self, x):
            return (x,)

    assert isinstance(Own(), Own)


@pytest.mark.parametrize("size", [(96, 96), (256, 192), (224, 224)])
def test_windows_of_swin_v2_need_not_fill_its_maps(size):
    net = SwinTransformerV2(size, embed_dim=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 2)).eval()
    picture = torch.randn(1, 3, *size, requires_grad=True)
    (feature,) = net(picture)
    assert feature.shape == (1, 64, size[0] // 16, size[1] // 16)
    feature.mean().backward()
    assert picture.grad.isfinite().all()


def test_windows_of_padding_are_finite_in_half_precision():
    """Padding has queries of length 0, which half precision cannot divide by torch's least norm."""
    net = SwinTransformerV2((96, 96), embed_dim=8, num_heads=(1, 2, 2, 2), qkv_bias=False)
    with torch.no_grad():
        assert net.eval().half()(torch.randn(1, 3, 96, 96).half())[0].isfinite().all()


def test_a_lite_hrnet_may_begin_with_one_branch():
    module = LiteHRModule(1, 2, [8], 4, "LITE", multiscale_output=True)
    with torch.no_grad():
        (out,) = module.eval()([torch.randn(2, 8, 6, 6)])
    assert out.shape == (2, 8, 6, 6)


@pytest.mark.parametrize("name", ["mmdet.ResNet", "mmdet.MobileNetV2", "mmdet.Darknet"])
def test_backbones_of_mmdetection_start_from_the_file_that_pretrained_names(name):
    depth = {"depth": 18} if name == "mmdet.ResNet" else {}
    net = MODELS.build({"type": name, "pretrained": "weights.pth", **depth})
    assert net.init_cfg == {"type": "Pretrained", "checkpoint": "weights.pth"}
    assert MODELS.build({"type": name, **depth}).init_cfg == KAIMING_INIT


def test_backbones_show_what_they_take():
    assert next(iter(inspect.signature(ResNet).parameters)) == "depth"
    assert "out_indices" in inspect.signature(SwinTransformer).parameters


def test_vgg_freezes_stages_when_it_trains():
    net = MODELS.build({"type": "VGG", "depth": 11, "frozen_stages": 2}).train()
    trains = [m.conv.weight.requires_grad for m in net.features if hasattr(m, "conv")]
    assert trains == [False, False, True, True, True, True, True, True]


@pytest.mark.parametrize(
    "cfg", [c for c, *_ in FROZEN[:8]], ids=[c["type"] for c, *_ in FROZEN[:8]]
)
def test_norm_eval_keeps_statistics(cfg):
    net = MODELS.build({**cfg, "norm_eval": True}).train()
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    assert norms
    assert not any(n.training for n in norms)
    assert net.training


@pytest.mark.parametrize("depth", [18, 50])
def test_blocks_start_as_identity(depth):
    net = MODELS.build({"type": "ResNet", "depth": depth, **SMALL})
    net.init_weights()
    last = "bn3" if depth == 50 else "bn2"
    assert all((p == 0).all() for n, p in net.named_parameters() if n.endswith(f"{last}.weight"))


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: HRNet.w32(), 28.5e6),
        (lambda: HRNet.w48(), 63.6e6),
        (lambda: MODELS.build({"type": "ResNet", "depth": 50}), 23.5e6),
        (lambda: MODELS.build({"type": "mmdet.CSPNeXt", "widen_factor": 0.75,
                               "deepen_factor": 0.67}), 12.2e6),
    ],
)  # fmt: skip
def test_sizes_are_the_published_ones(build, parameters):
    with torch.device("meta"):
        net = build()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(parameters, rel=0.03)


@pytest.mark.parametrize(
    ("cfg", "error", "text"),
    [
        ({"type": "ResNet", "depth": 51}, KeyError, "invalid depth 51"),
        ({"type": "ResNet", "depth": 50, "out_indices": [4]}, ConfigError, "out_indices"),
        ({"type": "ResNet", "depth": 50, "num_stages": 3}, ConfigError, "strides and dilations"),
        ({"type": "ResNet", "depth": 50, "frozen_stages": 9}, ConfigError, "frozen_stages"),
        ({"type": "ViPNAS_MobileNetV3", "frozen_stages": 22}, ConfigError, "frozen_stages"),
        ({"type": "SwinTransformer", "pretrain_img_size": (9, 9, 9)}, ConfigError, "size of a"),
        (
            {"type": "PyramidVisionTransformer", "pretrain_img_size": (9, 9, 9)},
            ConfigError,
            "size of a",
        ),
        ({"type": "CSPNeXt", "arch": "P7"}, ConfigError, "'P5', 'P6'"),
        ({"type": "HRNet", "extra": hr_extra(block="BASC")}, ConfigError, "BASIC"),
        ({"type": "HRNet", "extra": hr_extra(num_blocks=[1])}, ConfigError, "branches"),
        ({"type": "PyramidVisionTransformer", "paddings": [0]}, ConfigError, r"got paddings=\[0\]"),
        ({"type": "PyramidVisionTransformer", "out_indices": [-1]}, ConfigError, "out_indices"),
        ({"type": "PyramidVisionTransformer", "num_heads": [1, 2]}, ConfigError, "4 stages"),
        ({"type": "SwinTransformer", "strides": [4, 2]}, ConfigError, "each of the 4 sizes"),
        ({"type": "SwinTransformer", "embed_dims": 100}, ConfigError, "no multiple of num_heads=3"),
        ({"type": "UniFormer", "depths": [1, 1]}, ConfigError, "each of the 4 stages"),
        ({"type": "UniFormer", "head_dim": 60}, ConfigError, "multiples of head_dim=60"),
        ({"type": "ViPNAS_ResNet", "depth": 50, "wid": [48]}, ConfigError, r"got wid=\[48\]"),
        ({"type": "ViPNAS_MobileNetV3", "act": ["ReLU"]}, ConfigError, "7 stages and the stem"),
        ({"type": "DSTFormer", "in_channels": 3, "num_heads": 7}, ConfigError, "no multiple"),
        ({"type": "MobileNetV3", "arch": "large"}, ConfigError, "small"),
        ({"type": "MobileNetV3", "out_indices": [20]}, ConfigError, "range"),
        ({"type": "ShuffleNetV1", "groups": 5}, ConfigError, "5 groups is not supported"),
        ({"type": "ShuffleNetV2", "widen_factor": 3}, ConfigError, "widen_factor must be in"),
        ({"type": "VGG", "depth": 12}, KeyError, "invalid depth 12"),
        ({"type": "HourglassNet", "stage_channels": [256]}, ConfigError, "6 values"),
        ({"type": "CPM", "in_channels": 4, "out_channels": 5}, ConfigError, "in_channels=3"),
        ({"type": "MSPN", "num_units": 3}, ConfigError, "num_units=3"),
        ({"type": "mmpretrain.VisionTransformer", "arch": "bas"}, ConfigError, "did you mean"),
        ({"type": "mmpretrain.VisionTransformer", "arch": {"embed_dims": 3}}, ConfigError, "needs"),
        ({"type": "mmpretrain.VisionTransformer", "with_cls_token": False}, ConfigError, "must be"),
        ({"type": "SwinTransformer", "patch_size": 8}, ConfigError, "non-overlapping"),
        ({"type": "SwinTransformer", "out_indices": [-1]}, ConfigError, "out_indices"),
        ({"type": "SwinTransformer", "frozen_stages": 5}, ConfigError, "frozen_stages"),
        ({"type": "SwinTransformerV2", "img_size": (250, 192)}, ConfigError, "multiples of 32"),
        ({"type": "VGG", "depth": 11, "out_indices": [-1]}, ConfigError, "out_indices"),
        ({"type": "VGG", "depth": 11, "out_indices": [5]}, ConfigError, "out_indices"),
        ({"type": "VGG", "depth": 11, "frozen_stages": 6}, ConfigError, "frozen_stages"),
        ({"type": "mmpretrain.VisionTransformer", "out_indices": 12}, ConfigError, "0 to 11"),
        ({"type": "TCN", "in_channels": 4, "kernel_sizes": [3, 2, 3]}, ConfigError, "odd"),
        ({"type": "LiteHRNet", "extra": lite_extra("HEAVY")}, ConfigError, "'LITE' or 'NAIVE'"),
    ],
)
def test_faults_are_named(cfg, error, text):
    with pytest.raises(error, match=text):
        MODELS.build(cfg)


def test_lite_hrnet_leaves_stages_out_that_only_the_specs_have():
    extra = {**lite_extra("LITE"), "num_stages": 1, "with_head": False}
    net = MODELS.build({"type": "LiteHRNet", "extra": extra})
    # two branches ask for sides divisible by 8, three would ask for 16
    assert net(torch.rand(1, 3, 40, 24))[0].shape == (1, 16, 10, 6)
    extra["stages_spec"]["with_fuse"] = [True, True, True]
    assert MODELS.build({"type": "LiteHRNet", "extra": extra}).num_stages == 1


def test_a_classifier_can_follow():
    for cfg in (
        {"type": "AlexNet", "num_classes": 3},
        {"type": "VGG", "depth": 11, "num_classes": 3},
    ):
        with torch.device("meta"):
            net = MODELS.build({**cfg, "num_classes": 3})
        out = net(torch.empty(1, 3, 224, 224, device="meta"))
        assert out[-1].shape == (1, 3)
    assert isinstance(net.classifier, nn.Sequential)


@pytest.mark.parametrize(
    ("cls", "name", "parameters"),
    [
        ("HRFormer", "small", 7.8e6),
        ("HRFormer", "base", 43.2e6),
        ("LiteHRNet", "layers18", 1.1e6),
        ("SwinTransformer", "tiny", 27.5e6),
        ("SwinTransformer", "base", 86.7e6),
        ("VisionTransformer", "small", 21.7e6),
        ("VisionTransformer", "base", 85.8e6),
    ],
)
def test_published_networks_have_names(cls, name, parameters):
    from poise.models import backbones

    with torch.device("meta"):
        net = getattr(getattr(backbones, cls), name)()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(parameters, rel=0.05)


def test_mmdetections_resnet_numbers_its_layers_its_own_way():
    net = MODELS.build({"type": "mmdet.ResNet", "depth": 50, "deep_stem": True, "avg_down": True})
    keys = set(net.state_dict())
    # a row of convolutions, norms and activations; shortcuts begin with an average, if only of
    # one pixel
    assert {"stem.0.weight", "stem.4.running_mean", "stem.7.bias"} <= keys
    assert {"layer1.0.downsample.1.weight", "layer2.0.downsample.2.bias"} <= keys
    assert "layer1.0.downsample.0.weight" not in keys
    sizes = [m.shape[2:] for m in net.eval()(torch.rand(1, 3, 64, 64))]
    assert sizes == [(16, 16), (8, 8), (4, 4), (2, 2)]


def test_the_exchange_of_lite_hrnet_moves_statistics_of_the_finest_branch_twice():
    """As the training of the released networks did: there it is computed twice."""
    net = MODELS.build({"type": "LiteHRNet", "extra": lite_extra("LITE")}).train()
    net(torch.rand(2, 3, 64, 64))
    steps = {
        name: int(count)
        for name, count in net.named_buffers()
        if "fuse_layers" in name and name.endswith("num_batches_tracked")
    }
    twice = {name for name in steps if name.split("fuse_layers.")[1].split(".")[1] == "0"}
    assert twice
    assert {name for name, count in steps.items() if count == 2} == twice
    assert set(steps.values()) == {1, 2}
