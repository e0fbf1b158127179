"""`poise check` on what a config says twice: codecs, crops, keypoints and their sides."""

from __future__ import annotations

import json

import pytest

ENCODER = "dict(type='GenerateTarget', encoder=codec)"
OWN = (
    ("data_root = 'data/'", "META = dict(from_file='meta.py')\ndata_root = 'data/'"),
    ("type='CocoDataset', ", "type='CocoDataset', metainfo=META, "),
    ("out_channels=17", "out_channels=14"),
)


def check(project, *options):
    return project.poise("check", "cfg.py", *options)


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ("sigma=2", "warning", "expected sigma=1, found sigma=2"),
        (
            "heatmap_size=(32, 32)",
            "error",
            "expected heatmap_size=(16, 16), found heatmap_size=(32",
        ),
    ],
)
def test_an_encoder_that_is_not_the_decoder_is_told(project, change, level, said):
    encoder = f"dict(type='GenerateTarget', encoder={{**codec, **dict({change})}})"
    project.config((ENCODER, encoder))
    _, text = check(project, "--part", "train")
    assert f"{level}: train_dataloader.dataset.pipeline.4.encoder" in text
    assert "encodes with another MSRAHeatmap than the head decodes with" in text
    assert said in text


def test_crops_of_another_size_than_the_codec_are_an_error(project):
    crop = "dict(type='TopdownAffine', input_size=codec['input_size']),\n    dict(type='PackPose"
    project.config((crop, crop.replace("codec['input_size']", "(64, 96)")))
    status, text = check(project, "--part", "val")
    assert status == 1
    assert "the crops have another size than the codec of the head" in text
    assert "expected [64, 64], found [64, 96]" in text


def test_crops_that_are_not_udp_under_a_udp_codec_are_a_warning(project):
    project.config(("type='MSRAHeatmap'", "type='UDPHeatmap'"))
    status, text = check(project, "--part", "train")
    assert status == 0, text
    assert "UDPHeatmap measures between pixel centres, and the crops do not" in text
    assert "expected use_udp=True, found use_udp=False" in text


def test_combined_udp_targets_need_a_setting_that_is_named(project):
    project.config(
        ("type='MSRAHeatmap'", "type='UDPHeatmap', heatmap_type='combined'"),
        ("heatmap_size=(16, 16), sigma=1", "heatmap_size=(16, 16)"),
        ("out_channels=17", "out_channels=51"),
        ("type='KeypointMSELoss', use_target_weight=True", "type='CombinedTargetMSELoss'"),
    )
    status, text = check(project, "--part", "train")
    assert status == 1
    assert "model.train_cfg=dict(compute_acc=False)" in text
    config = (project.folder / "cfg.py").read_text()
    (project.folder / "cfg.py").write_text(
        f"{config}model['train_cfg'] = dict(compute_acc=False)\n"
    )
    status, text = check(project, "--part", "train")
    assert status == 0, text


def test_sides_without_swaps_are_told_where_pictures_are_mirrored(project, annotations, schema):
    project.annotate(annotations(14))
    text = schema(14).replace("k3", "left_ear").replace("k4", "right_ear")
    (project.folder / "meta.py").write_text(text)
    project.config(*OWN)
    status, text = check(project, "--part", "train")
    assert status == 0, text
    assert "left_ear and right_ear are called after sides, but have no `swap`" in text
    assert "swap='right_ear' at left_ear" in text


def test_a_test_on_other_keypoints_is_told(project, annotations, schema):
    project.annotate(annotations(17))
    (project.folder / "meta.py").write_text(schema(17))
    train = "type='CocoDataset', data_root=data_root, data_mode='topdown', ann_file='train.json',\n"
    before = train + "        data_prefix=dict(img='images/'), pipeline=train_pipeline"
    project.config(
        (before, before.replace("data_root=", "metainfo=dict(from_file='meta.py'), data_root=", 1))
    )
    _, text = check(project, "--json")
    found = [f for f in json.loads(text)["findings"] if "others" in f["text"]]
    assert [f["level"] for f in found] == ["warning"]
    assert found[0]["text"] == "training is for 17 keypoints (toy), val for 17 others (coco)"


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"swaps": {0: "k1", 1: "k2"}}, "keypoint 'k0' swaps with 'k1', but 'k1' swaps with 'k2'"),
        ({"swaps": {0: "k99"}}, "'swap' of keypoint 0 'k0' names 'k99', which does not exist"),
        ({"sigmas": 17}, "'sigmas' has 17 numbers for 14 keypoints; give one each, or none"),
    ],
)
def test_a_faulty_schema_is_an_error_with_its_place(project, annotations, schema, faults, said):
    project.annotate(annotations(14))
    (project.folder / "meta.py").write_text(schema(14, **faults))
    project.config(*OWN)
    status, text = check(project)
    assert status == 1
    assert said in text
    assert "meta.py, line 1" in text
    assert "could not be made" not in text
    assert "1 error," in text


def test_a_schema_that_is_not_there_is_an_error(project):
    project.config(*OWN)
    status, text = check(project)
    assert status == 1
    assert "keypoint metadata 'meta.py' is neither a file" in text
    assert "could not be made" not in text


def test_a_metric_that_needs_sigmas_is_told_of_their_lack(project, annotations, schema):
    project.annotate(annotations(14))
    (project.folder / "meta.py").write_text(schema(14, sigmas=0))
    project.config(*OWN)
    status, text = check(project, "--part", "val")
    assert status == 1
    assert "has no sigmas" in text
    assert "val_evaluator (" in text
