"""What every registered neck and head keeps: shapes, gradients, modes, precisions, graphs."""

import copy

import pytest
import torch

from poise.errors import PoiseError
from poise.registry import MODELS
from poise.registry.tables.models import TABLE

K = 5
CHANNELS = (8, 16, 32)
#: three maps at strides 8, 16 and 32 of a picture of 128 x 96
MAPS = [(2, 8, 16, 12), (2, 16, 8, 6), (2, 32, 4, 3)]
ATTENTION = {
    "self_attn_cfg": {"embed_dims": 16, "num_heads": 2, "dropout": 0.0},
    "ffn_cfg": {"embed_dims": 16, "feedforward_channels": 32},
}

#: neck -> arguments, shapes of the maps it takes, shapes of those it gives
NECKS = {
    "CSPNeXtPAFPN": ({"in_channels": CHANNELS, "out_channels": 6, "num_csp_blocks": 1,
                      "out_indices": (0, 1, 2)}, MAPS, [(2, 6, *m[2:]) for m in MAPS]),
    "ChannelMapper": ({"in_channels": CHANNELS, "out_channels": 6, "num_outs": 4}, MAPS,
                      [*((2, 6, *m[2:]) for m in MAPS), (2, 6, 2, 2)]),
    "FPN": ({"in_channels": CHANNELS, "out_channels": 6, "num_outs": 3}, MAPS,
            [(2, 6, *m[2:]) for m in MAPS]),
    "FeatureMapProcessor": ({"select_index": (0, 1), "concat": True}, MAPS, [(2, 24, 16, 12)]),
    "GlobalAveragePooling": ({}, MAPS[:1], [(2, 8)]),
    "HybridEncoder": ({"encoder_cfg": ATTENTION, "in_channels": CHANNELS, "hidden_dim": 16}, MAPS,
                      [(2, 16, *m[2:]) for m in MAPS]),
    "YOLOXPAFPN": ({"in_channels": CHANNELS, "out_channels": 6, "num_csp_blocks": 1}, MAPS,
                   [(2, 6, *m[2:]) for m in MAPS]),
    "mmdet.CSPNeXtPAFPN": ({"in_channels": CHANNELS, "out_channels": 6, "num_csp_blocks": 1}, MAPS,
                           [(2, 6, *m[2:]) for m in MAPS]),
    "poise.MoveNetFPN": ({"in_channels": (8, 16, 32, 64), "channels": (8, 8, 6, 4)},
                         [(2, 8, 16, 8), (2, 16, 8, 4), (2, 32, 4, 2), (2, 64, 2, 1)],
                         [(2, 4, 16, 8)]),
    "poise.RFDETRNeck": ({"in_channels": (8, 8), "out_channels": 6, "num_blocks": 1,
                          "scale_factors": (2.0, 1.0, 0.5)}, [(2, 8, 8, 6)] * 2,
                         [(2, 6, 16, 12), (2, 6, 8, 6), (2, 6, 4, 3)] * 2),
}  # fmt: skip

SIZE, MAP = (48, 64), (12, 16)
SIMCC = {"input_size": SIZE, "in_featuremap_size": MAP}
GAU = {"hidden_dims": 16, "s": 8, "expansion_factor": 2, "dropout_rate": 0.0, "drop_path": 0.0,
       "act_fn": "SiLU", "use_rel_bias": False, "pos_enc": False}  # fmt: skip
HEATMAPS, FEATURE, DEEP = (2, K, 16, 12), (2, 8, 16, 12), (2, 8, 8, 6)
BINS = [(2, K, 96), (2, K, 128)]
PYRAMID = [(2, 16, 8, 8), (2, 16, 4, 4)]
LAYERS = {"num_classes": 1, "in_channels": 16, "norm_cfg": {"type": "BN"}, "stacked_convs": 1}
ONE_STAGE = {
    "num_keypoints": K, "featmap_strides": (8, 16),
    "assigner": {"type": "SimOTAAssigner", "oks_calculator": {"type": "PoseOKS", "metainfo": None}},
    "prior_generator": {"type": "MlvlPointGenerator", "strides": [8, 16]},
    "loss_cls": {"type": "BCELoss"}, "loss_bbox": {"type": "IoULoss"},
    "loss_oks": {"type": "OKSLoss"}, "loss_vis": {"type": "BCELoss"},
}  # fmt: skip
VOLUMES = {"in_channels": 8, "out_channels": 4 * K, "depth_size": 4, "deconv_out_channels": (6,),
           "deconv_kernel_sizes": (4,)}  # fmt: skip

#: head -> arguments, shapes of the features, shapes of the outputs
HEADS = {
    "AssociativeEmbeddingHead": ({"in_channels": 8, "num_keypoints": K,
                                  "deconv_out_channels": None}, [FEATURE], [HEATMAPS] * 2),
    "CIDHead": ({"in_channels": 8, "gfd_channels": 6, "num_keypoints": K}, [(1, *FEATURE[1:])],
                None),
    "CPMHead": ({"in_channels": K, "out_channels": K, "num_stages": 2}, [HEATMAPS] * 2,
                [HEATMAPS] * 2),
    "DEKRHead": ({"in_channels": 8, "num_keypoints": K, "num_heatmap_filters": 4,
                  "num_displacement_filters_per_keypoint": 2}, [FEATURE],
                 [(2, K + 1, 16, 12), (2, 2 * K, 16, 12)]),
    "DSNTHead": ({"in_channels": 8, "in_featuremap_size": (6, 8), "num_joints": K,
                  "deconv_out_channels": (6,), "deconv_kernel_sizes": (4,)}, [DEEP],
                 [(2, K, 2), HEATMAPS]),
    "HeatmapHead": ({"in_channels": 8, "out_channels": K, "deconv_out_channels": (6,),
                     "deconv_kernel_sizes": (4,)}, [DEEP], [HEATMAPS]),
    "IntegralRegressionHead": ({"in_channels": 8, "in_featuremap_size": MAP, "num_joints": K,
                                "deconv_out_channels": None}, [FEATURE], [(2, K, 2), HEATMAPS]),
    "InternetHead": ({"keypoint_head_cfg": VOLUMES,
                      "root_head_cfg": {"in_channels": 8, "heatmap_size": 4, "hidden_dims": (6,)},
                      "hand_type_head_cfg": {"in_channels": 8, "num_labels": 2,
                                             "hidden_dims": (6,)}}, [DEEP], None),
    "MSPNHead": ({"num_stages": 1, "num_units": 2, "out_shape": (16, 12), "unit_channels": 8,
                  "out_channels": K, "level_indices": (0, 1),
                  "loss": [{"type": "KeypointMSELoss"}] * 2}, [[DEEP, FEATURE]], [HEATMAPS] * 2),
    "MotionRegressionHead": ({"in_channels": 8, "embedding_size": 6}, (2, 4, K, 8),
                             [(2, 4, K, 3)]),
    "RLEHead": ({"in_channels": 8, "num_joints": K}, [(2, 8)], [(2, K, 4)]),
    "poise.RFDETRHead": ({"keypoints_per_class": (K,), "num_classes": 2, "num_queries": 6,
                          "num_layers": 2, "embed_dims": 32, "num_heads": 2, "num_cross_heads": 4,
                          "feedforward_channels": 16}, [[(2, 32, 8, 6)]] * 2,
                         [(2, 6, 2), (2, 6, 4), (2, 6, K, 8)]),
    "RTMCCHead": ({"in_channels": 8, "out_channels": K, **SIMCC, "gau_cfg": GAU}, [FEATURE], BINS),
    "RTMOHead": ({**ONE_STAGE, "head_module_cfg": {**LAYERS, "in_channels": 8,
                  "cls_feat_channels": 8, "num_groups": 2, "channels_per_group": 4,
                  "pose_vec_channels": 12},
                  "dcc_cfg": {"in_channels": 12, "feat_channels": 16, "num_bins": (24, 32),
                              "spe_channels": 8, "gau_cfg": {"s": 8, "expansion_factor": 2,
                                                             "pos_enc": "add"}}}, PYRAMID, None),
    "RTMW3DHead": ({"in_channels": 8, "out_channels": K, "input_size": (*SIZE, 32),
                    "in_featuremap_size": (6, 8), "gau_cfg": GAU}, [(2, 4, 16, 12), DEEP],
                   [*BINS, (2, K, 64)]),
    "RTMWHead": ({"in_channels": 8, "out_channels": K, "input_size": SIZE,
                  "in_featuremap_size": (6, 8), "gau_cfg": GAU}, [(2, 4, 16, 12), DEEP], BINS),
    "RegressionHead": ({"in_channels": 8, "num_joints": K}, [(2, 8)], [(2, K, 2)]),
    "Sapiens2Head": ({"in_channels": 8, "out_channels": K, "deconv_out_channels": (6,),
                      "deconv_kernel_sizes": (4,)}, [DEEP], [HEATMAPS]),
    "SimCCHead": ({"in_channels": 8, "out_channels": K, **SIMCC, "deconv_out_channels": None},
                  [FEATURE], BINS),
    "TemporalRegressionHead": ({"in_channels": 8, "num_joints": K}, [(2, 8, 1)], [(2, K, 3)]),
    "TrajectoryRegressionHead": ({"in_channels": 8, "num_joints": K}, [(2, 8, 1)], [(2, K, 3)]),
    "ViPNASHead": ({"in_channels": 8, "out_channels": K, "deconv_out_channels": (4,),
                    "deconv_kernel_sizes": (4,), "deconv_num_groups": (2,)}, [DEEP], [HEATMAPS]),
    "VisPredictHead": ({"pose_cfg": {"type": "HeatmapHead", "in_channels": 8, "out_channels": K,
                                     "deconv_out_channels": None}}, [FEATURE],
                       [HEATMAPS, (2, K)]),
    "YOLOXPoseHead": ({**ONE_STAGE, "head_module_cfg": {**LAYERS, "feat_channels": 8},
                       "loss_obj": {"type": "BCELoss"}}, PYRAMID, None),
}  # fmt: skip

#: tested by files of their own: several frames of a clip; attention over people; a base class; and
#: Pose Anything's head, under its older name too, with its parts, which takes a support besides
ELSEWHERE = {
    *("PoseWarperNeck", "EDPoseHead", "TransformerHead", "MoveNetHead"),
    *("PoseHead", "TwoStageHead", "EncoderDecoder", "TwoStageSupportRefineTransformer"),
    *("SinePositionalEncoding", "LearnedPositionalEncoding"),
}
#: parameters that the outputs do not depend on: they take part in losses or predictions alone
IDLE = {
    "CIDHead": ("iia_module.keypoint_root_conv.",),
    "RLEHead": ("loss_module.",),
    "poise.RFDETRHead": ("enc_out_class_embed.",),
    "RTMOHead": ("dcc.",),
}
CASES = {**NECKS, **HEADS}


def flat(out):
    if isinstance(out, torch.Tensor):
        return [out]
    return [t for part in out if part is not None for t in flat(part)]


def build(name):
    torch.manual_seed(0)
    return MODELS.build({"type": name, **CASES[name][0]})


def features(shapes, seed=1):
    g = torch.Generator().manual_seed(seed)
    if isinstance(shapes, tuple):
        return torch.randn(shapes, generator=g)
    return tuple(
        list(features(s, seed)) if isinstance(s, list) else torch.randn(s, generator=g)
        for s in shapes
    )


def halved(feats):
    if isinstance(feats, torch.Tensor):
        return feats.bfloat16()
    return tuple(halved(f) for f in feats)


@pytest.fixture(scope="module", params=CASES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def part(name):
    part = build(name)
    if hasattr(part, "init_weights"):
        part.init_weights()
    return part.eval()


@pytest.fixture
def feats(name):
    return features(CASES[name][1])


def test_the_contract_covers_every_registered_neck_and_head():
    covered = {n.rpartition(".")[2] for n in CASES} | ELSEWHERE
    registered = {
        entry.partition("=")[0]
        for rows in TABLE.values()
        for module, entries in rows.items()
        if module.startswith(("poise.models.necks.", "poise.models.heads."))
        for entry in entries.split()
    }
    assert covered == registered


def test_outputs_have_the_declared_shapes(name, part, feats):
    with torch.no_grad():
        outs = flat(part(feats))
    assert outs
    assert all(o.isfinite().all() for o in outs)
    if CASES[name][2] is not None:
        assert [tuple(o.shape) for o in outs] == [tuple(s) for s in CASES[name][2]]


def test_eval_mode_gives_the_same_twice_and_leaves_its_input(part, feats, close):
    before = copy.deepcopy(feats)
    with torch.no_grad():
        first, second = (flat(part(feats)) for _ in range(2))
    assert close(first, second)
    assert all(torch.equal(a, b) for a, b in zip(flat(feats), flat(before), strict=True))


def test_gradients_reach_every_trainable_parameter(name, feats):
    part = build(name).train()
    outs = [o for o in flat(part(feats)) if o.requires_grad]
    if not any(p.requires_grad for p in part.parameters()):
        assert outs == []
        return
    sum(o.square().mean() for o in outs).backward()
    missing = [n for n, p in part.named_parameters() if p.requires_grad and p.grad is None]
    assert [n for n in missing if not n.startswith(IDLE.get(name) or ("-",))] == []


def test_half_precision_is_finite(part, feats):
    half = copy.deepcopy(part).bfloat16()
    with torch.no_grad():
        outs = flat(half(halved(feats)))
    assert all(o.isfinite().all() for o in outs)


def on(device, feats):
    return feats.to(device) if isinstance(feats, torch.Tensor) else [on(device, f) for f in feats]


def test_a_device_gives_the_same(part, feats, pretending, close):
    with torch.no_grad(), pretending("mps") as device:
        outs = flat(copy.deepcopy(part).to(device)(on(device, feats)))
        assert all(o.device == device for o in outs)
        assert close(outs, flat(part(feats)))


@pytest.mark.parametrize("name", NECKS)
def test_maps_of_odd_sizes_work_or_are_refused(name):
    odd = [(2, c, *hw) for (_, c, *_), hw in zip(
        CASES[name][1], [(15, 11), (8, 6), (4, 3), (2, 2)], strict=False)]  # fmt: skip
    try:
        with torch.no_grad():
            outs = flat(build(name).eval()(features(odd)))
    except PoiseError as error:
        assert "map" in str(error)  # noqa: PT017
    else:
        assert all(o.isfinite().all() for o in outs)


@pytest.mark.slow
def test_one_graph_holds_the_whole_part(part, feats, close):
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(part, backend="eager", fullgraph=True)
        assert close(flat(compiled(feats)), flat(part(feats)))


@pytest.mark.slow
def test_an_exported_program_gives_the_same(name, part, feats):
    if name == "CIDHead":
        pytest.skip("how many people it finds decides the shapes of what follows")
    with torch.no_grad():
        program = torch.export.export(part, (feats,)).module()
        pairs = zip(flat(program(feats)), flat(part(feats)), strict=True)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)
