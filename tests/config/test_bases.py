"""Inheritance: bases, templates of bases, scopes, `read_base`."""

# Texts of configs and patterns of errors read better on one line.
# ruff: noqa: E501

import json

import pytest

import poise
from poise.config import Config, ConfigDict, add_source, where
from poise.config.sources import _SOURCES
from poise.errors import ConfigError, FileMissingError

BASE = """
lr = 1e-3
size = (192, 256)
model = dict(type='A', backbone=dict(type='ResNet', depth=50), head=dict(k=17))
pipeline = [dict(type='Load'), dict(type='Flip', p=0.5)]
"""


@pytest.fixture
def base(write):
    return write("base.py", BASE)


def test_dicts_merge_and_other_values_replace(base, tree):
    got = tree("_base_ = 'base.py'\nlr = 2\nmodel = dict(backbone=dict(depth=18), neck=None)")
    assert got == {
        "lr": 2,
        "size": (192, 256),
        "model": {
            "type": "A",
            "backbone": {"type": "ResNet", "depth": 18},
            "head": {"k": 17},
            "neck": None,
        },
        "pipeline": [{"type": "Load"}, {"type": "Flip", "p": 0.5}],
    }
    assert list(got) == ["lr", "size", "model", "pipeline"]


def test_delete_replaces_a_dict(base, tree):
    got = tree("_base_ = ['base.py']\nmodel = dict(backbone=dict(_delete_=True, type='HRNet'))")
    assert got["model"]["backbone"] == {"type": "HRNet"}
    assert got["model"]["head"] == {"k": 17}


def test_delete_false_merges(base, tree):
    got = tree("_base_ = ['base.py']\nmodel = dict(head=dict(_delete_=False, j=1))")
    assert got["model"]["head"] == {"k": 17, "j": 1}


def test_index_keys_change_elements_of_a_list(base, tree):
    got = tree("_base_ = 'base.py'\npipeline = {'1': dict(p=0.1)}")
    assert got["pipeline"] == [{"type": "Load"}, {"type": "Flip", "p": 0.1}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x = _base_.lr * 2", 0.002),
        ("x = _base_.model.backbone.depth", 50),
        ("x = _base_['size'][0]", 192),
        ("x = {{_base_.model.backbone}}", {"type": "ResNet", "depth": 50}),
        ("x = {{ _base_.size }}", (192, 256)),
        ("x = dict(k={{_base_.model.head.k}})", {"k": 17}),
        ("x = '{{_base_.model.type}}/{{ _base_.model.head.k }}'", "A/17"),
        ("x = '{{_base_.pipeline.1.p}}'", 0.5),
        ("x = _base_.model.get('nothing', 3)", 3),
        ("_base_.model.head.k = 3\nx = _base_.model.head", {"k": 3}),
        ("_base_.model.update(head=dict(j=4))\nx = _base_.model.head", {"k": 17, "j": 4}),
        ("_base_.model.pop('head')\nx = list(_base_.model)", ["type", "backbone"]),
        ("x = dict(_base_.model.head, j=5)", {"k": 17, "j": 5}),
        ("x = [dict(**_base_.model.head)]", [{"k": 17}]),
        ("x = _base_.model.backbone.copy()\nx['depth'] = 1", {"type": "ResNet", "depth": 1}),
    ],
)
def test_variables_of_bases(base, tree, text, value):
    assert tree(f"_base_ = ['base.py']\n{text}")["x"] == value


def test_changes_of_base_variables_hold(base, tree):
    got = tree("_base_ = ['base.py']\n_base_.model.head.k = 3\n_base_.pipeline.append(1)")
    assert got["model"]["head"] == {"k": 3}
    assert got["pipeline"][-1] == 1


def test_a_tree_shares_no_containers(base, tree, write):
    text = "_base_ = ['base.py']\nx = _base_.model\ny = [x, x]"
    cfg = Config.fromfile(write("child.py", text))
    cfg.x.head.k = 0
    assert cfg.model.head.k == cfg.y[0].head.k == cfg.y[1].head.k == 17


def test_bases_of_bases_and_formats(write, tree):
    write("data/a.json", json.dumps({"a": 1, "d": {"x": 1}}))
    write("data/b.yaml", "_base_: [a.json]\nb: 2\nd: {y: 2}\n")
    write("mid/c.py", "_base_ = ['../data/b.yaml']\nc = 3\nd = dict(z=_base_.b)")
    assert tree("_base_ = './mid/c.py'\ne = 4") == {
        "a": 1,
        "d": {"x": 1, "y": 2, "z": 2},
        "b": 2,
        "c": 3,
        "e": 4,
    }


def test_json_and_yaml_fill_in_base_templates(base, tree):
    text = (
        '{"_base_": "base.py", "x": {{_base_.model.head}}, "y": "{{_base_.lr}}/{{fileBasename}}"}'
    )
    got = tree(text, "a.json")
    assert (got["x"], got["y"]) == ({"k": 17}, "0.001/a.json")
    got = tree("_base_: base.py\nx: {{_base_.model.head}}\ny: a/{{ _base_.lr }}\n", "a.yaml")
    assert (got["x"], got["y"]) == ({"k": 17}, "a/0.001")


def test_duplicate_keys_among_bases_name_both_places(write):
    write("a.py", "x = 1\nlr = 1")
    write("b.py", "\n\nlr = 2")
    path = write("c.py", "\n_base_ = ['a.py', 'b.py']")
    with pytest.raises(
        ConfigError,
        match=r"c\.py, line 2: Duplicate key.*'lr' is set by .*a\.py, line 2 and by .*b\.py, line 3",
    ) as caught:
        Config.fromfile(path)
    assert isinstance(caught.value, KeyError)


def test_a_circle_of_bases_is_named(write):
    write("a.py", "_base_ = 'b.py'")
    write("b.py", "_base_ = 'c.py'")
    path = write("c.py", "_base_ = 'a.py'")
    with pytest.raises(ConfigError, match=r"circle: .*c\.py -> .*a\.py -> .*b\.py -> .*c\.py"):
        Config.fromfile(path)


def test_a_missing_base_names_the_asking_file_and_the_nearest(write):
    write("default_runtime.py", "a = 1")
    path = write("x.py", "# a comment\n_base_ = ['default_runtim.py']")
    with pytest.raises(
        FileMissingError,
        match=r"x\.py, line 2: base config '.*default_runtim\.py' does not exist; did you mean 'default_runtime\.py'",
    ):
        Config.fromfile(path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config file '.*none\.py' does not exist"):
        Config.fromfile(tmp_path / "none.py")


def test_mmposes_path_of_a_config_needs_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "configs/hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py"
    config = Config.fromfile(path)
    assert config.to_dict() == poise.load_config(path).to_dict()
    with pytest.raises(FileMissingError, match=r"config file '.*nothing\.py' does not exist$"):
        Config.fromfile("configs/hand_2d_keypoint/nothing.py")
    # a file that is there wins
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text("a = 1")
    assert Config.fromfile(path).to_dict() == {"a": 1}


@pytest.mark.parametrize("folder", ["", "my_configs"])
def test_a_missing_file_with_a_models_name_says_how_to_get_it(tmp_path, folder):
    name = "rtmpose-m_8xb256-210e_hand5-256x256"
    with pytest.raises(FileMissingError, match=rf"zoo: poise\.load_config\('{name}'\)"):
        Config.fromfile(tmp_path / folder / f"{name}.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "_base_ = 'base.py'\nlr = dict(a=1)",
            r"c\.py, line 2: 'lr' is a dict, but the base config has a float there \(.*base\.py, line 2\).*_delete_=True",
        ),
        ("_base_ = 'base.py'\npipeline = dict(a=1)", r"has a list there"),
        (
            "_base_ = 'base.py'\npipeline = {'5': dict(a=1)}",
            r"index 5 is beyond the end of 'pipeline', a list of 2",
        ),
        ("_base_ = 'base.py'\nx = _base_.modle", r"line 2: .*no key 'modle'; did you mean 'model'"),
        (
            "_base_ = 'base.py'\nx = {{_base_.model.bakbone}}",
            r"asks for 'bakbone'.*did you mean 'backbone'",
        ),
        ("_base_ = 3", r"_base_ names config files, got 3"),
        ("_base_ = 'base.txt'", r"expected a file name that ends in .py"),
        (
            "_base_ = 'nopkg::a/b.py'",
            r"'nopkg::a/b\.py' is neither in an installed package 'nopkg'",
        ),
        ("filename = 1", r"line 1: 'filename' is a reserved name"),
        ("a = '{{$POISE_NOT_SET:}}'", r"line 1: the environment variable POISE_NOT_SET is not set"),
    ],
)
def test_faults_of_inheritance(base, write, monkeypatch, text, message):
    monkeypatch.delenv("POISE_NOT_SET", raising=False)
    with pytest.raises(ConfigError if "nopkg" not in text else FileMissingError, match=message):
        Config.fromfile(write("c.py", text))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"a": 1,\n "b": }', r"a\.json, line 2: not valid JSON: Expecting value"),
        ("a.json", "[1]", r"a config is a mapping of settings, got a list"),
        ("a.yaml", "a: 1\nb: [1, 2\nc: 3", r"a\.yaml, line \d: not valid YAML"),
        ("a.yml", "just text", r"a config is a mapping of settings, got a str"),
        ("a.py", "a = (1,\nb = 2", r"a\.py, line \d: not valid Python"),
    ],
)
def test_files_that_do_not_parse(write, name, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Config.fromfile(write(name, text))
    if "mapping" not in message:
        assert isinstance(caught.value, SyntaxError)


def test_deprecated_configs_warn(write):
    path = write("a.py", "_deprecation_ = dict(expected='b.py')\na = 1")
    with pytest.warns(DeprecationWarning, match=r"use b\.py instead"):
        assert Config.fromfile(path).to_dict() == {"a": 1}


def test_a_deprecation_of_another_form_is_named(write):
    with pytest.raises(ConfigError, match=r"a\.py, line 1: `_deprecation_` is a dict.*got 'old'"):
        Config.fromfile(write("a.py", "_deprecation_ = 'old'"))


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "a = 1\n_base_: list = ['b.py']",
        "if True:\n    _base_ = 'b.py'",
        "_base_ = []\n_base_ += ['b.py']",
        "_base_ = []\n_base_ = ['b.py']",
        "a = 1\na = _base_ = 'b.py'",
    ],
)
def test_bases_that_would_not_be_read_are_an_error(write, text, trusted):
    write("b.py", "b = 1")
    with pytest.raises(ConfigError, match=r"a\.py, line 2: `_base_` gets a value here that would"):
        Config.fromfile(write("a.py", text), trusted=trusted)


@pytest.mark.parametrize(("name", "text"), [("a.PY", "a = 1"), ("a.JSON", '{"a": 1}')])
def test_capitals_of_a_suffix_do_not_matter(write, name, text):
    assert Config.fromfile(write(name, text)).to_dict() == {"a": 1}


# -- sources and scopes ------------------------------------------------------------------------


def my_source(name):
    if name == "mypkg::runtime.py":
        return {"hooks": dict(timer=dict(type="T", sub=dict(type="U"))), "n": 1}
    return Config({"zoo": name}) if name.startswith("myzoo/") else None


@pytest.fixture
def sources(monkeypatch):
    import sys

    monkeypatch.setattr("poise.config.sources._SOURCES", dict(_SOURCES))
    monkeypatch.setitem(sys.modules, "my_source_module", sys.modules[__name__])
    for prefix in ("mypkg::", "myzoo/"):
        add_source(prefix, "my_source_module:my_source")


def test_a_scoped_base_marks_outermost_types_with_its_scope(sources, tree):
    got = tree("_base_ = ['mypkg::runtime.py']\nhooks = dict(timer=dict(x=1), own=dict(type='O'))")
    timer = {"type": "T", "sub": {"type": "U"}, "_scope_": "mypkg", "x": 1}
    assert got == {"hooks": {"timer": timer, "own": {"type": "O"}}, "n": 1}


def test_missing_files_are_asked_of_sources_and_real_files_win(sources, write, tree):
    text = "_base_ = '../../myzoo/sub/a.py'"
    assert tree(text, "x/y/c.py") == {"zoo": "myzoo/sub/a.py"}
    write("myzoo/sub/a.py", "real = True")
    assert tree(text, "x/y/c.py") == {"real": True}


# -- read_base -----------------------------------------------------------------------------------


def test_read_base_takes_settings_and_names(write, tree):
    write(
        "pkg/base/runtime.py",
        """
        from mmengine.hooks import LoggerHook
        from torch.nn import SiLU
        hooks = dict(logger=dict(type=LoggerHook, interval=50))
        train_cfg = dict(by_epoch=True)
        _private = 1
        kind = SiLU
        """,
    )
    got = tree(
        """
        from mmengine.config import read_base

        with read_base():
            from .base.runtime import *
            from .base.runtime import train_cfg as cfg2
        from mmpose.models import HRNet
        import torch.nn as nn

        hooks.update(logger=dict(every=1))
        train_cfg.update(epochs=_private)
        model = dict(type=HRNet, act=nn.ReLU, hook=LoggerHook, also=kind)
        """,
        "pkg/cfg.py",
    )
    assert got == {
        "hooks": {"logger": {"type": "mmengine.hooks.LoggerHook", "interval": 50, "every": 1}},
        "train_cfg": {"by_epoch": True, "epochs": 1},
        "_private": 1,
        "kind": "torch.nn.SiLU",
        "cfg2": {"by_epoch": True},
        "model": {
            "type": "mmpose.models.HRNet",
            "act": "torch.nn.ReLU",
            "hook": "mmengine.hooks.LoggerHook",
            "also": "torch.nn.SiLU",
        },
    }


def test_read_base_finds_absolute_modules_beside_the_file(write, tree):
    write("proj/configs/base.py", "a = 1")
    text = """
        from mmengine.config import read_base
        with read_base():
            from proj.configs.base import a
        """
    assert tree(text, "proj/configs/sub/cfg.py") == {"a": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from .none import *", r"line 2: base config '.*none\.py' does not exist"),
        ("from .base import lrr", r"base config \.base has no variable 'lrr'; did you mean 'lr'"),
        ("from nopkg.configs.base import *", r"'nopkg\.configs\.base' is neither beside this file"),
        ("import base", r"only `from MODULE import \.\.\.` stands inside"),
        ("x = 1", r"only `from MODULE import \.\.\.` stands inside"),
    ],
)
def test_faults_of_read_base(base, write, line, message):
    path = write("c.py", f"with read_base():\n    {line}")
    with pytest.raises((ConfigError, FileMissingError), match=message):
        Config.fromfile(path)


# -- places -------------------------------------------------------------------------------------


def test_keys_remember_file_and_line_through_merging(base, write):
    child = write(
        "child.py", "_base_ = 'base.py'\n\nmodel = dict(\n    head=dict(\n        j=1))\n"
    )
    cfg = Config.fromfile(child)
    assert where(cfg.model, "type") == f"{base}, line 4"
    assert where(cfg.model.head, "k") == f"{base}, line 4"
    assert where(cfg.model.head, "j") == f"{child}, line 5"
    assert where(cfg.model, "head") == f"{child}, line 4"
    assert where(cfg.model.backbone) == f"{base}, line 4"
    assert where(cfg._cfg_dict, "lr") == f"{base}, line 2"
    assert where(cfg.pipeline[1], "p") == f"{base}, line 5"
    assert type(cfg.lr) is float


@pytest.mark.parametrize("container", [{}, [], 3, None, ConfigDict(a=1)])
def test_places_are_empty_where_nothing_is_known(container):
    assert where(container) == where(container, "a") == ""


def test_places_in_json_name_the_file(write):
    path = write("a.json", '{"model": {"type": "A"}}')
    assert where(Config.fromfile(path).model, "type") == str(path)
