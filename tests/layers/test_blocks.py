"""Blocks that networks share."""

import pytest
import torch
from torch import nn

from poise.errors import ArgumentError, ConfigError, DataError
from poise.layers import (
    BasicBlock,
    Bottleneck,
    ConvModule,
    DepthwiseSeparableConvModule,
    DropPath,
    InvertedResidual,
    LayerScale,
    MultiheadAttention,
    PatchEmbed,
    PatchMerging,
    RepVGGBlock,
    ResLayer,
    Scale,
    ScaleNorm,
    SELayer,
    SPPBottleneck,
    WindowMSA,
    channel_shuffle,
    get_expansion,
    interleave,
    make_divisible,
)
from poise.layers.attention import SelfAttention
from poise.layers.deform_attention import MultiScaleDeformableAttention
from poise.layers.gau import GAUEncoder
from poise.layers.window_attention import attend_in_windows, split_windows


def randomise(module):
    torch.manual_seed(0)
    for t in (*module.parameters(), *module.buffers()):
        if t.is_floating_point():
            t.data.uniform_(0.2, 1.0)
    return module.eval()


class TestConvModule:
    def test_keys_are_conv_and_the_norms_name(self):
        block = ConvModule(3, 4, 3, norm_cfg={"type": "BN"})
        keys = {k.rpartition(".")[0] for k in block.state_dict()}
        assert keys == {"conv", "bn"}
        assert block.conv.bias is None
        assert block.norm is block.bn

    @pytest.mark.parametrize(("norm", "bias"), [(None, True), ({"type": "BN"}, False)])
    def test_automatic_bias_is_there_without_a_norm(self, norm, bias):
        assert ConvModule(3, 4, 1, norm_cfg=norm).with_bias is bias

    def test_order_decides_the_norms_channels(self):
        block = ConvModule(3, 4, 1, norm_cfg={"type": "BN"}, order=("norm", "conv", "act"))
        assert block.bn.num_features == 3
        x = torch.randn(2, 3, 4, 4)
        torch.testing.assert_close(block(x), block.activate(block.conv(block.bn(x))))

    def test_steps_can_be_left_out(self):
        block = ConvModule(3, 4, 1, norm_cfg={"type": "BN"}).eval()
        x = torch.randn(2, 3, 4, 4)
        torch.testing.assert_close(block(x, activate=False, norm=False), block.conv(x))

    @pytest.mark.parametrize("bias", [True, False])
    def test_folded_eval_gives_the_same_numbers_and_gradients(self, bias):
        plain = randomise(ConvModule(3, 4, 3, norm_cfg={"type": "BN"}, bias=bias))
        folded = ConvModule(
            3, 4, 3, norm_cfg={"type": "BN"}, bias=bias, efficient_conv_bn_eval=True
        ).eval()
        folded.load_state_dict(plain.state_dict())
        x = torch.randn(2, 3, 6, 6)
        torch.testing.assert_close(folded(x), plain(x))
        for block in (plain, folded):
            block(x).sum().backward()
        torch.testing.assert_close(folded.bn.weight.grad, plain.bn.weight.grad)

    def test_explicit_padding_mirrors(self):
        block = ConvModule(1, 1, 3, padding=1, padding_mode="reflect", act_cfg=None)
        x = torch.randn(1, 1, 5, 5)
        mirrored = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        torch.testing.assert_close(block(x), block.conv(mirrored))

    def test_spectral_norm(self):
        block = ConvModule(3, 4, 3, with_spectral_norm=True)
        assert "conv.weight_orig" in block.state_dict()

    def test_faults_are_named(self):
        with pytest.raises(ConfigError, match="order must name"):
            ConvModule(3, 4, 1, order=("conv", "act", "act"))
        with pytest.raises(ArgumentError, match="norm_cfg must be a dict"):
            ConvModule(3, 4, 1, norm_cfg="BN")
        with pytest.raises(ArgumentError, match="groups"):
            DepthwiseSeparableConvModule(3, 4, 1, groups=2)

    def test_separable_parts_have_their_own_settings(self):
        block = DepthwiseSeparableConvModule(
            4, 6, 3, padding=1, norm_cfg={"type": "BN"}, dw_act_cfg=None, pw_norm_cfg=None
        )
        assert not block.depthwise_conv.with_activation
        assert not block.pointwise_conv.with_norm
        assert block(torch.randn(1, 4, 5, 5)).shape == (1, 6, 5, 5)


class TestResidual:
    @pytest.mark.parametrize(("block", "expansion"), [(BasicBlock, 1), (Bottleneck, 4)])
    def test_a_row_changes_the_shape_once(self, block, expansion):
        row = ResLayer(block, 3, 16, 8 * expansion, stride=2)
        assert row(torch.randn(1, 16, 8, 8)).shape == (1, 8 * expansion, 4, 4)
        assert [b.downsample is not None for b in row] == [True, False, False]

    def test_an_hourglass_changes_the_shape_last(self):
        row = ResLayer(BasicBlock, 3, 16, 8, downsample_first=False)
        assert [b.downsample is not None for b in row] == [False, False, True]

    def test_recomputing_gives_the_same_gradients(self):
        block = randomise(BasicBlock(4, 4))
        again = BasicBlock(4, 4, with_cp=True).eval()
        again.load_state_dict(block.state_dict())
        grads = []
        for b in (block, again):
            x = torch.ones(1, 4, 4, 4, requires_grad=True)
            b(x).sum().backward()
            grads.append(x.grad)
        torch.testing.assert_close(*grads)

    def test_expansions(self):
        assert get_expansion(Bottleneck) == 4
        assert get_expansion(Bottleneck, 2) == 2
        with pytest.raises(ArgumentError, match="positive"):
            get_expansion(Bottleneck, 0)
        with pytest.raises(ArgumentError, match="not specified"):
            get_expansion(nn.ReLU)

    def test_faults_are_named(self):
        with pytest.raises(ConfigError, match="style"):
            Bottleneck(4, 16, style="tensorflow")
        with pytest.raises(ConfigError, match="expansion 1"):
            BasicBlock(4, 8, expansion=2)


@pytest.mark.parametrize("sizes", [(5, 9, 13), (3, 5), (5,), (13, 9, 5), (5, 5)])
def test_chained_windows_give_the_maxima_of_the_plain_ones(sizes):
    spp = SPPBottleneck(8, 8, kernel_sizes=sizes).eval()
    x = torch.randn(2, 8, 16, 12)
    first = spp.conv1(x)
    plain = [nn.functional.max_pool2d(first, k, 1, k // 2) for k in sizes]
    assert torch.equal(spp(x), spp.conv2(torch.cat([first, *plain], dim=1)))


@pytest.mark.parametrize("branch", [True, False])
def test_a_reparametrised_block_gives_the_same_numbers(branch):
    block = randomise(RepVGGBlock(6, 6, groups=2, without_branch_norm=branch))
    x = torch.randn(2, 6, 5, 5)
    before = block(x)
    block.switch_to_deploy()
    block.switch_to_deploy()
    assert set(block.state_dict()) == {"conv_reparam.weight", "conv_reparam.bias"}
    torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"shift": 1}, {"centred": True}])
def test_windows_come_back(options):
    x = torch.randn(2, 5, 7, 3)
    seen = []
    back = attend_in_windows(x, (3, 4), lambda w: seen.append(w.shape) or w, **options)
    assert seen == [(8, 12, 3)]
    assert torch.equal(back, x)


def test_pixels_of_a_window_see_one_another_alone():
    x = torch.arange(24.0).view(1, 4, 6, 1)
    means = attend_in_windows(x, (2, 3), lambda w: w.mean(dim=1, keepdim=True).expand_as(w))
    windows = split_windows(x, (2, 3))
    torch.testing.assert_close(split_windows(means, (2, 3)), windows.mean(1, True).expand(4, 6, 1))
    moved = attend_in_windows(
        x, (2, 3), lambda w: w.mean(dim=1, keepdim=True).expand_as(w), shift=1
    )
    # the last row and the first one, last column and first two: neighbours in a window
    corner = [x[0, i, j, 0] for i in (3, 0) for j in (4, 5, 0)]
    assert moved[0, 0, 0, 0] != means[0, 0, 0, 0]
    assert moved[0, 1, 1, 0] == x[0, 1:3, 1:4].mean()
    assert moved[0, 3, 4, 0] == torch.stack(corner).mean()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SelfAttention(8, 3),
        lambda: WindowMSA(8, 3, (2, 2)),
        lambda: MultiheadAttention(8, 3),
        lambda: MultiScaleDeformableAttention(8, 3),
        lambda: SelfAttention(8, 0),
    ],
)
def test_heads_divide_the_channels(make):
    with pytest.raises(ConfigError, match=r"embed_dims=8 is no multiple of num_heads="):
        make()


def test_window_attention_adds_biases_and_masks():
    attention = randomise(WindowMSA(8, 2, (2, 3)))
    x = torch.randn(4, 6, 8)
    qkv = attention.qkv(x).view(4, 6, 3, 2, 4).permute(2, 0, 3, 1, 4)
    mask = torch.where(torch.rand(2, 6, 6) > 0.5, 0.0, -100.0)
    table = attention.relative_position_bias_table[attention.relative_position_index]
    products = qkv[0] @ qkv[1].transpose(-1, -2) * 4**-0.5 + table.permute(2, 0, 1)
    products = products + mask.repeat(2, 1, 1)[:, None]
    out = (products.softmax(-1) @ qkv[2]).transpose(1, 2).reshape(4, 6, 8)
    torch.testing.assert_close(attention(x, mask), attention.proj(out))


def test_attention_takes_the_querys_positions_for_the_keys():
    attention = randomise(MultiheadAttention(8, 2, batch_first=True))
    x, pos = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    out = attention(x, query_pos=pos)
    first = [t.transpose(0, 1) for t in (x + pos, x + pos, x)]
    expected = attention.attn(*first)[0].transpose(0, 1) + x
    torch.testing.assert_close(out, expected)
    other_order = MultiheadAttention(8, 2).eval()
    other_order.load_state_dict(attention.state_dict())
    swapped = other_order(x.transpose(0, 1), query_pos=pos.transpose(0, 1))
    torch.testing.assert_close(swapped.transpose(0, 1), out)


@pytest.mark.parametrize("padding", ["corner", "same", 0, 2])
def test_patches_tell_their_grid(padding):
    embed = PatchEmbed(3, 8, kernel_size=4, stride=4, padding=padding, input_size=(10, 13))
    tokens, grid = embed(torch.randn(1, 3, 10, 13))
    assert grid == embed.init_out_size
    assert tokens.shape == (1, grid[0] * grid[1], 8)


def test_merged_patches_need_their_grid():
    merge = PatchMerging(4, 6)
    tokens, grid = merge(torch.randn(1, 15, 4), (3, 5))
    assert grid == (2, 3)
    assert tokens.shape == (1, 6, 6)
    with pytest.raises(DataError, match="tokens"):
        merge(torch.randn(1, 15, 4), (4, 4))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = DropPath(0.25)
    out = layer(torch.ones(4000, 3))
    assert {round(v, 4) for v in out.unique().tolist()} == {0.0, 1.3333}
    assert (out.std(dim=1) == 0).all()
    assert out.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(layer.eval()(out), out)


def test_scales():
    x = torch.randn(2, 3, 4)
    assert torch.equal(Scale(2.0)(x), 2 * x)
    torch.testing.assert_close(LayerScale(3, data_format="channels_first", scale=0.5)(x), 0.5 * x)
    norm = ScaleNorm(4)(x)
    torch.testing.assert_close(norm.square().mean(-1), torch.ones(2, 3))


def test_squeeze_and_excite_weighs_channels():
    layer = SELayer(8, ratio=4)
    x = torch.randn(2, 8, 3, 3)
    ratio = layer(x) / x
    torch.testing.assert_close(ratio, ratio[..., :1, :1].expand_as(ratio), rtol=1e-3, atol=1e-4)
    with pytest.raises(ConfigError, match="two dicts"):
        SELayer(8, act_cfg=({"type": "ReLU"},))


@pytest.mark.parametrize(("stride", "out", "adds"), [(1, 8, True), (2, 8, False), (1, 6, False)])
def test_inverted_residual_adds_where_shapes_allow(stride, out, adds):
    block = InvertedResidual(8, out, 16, stride=stride, se_cfg={"channels": 16, "ratio": 4})
    assert block.with_res_shortcut is adds
    assert block(torch.randn(2, 8, 8, 8)).shape == (2, out, 8 // stride, 8 // stride)


def test_interleaving_is_a_shuffle_of_two_groups():
    first, second = torch.randn(2, 2, 3, 4, 5)
    expected = channel_shuffle(torch.cat((first, second), dim=1), 2)
    assert torch.equal(interleave(first, second), expected)


def test_channels():
    x = torch.arange(6).view(1, 6, 1, 1)
    assert torch.equal(channel_shuffle(channel_shuffle(x, 2), 3), x)
    with pytest.raises(DataError, match="6 channels"):
        channel_shuffle(x, 4)
    assert [make_divisible(v, 8) for v in (3, 12, 17, 100)] == [8, 16, 16, 104]


@pytest.mark.parametrize("off", ["none", False, True])
def test_gated_attention_needs_no_positions_where_it_uses_none(off):
    unit = GAUEncoder(8, 8, s=4, pos_enc=off)
    tokens = torch.rand(2, 5, 8)
    # positions that are given all the same do not count
    torch.testing.assert_close(unit(tokens), unit(tokens, pos_enc=torch.rand(5, 4)))
