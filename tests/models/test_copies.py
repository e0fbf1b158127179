"""Models are copied, pickled and sent to other processes; and tell what does not fit them."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from poise.codecs import MSRAHeatmap
from poise.errors import ArgumentError, ConfigError, DataError
from poise.layers.rtmcc_block import RTMCCBlock
from poise.models.assigners import PoseSimOTAAssigner
from poise.models.backbones import TCN, CSPNeXt, HRFormer, RegNet, ResNet
from poise.models.backbones.base import KAIMING_INIT, start_of
from poise.models.backbones.hrformer import LocalWindowSelfAttention
from poise.models.backbones.pvt import SpatialReductionAttention
from poise.models.backbones.swin import ShiftWindowMSA
from poise.models.estimators import TopdownPoseEstimator
from poise.models.heads import (
    CIDHead,
    HeatmapHead,
    IntegralRegressionHead,
    MSPNHead,
    RegressionHead,
    RTMCCHead,
    RTMWHead,
    SimCCHead,
    VisPredictHead,
)
from poise.models.heads.dense import on_each
from poise.models.necks import MoveNetFPN
from poise.models.preprocessors import DetDataPreprocessor

K = 5
GAU = {"hidden_dims": 16, "s": 8, "expansion_factor": 2, "dropout_rate": 0.0, "drop_path": 0.0,
       "act_fn": "SiLU", "use_rel_bias": False, "pos_enc": False}  # fmt: skip
PICTURES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def model(head, neck=None, backbone=None):
    torch.manual_seed(0)
    backbone = backbone or ResNet(18, base_channels=8, stem_channels=8)
    return TopdownPoseEstimator(backbone, neck, head).eval()


def tensors(module, inputs=PICTURES):
    with torch.no_grad():
        return module(inputs)


def old_names(state):
    """As a file of 0.x has them."""
    keys = {k: k.replace("head.", "keypoint_head.", 1) for k in state}
    keys |= {k: v.replace("final_layer.", "final_layer.3.") for k, v in keys.items()}
    keys |= {k: v.replace("conv_layers.", "final_layer.") for k, v in keys.items()}
    return {keys[k]: v for k, v in state.items()}


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_an_estimator_gives_the_same_and_reads_old_weights(way):
    first = model(HeatmapHead(64, K, None, None, (8,), (3,)))
    again = way(first)
    assert torch.equal(tensors(again), tensors(first))
    with torch.no_grad():
        for value in again.parameters():
            value.zero_()
    again.load_state_dict(old_names(first.state_dict()), strict=True)
    assert torch.equal(tensors(again), tensors(first))


def test_a_network_with_clipped_weights_can_be_pickled():
    net = TCN(4, 8, 1, (3, 3), max_norm=0.1).eval()
    again = pickle.loads(pickle.dumps(net))
    x = torch.randn(1, 4, 9)
    assert torch.equal(tensors(again, x)[0], tensors(net, x)[0])
    assert again.expand_conv.conv.weight.norm() <= 0.1001


def test_a_built_pose_head_has_its_weights_once():
    head = VisPredictHead(HeatmapHead(8, K, None))
    assert {k.partition(".")[0] for k in head.state_dict()} == {"pose_head", "vis_head"}


def test_a_visibility_head_passes_on_what_training_is_told(sample):
    codec = MSRAHeatmap((48, 64), (12, 16), sigma=1.0)
    head = VisPredictHead(HeatmapHead(8, K, None, decoder=codec))
    batch = [torch.randn(2, 8, 16, 12)], [sample(codec), sample(codec, seed=1)]
    assert "acc_pose" in head.loss(*batch)
    assert "acc_pose" not in head.loss(*batch, train_cfg={"compute_acc": False})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("attention", ["self-attn", "cross-attn"])
def test_rotated_tokens_keep_their_precision(dtype, attention):
    block = RTMCCBlock(K, 16, 16, s=8, attn_type=attention, pos_enc=True).to(dtype)
    tokens = torch.randn(2, K, 16, dtype=dtype)
    assert block(tokens if attention == "self-attn" else (tokens,) * 3).dtype is dtype


class Plain(nn.Module):
    """A backbone from elsewhere, which gives one tensor, or a dict of maps."""

    def __init__(self, form):
        super().__init__()
        self.conv, self.form = nn.Conv2d(3, 8, 16, stride=16), form

    def forward(self, x):
        return self.form(self.conv(x))


HEADS = {
    "heatmaps": lambda: HeatmapHead(8, K, None),
    "bins": lambda: SimCCHead(8, K, (64, 64), (4, 4), deconv_out_channels=None),
    "gated": lambda: RTMCCHead(8, K, (64, 64), (4, 4), gau_cfg=GAU),
    "integral": lambda: IntegralRegressionHead(8, (4, 4), K, deconv_out_channels=None),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", [lambda x: x, lambda x: {"0": x, "1": x}, lambda x: [x]])
def test_backbones_from_elsewhere_may_give_a_tensor_or_a_dict(head, form):
    torch.manual_seed(0)
    made, backbone = HEADS[head](), Plain(form)
    found = tensors(model(made, backbone=backbone))
    wanted = tensors(made.eval(), (tensors(backbone.conv),))
    for have, want in zip(found, wanted, strict=True):
        assert torch.allclose(have, want)


def test_a_few_pixels_hold_fewer_people_than_are_asked_for():
    head = CIDHead(8, 4, K).eval()
    assert tensors(head, [torch.randn(1, 8, 3, 3)]).shape[0] <= 9


MISFITS = {
    "bins of another map": (SimCCHead(64, K, (64, 64), (3, 3)),
                            r"in_featuremap_size=\(3, 3\)\) got maps of 2 x 2 .* to \(2, 2\)"),
    "tokens of another map": (RTMCCHead(64, K, (64, 64), (4, 2), gau_cfg=GAU), "maps of 2 x 2"),
    "means of another map": (IntegralRegressionHead(64, (3, 3), K), "maps of 2 x 2"),
    "other channels": (HeatmapHead(63, K), "in_channels to 64"),
    "nothing pooled": (RegressionHead(64, K), "GlobalAveragePooling"),
    "one scale": (RTMWHead(64, K, (64, 64), (2, 2), gau_cfg=GAU), "two feature maps.* got 1"),
    "units": (MSPNHead(1, 2, (16, 16), 64, K, level_indices=(0, 1)), "gives 1 feature maps"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_heads_that_do_not_fit_the_backbone_say_what_would(name):
    head, text = MISFITS[name]
    with pytest.raises(ConfigError, match=text):
        tensors(model(head))


@pytest.mark.parametrize("count", [1, 3])
def test_dense_heads_take_a_map_for_each_level(count):
    with pytest.raises(DataError, match=f"2 levels got {count} feature maps"):
        on_each(nn.ModuleList([nn.Identity(), nn.Identity()]), [PICTURES] * count)


def test_a_neck_for_other_maps_is_told():
    with pytest.raises(DataError, match="MoveNetFPN expects 4 maps, got 1"):
        MoveNetFPN()([PICTURES])


def test_pictures_and_samples_are_as_many(sample):
    codec = MSRAHeatmap((64, 64), (16, 16), sigma=1.0)
    estimator = model(HeatmapHead(64, K, (8, 8, 8), decoder=codec))
    data = sample(codec)
    data.set_metainfo({"input_size": (64, 64), "input_scale": np.ones(2)})
    for mode in ("loss", "predict"):
        with pytest.raises(DataError, match="2 pictures came with 1 data_samples"):
            estimator(PICTURES, [data], mode=mode)
    with pytest.raises(DataError, match="empty list"):
        estimator([])


def test_a_class_in_place_of_a_part_is_named():
    with pytest.raises(ArgumentError, match="got the class ResNet"):
        TopdownPoseEstimator(ResNet)


SIGNATURES = {
    RegNet: "arch in_channels stem_channels base_channels strides dilations out_indices style "
    "deep_stem avg_down frozen_stages conv_cfg norm_cfg norm_eval with_cp zero_init_residual "
    "init_cfg",
    HRFormer: "extra in_channels conv_cfg norm_cfg transformer_norm_cfg norm_eval with_cp "
    "zero_init_residual frozen_stages init_cfg",
    CSPNeXt: "arch deepen_factor widen_factor out_indices frozen_stages use_depthwise "
    "expand_ratio arch_ovewrite spp_kernel_sizes channel_attention conv_cfg norm_cfg act_cfg "
    "norm_eval init_cfg",
    ShiftWindowMSA: "embed_dims num_heads window_size shift_size qkv_bias qk_scale "
    "attn_drop_rate proj_drop_rate dropout_layer init_cfg",
    LocalWindowSelfAttention: "embed_dims num_heads window_size qkv_bias qk_scale attn_drop_rate "
    "proj_drop_rate with_rpe with_pad_mask init_cfg",
    SpatialReductionAttention: "embed_dims num_heads attn_drop proj_drop dropout_layer "
    "batch_first qkv_bias norm_cfg sr_ratio init_cfg",
    DetDataPreprocessor: "mean std pad_size_divisor pad_value pad_mask mask_pad_value pad_seg "
    "seg_pad_value bgr_to_rgb rgb_to_bgr boxtype2tensor non_blocking batch_augments",
    PoseSimOTAAssigner: "center_radius candidate_topk iou_weight cls_weight oks_weight vis_weight "
    "iou_calculator oks_calculator",
}


@pytest.mark.parametrize("cls", SIGNATURES)
def test_constructors_that_pass_options_on_take_mmposes_arguments_in_its_order(cls):
    assert list(inspect.signature(cls).parameters) == SIGNATURES[cls].split()


def test_what_a_family_sets_itself_is_no_option_of_it():
    with pytest.raises(ArgumentError, match="RegNet does not take the argument 'depth'"):
        RegNet("regnetx_400mf", depth=50)


def test_an_empty_init_cfg_leaves_weights_as_torch_draws_them():
    assert start_of([], None) == []
    assert start_of([], "a.pth") == []
    assert start_of(None, None) == KAIMING_INIT
    assert start_of(None, "a.pth") == {"type": "Pretrained", "checkpoint": "a.pth"}


def test_arguments_by_place_mean_what_they_mean_in_mmpose():
    windows = ShiftWindowMSA(8, 2, 4, 1, False, 0.5, 0.1, 0.2)
    assert windows.w_msa.qkv.bias is None
    assert windows.w_msa.scale == 0.5
    assert SpatialReductionAttention(8, 2, 0.1, 0.2, None, True, False).proj_drop.p == 0.2
