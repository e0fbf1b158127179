"""Backbones over keypoint sequences: TCN and DSTFormer."""

import pytest
import torch

from poise.errors import DataError
from poise.models.backbones import TCN, DSTFormer


def test_strided_and_dilated_convolutions_agree_on_whole_windows():
    torch.manual_seed(0)
    dilated = TCN(4, stem_channels=8, num_blocks=2, kernel_sizes=(3, 3, 3)).eval()
    strided = TCN(4, 8, 2, (3, 3, 3), use_stride_conv=True).eval()
    strided.load_state_dict(dilated.state_dict())
    x = torch.randn(2, 4, 27)
    assert [o.shape[-1] for o in dilated(x)] == [19, 1]
    assert [o.shape[-1] for o in strided(x)] == [3, 1]
    torch.testing.assert_close(dilated(x)[-1], strided(x)[-1])


@pytest.mark.parametrize("use_stride_conv", [True, False])
def test_a_causal_network_looks_back_only(use_stride_conv):
    net = TCN(4, 8, 1, (1, 3), causal=True, use_stride_conv=use_stride_conv).eval()
    x = torch.randn(1, 4, 6)
    block = net.tcn_blocks[0]
    expected = 2 if use_stride_conv else block.pad + 1
    assert torch.equal(block._middle(x)[:, :, 0], x[:, :, expected])


def test_too_few_frames_are_named():
    with pytest.raises(DataError, match="got 2"):
        TCN(4, 8, 1, (1, 3))(torch.randn(2, 4, 2))
    with pytest.raises(DataError, match="only 1 frames"):
        TCN(4, 8, 1, (1, 3), use_stride_conv=True)(torch.randn(2, 4, 1))


def test_weights_are_clipped_before_use():
    net = TCN(4, 8, 1, (1, 3), max_norm=0.5)
    net(torch.randn(2, 4, 5))
    assert all(b.conv1[0].conv.weight.norm() <= 0.5 for b in net.tcn_blocks)


def test_shifted_windows_of_a_causal_strided_network_need_their_frames():
    net = TCN(4, 8, 1, (1, 3), use_stride_conv=True, residual=False)
    assert net(torch.randn(2, 4, 9))[-1].shape == (2, 8, 3)


@pytest.mark.parametrize("att_fuse", [True, False])
def test_sequences_keep_their_shape(att_fuse):
    net = DSTFormer(3, feat_size=16, depth=2, num_heads=2, seq_len=9, att_fuse=att_fuse)
    net.init_weights()
    net.eval()
    x = torch.randn(2, 5, 17, 3)
    out = net(x)
    assert out.shape == (2, 5, 17, 16)
    torch.testing.assert_close(net(x[1]), out[1:])
    # in another order of sequences nothing else changes
    torch.testing.assert_close(net(x.flip(0)), out.flip(0))


def test_attention_over_time_is_that_of_each_joint():
    from poise.models.backbones.dstformer import Attention

    over_time = Attention(8, 2, mode="temporal").eval()
    over_joints = Attention(8, 2, mode="spatial").eval()
    over_joints.load_state_dict(over_time.state_dict())
    x = torch.randn(2, 5, 7, 8)
    out = over_time(x.flatten(0, 1), 5).view(2, 5, 7, 8)
    turned = over_joints(x.transpose(1, 2).flatten(0, 1), 7).view(2, 7, 5, 8)
    torch.testing.assert_close(out, turned.transpose(1, 2))


def test_long_sequences_are_refused():
    with pytest.raises(DataError, match="T up to 9"):
        DSTFormer(3, 16, 1, 2, seq_len=9)(torch.randn(1, 10, 17, 3))


def test_linear_layers_start_with_narrow_weights_and_the_biases_they_were_built_with():
    net = DSTFormer(3, feat_size=16, depth=1, num_heads=2, seq_len=9)
    before = net.joints_embed.bias.clone()
    net.init_weights()
    torch.testing.assert_close(net.joints_embed.bias, before)
    # both branches weigh the same at first
    assert net.attn_regress[0].bias.tolist() == [0.5, 0.5]
    assert net.attn_regress[0].weight.abs().max() < 0.1
