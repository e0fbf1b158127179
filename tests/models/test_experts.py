"""Weights of ViTPose++ in the files of its own repository, whole and divided."""

import re
from collections import OrderedDict

import pytest
import torch

import poise
from poise.errors import CheckpointError, ConfigError
from poise.models.weights import convert, load_checkpoint
from poise.zoo.parts.vitpose import EXPERTS

from .test_vision_names import CLASSIC, REPOSITORY, theirs

COUNTS = dict(zip(EXPERTS, (17, 14, 16, 17, 17, 133), strict=True))
SHARE = 96


@pytest.fixture(scope="module")
def plain():
    """State dicts of plain models, one a dataset, which share all but experts and heads."""
    torch.manual_seed(0)
    model = poise.build_model(CLASSIC)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.1)
    shared = model.state_dict()
    found = {}
    for dataset, count in COUNTS.items():
        state = OrderedDict((key, value.clone()) for key, value in shared.items())
        for key, value in state.items():
            if "ffn.layers.1." in key:
                value[-SHARE:] = torch.randn(value[-SHARE:].shape)
            elif key.startswith("head.") and value.is_floating_point():
                state[key] = torch.randn(
                    (count, *value.shape[1:]) if "final_layer" in key else value.shape
                )
        found[dataset] = state
    return found


@pytest.fixture
def several(plain):
    """The same as one state dict of ViTPose++."""
    found = OrderedDict()
    for number, state in enumerate(plain.values()):
        for key, value in theirs(state, REPOSITORY).items():
            if ".mlp.fc2." in key:
                found.setdefault(key, value[:-SHARE])
                found[key.replace("fc2", f"experts.{number}")] = value[-SHARE:]
            elif key.startswith("keypoint_head."):
                place = f"associate_keypoint_heads.{number - 1}." if number else "keypoint_head."
                found[key.replace("keypoint_head.", place)] = value
            else:
                found.setdefault(key, value)
    return found


def model_for(dataset):
    cfg = poise.load_config(CLASSIC).copy()
    cfg.model.head.out_channels = COUNTS[dataset]
    return cfg


def assert_same(model, state):
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dataset", EXPERTS)
def test_the_weights_of_a_dataset_are_chosen_by_its_name(dataset, plain, several, tmp_path):
    torch.save({"state_dict": several}, tmp_path / "vitpose+.pth")
    model = poise.load_model(model_for(dataset), f"{tmp_path}/vitpose+.pth#{dataset}")
    assert_same(model, plain[dataset])
    assert model.dataset_meta["dataset_name"] == dataset.replace("apt36k", "ap10k")


def test_the_first_dataset_is_meant_where_none_is_named(plain, several):
    model = poise.build_model(CLASSIC)
    load_checkpoint(model, {"state_dict": several}, strict=True)
    assert_same(model, plain["coco"])


def test_heads_that_hold_maps_of_the_largest_dataset_are_cut(plain, several, tmp_path):
    wide = several["associate_keypoint_heads.4.final_layer.weight"]
    several["associate_keypoint_heads.1.final_layer.weight"] = wide
    torch.save({"state_dict": several}, tmp_path / "vitpose+.pth")
    model = poise.load_model(model_for("mpii"), f"{tmp_path}/vitpose+.pth#mpii")
    assert torch.equal(model.head.final_layer.weight, wide[:16])


def divided(several, dataset):
    """What ViTPose's `model_split.py` makes: joined rows; experts stay, and of COCO all heads."""
    number = EXPERTS.index(dataset)
    found = OrderedDict(several)
    for key in several:
        if ".mlp.fc2." in key:
            found[key] = torch.cat([several[key], several[key.replace("fc2", f"experts.{number}")]])
        elif number and key.startswith("associate_keypoint_heads."):
            value = found.pop(key)
            if key.startswith(f"associate_keypoint_heads.{number - 1}."):
                found[re.sub(r"associate_keypoint_heads\.\d", "keypoint_head", key)] = value
    return found


@pytest.mark.parametrize("dataset", ["coco", "ap10k"])
def test_divided_files_load_as_they_are(dataset, plain, several, tmp_path):
    torch.save({"state_dict": divided(several, dataset)}, tmp_path / "divided.pth")
    assert_same(poise.load_model(CLASSIC, tmp_path / "divided.pth"), plain[dataset])
    if dataset == "coco":
        with pytest.raises(CheckpointError, match="was divided and has the weights of coco alone"):
            poise.load_model(CLASSIC, f"{tmp_path}/divided.pth#ap10k")
    else:
        model = poise.load_model(CLASSIC, f"{tmp_path}/divided.pth#ap10k")
        assert model.dataset_meta["dataset_name"] == "ap10k"


class TestWholeModels:
    """Of these files the shapes say the network, so no config is needed."""

    @pytest.mark.parametrize("dataset", ["coco", "apt36k", "coco_wholebody"])
    def test_one_dataset_of_several_becomes_a_whole_model(self, dataset, plain, several, tmp_path):
        torch.save({"state_dict": several}, tmp_path / "vitpose+.pth")
        part = "" if dataset == "coco" else f"#{dataset}"
        written = convert(f"{tmp_path}/vitpose+.pth{part}")
        assert written.name == f"vitpose+{part.replace('#', '-')}.safetensors"
        model = poise.load_model(written)
        assert_same(model, plain[dataset])
        assert model.dataset_meta["dataset_name"] == dataset.replace("apt36k", "ap10k")

    def test_a_divided_file_is_known_by_its_number_of_keypoints(self, plain, several, tmp_path):
        torch.save({"state_dict": divided(several, "aic")}, tmp_path / "aic.pth")
        model = poise.load_model(convert(tmp_path / "aic.pth"))
        assert_same(model, plain["aic"])
        assert model.dataset_meta["dataset_name"] == "aic"

    def test_one_that_may_be_of_two_datasets_must_be_named(self, several, tmp_path):
        path = tmp_path / "ap10k.pth"
        torch.save({"state_dict": divided(several, "ap10k")}, path)
        with pytest.raises(CheckpointError, match="17 keypoints.*#NAME with ap10k or apt36k"):
            convert(path)
        model = poise.load_model(convert(f"{path}#apt36k"))
        assert model.dataset_meta["dataset_name"] == "ap10k"

    def test_a_plain_vitpose_is_known_too(self, plain, tmp_path):
        torch.save(theirs(plain["coco"], REPOSITORY), tmp_path / "vitpose_small.pth")
        assert_same(poise.load_model(convert(tmp_path / "vitpose_small.pth")), plain["coco"])

    def test_a_size_that_vitpose_has_not_is_no_vitpose(self, plain, tmp_path):
        state = theirs(plain["coco"], REPOSITORY)
        state["backbone.pos_embed"] = state["backbone.pos_embed"][:, :50]
        torch.save(state, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match="does not say of which model it is"):
            convert(tmp_path / "other.pth")


def test_absent_parts_are_told(several, tmp_path):
    path = tmp_path / "three.pth"
    three = {k: v for k, v in several.items() if not re.search(r"experts\.[345]|heads\.[234]", k)}
    torch.save({"state_dict": three}, path)
    with pytest.raises(CheckpointError, match=r"no expert for ap10k, which is number 3: .* has 3"):
        poise.load_model(CLASSIC, f"{path}#ap10k")
    heads = {k: v for k, v in several.items() if "heads.2" not in k}
    torch.save({"state_dict": heads}, path)
    with pytest.raises(CheckpointError, match=r"no head for ap10k \(associate_keypoint_heads\.2\)"):
        poise.load_model(CLASSIC, f"{path}#ap10k")
    with pytest.raises(ConfigError, match="it has parts for coco"):
        poise.load_model(CLASSIC, f"{path}#crowdpose")


def test_of_a_plain_file_the_name_says_the_keypoints(plain, tmp_path):
    torch.save({"state_dict": plain["ap10k"]}, tmp_path / "plain.pth")
    model = poise.load_model(CLASSIC, f"{tmp_path}/plain.pth#ap10k")
    assert model.dataset_meta["dataset_name"] == "ap10k"
    torch.save({"state_dict": plain["ap10k"]}, tmp_path / "odd#1.pth")
    assert poise.load_model(CLASSIC, tmp_path / "odd#1.pth").dataset_meta["dataset_name"] == "coco"
