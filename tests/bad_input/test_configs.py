"""What a wrong config says, read as a beginner reads it."""

import pytest
import torch


def test_the_project_itself_trains(project):
    status, text = project.train("--no-validate")
    assert status == 0, text
    assert "trained 2 iterations: run" in text


@pytest.mark.parametrize(
    ("old", "new", "registry", "hint"),
    [
        ("'ResNet'", "'ResNett'", "models", "'ResNet'"),
        ("'HeatmapHead'", "'HeatMapHead'", "models", "'HeatmapHead'"),
        ("'MSRAHeatmap'", "'MRSAHeatmap'", "codecs", "'MSRAHeatmap'"),
        ("'LoadImage'", "'LoadImages'", "transforms", "'LoadImage'"),
        ("'CocoDataset'", "'COCODataset2'", "datasets", "CocoDataset"),
        ("'CocoMetric'", "'CocoMetrics'", "metrics", "'CocoMetric'"),
    ],
)
def test_an_unknown_type_names_its_line_and_the_nearest(project, old, new, registry, hint):
    project.config((old, new))
    text = project.train_fails()
    assert f"{new} is not registered in {registry}" in text
    assert f"cfg.py, line {project.line(new)}" in text
    assert "did you mean" in text
    assert hint in text
    assert "register_module()" in text


@pytest.mark.parametrize(
    ("old", "new", "owner", "hint"),
    [
        ("depth=18", "dept=18", "ResNet", "'depth'"),
        ("type='CocoDataset', data_root", "type='CocoDataset', dataroot", "CocoDataset", "'data_"),
        ("'RandomFlip', direction", "'RandomFlip', directions", "RandomFlip", "'direction'"),
        ("sigma=1", "sigmas=1", "MSRAHeatmap", "'sigma'"),
        ("'CocoMetric', ann_file", "'CocoMetric', annfile", "CocoMetric", "'ann_file'"),
    ],
)
def test_a_wrong_argument_names_its_line_and_those_there_are(project, old, new, owner, hint):
    project.config((old, new))
    text = project.train_fails()
    wrong = new.rpartition(" ")[2].partition("=")[0]
    assert f"{owner} does not take the argument '{wrong}'" in text
    assert f"cfg.py, line {project.line(new)}" in text
    assert f"did you mean {hint}" in text
    assert "It takes: " in text


def test_a_value_of_the_wrong_kind_is_one_text(project):
    project.config(("lr=5e-4", "lr=[5e-4]"))
    text = project.train_fails()
    assert text.startswith("TypeError: ")
    assert "while building Adam" in text
    assert "POISE_TRACEBACK=1" in text


def test_a_missing_type_shows_what_is_there(project):
    project.config(("type='ResNet', ", ""))
    text = project.train_fails()
    assert "needs 'type', got only ['base_channels', 'depth', 'stem_channels']" in text
    assert f"cfg.py, line {project.line('depth=18')}" in text


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("cgf.py", ["there is no config file 'cgf.py'", "did you mean 'cfg.py'?"]),
        ("rtmpose-tt", ["neither a config file nor the name of a model"]),
    ],
)
def test_a_missing_config_is_answered_with_the_nearest(project, name, texts):
    for command in (("train", name), ("config", "show", name)):
        text = project.fails(*command)
        assert all(t in text for t in texts), text


def test_a_checkpoint_in_place_of_a_config_is_answered_with_both_ways(project):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, project.folder / "epoch_3.pth")
    text = project.fails("config", "show", "epoch_3.pth")
    assert "epoch_3.pth does not say of which model it is: give the config" in text
    assert "poise zoo convert epoch_3.pth --model" in text
    text = project.fails("config", "show", "epoch_4.pth")
    assert "there is no file 'epoch_4.pth'" in text
    assert "which go beside a config or the name of a model" in text


@pytest.mark.parametrize(
    "call",
    ["open('x').read()", "__import__('os').system('true')", "subprocess.check_output(['pwd'])"],
)
def test_a_forbidden_call_is_shown_with_its_line_and_the_way_out(project, call):
    project.config(("data_root = 'data/'", f"import subprocess\ndata_root = {call}"))
    text = project.fails("config", "show", "cfg.py")
    assert f"cfg.py, line {project.line(f'data_root = {call}')}: the call `" in text
    assert call.partition("(")[0] in text
    assert "--trust-config" in text


def test_a_trusted_config_is_executed(project):
    code = "data_root = __import__('pathlib').Path('root.txt').read_text()"
    project.config(("data_root = 'data/'", code))
    (project.folder / "root.txt").write_text("elsewhere/")
    status, text = project.poise("config", "show", "cfg.py", "--trust-config")
    assert status == 0
    assert "data_root = 'elsewhere/'" in text


def test_a_circle_of_bases_is_shown_as_a_path(project):
    (project.folder / "cfg.py").write_text("_base_ = ['b.py']\n")
    (project.folder / "b.py").write_text("_base_ = './cfg.py'\n")
    text = project.fails("config", "show", "cfg.py")
    assert "inherit from each other in a circle" in text
    assert text.endswith("cfg.py")
    assert text.count(" -> ") == 2


def test_a_missing_base_names_the_line_that_asks(project):
    (project.folder / "cfg.py").write_text("a = 1\n_base_ = ['./nothing.py']\n")
    text = project.fails("config", "show", "cfg.py")
    assert "cfg.py, line 2: base config" in text
    assert "nothing.py' does not exist" in text


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        ("trian_cfg.max_epochs=2", ["the config has no 'trian_cfg'; did you mean 'train_cfg'"]),
        ("train_cfg.max_epochs", ["is not KEY=VALUE; write it like"]),
    ],
)
@pytest.mark.parametrize("command", [("train", "cfg.py"), ("config", "show", "cfg.py")])
def test_a_wrong_override_is_named(project, command, option, texts):
    text = project.fails(*command, "--set", option)
    assert all(t in text for t in texts), text


def test_an_override_of_an_unknown_argument_is_named(project):
    text = project.train_fails("--set", "model.backbone.dept=50")
    assert "ResNet does not take the argument 'dept'" in text


def test_a_misspelt_key_names_its_line(project):
    project.config(
        ("val_evaluator = dict", "vl_evaluator = dict"),
        ("test_evaluator = val_evaluator", "test_evaluator = vl_evaluator"),
    )
    text = project.train_fails()
    assert "'vl_evaluator' is not a key that training knows" in text
    assert f"cfg.py, line {project.line('vl_evaluator = dict')}" in text
    assert "did you mean 'val_evaluator'" in text


def test_a_config_without_training_says_what_it_lacks(project):
    text = project.fails("train", "movenet-thunder")
    assert "training needs 'train_dataloader'" in text
    assert "poise config show NAME" in text


def test_a_detector_without_its_data_says_where_that_goes(project):
    text = project.fails("train", "rtmdet-m")
    assert "does not exist: data/coco/annotations/instances_train2017.json" in text
    assert "--set train_dataloader.dataset.data_root=FOLDER" in text


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (
            ("heatmap_size=(16, 16)", "heatmap_size=(32, 32)"),
            ["predicts 16 x 16 values a keypoint", "encodes 32 x 32"],
        ),
        (("in_channels=64", "in_channels=512"), ["got 64 channels", "in_channels to 64"]),
        (
            ("encoder=codec", "encoder=dict(type='SimCCLabel', input_size=(64, 64), sigma=5.0)"),
            ["no field 'gt_fields'", "encoder the codec of the head's decoder"],
        ),
        (
            (", dict(type='PackPoseInputs')]\ntest", "]\ntest"),
            ["needs a batch with `inputs`", "does the pipeline end with PackPoseInputs?"],
        ),
        (
            (
                "    dict(type='GetBBoxCenterScale'),\n    dict(type='RandomFlip'",
                "    dict(type='RandomFlip'",
            ),
            ["'bbox_scale' usually comes from GetBBoxCenterScale"],
        ),
    ],
)
def test_parts_that_do_not_fit_say_which_and_how(project, change, texts):
    project.config(change)
    text = project.train_fails()
    assert all(t in text for t in texts), text


def test_an_error_in_a_data_worker_is_as_short(project):
    step = "    dict(type='GetBBoxCenterScale'),\n    dict(type='RandomFlip'"
    project.config((step, "    dict(type='RandomFlip'"), ("num_workers=0", "num_workers=1"))
    text = project.train_fails()
    assert text.startswith("TopdownAffine needs results['bbox_scale']")


def test_a_module_that_imports_mmpose_is_told_of_migrate(project):
    project.config(
        (
            "data_root = 'data/'",
            "custom_imports = dict(imports=['bad_input_of_mmpose'])\ndata_root = 'data/'",
        )
    )
    (project.folder / "bad_input_of_mmpose.py").write_text("from mmpose.registry import MODELS\n")
    text = project.train_fails()
    assert "bad_input_of_mmpose" in text
    assert "poise migrate" in text


@pytest.mark.parametrize(
    ("setting", "texts"),
    [
        ("batchsize=4", ["does not take the setting 'batchsize'", "did you mean 'batch_size'"]),
        ("num_workers=-1", ["a dataloader has a setting that torch cannot use: num_workers"]),
    ],
)
def test_settings_of_a_dataloader_are_checked(project, setting, texts):
    said = project.train_fails("--set", f"train_dataloader.{setting}")
    assert all(text in said for text in texts), said
