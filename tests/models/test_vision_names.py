"""Weights of ViTPose in the names of its repository and of Hugging Face's transformers."""

import re
from collections import OrderedDict

import pytest
import torch

import poise
from poise.errors import CheckpointError
from poise.models.weights import load_checkpoint
from poise.models.weights.vision_names import with_our_names

SIMPLE = "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192"
CLASSIC = "td-hm_ViTPose-small_8xb64-210e_coco-256x192"

TRANSFORMERS = (
    (r"backbone\.ln1\.", "backbone.layernorm."),
    (r"patch_embed\.", "embeddings.patch_embeddings."),
    (r"pos_embed$", "embeddings.position_embeddings"),
    (r"layers\.(\d+)\.attn\.proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"encoder.layer.\1.mlp.fc1."),
    (r"layers\.(\d+)\.ffn\.layers\.1\.", r"encoder.layer.\1.mlp.fc2."),
    (r"layers\.(\d+)\.ln1\.", r"encoder.layer.\1.layernorm_before."),
    (r"layers\.(\d+)\.ln2\.", r"encoder.layer.\1.layernorm_after."),
    (r"head\.deconv_layers\.0\.", "head.deconv1."),
    (r"head\.deconv_layers\.1\.", "head.batchnorm1."),
    (r"head\.deconv_layers\.3\.", "head.deconv2."),
    (r"head\.deconv_layers\.4\.", "head.batchnorm2."),
    (r"head\.final_layer\.", "head.conv."),
)
REPOSITORY = (
    (r"backbone\.ln1\.", "backbone.last_norm."),
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
    (r"layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
    (r"layers\.(\d+)\.ln(\d)\.", r"blocks.\1.norm\2."),
    (r"layers\.(\d+)\.attn\.", r"blocks.\1.attn."),
    (r"^head\.", "keypoint_head."),
)


def theirs(state, names):
    """The weights of a model as others name them."""
    found = OrderedDict()
    for key, value in state.items():
        new = key
        for pattern, replacement in names:
            new = re.sub(pattern, replacement, new)
        if key.endswith("pos_embed"):
            # the embedding of a class token is added to each patch's
            token = torch.full_like(value[:, :1], 0.5)
            value = torch.cat([token, value - token], dim=1)
        if names is TRANSFORMERS and ".attn.qkv." in new:
            new = re.sub(
                r"layers\.(\d+)\.attn\.qkv", r"encoder.layer.\1.attention.attention.{}", new
            )
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
            found.update({new.format(part): rows.clone() for part, rows in parts})
        else:
            found[new] = value.clone()
    return found


@pytest.mark.parametrize("names", [TRANSFORMERS, REPOSITORY], ids=["transformers", "repository"])
@pytest.mark.parametrize("name", [SIMPLE, CLASSIC])
def test_weights_of_others_load_strictly(names, name):
    torch.manual_seed(0)
    source = poise.build_model(name)
    for value in source.parameters():
        torch.nn.init.normal_(value, std=0.1)
    foreign = theirs(source.state_dict(), names)
    assert not foreign.keys() & source.backbone.state_dict(prefix="backbone.").keys() - {
        "backbone.pos_embed",
        "backbone.patch_embed.projection.weight",
        "backbone.patch_embed.projection.bias",
    }
    torch.manual_seed(1)
    model = poise.build_model(name)
    load_checkpoint(model, {"state_dict": foreign}, strict=True)
    for key, value in source.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=0, atol=1e-6)


def test_other_models_and_own_names_are_left_alone():
    state = {"blocks.0.attn.qkv.weight": torch.ones(3, 1)}
    assert with_our_names(state, ["blocks.0.attn.qkv.weight"]) is state
    # with a class token every patch keeps its own embedding
    timm = {**state, "cls_token": torch.ones(1, 1, 1), "pos_embed": torch.ones(1, 5, 1)}
    assert with_our_names(timm, ["layers.0.attn.qkv.weight"])["pos_embed"].shape == (1, 5, 1)
    own = {"layers.0.attn.qkv.weight": torch.ones(3, 1)}
    assert with_our_names(own, list(own)) is own


def test_a_file_of_another_width_is_told_as_such():
    model = poise.build_model(SIMPLE)
    foreign = {k: v[..., :64] for k, v in theirs(model.state_dict(), TRANSFORMERS).items()}
    with pytest.raises(CheckpointError, match=r"pos_embed  \(1, 192, 64\) in the file"):
        load_checkpoint(model, foreign, strict=True)
