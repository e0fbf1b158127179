"""RF-DETR with keypoints, beside figures of its own package for tiny networks."""

import argparse

import numpy as np
import pytest
import torch

import poise
from poise.check.keys import check_trains
from poise.errors import CheckpointError, ConfigError, DataError
from poise.models.backbones import WindowedVisionTransformer
from poise.models.heads import RFDETRHead
from poise.models.heads.rf_detr.people import best_people
from poise.models.weights import convert

from .made import CASES, FOLDER, checkpoint, pixels

#: photo of the examples, height and width
PHOTO = "examples/photos/astronaut.png"


@pytest.fixture(scope="module")
def reference():
    """(case, name) -> what the package gives."""
    with np.load(FOLDER / "reference.npz") as file:
        return {tuple(key.split("/")): torch.from_numpy(file[key]) for key in file}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of all cases."""
    folder = tmp_path_factory.mktemp("rf_detr")
    for case in CASES:
        torch.save(checkpoint(case), folder / f"{case}.pth")
    return folder


def written(folder, change, case="person"):
    """File of a case whose content was changed."""
    content = checkpoint(case)
    change(content)
    torch.save(content, folder / "changed.pth")
    return folder / "changed.pth"


def outputs_of(model, case):
    with torch.no_grad():
        return tuple(part[0] for part in model(pixels(case)))


@pytest.mark.parametrize("case", CASES)
def test_the_network_gives_the_figures_of_its_package(case, files, reference):
    model = poise.load_model(files / f"{case}.pth")
    logits, boxes, points = outputs_of(model, case)
    own = (checkpoint(case)["model"]["_kp_active_mask"]).flatten()
    torch.testing.assert_close(logits, reference[case, "pred_logits"], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(boxes, reference[case, "pred_boxes"], atol=1e-6, rtol=1e-5)
    expected = reference[case, "pred_keypoints"][:, own]
    torch.testing.assert_close(points, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_people_are_those_of_its_package(case, files, reference):
    model = poise.load_model(files / f"{case}.pth")
    outputs = outputs_of(model, case)
    classes = model.head.keypoint_classes
    limits = {key: model.test_cfg[key] for key in ("num_select", "trace_alpha")}
    people = best_people(*outputs, classes, **limits)
    height, width = CASES[case][2]
    size = torch.tensor([width, height])
    labels = reference[case, "labels"]
    kept = torch.isin(labels, classes).nonzero().squeeze(1)
    kept = kept[reference[case, "scores"][kept].argsort(descending=True, stable=True)]
    theirs = {name: reference[case, name][kept] for name in ("scores", "labels", "boxes")}
    assert len(kept) > 3
    assert people.labels.tolist() == theirs["labels"].tolist()
    torch.testing.assert_close(people.scores, theirs["scores"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(people.boxes * size.tile(2), theirs["boxes"], atol=1e-3, rtol=1e-5)
    # the covariances of the package are for a box as large as the picture
    share = _shares(outputs, people)
    for person, label in enumerate(people.labels):
        own = classes == label
        found = people.keypoints[person, own] * size
        points = reference[case, "keypoints"][kept[person], : len(found)]
        torch.testing.assert_close(found, points[:, :2], atol=1e-3, rtol=1e-5)
        torch.testing.assert_close(people.keypoint_scores[person, own], points[:, 2])
        spread = people.covariances[person, own] * size * size[:, None]
        expected = reference[case, "covariances"][kept[person], : len(found)] * share[person]
        torch.testing.assert_close(spread, expected, atol=1e-2, rtol=2e-5)
        assert not people.keypoint_scores[person, ~own].any()
        assert people.covariances[person, ~own].isnan().all()


def _shares(outputs, people):
    """Area of each person's box before it is cut, as a share of the picture."""
    middles = (people.keypoints[:, None] - outputs[2][None, ..., :2]).abs().flatten(2).sum(-1)
    return outputs[1][middles.argmin(1), 2:].prod(-1)


def looked_at(file, shown_from):
    """What a model sees in a photo, of people whose scores are above a number."""
    model = poise.load_model(file)
    assert model.test_cfg["shown"] == {"score_thr": 0.5}
    model.test_cfg["shown"] = {"score_thr": shown_from}
    (result,) = poise.Inferencer(model, covariances=True).predict(PHOTO)
    return result


def test_a_photo_goes_through_a_file_alone(files):
    (result,) = poise.Inferencer(files / "person.pth").predict(PHOTO)
    assert (result.instances.bbox_scores > 0.5).all()
    everybody = looked_at(files / "person.pth", 0)
    scores = everybody.instances.bbox_scores
    assert everybody.metainfo["dataset_name"] == "coco"
    assert everybody.keypoints.shape == (len(scores), 17, 2)
    assert everybody.keypoint_covariances.shape == (len(scores), 17, 2, 2)
    some = looked_at(files / "person.pth", float(np.median(scores)))
    assert 0 < len(some.keypoints) < len(scores)


def test_categories_have_keypoints_of_their_own(files):
    result = looked_at(files / "zoo.pth", 0)
    assert set(result.categories.tolist()) == {0, 2}
    for kind, points in zip(result.categories, result.keypoints, strict=True):
        own = np.isfinite(points).all(-1).tolist()
        assert own == ([True] * 4 + [False] * 3 if kind == 0 else [False] * 4 + [True] * 3)


def test_a_file_says_its_categories_by_name(tmp_path):
    def named(content):
        content["args"]["class_names"] = ["cat", "stone", "dog"]

    model = poise.load_model(written(tmp_path, named, "zoo"))
    assert [kind["name"] for kind in model.dataset_meta["categories"]] == ["cat", "dog"]
    assert model.dataset_meta["keypoint_id2name"][4] == "dog_0"


def test_other_keypoints_are_numbered_and_mirrored_as_the_file_says(tmp_path):
    def three(content):
        state = content["model"]
        state["_kp_active_mask"] = torch.ones(1, 3, dtype=torch.bool)
        for key, value in state.items():
            if key.endswith((".queries", "keypoint_pos_embed")):
                state[key] = value[:3]
        content["args"] |= {"keypoint_flip_pairs": [0, 2], "keypoint_oks_sigmas": [0.1, 0.2, 0.3]}

    meta = poise.load_model(written(tmp_path, three)).dataset_meta
    assert meta["flip_indices"] == [2, 1, 0]
    assert meta["sigmas"].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_the_schema_can_be_named_behind_the_file(files):
    model = poise.load_model(f"{files / 'person.pth'}#ap10k")
    assert model.dataset_meta["dataset_name"] == "ap10k"
    with pytest.raises(ConfigError, match="finds 17 keypoints, and mpii has 16"):
        poise.load_model(f"{files / 'person.pth'}#mpii")


def _lightning(content):
    state = content.pop("model")
    content["state_dict"] = {f"model._orig_mod.{key}": value for key, value in state.items()}
    content["hyper_parameters"] = content.pop("model_config")


def _namespace(content):
    content["args"] = argparse.Namespace(**content.pop("model_config"))


def _both(content):
    content["state_dict"] = {f"model.{key}": value for key, value in content["model"].items()}


def _more(content):
    content["model"]["keypoint_head.keypoint_proj.layers.0.weight"] = torch.ones(2, 2)


@pytest.mark.parametrize("change", [_lightning, _namespace, _both, _more])
def test_other_layouts_of_files_are_read(change, tmp_path, reference):
    model = poise.load_model(written(tmp_path, change))
    logits, _, _ = outputs_of(model, "person")
    torch.testing.assert_close(logits, reference["person", "pred_logits"], atol=2e-5, rtol=1e-5)


def test_one_file_can_be_made_of_it(files, tmp_path):
    whole = convert(files / "shifted.pth", tmp_path / "whole.safetensors")
    expected = outputs_of(poise.load_model(files / "shifted.pth"), "shifted")
    for found, value in zip(outputs_of(poise.load_model(whole), "shifted"), expected, strict=True):
        torch.testing.assert_close(found, value)


def test_the_file_says_which_classes_have_keypoints():
    """A config of the released model takes files with other classes, whose schema is theirs."""
    parts = dict(embed_dims=64, num_heads=2, num_cross_heads=4, num_layers=1, num_queries=4)
    theirs = RFDETRHead([0, 17], 2, **parts)
    ours = RFDETRHead([17], 91, **parts)
    ours.load_state_dict(theirs.state_dict())
    assert ours.num_classes == 2
    assert ours.keypoint_classes.tolist() == [1] * 17


def _without_keypoints(content):
    for key in [key for key in content["model"] if key.startswith("keypoint_embed.")]:
        del content["model"][key]


def _with_masks(content):
    _without_keypoints(content)
    content["model"]["segmentation_head.x"] = torch.ones(1)


def _adapted(content):
    content["model"] = {
        key.replace("0.encoder.", "0.encoder.base_model.model."): value
        for key, value in content["model"].items()
    }


def _cut(content):
    del content["model"]["transformer.decoder.layers.0.kp_cross_attn.attention_weights.bias"]


def _unlike(content):
    content["model_config"]["bbox_reparam"] = False


def _swapped(content):
    content["args"]["keypoint_flip_pairs"] = [0, 40]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_keypoints, "an RF-DETR that finds boxes of 1 kind and no keypoints"),
        (_with_masks, "finds boxes and masks of 1 kind"),
        (_adapted, r"adapters \(LoRA\) that are not merged"),
        (_cut, "its weights are not all there"),
        (_unlike, "bbox_reparam=False; Poise has bbox_reparam=True only"),
        (_swapped, "name others than its keypoints"),
    ],
)
def test_files_that_are_another_thing_are_named(change, said, tmp_path):
    with pytest.raises(CheckpointError, match=said):
        poise.load_model(written(tmp_path, change))


def test_a_file_that_is_cut_off_is_told(files, tmp_path):
    cut = tmp_path / "cut.pth"
    cut.write_bytes((files / "person.pth").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="it is cut off"):
        poise.load_model(cut)


def test_weights_of_nobody_knows_which_model_are_told(tmp_path):
    torch.save({"state_dict": {"layer.weight": torch.ones(2)}}, tmp_path / "some.pth")
    with pytest.raises(CheckpointError, match=r"does not say of which model it is.*--weights"):
        poise.load_model(tmp_path / "some.pth")


def test_weights_that_are_no_numbers_are_told(tmp_path):
    def spoil(content):
        content["model"]["bbox_embed.layers.0.weight"][0, 0] = torch.nan

    with pytest.raises(CheckpointError, match="NaN or infinity in 1 tensor"):
        poise.load_model(written(tmp_path, spoil))


def test_training_and_flip_tests_are_refused(files):
    head = poise.load_model(files / "person.pth").head
    with pytest.raises(ConfigError, match="train it with the package rfdetr"):
        head.loss(None, [])
    with pytest.raises(ConfigError, match="has no flip test"):
        head.predict(None, [], {"flip_test": True})


def test_runs_say_that_it_only_predicts():
    cfg = poise.load_config("rf-detr-keypoint-preview-xlarge")
    with pytest.raises(ConfigError, match=r"RF-DETR only predicts here.*package, rfdetr"):
        check_trains(cfg)


def test_windows_must_divide_the_picture():
    arch = dict(embed_dims=64, num_layers=2, num_heads=1, feedforward_channels=64)
    backbone = WindowedVisionTransformer(arch, img_size=96, out_indices=[1], global_layers=[1])
    with pytest.raises(DataError, match="multiples of 24"):
        backbone(torch.zeros(1, 3, 96, 108))
    with pytest.raises(ConfigError, match="among the 2 layers"):
        WindowedVisionTransformer(arch, img_size=96, out_indices=[1], global_layers=[2])


def test_a_head_without_keypoints_is_refused():
    with pytest.raises(ConfigError, match="should have a keypoint"):
        RFDETRHead([0, 0], 3)


def test_doubt_lowers_scores_and_thresholds_leave_people_out():
    torch.manual_seed(0)
    outputs = torch.randn(6, 2), torch.rand(6, 4), torch.randn(6, 5, 8)
    classes = torch.zeros(5, dtype=torch.long)
    plain = best_people(*outputs, classes, trace_alpha=0.0)
    doubtful = (*outputs[:2], outputs[2].clone())
    doubtful[2][..., (4, 6)] -= 3
    sure, unsure = (best_people(*parts, classes) for parts in (outputs, doubtful))
    assert plain.scores.tolist() == sorted(outputs[0][:, 0].sigmoid().tolist(), reverse=True)
    assert unsure.scores.max() < sure.scores.max()
    assert len(best_people(*outputs, classes, score_thr=2.0).scores) == 0
    broken = outputs[2].clone()
    broken[..., 4] = -1e4
    assert best_people(*outputs[:2], broken, classes).covariances.isnan().all()
