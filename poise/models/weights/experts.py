"""Weights of several datasets in one file (ViTPose++, Xu 2022, arXiv 2212.04246): one of them.

There, the last linear layer of each feed-forward is shared but for some channels, which an expert
of each dataset computes. For one dataset, both are one layer, which is that of a plain ViTPose; so
what is chosen here is a ViTPose that trains, is exported and is read by MMPose as any other.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from poise.errors import CheckpointError
from poise.models.weights.keys import with_versions
from poise.zoo.parts.datasets import count
from poise.zoo.parts.vitpose import EXPERTS, dataset_name, schema_of

__all__ = ["has_experts", "is_divided", "of_dataset"]

#: the same in ViTPose's own repository and in transformers
_EXPERT = re.compile(r"(?P<layer>.*\.mlp)\.experts\.(?P<number>\d+)\.(?P<kind>weight|bias)$")
#: heads of the datasets but the first one's, which has the plain name
_FIRST_HEAD = "keypoint_head."
_HEADS = re.compile(r"associate_keypoint_heads\.(?P<number>\d+)\.(?P<rest>.*)")


def has_experts(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has parts for several datasets."""
    return any(_EXPERT.match(key) or _HEADS.match(key) for key in state)


def is_divided(state: Mapping[str, Tensor]) -> bool:
    """Whether ViTPose's own program made a file of another dataset than the first of several."""
    layer = next((found["layer"] for key in state if (found := _EXPERT.match(key))), None)
    if layer is None or any(map(_HEADS.match, state)):
        return False
    rows, width = state[f"{layer}.fc2.weight"].shape[0], state[f"{layer}.fc1.weight"].shape[1]
    return bool(rows == width)


def of_dataset(
    state: Mapping[str, Tensor], asked: str = EXPERTS[0], where: str = "the checkpoint"
) -> OrderedDict[str, Tensor]:
    """Weights of one dataset.

    Files that ViTPose's own program has divided are of one dataset already, which is for the user
    to know, and still hold the experts; these are left out.

    Args:
        state: weights of a file, under its own names.
        asked: name of a dataset of ViTPose++.
        where: name of the file for error texts.

    Raises:
        ConfigError: the name of no such dataset.
        CheckpointError: a file without parts for it.
    """
    dataset = dataset_name(asked, experts=True, where=where)
    number = EXPERTS.index(dataset)
    found: OrderedDict[str, Tensor] = OrderedDict()
    for key, value in state.items():
        if _EXPERT.match(key) or _HEADS.match(key):
            continue
        layer, _, kind = key.rpartition(".fc2.")
        found[key] = _joined(state, layer, kind, number, where) if layer else value
    found.update(_head(state, number, where))
    return with_versions(found, getattr(state, "_metadata", None))


def _joined(state: Mapping[str, Tensor], layer: str, kind: str, number: int, where: str) -> Tensor:
    """Shared and own rows of a feed-forward's last layer."""
    shared = state[f"{layer}.fc2.{kind}"]
    width = state[f"{layer}.fc1.weight"].shape[1]
    if f"{layer}.experts.0.{kind}" not in state:
        return shared
    if shared.shape[0] == width:
        if number and any(map(_HEADS.match, state)):
            raise CheckpointError(
                f"{where} was divided and has the weights of {EXPERTS[0]} alone; leave "
                f"'#{EXPERTS[number]}' out"
            )
        return shared
    own = state.get(f"{layer}.experts.{number}.{kind}")
    if own is None:
        raise CheckpointError(
            f"{where} has no expert for {EXPERTS[number]}, which is number {number}: {layer} has "
            f"{sum(k.startswith(f'{layer}.experts.') for k in state) // 2}"
        )
    return torch.cat([shared, own.to(shared.dtype)])


def _head(state: Mapping[str, Tensor], number: int, where: str) -> dict[str, Tensor]:
    """The head of a dataset, under the name of the only one; nothing where there is only one."""
    heads = [found for key in state if (found := _HEADS.match(key))]
    if not number or not heads:
        return {}
    own = [found for found in heads if int(found["number"]) == number - 1]
    if not own:
        raise CheckpointError(
            f"{where} has no head for {EXPERTS[number]} (associate_keypoint_heads.{number - 1})"
        )
    points = count(schema_of(EXPERTS[number]))
    # some hold as many maps as the largest dataset
    return {
        _FIRST_HEAD + found["rest"]: state[found[0]][:points]
        if found["rest"].startswith("final_layer.")
        else state[found[0]]
        for found in own
    }
