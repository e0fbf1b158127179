"""Files of MMPose 0.x load strictly into the models of today.

What such files hold was read off MMPose 0.29: of its models, those with weights in today's
index were built and their keys compared with today's. Besides `keypoint_head`, which is the
head of every model, three things differ; `as_in_0x` writes them down once more, backwards.
"""

import copy
import re

import pytest
import torch

import poise
from poise.models.weights import load_checkpoint
from poise.zoo import models


def type_of(part):
    return part["type"].rpartition(".")[2] if part else ""


def has_old_weights(model):
    """Whether the released file was written by MMPose 0.x."""
    weights = model.weights or ""
    return "/mmpose/" in weights and not model.is_detector and "/mmpose/v1/" not in weights


def kinds():
    """The smallest model of each kind among those whose released file is of the 0.x age."""
    found = {}
    for model in models().values():
        if not has_old_weights(model):
            continue
        tree = model.recipe()["model"]
        head = tree["head"]
        layers = bool(head.get("conv_out_channels")), "traj_head" in tree
        kind = (type_of(tree["backbone"]), type_of(tree.get("neck")), type_of(head), *layers)
        if kind not in found or (model.parameters or 0) < (found[kind].parameters or 0):
            found[kind] = model
    return found


KINDS = kinds()


def as_in_0x(model):
    """State dict of `model` as MMPose 0.x would have written it, without metadata."""
    old = {}
    layers = getattr(model.head, "conv_layers", None)
    last = len(layers) if isinstance(layers, torch.nn.Sequential) else 0
    for key, value in model.state_dict().items():
        key = re.sub(r"^head\.loss_module\.", "head.loss.", key)
        if last:
            key = re.sub(r"^head\.final_layer\.(\w+)$", rf"head.final_layer.{last}.\1", key)
            key = key.replace("head.conv_layers.", "head.final_layer.")
        old[re.sub(r"^head\.", "keypoint_head.", key)] = value.clone()
    if type(model.backbone).__name__ == "SwinTransformer":
        for i, channels in enumerate(model.backbone.num_features):
            for part in ("weight", "bias"):
                old.setdefault(f"backbone.norm{i}.{part}", torch.zeros(channels))
    return old


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(str(k) for k in kind if k))
def model(request):
    torch.manual_seed(0)
    return poise.build_model(KINDS[request.param].recipe()["model"]).eval()


def blank(model):
    """The same network without weights."""
    empty = copy.deepcopy(model)
    for value in empty.state_dict().values():
        value.zero_()
    return empty


def test_there_are_as_many_kinds_as_in_the_index():
    files = {m.weights for m in models().values() if has_old_weights(m)}
    # one more file of that age, of a Swin with FPN, has no model in MMPose 1.x
    assert len(files) == 197
    assert len(KINDS) == 29


@pytest.mark.slow
def test_a_file_of_0x_loads_strictly(model):
    old = as_in_0x(model)
    expected = model.state_dict()
    # a head without weights of its own, as CPM's, has no old names
    assert bool(set(old) - set(expected)) == any(k.startswith("head.") for k in expected)
    target = blank(model)
    load_checkpoint(target, {"state_dict": old, "meta": {"mmpose_version": "0.29"}}, strict=True)
    loaded = target.state_dict()
    assert [k for k, v in expected.items() if not torch.equal(loaded[k], v)] == []
    # plain torch says the same
    assert not blank(model).load_state_dict(old, strict=True).missing_keys
