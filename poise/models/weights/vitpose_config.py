"""The config of a file of ViTPose's own repository, from the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from poise.config import Config
from poise.errors import CheckpointError
from poise.models.weights.experts import has_experts, is_divided, of_dataset
from poise.models.weights.reading import state_dict_of
from poise.zoo.huggingface import config_of_settings
from poise.zoo.parts.datasets import count
from poise.zoo.parts.vitpose import EXPERTS, schema_of

__all__ = ["vitpose_config"]

_POSITIONS = "backbone.pos_embed"
_LAST = "keypoint_head.final_layer.weight"
#: channels -> heads of attention, which weights do not say; ViTPose's four sizes
_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
#: patches -> height and width of the picture
_SIZES = {192: (256, 192), 432: (384, 288), 972: (576, 432)}


def vitpose_config(content: Mapping[str, Any], dataset: str | None, path: Path) -> Config | None:
    """Config of a ViTPose or ViTPose++, or None for other files.

    Args:
        content: what the file holds.
        dataset: whose expert, head and keypoints are meant; None is the first of ViTPose++, and
            else what the number of keypoints says.
        path: the file, for error texts.
    """
    state: Mapping[str, Tensor] = state_dict_of(content, str(path))
    if has_experts(state):
        dataset = dataset or (_divided_dataset(state, path) if is_divided(state) else EXPERTS[0])
        state = of_dataset(state, dataset, str(path))
    known = state.keys() >= {_POSITIONS, _LAST, "backbone.blocks.0.mlp.fc1.weight"}
    if not known:
        return None
    _, tokens, width = state[_POSITIONS].shape
    size = _SIZES.get(tokens - 1)
    if size is None or width not in _HEADS:
        return None
    layers = {found[1] for key in state if (found := re.match(r"backbone\.blocks\.(\d+)\.", key))}
    backbone = dict(
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=_HEADS[width],
        mlp_ratio=state["backbone.blocks.0.mlp.fc1.weight"].shape[0] / width,
        image_size=size,
        layer_norm_eps=1e-6,
    )
    settings = dict(
        model_type="vitpose",
        backbone_config=backbone,
        use_simple_decoder=not any("deconv_layers" in key for key in state),
        num_labels=state[_LAST].shape[0],
    )
    return config_of_settings(settings, dataset, path)


def _divided_dataset(state: Mapping[str, Tensor], path: Path) -> str:
    """Dataset of a file that was divided, by the number of its keypoints.

    Raises:
        CheckpointError: several have as many.
    """
    points = state[_LAST].shape[0]
    fit = [name for name in EXPERTS[1:] if count(schema_of(name)) == points]
    if len(fit) != 1:
        raise CheckpointError(
            f"{path} is one dataset's part of a ViTPose++, with {points} keypoints; say of which: "
            f"{path}#NAME with {' or '.join(fit or EXPERTS[1:])}"
        )
    return fit[0]
