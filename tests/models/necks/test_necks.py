"""Necks: maps in, maps out."""

import pytest
import torch

from poise.errors import ArgumentError, ConfigError, DataError
from poise.models.necks import (
    FPN,
    YOLOXPAFPN,
    ChannelMapper,
    CSPNeXtPAFPN,
    FeatureMapProcessor,
    GlobalAveragePooling,
    HybridEncoder,
)

CHANNELS = (8, 16, 32)
SIZES = (16, 8, 4)


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return tuple(torch.randn(2, c, s, s) for c, s in zip(CHANNELS, SIZES, strict=True))


def shapes(outs):
    return [(o.shape[1], o.shape[-1]) for o in outs]


@pytest.mark.parametrize("container", [tuple, list])
def test_pooling_keeps_the_container(maps, container):
    outs = GlobalAveragePooling()(container(maps))
    assert type(outs) is container
    torch.testing.assert_close(outs[1], maps[1].mean(dim=(2, 3)))
    assert GlobalAveragePooling()(maps[0]).shape == (2, 8)
    with pytest.raises(ArgumentError, match="takes a tensor"):
        GlobalAveragePooling()({"a": 1})


class TestFeatureMapProcessor:
    def test_selects(self, maps):
        assert shapes(FeatureMapProcessor(select_index=[2, 0])(maps)) == [(32, 4), (8, 16)]
        assert shapes(FeatureMapProcessor(select_index=1)(maps)) == [(16, 8)]

    def test_concatenates_at_the_first_size(self, maps):
        assert shapes(FeatureMapProcessor(concat=True)(maps)) == [(56, 16)]
        assert shapes(FeatureMapProcessor(select_index=(1, 2), concat=True)(maps)) == [(48, 8)]

    def test_rectifies_and_rescales_one_map(self, maps):
        out = FeatureMapProcessor(scale_factor=2.0, apply_relu=True)(maps[2])
        assert out.shape == (2, 32, 8, 8)
        assert out.min() >= 0

    def test_faults_are_named(self):
        with pytest.raises(ConfigError, match="must be positive"):
            FeatureMapProcessor(scale_factor=0)


class TestFPN:
    @pytest.mark.parametrize("extra", [False, True, "on_input", "on_lateral", "on_output"])
    def test_coarser_maps_are_added(self, maps, extra):
        neck = FPN(CHANNELS, 6, 5, add_extra_convs=extra, relu_before_extra_convs=True)
        neck.init_weights()
        assert shapes(neck(maps)) == [(6, 16), (6, 8), (6, 4), (6, 2), (6, 1)]
        assert len(neck.fpn_convs) == (5 if extra else 3)

    def test_levels_can_be_left_out(self, maps):
        assert shapes(FPN(CHANNELS, 6, 2, start_level=1)(maps)) == [(6, 8), (6, 4)]
        assert shapes(FPN(CHANNELS, 6, 2, end_level=1)(maps)) == [(6, 16), (6, 8)]

    @pytest.mark.parametrize(
        "upsample", [{"scale_factor": 2, "mode": "nearest"}, {"mode": "bilinear"}]
    )
    def test_upsampling(self, maps, upsample):
        assert len(FPN(CHANNELS, 6, 3, upsample_cfg=upsample, norm_cfg={"type": "BN"})(maps)) == 3

    def test_faults_are_named(self, maps):
        with pytest.raises(ConfigError, match="num_outs=2"):
            FPN(CHANNELS, 6, 2)
        with pytest.raises(ConfigError, match="on_lateral"):
            FPN(CHANNELS, 6, 4, add_extra_convs="on_head")
        with pytest.raises(ArgumentError, match="in_channels"):
            FPN(8, 6, 2)
        with pytest.raises(DataError, match="expects 3 maps, got 2"):
            FPN(CHANNELS, 6, 3)(maps[:2])


class TestChannelMapper:
    def test_coarser_maps_are_added(self, maps):
        neck = ChannelMapper(CHANNELS, 6, num_outs=5)
        assert shapes(neck(maps)) == [(6, 16), (6, 8), (6, 4), (6, 2), (6, 1)]
        assert shapes(ChannelMapper(CHANNELS, 6, kernel_size=1)(maps)) == [(6, 16), (6, 8), (6, 4)]

    def test_faults_are_named(self, maps):
        with pytest.raises(DataError, match="expects 3 maps"):
            ChannelMapper(CHANNELS, 6)(maps[:1])
        with pytest.raises(ArgumentError, match="in_channels"):
            ChannelMapper(8, 6)


class TestPathAggregation:
    @pytest.mark.parametrize("use_depthwise", [True, False])
    def test_yolox_ends_with_equal_channels(self, maps, use_depthwise):
        neck = YOLOXPAFPN(CHANNELS, 6, num_csp_blocks=1, use_depthwise=use_depthwise)
        assert shapes(neck(maps)) == [(6, 16), (6, 8), (6, 4)]

    @pytest.mark.parametrize(("out", "widths"), [(None, (16, 32)), (6, (6, 6))])
    def test_cspnext_returns_the_maps_it_is_asked_for(self, maps, out, widths):
        neck = CSPNeXtPAFPN(CHANNELS, out, out_indices=(1, 2), num_csp_blocks=1)
        assert shapes(neck(maps)) == list(zip(widths, (8, 4), strict=True))

    def test_faults_are_named(self, maps):
        with pytest.raises(DataError, match="expects 3 maps"):
            YOLOXPAFPN(CHANNELS, 6)(maps[:2])


class TestHybridEncoder:
    @staticmethod
    def make(**kwargs):
        encoder = {
            "self_attn_cfg": {"embed_dims": 16, "num_heads": 2, "dropout": 0.0},
            "ffn_cfg": {"embed_dims": 16, "feedforward_channels": 32},
        }
        return HybridEncoder(encoder, in_channels=CHANNELS, hidden_dim=16, **kwargs).eval()

    def test_maps_and_projector(self, maps):
        assert shapes(self.make(output_indices=[1, 2])(maps)) == [(16, 8), (16, 4)]
        projector = {"type": "ChannelMapper", "in_channels": [16, 16, 16], "out_channels": 6}
        assert shapes(self.make(projector=projector)(maps)) == [(6, 16), (6, 8), (6, 4)]
        assert len(self.make(num_encoder_layers=0)(maps)) == 3

    def test_deployment_gives_the_same_numbers(self, maps):
        neck = self.make(widen_factor=0.5)
        before = neck(maps)
        for module in neck.modules():
            if hasattr(module, "switch_to_deploy"):
                module.switch_to_deploy({"input_size": (128, 128)})
        assert neck.pos_enc_0.shape == (1, 16, 16)
        for a, b in zip(neck(maps), before, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)

    def test_faults_are_named(self, maps):
        with pytest.raises(DataError, match="HybridEncoder expects 3 maps"):
            self.make()(maps[:2])
