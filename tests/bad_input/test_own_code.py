"""What a fault in a user's own part says: where it is, and what was being done."""

import sys

import pytest

PARTS = """
from poise.models.backbones import ResNet
from poise.registry import DATASETS, HOOKS, MODELS, TRANSFORMS
from poise.datasets import CocoDataset
from poise.engine.hooks import Hook
from poise.losses import KeypointMSELoss
from poise.transforms import BaseTransform


@MODELS.register_module(force=True)
class OwnNet(ResNet):
    def forward(self, x):
        table = {}
        return table['stem']


@MODELS.register_module(force=True)
class OwnLoss(KeypointMSELoss):
    def forward(self, output, target, target_weights=None, mask=None):
        raise RuntimeError('weights do not fit')


@TRANSFORMS.register_module(force=True)
class Halve(BaseTransform):
    def transform(self, results):
        results['half'] = 1 / 0
        return results


@TRANSFORMS.register_module(force=True)
class AsksForWrongKey(BaseTransform):
    def transform(self, results):
        return results['keypoint_scale']


@DATASETS.register_module(force=True)
class OwnDataset(CocoDataset):
    def get_data_info(self, idx):
        raise IndexError


@HOOKS.register_module(force=True)
class OwnHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        outputs.nothing()
"""
CASES = {
    "backbone": (
        ("type='ResNet'", "type='OwnNet'"),
        ["KeyError: 'stem'", "while training at epoch 1, iteration 1, id "],
        "return table['stem']",
    ),
    "loss": (
        ("type='KeypointMSELoss'", "type='OwnLoss'"),
        ["RuntimeError: weights do not fit", "while training at epoch 1, iteration 1"],
        "raise RuntimeError('weights do not fit')",
    ),
    "transform": (
        ("dict(type='RandomFlip', direction='horizontal')", "dict(type='Halve')"),
        [
            "ZeroDivisionError: division by zero",
            "in step 2 of the pipeline, Halve",
            "of CocoDataset data/images/",
            "while loading the batch of epoch 1, iteration 1",
        ],
        "results['half'] = 1 / 0",
    ),
    "key": (
        ("dict(type='RandomFlip', direction='horizontal')", "dict(type='AsksForWrongKey')"),
        ["KeyError: 'keypoint_scale'", "in step 2 of the pipeline, AsksForWrongKey"],
        "return results['keypoint_scale']",
    ),
    "dataset": (
        ("type='CocoDataset', data_root", "type='OwnDataset', data_root"),
        ["IndexError", "while making sample "],
        "raise IndexError",
    ),
    "hook": (
        ("train_cfg = ", "custom_hooks = [dict(type='OwnHook')]\ntrain_cfg = "),
        ["'dict' object has no attribute 'nothing'", "in the hook OwnHook, after_train_iter"],
        "outputs.nothing()",
    ),
}


@pytest.fixture
def own(project):
    """`own(old, new)`: the project with a part of its own in the place of another."""
    (project.folder / "own_parts.py").write_text(PARTS)

    def change(old, new, *more):
        imports = ("default_scope =", "custom_imports = dict(imports='own_parts')\ndefault_scope =")
        project.config((old, new), imports, *more)
        return project

    yield change
    sys.modules.pop("own_parts", None)


@pytest.mark.parametrize("case", CASES)
def test_a_fault_in_a_part_names_its_line_and_what_was_done(own, case):
    (old, new), texts, source = CASES[case]
    project = own(old, new)
    text = project.train_fails("--no-validate")
    for expected in texts:
        assert expected in text
    number = project.line(source, "own_parts.py")
    assert f"  own_parts.py, line {number}, in " in text
    assert f"    {source}\n" in text
    assert text.endswith("POISE_TRACEBACK=1 shows the whole traceback")
    (log,) = project.folder.glob("run/*/*.log")
    assert f"the whole traceback is in run/{log.parent.name}/{log.name}" in text
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_fault_in_a_process_that_loads_data_is_told_the_same_way(own):
    (old, new), texts, source = CASES["transform"]
    project = own(old, new, ("num_workers=0", "num_workers=1"))
    text = project.train_fails("--no-validate")
    for expected in texts:
        assert expected in text
    assert text.startswith("ZeroDivisionError: division by zero\n  in step 2")
    assert f"own_parts.py, line {project.line(source, 'own_parts.py')}, in transform" in text
    assert f"    {source}\n" in text
    assert "site-packages" not in text


def test_a_fault_while_testing_names_the_samples(own, save):
    project = own(*CASES["backbone"][0])
    save("w.pth")
    text = project.fails("test", "cfg.py", "w.pth", "-w", "tested", "--device", "cpu")
    assert text.startswith("KeyError: 'stem'\n  while predicting id 1 img_id 1 img_path data/")
    assert "own_parts.py, line" in text
    assert list(project.folder.glob("tested/*/*.log"))


def test_a_fault_while_predicting_is_a_line_a_picture(own, save):
    project = own(*CASES["backbone"][0])
    save("w.pth")
    pictures = [project.folder / "data" / "images" / f"{i}.png" for i in (1, 2)]
    options = ["--model", "cfg.py", "-w", "w.pth", "--detector", "whole-image", "--device", "cpu"]
    status, text = project.poise("predict", *pictures, *options, "-o", "found")
    assert status == 1
    number = project.line("return table['stem']", "own_parts.py")
    for picture in pictures:
        place = f"own_parts.py, line {number}; while looking for poses in {picture})"
        assert f"skipped: KeyError: 'stem' ({place}" in text


def test_the_whole_traceback_is_shown_where_it_is_asked_for(own, monkeypatch):
    project = own(*CASES["backbone"][0])
    monkeypatch.setenv("POISE_TRACEBACK", "1")
    with pytest.raises(KeyError, match="stem"):
        project.train("--no-validate")
    monkeypatch.delenv("POISE_TRACEBACK")


def test_a_fault_of_poise_itself_keeps_its_traceback(project, monkeypatch):
    monkeypatch.setattr("poise.training.runner.Runner", len)
    with pytest.raises(TypeError, match="no keyword arguments"):
        project.train("--no-validate")
