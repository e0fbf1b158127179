"""Weights of vision transformers that other libraries name in their own way."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from poise.models.weights.experts import has_experts, of_dataset
from poise.models.weights.keys import with_versions

__all__ = ["with_our_names"]

#: A key of the models that are meant, and of each naming that is known.
_OURS = "layers.0.attn.qkv.weight"
_TRANSFORMERS = "encoder.layer.0.attention.attention.query.weight"
_TIMM = "blocks.0.attn.qkv.weight"
#: Hugging Face's VitPose, whose queries, keys and values are joined afterwards.
_FROM_TRANSFORMERS = (
    (r"embeddings\.position_embeddings$", "pos_embed"),
    (r"embeddings\.patch_embeddings\.", "patch_embed."),
    (r"encoder\.layer\.(\d+)\.attention\.attention\.", r"layers.\1.attn."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.attn.proj."),
    (r"encoder\.layer\.(\d+)\.mlp\.fc1\.", r"layers.\1.ffn.layers.0.0."),
    (r"encoder\.layer\.(\d+)\.mlp\.fc2\.", r"layers.\1.ffn.layers.1."),
    (r"encoder\.layer\.(\d+)\.layernorm_before\.", r"layers.\1.ln1."),
    (r"encoder\.layer\.(\d+)\.layernorm_after\.", r"layers.\1.ln2."),
    (r"^(backbone\.|)layernorm\.", r"\1ln1."),
    (r"^head\.deconv1\.", "head.deconv_layers.0."),
    (r"^head\.batchnorm1\.", "head.deconv_layers.1."),
    (r"^head\.deconv2\.", "head.deconv_layers.3."),
    (r"^head\.batchnorm2\.", "head.deconv_layers.4."),
    (r"^head\.conv\.", "head.final_layer."),
)
#: The repository of ViTPose, whose backbone is named as timm's.
_FROM_TIMM = (
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"blocks\.(\d+)\.norm(\d)\.", r"layers.\1.ln\2."),
    (r"blocks\.(\d+)\.mlp\.fc1\.", r"layers.\1.ffn.layers.0.0."),
    (r"blocks\.(\d+)\.mlp\.fc2\.", r"layers.\1.ffn.layers.1."),
    (r"blocks\.(\d+)\.attn\.", r"layers.\1.attn."),
    (r"last_norm\.", "ln1."),
)


def with_our_names(state: Mapping[str, Tensor], expected: Iterable[str]) -> Mapping[str, Tensor]:
    """Weights under the names of MMPose's vision transformers; others as they are.

    Known are those of ViTPose (Xu 2022, arXiv 2204.12484) and ViTPose++ in their own repository
    and in Hugging Face's transformers. Both add the embedding of a class token, which they do not
    have, to that of every patch; here that is done once. Of several datasets the first is taken.

    Args:
        state: state dict.
        expected: keys of the model.
    """
    if not any(key.endswith(_OURS) for key in expected):
        return state
    if has_experts(state):
        state = of_dataset(state)
    if any(key.endswith(_TRANSFORMERS) for key in state):
        renamed = _joined(_renamed(state, _FROM_TRANSFORMERS))
    elif any(key.endswith(_TIMM) for key in state):
        renamed = _renamed(state, _FROM_TIMM)
    else:
        return state
    if not any(key.endswith("cls_token") for key in state):
        for key in [key for key in renamed if key.endswith("pos_embed")]:
            # a sum of 16 bits would be rounded once more
            both = renamed[key].float()
            renamed[key] = both[:, 1:] + both[:, :1]
    return with_versions(renamed, getattr(state, "_metadata", None))


def _renamed(
    state: Mapping[str, Tensor], names: Iterable[tuple[str, str]]
) -> OrderedDict[str, Tensor]:
    found = OrderedDict()
    for key, value in state.items():
        new = key
        for pattern, replacement in names:
            new = re.sub(pattern, replacement, new)
        found[new] = value
    return found


def _joined(state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Queries, keys and values as one projection."""
    found = OrderedDict()
    for key, value in state.items():
        if ".attn.query." in key:
            others = [state[key.replace(".query.", f".{part}.")] for part in ("key", "value")]
            found[key.replace(".query.", ".qkv.")] = torch.cat([value, *others])
        elif not re.search(r"\.attn\.(key|value)\.", key):
            found[key] = value
    return found
