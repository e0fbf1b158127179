"""`poise check` on a beginner's config: every fault is found, all at once, with its place."""

from __future__ import annotations

import json

import pytest


def check(project, *options):
    return project.poise("check", "cfg.py", *options)


def test_a_config_that_fits_is_said_to_fit(project):
    status, text = check(project, "--part", "train")
    assert status == 0, text
    assert "config and data fit together: 0 errors, 0 warnings, 0 notes" in text


@pytest.mark.parametrize("word", ["none", "backbone"])
def test_what_training_takes_in_place_of_weights_is_no_missing_file(project, word):
    status, text = check(project, "--part", "train", "--weights", word)
    assert status == 0, text


@pytest.mark.parametrize(
    ("base", "said"),
    [(16, "batches of 16 (8 devices with 2 each)"), (5, "batches of 5 (these have 2)")],
)
def test_a_rate_for_other_batches_is_a_note(project, base, said):
    project.config(
        ("default_scope", f"auto_scale_lr = dict(base_batch_size={base})\ndefault_scope")
    )
    status, text = check(project, "--part", "train")
    assert status == 0
    assert said in text


def test_all_faults_are_found_at_once(project):
    project.config(
        ("optimizer=dict(type='Adam', lr=5e-4)", "optimizer=dict(type='Adm', lr=5e-4)"),
        (
            "dict(type='GetBBoxCenterScale'),\n    dict(type='RandomFlip', direction='horizontal')",
            "dict(type='GetBBoxCenterScale', pading=1.0),\n    dict(type='RandomFlp')",
        ),
    )
    status, text = check(project, "--part", "train")
    assert status == 1
    assert "'Adm' is not registered in optimizers (" in text
    assert "did you mean 'Adam'" in text
    assert "GetBBoxCenterScale does not take the argument 'pading'" in text
    assert "did you mean 'RandomFlip'" in text
    assert f"cfg.py, line {project.line('RandomFlp')}" in text
    assert "3 errors" in text


def test_faults_of_the_head_are_mended_to_find_the_next(project):
    project.config(("in_channels=64, out_channels=17", "in_channels=512, out_channels=14"))
    status, text = check(project, "--part", "train")
    assert status == 1
    assert "HeatmapHead(in_channels=512) got 64 channels from" in text
    assert "-> model.head: in_channels=64" in text
    assert "HeatmapHead(out_channels=14) predicts 14 channels" in text
    assert "-> model.head: out_channels=17" in text
    place = f"cfg.py, line {project.line('out_channels=14')}"
    assert f"model.head.out_channels ({project.folder}/{place})" in text
    assert "2 errors" in text


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (("max_epochs=1", "max_epoch=1"), ["does not take the argument 'max_epoch'", "max_epochs"]),
        (
            ("val_interval=1", "val_interval=5"),
            ["val_interval=5, and the training ends after 1 epochs: it is validated once"],
        ),
        (
            ("val_interval=1", "val_begin=5"),
            ["val_begin=5, and the training ends after 1 epochs: there is no validation"],
        ),
        (
            (
                "train_cfg =",
                "param_scheduler = [dict(type='MultiStepLR', milestones=[170, 200])]\ntrain_cfg =",
            ),
            ["milestones [170, 200] of MultiStepLR lie beyond the end after 1 epochs"],
        ),
        (
            (
                "train_cfg =",
                (
                    "param_scheduler = dict(type='MultiStepLR', milestones=[1],\n"
                    "    by_epoch=False)\ntrain_cfg ="
                ),
            ),
            ["are counted in iterations (by_epoch=False)", "-> by_epoch=True"],
        ),
        (
            ("train_cfg =", "param_scheduler = dict(type='LinearLR', begin=9, end=8)\ntrain_cfg ="),
            ["must end after it begins", "it never acts"],
        ),
        (
            (
                "train_cfg =",
                (
                    "default_hooks = dict(checkpoint=dict(type='CheckpointHook',\n"
                    "    save_best='coco/APP'))\ntrain_cfg ="
                ),
            ),
            ["save_best names 'coco/APP', which the validation does not give", "'coco/AP'"],
        ),
        (
            ("train_cfg =", "load_from = 'nowhere.pth'\ntrain_cfg ="),
            ["load_from", "nowhere.pth can not be found"],
        ),
        (
            ("val_evaluator = dict(", "val_evaluator = dict(score_mode='box', "),
            ["score_mode", "'box'"],
        ),
        (
            ("test_evaluator = val_evaluator", ""),
            ["there is test_dataloader but no test_evaluator"],
        ),
        (
            (
                "dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')",
                "dict(type='PackPoseInputs')",
            ),
            ["which GenerateTarget encodes"],
        ),
        (
            ("val_interval=1", "val_interval='1'"),
            ["error: train_cfg.val_interval (", "cfg.py, line", "expected a number, got '1'"],
        ),
        (
            (
                "train_cfg =",
                "param_scheduler = [dict(type='MultiStepLR', milestones=5)]\ntrain_cfg =",
            ),
            ["error: param_scheduler.0.milestones (", "expected a list, got 5"],
        ),
        (
            ("train_cfg =", "default_hooks = []\ntrain_cfg ="),
            ["error: default_hooks (", "expected a dict, got []"],
        ),
        (
            ("batch_size=2", "batch_size=None"),
            ["train_dataloader.batch_size (", "expected a number, got None"],
        ),
        (
            ("test_evaluator = val_evaluator", "test_evaluator = 5"),
            ["error: test_evaluator (", "expected a dict or a list, got 5"],
        ),
        (
            ("data_root=data_root", "data_root=5"),
            ["dataset.data_root (", "expected a text, got 5"],
        ),
        (("'mmpose'", "1"), ["error: default_scope (", "expected a name, got 1"]),
        (("train_cfg =", "trian_dataloder = dict()\ntrain_cfg ="), ["fit together"]),
    ],
)
def test_a_fault_of_the_config_is_named(project, change, texts):
    project.config(change)
    _, text = check(project)
    assert all(t in text for t in texts), text


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (
            ("ann_file=data_root + 'train.json')\ntest", "ann_file={})\ntest"),
            ["error: val_evaluator.ann_file (", "): expected a text, got {}"],
        ),
        (
            ("pipeline=train_pipeline", "pipeline=5"),
            ["error: train_dataloader.dataset.pipeline (", "): expected a list, got 5"],
        ),
    ],
)
def test_a_setting_of_another_kind_is_told_in_our_words_alone(project, change, texts):
    project.config(change)
    status, said = check(project)
    assert status == 1
    assert all(text in said for text in texts), said
    assert said.count("error:") == 1, said


def test_findings_are_also_json(project):
    project.config(("out_channels=17", "out_channels=14"))
    status, text = check(project, "--json", "--part", "train")
    assert status == 1
    report = json.loads(text)
    assert not report["fits"]
    assert report["errors"] == 1
    [finding] = report["findings"]
    assert finding["part"] == "network"
    assert finding["fix"] == "model.head: out_channels=17"


def test_a_config_of_nothing_is_not_sound(project):
    (project.folder / "empty.py").write_text("log_level = 'INFO'\n")
    text = project.fails("check", "empty.py")
    assert "the config has neither a model nor a data set" in text


def test_an_unknown_part_is_named(project):
    text = project.fails("check", "cfg.py", "--part", "vall")
    assert "a config has the parts train, val, test, got 'vall'; did you mean 'val'?" in text


def test_a_part_that_the_config_lacks_is_an_error(project):
    project.config(("test_dataloader = val_dataloader", ""), ("test_evaluator = val_evaluator", ""))
    status, text = check(project, "--part", "test")
    assert status == 1
    assert "the config has no test_dataloader" in text


def test_a_training_says_all_that_is_wrong_before_it_starts(project):
    project.config(("type='Adam'", "type='Adm'"), ("type='RandomFlip'", "type='RandomFlp'"))
    text = project.train_fails()
    assert "did you mean 'Adam'" in text
    assert "did you mean 'RandomFlip'" in text


def test_a_training_starts_with_what_is_hardly_meant(project):
    project.config(("val_interval=1", "val_interval=5"))
    status, text = project.train()
    assert status == 0, text
    assert "warning: train_cfg.val_interval" in text


def test_a_head_that_was_mended_for_the_training_is_not_told_of_again(project):
    project.config(("out_channels=17", "out_channels=14"))
    status, text = check(project)
    assert status == 1
    assert "1 error" in text


def test_a_neck_of_other_channels_is_named_with_those_of_the_backbone(project):
    neck = "neck=dict(type='ChannelMapper', in_channels=[128], out_channels=64),\n    head=dict("
    project.config(("head=dict(", neck))
    status, text = check(project, "--part", "train")
    assert status == 1
    assert "model.neck.in_channels (" in text
    assert "ResNet gives maps of 64 channels" in text
    assert "-> model.neck: in_channels=[64]" in text
    assert "1 error" in text


def test_an_error_of_torch_says_in_which_part_it_came_up(project):
    project.config(("type='KeypointMSELoss', use_target_weight=True", "type='KLDiscretLoss'"))
    status, text = check(project, "--part", "train")
    assert status == 1
    assert "in TopdownPoseEstimator > HeatmapHead > KLDiscretLoss" in text


def test_misspelt_settings_of_a_loader_and_numbers_in_quotes_are_named(project):
    project.config(
        (
            "batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True)",
            "batch_size=2, num_worker=0, sampler=dict(type='DefaultSampler', shuffle=True)",
        ),
        ("lr=5e-4", "lr='5e-4'"),
    )
    text = project.train_fails()
    assert "a dataloader does not take the setting 'num_worker'" in text
    assert "lr='5e-4' (" in text
    assert "is a text: write 0.0005 without quotes" in text
