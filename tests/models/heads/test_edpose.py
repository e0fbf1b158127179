import copy

import numpy as np
import pytest
import torch

from poise.codecs import EDPoseLabel
from poise.errors import ConfigError, DataError
from poise.layers.deform_attention import MultiScaleDeformableAttention, sample_and_weigh
from poise.models.heads import EDPoseHead
from poise.models.heads.edpose import PositionEmbeddingSineHW

K = 3


@pytest.fixture
def head():
    torch.manual_seed(0)
    attention = {"embed_dims": 256, "num_heads": 8}
    deformable = {**attention, "num_levels": 2, "num_points": 2}
    ffn = {"embed_dims": 256, "feedforward_channels": 16}
    return EDPoseHead(
        num_queries=12,
        num_feature_levels=2,
        num_keypoints=K,
        as_two_stage=True,
        encoder={"num_layers": 1, "layer_cfg": {"self_attn_cfg": deformable, "ffn_cfg": ffn}},
        decoder={
            "num_layers": 3,
            "num_group": 4,
            "num_box_decoder_layers": 2,
            "return_intermediate": True,
            "layer_cfg": {
                "self_attn_cfg": attention,
                "cross_attn_cfg": deformable,
                "ffn_cfg": ffn,
            },
        },
        out_head={"num_classes": 2, "num_pred_layer": 3},
        positional_encoding={"num_pos_feats": 128, "normalize": True},
        denosing_cfg={"dn_labelbook_size": 2},
        data_decoder=EDPoseLabel(num_select=4, num_keypoints=K),
    ).eval()


@pytest.fixture
def maps():
    g = torch.Generator().manual_seed(0)
    return [torch.randn(2, 256, side, side, generator=g) for side in (8, 4)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_give_about_the_same(head, maps, dtype):
    with torch.no_grad():
        want = head(maps)
        have = copy.deepcopy(head).to(dtype)([m.to(dtype) for m in maps])
    assert all(h.dtype is dtype for h in have)
    assert all(torch.allclose(h.float(), w, atol=0.05) for h, w in zip(have, want, strict=True))


def test_people_are_chosen_among_enough(head, maps):
    with pytest.raises(DataError, match="num_queries=12 .* have 5"), torch.no_grad():
        head([m[..., :2, :2] if m.shape[-1] > 4 else m[..., :1, :1] for m in maps])


def test_people_come_in_input_space(head, maps, sample):
    samples = [sample() for _ in range(2)]
    for data in samples:
        data.set_metainfo({"batch_input_shape": (64, 64), "img_shape": (64, 48)})
    with torch.no_grad():
        preds = head.predict(maps, samples)
    assert preds[0].keypoints.shape == (4, K, 2)
    assert preds[0].bboxes.shape == (4, 4)
    assert np.isfinite(preds[1].keypoints).all()


def test_pictures_without_samples_have_no_padding(head, maps):
    logits, boxes, keypoints = head(maps)
    assert logits.shape == (2, 4, 2)
    assert boxes.shape == (2, 4, 4)
    assert keypoints.shape == (2, 4, 3 * K)


def test_keypoints_see_their_own_person_and_people_see_each_other(head):
    hidden = head._group_mask(torch.device("cpu"))
    person = K + 1
    assert not hidden[0, person]  # two people
    assert not hidden[1, 0]  # a keypoint and its person
    assert hidden[1, person]  # a keypoint and somebody else
    assert hidden[0, person + 1]  # a person and somebody else's keypoint


def test_what_it_cannot_do_is_said(head, maps):
    with pytest.raises(ConfigError, match="cannot be trained"):
        head.loss(maps, [])
    with pytest.raises(ConfigError, match="no flip test"):
        head.predict(maps, [], {"flip_test": True})


def test_sampling_at_pixel_centres_gives_the_pixels():
    value = torch.arange(6.0).reshape(1, 6, 1, 1)
    centres = torch.tensor([[0.5, 0.5], [2.5, 1.5]]) / torch.tensor([3.0, 2.0])
    locations = centres.reshape(1, 2, 1, 1, 1, 2)
    out = sample_and_weigh(value, torch.tensor([[2, 3]]), locations, torch.ones(1, 2, 1, 1, 1))
    assert torch.allclose(out.flatten(), torch.tensor([0.0, 5.0]), atol=1e-6)


def test_attention_ignores_what_is_masked():
    torch.manual_seed(0)
    layer = MultiScaleDeformableAttention(8, 2, 1, 2, batch_first=True).eval()
    query, points = torch.randn(1, 4, 8), torch.rand(1, 4, 1, 2)
    options = {"reference_points": points, "spatial_shapes": torch.tensor([[2, 2]])}
    everything = torch.ones(1, 4, dtype=torch.bool)
    masked = layer(query, value=torch.randn(1, 4, 8), key_padding_mask=everything, **options)
    assert torch.allclose(masked, query + layer.output_proj.bias)
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        MultiScaleDeformableAttention(8, 3)


def test_normalised_positions_end_at_the_scale():
    encoding = PositionEmbeddingSineHW(4, normalize=True)(torch.zeros(1, 3, 5, dtype=torch.bool))
    assert encoding.shape == (1, 8, 3, 5)
    assert encoding[0, 0, -1].abs().max() < 1e-4  # sin(2 pi)
    with pytest.raises(ConfigError, match="normalize=True"):
        PositionEmbeddingSineHW(scale=1.0)
