"""Weights of other programs and of other picture sizes."""

import pytest
import torch

from poise.errors import DataError
from poise.models.backbones import (
    MSPN,
    PyramidVisionTransformer,
    PyramidVisionTransformerV2,
    ResNet,
    SwinTransformer,
    VisionTransformer,
)
from poise.models.backbones.pvt import convert_pvt_keys
from poise.models.backbones.swin import convert_swin_keys
from poise.models.backbones.vision_transformer import resize_pos_embed

SWIN = {"embed_dims": 12, "depths": [2, 2], "num_heads": [2, 2], "strides": [4, 2]}


def swin(**kwargs):
    return SwinTransformer(**{**SWIN, "out_indices": [0, 1], **kwargs})


def test_swin_takes_another_window_size_from_a_file(tmp_path):
    donor = swin(window_size=7)
    for p in donor.parameters():
        torch.nn.init.normal_(p)
    torch.save({"model": donor.state_dict()}, tmp_path / "a.pth")
    net = swin(
        window_size=12, init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth")}
    )
    net.init_weights()
    table = "stages.0.blocks.0.attn.w_msa.relative_position_bias_table"
    assert net.state_dict()[table].shape == (23 * 23, 2)
    assert net.state_dict()[table].abs().sum() > 0
    assert torch.equal(net.stages[0].blocks[0].ffn.layers[1].weight,
                       donor.stages[0].blocks[0].ffn.layers[1].weight)  # fmt: skip


def test_the_authors_swin_names_are_known():
    merge = torch.arange(4 * 3.0).expand(2, 12)
    state = {
        "patch_embed.proj.weight": torch.ones(1),
        "layers.0.blocks.1.attn.qkv.weight": torch.ones(1),
        "layers.0.blocks.1.mlp.fc1.bias": torch.ones(1),
        "layers.0.blocks.1.mlp.fc2.bias": torch.ones(1),
        "layers.0.downsample.reduction.weight": merge,
        "layers.0.downsample.norm.weight": merge[0],
        "head.weight": torch.ones(1),
    }
    new = convert_swin_keys(state)
    assert list(new) == [
        "patch_embed.projection.weight",
        "stages.0.blocks.1.attn.w_msa.qkv.weight",
        "stages.0.blocks.1.ffn.layers.0.0.bias",
        "stages.0.blocks.1.ffn.layers.1.bias",
        "stages.0.downsample.reduction.weight",
        "stages.0.downsample.norm.weight",
    ]
    # neighbours 0, 2, 1, 3 of each channel
    expected = [0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]
    assert new["stages.0.downsample.norm.weight"].tolist() == expected
    assert new["stages.0.downsample.reduction.weight"][1].tolist() == expected


@pytest.mark.parametrize("version", [1, 2])
def test_the_authors_pvt_names_are_known(version):
    cls = PyramidVisionTransformer if version == 1 else PyramidVisionTransformerV2
    net = cls(embed_dims=8, num_layers=[1, 1, 1, 1])
    state = {"head.weight": torch.ones(1), "norm.weight": torch.ones(1), "cls_token": torch.ones(1)}
    for key, value in net.state_dict().items():
        _, stage, part, rest = key.split(".", 3)
        n = int(stage) + 1
        if rest.endswith("pos_embed"):
            state[f"pos_embed{n}"] = torch.cat([value[:, :1], value], 1) if n == 4 else value
        elif part == "0":
            state[f"patch_embed{n}.{rest.replace('projection', 'proj')}"] = value
        elif part == "2":
            state[f"norm{n}.{rest}"] = value
        else:
            rest = rest.partition(".")[2]
            if "in_proj_" in rest:
                head = f"block{n}.0.attn.{{}}.{rest.rpartition('_')[2]}"
                third = value.shape[0] // 3
                state[head.format("q")] = value[:third]
                state[head.format("kv")] = value[third:]
                continue
            fc2 = "4." if version == 2 else "3."
            rest = rest.replace("attn.attn.out_proj.", "attn.proj.")
            if rest.startswith("ffn.layers."):
                depthwise = rest.startswith("ffn.layers.1.")
                if rest.endswith("weight") and not depthwise:
                    value = value[:, :, 0, 0]
                rest = rest.replace("ffn.layers.", "mlp.").replace("mlp.0.", "mlp.fc1.")
                rest = rest.replace("mlp.1.", "mlp.dwconv.dwconv.").replace(
                    f"mlp.{fc2}", "mlp.fc2."
                )
            state[f"block{n}.0.{rest}"] = value
    new = convert_pvt_keys(state)
    own = net.state_dict()
    assert set(new) == set(own)
    assert all(torch.equal(new[k], own[k]) for k in own)


def test_mspn_starts_every_stage_from_a_resnet(tmp_path):
    donor = ResNet(50)
    for p in donor.parameters():
        torch.nn.init.normal_(p)
    torch.save(donor.state_dict(), tmp_path / "a.pth")
    net = MSPN(
        num_stages=2,
        num_blocks=[3, 4, 6, 3],
        init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth")},
    )
    net.init_weights()
    assert torch.equal(net.top.top[0].conv.weight, donor.conv1.weight)
    for stage in net.multi_stage_mspn:
        layer = stage.downsample.layer3[0]
        assert torch.equal(layer.downsample.bn.weight, donor.layer3[0].downsample[1].weight)
        assert torch.equal(layer.conv2.weight, donor.layer3[0].conv2.weight)


class TestVisionTransformer:
    @staticmethod
    def make(size, **kwargs):
        return VisionTransformer(
            {"embed_dims": 8, "num_layers": 2, "num_heads": 2, "feedforward_channels": 16},
            size,
            out_type="featmap",
            **kwargs,
        )

    def test_positions_of_a_classifier_are_taken_without_their_token(self):
        donor = self.make((224, 224))
        net = self.make((256, 192), with_cls_token=False)
        torch.nn.init.normal_(donor.pos_embed)
        state = {k: v for k, v in donor.state_dict().items() if k != "cls_token"}
        net.load_state_dict(state)
        expected = resize_pos_embed(donor.pos_embed[:, 1:], (14, 14), (16, 12), num_extra_tokens=0)
        assert torch.equal(net.pos_embed, expected)

    def test_pictures_of_another_size_pass(self):
        net = self.make((64, 64)).eval()
        assert net(torch.randn(1, 3, 96, 32))[0].shape == (1, 8, 6, 2)

    @pytest.mark.parametrize(
        ("kind", "shape"),
        [("raw", (1, 17, 8)), ("cls_token", (1, 8)), ("avg_featmap", (1, 8)),
         ("featmap", (1, 8, 4, 4))],
    )  # fmt: skip
    def test_outputs(self, kind, shape):
        arch = {"embed_dims": 8, "num_layers": 2, "num_heads": 2, "feedforward_channels": 16}
        net = VisionTransformer(arch, 64, out_type=kind, pre_norm=True, layer_scale_init_value=0.1)
        assert net(torch.randn(1, 3, 64, 64))[0].shape == shape

    def test_depths_of_parameters(self):
        net = self.make((64, 64))
        depths = {n: net.get_layer_depth(f"backbone.{n}", "backbone.")[0]
                  for n, _ in net.named_parameters()}  # fmt: skip
        assert depths["pos_embed"] == depths["patch_embed.projection.weight"] == 0
        assert depths["layers.1.ln1.weight"] == 2
        assert depths["ln1.weight"] == 3
        assert net.get_layer_depth("head.weight", "backbone.") == (3, 4)

    def test_a_wrong_grid_is_named(self):
        with pytest.raises(DataError, match="check img_size"):
            resize_pos_embed(torch.zeros(1, 10, 4), (3, 4), (5, 5))
