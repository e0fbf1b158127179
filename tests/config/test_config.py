"""`Config` and `ConfigDict` as objects: access, copies, overrides, writing."""

import copy
import pickle
from pathlib import Path

import pytest

from poise.config import Config, ConfigDict, apply_custom_imports, where
from poise.config.merge import add_scope
from poise.errors import ConfigError, MissingDependencyError
from poise.models.build import build_model


@pytest.fixture
def cfg():
    return Config(
        {
            "lr": 1e-3,
            "model": {"type": "A", "backbone": {"type": "ResNet", "depth": 50}},
            "pipeline": [{"type": "Load"}, {"type": "Flip", "p": (0.5, 1)}],
        }
    )


def test_attributes_and_items_reach_the_same_values(cfg):
    assert cfg.model.backbone.depth == cfg["model"]["backbone"]["depth"] == 50
    cfg.model.backbone.depth = 18
    cfg["model"]["neck"] = {"type": "FPN"}
    assert cfg.model.backbone["depth"] == 18
    assert cfg.model.neck.type == "FPN"
    cfg.new = {"a": [{"b": 1}]}
    assert cfg.new.a[0].b == 1
    del cfg.new
    assert "new" not in cfg
    assert cfg.get("new") is None
    assert cfg.get("new", 3) == 3


def test_it_behaves_like_a_dict(cfg):
    assert list(cfg) == list(cfg.keys()) == ["lr", "model", "pipeline"]
    assert len(cfg) == 3
    assert dict(**cfg.model)["type"] == "A"
    assert cfg.pop("lr") == 1e-3
    assert cfg.pop("lr") is None
    assert cfg.setdefault("lr", 5) == 5
    cfg.update(model={"backbone": {"depth": 18}})
    assert cfg.model.backbone == {"type": "ResNet", "depth": 18}
    assert isinstance(cfg.model, dict)
    assert Config(cfg).to_dict() == cfg.to_dict()


def test_missing_keys_name_the_nearest(cfg):
    with pytest.raises(AttributeError, match=r"no key 'bakbone'; did you mean 'backbone'\?"):
        _ = cfg.model.bakbone
    with pytest.raises(KeyError, match=r"no key 'modle'; did you mean 'model'\?"):
        _ = cfg["modle"]
    assert not hasattr(cfg, "modle")
    with pytest.raises(AttributeError, match=r"no key 'x'"):
        del cfg.model.x


def test_missing_keys_name_the_file(write):
    path = write("a.py", "model = dict(\n    type='A',\n)")
    with pytest.raises(AttributeError, match=rf"keys here: type; {path}, line 2"):
        _ = Config.fromfile(path).model.typ


def test_methods_cannot_be_hidden_by_settings(cfg):
    with pytest.raises(AttributeError, match=r"cfg\['items'\] = "):
        cfg.items = 3
    cfg["items"] = 3
    assert cfg["items"] == 3


def test_copies(cfg, write):
    for other in (copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg))):
        assert other.to_dict() == cfg.to_dict()
        other.model.backbone.depth = 1
        assert cfg.model.backbone.depth == 50
    shallow = cfg.copy()
    shallow.lr = 0
    shallow.model.backbone.depth = 18
    assert (cfg.lr, cfg.model.backbone.depth) == (1e-3, 18)
    read = Config.fromfile(write("a.py", "a = dict(b=1)"))
    for other in (copy.deepcopy(read), pickle.loads(pickle.dumps(read)), read.copy()):
        assert where(other.a, "b") == where(read.a, "b") != ""
        assert (other.filename, other.text) == (read.filename, read.text)


def test_to_dict_is_made_of_builtins(cfg):
    def kinds(value):
        yield type(value)
        for item in (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, (list, tuple))
            else ()
        ):
            yield from kinds(item)

    assert set(kinds(cfg.to_dict())) <= {dict, list, tuple, str, float, int}


def test_reserved_and_wrong_arguments():
    with pytest.raises(KeyError, match="'text' is a reserved name"):
        Config({"text": 1})
    with pytest.raises(TypeError, match="cfg_dict must be a dict, got list"):
        Config([1])
    with pytest.raises(ConfigError, match=r"file_format must be one of \.py"):
        Config.fromstring("a = 1", "py")


def test_unions_merge_nested_dicts():
    a = ConfigDict(x=dict(p=1))
    assert a | {"x": {"q": 2}} == {"x": {"p": 1, "q": 2}}
    assert {"x": {"q": 2}} | a == {"x": {"p": 1, "q": 2}}
    a |= {"y": 1}
    assert a == {"x": {"p": 1}, "y": 1}
    b = ConfigDict(a)
    b.merge({"x": {"_delete_": True, "z": 3}})
    assert b == {"x": {"z": 3}, "y": 1}


# -- overrides ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ({"model.backbone.depth": 18}, "model.backbone.depth", 18),
        ({"pipeline.1.p": 0.1}, "pipeline.1.p", 0.1),
        ({"pipeline.0": {"x": 1}}, "pipeline.0", {"type": "Load", "x": 1}),
        ({"pipeline": {"0": {"type": "B"}}}, "pipeline.0.type", "B"),
        ({"new.a.b": [1]}, "new", {"a": {"b": [1]}}),
        ({"model.backbone": {"_delete_": True, "type": "X"}}, "model.backbone", {"type": "X"}),
        ({"pipeline": [1]}, "pipeline", [1]),
        ({"lr": None}, "lr", None),
    ],
)
def test_merge_from_dict(cfg, options, path, value):
    cfg.merge_from_dict(options)
    node = cfg
    for part in path.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]
    assert node == value


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"lr.x": 1}, TypeError, "'lr' is a dict, but the base config has a float there"),
        ({"pipeline.7.p": 1}, KeyError, "index 7 is beyond the end of 'pipeline', a list of 2"),
        ({"a": 1, "a.b": 2}, TypeError, r"override 'a\.b' goes into 'a', which another override"),
    ],
)
def test_faulty_overrides(cfg, options, kind, message):
    with pytest.raises(kind, match=message):
        cfg.merge_from_dict(options)


def test_list_keys_can_be_switched_off(cfg):
    with pytest.raises(TypeError, match="has a list there"):
        cfg.merge_from_dict({"pipeline.0.type": "B"}, allow_list_keys=False)


# -- writing ------------------------------------------------------------------------------------

TREE = {
    "empty": {},
    "none": None,
    "one": (1,),
    "nested": [[], (), [(1, 2), {"a": {"b-c": 1, "class": 2}}], {3: "x", "k": {"type": "T"}}],
    "numbers": [float("inf"), -1e-9, 10**20, True, -0.5],
    "quoted": "quotes ' and \" and \n and \\ and ünïcode",
    "template": "{{ fileDirname }} {{$HOME:x}} {{_base_.a}} {{{",
    "long": ["word" * 30, "several words in a long text " * 12, "x y\nz " * 40],
    "many": list(range(200)),
    "names": [f"keypoint_{i}" for i in range(40)],
    "sets": {1},
    "deep": {"a": {"b": {"c": {"d": {"e": [{"type": "X", "values": tuple(range(60))}]}}}}},
}


def test_dumped_python_reads_back_equal(tmp_path):
    Config(TREE).dump(tmp_path / "out.py")
    assert Config.fromfile(tmp_path / "out.py").to_dict() == TREE
    assert Config.fromstring(Config(TREE).pretty_text, ".py").to_dict() == TREE


def test_dumped_lines_are_short():
    text = Config({"a": {"deep": {"values": list(range(300)), "s": "some words " * 30}}}).dump()
    assert max(map(len, text.splitlines())) <= 90


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_dumped_data_reads_back(tmp_path, suffix):
    tree = {"a": [1, 2.5, None, {"b": "x"}], "c": {"d": True}}
    Config(tree).dump(tmp_path / f"out{suffix}")
    assert Config.fromfile(tmp_path / f"out{suffix}").to_dict() == tree


def test_what_cannot_be_written_is_named():
    with pytest.raises(ConfigError, match=r"'a\.b' is a object, which has no form"):
        Config({"a": {"b": object()}}).dump()
    with pytest.raises(ConfigError, match=r"top-level key 'a-b' is no Python name"):
        Config({"a-b": 1}).dump()
    with pytest.raises(ConfigError, match=r"written as \.py"):
        Config({}).dump("x.txt")


def test_diff(write):
    a, b = write("a.py", "x = 1\ny = dict(z=2)"), write("b.py", "x = 1\ny = dict(z=3)")
    assert Config.diff(a, Config.fromfile(a)) == ""
    assert Config.diff(a, b).splitlines()[-2:] == ["-y = dict(z=2)", "+y = dict(z=3)"]


def test_the_zoo_of_mmpose_reads_back_equal(shared):
    configs = shared.parent / "ref" / "mmpose" / "configs"
    files = sorted(configs.rglob("*2*.py"))[::40] if configs.is_dir() else []
    if not files:
        pytest.skip("needs MMPose's config files")
    for file in files:
        cfg = Config.fromfile(file)
        assert Config.fromstring(cfg.dump(), ".py").to_dict() == cfg.to_dict()


# -- custom imports -----------------------------------------------------------------------------


def test_custom_imports_are_recorded_then_applied(write, monkeypatch):
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    write("my_poise_plugin.py", "loaded = True")
    path = write("cfg.py", "custom_imports = dict(imports=['my_poise_plugin'])")
    cfg = Config.fromfile(path)
    assert "my_poise_plugin" not in sys.modules
    assert apply_custom_imports(cfg) == ["my_poise_plugin"]
    assert sys.modules.pop("my_poise_plugin").loaded
    assert apply_custom_imports(Config({})) == []


def test_classes_of_custom_imports_may_be_named_by_their_path(write, monkeypatch):
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    write("my_poise_parts.py", "from torch import nn\nclass Net(nn.Identity): pass")
    text = "custom_imports = dict(imports=['my_poise_parts'])\n"
    cfg = Config.fromfile(write("cfg.py", f"{text}model = dict(type='my_poise_parts.Net')"))
    assert type(build_model(cfg)).__name__ == "Net"
    sys.modules.pop("my_poise_parts")


def test_custom_imports_of_mmposes_own_modules_need_no_import():
    names = ["mmpose.engine.optim_wrappers.layer_decay_optim_wrapper", "mmpretrain.models"]
    assert apply_custom_imports({"custom_imports": {"imports": names}}) == []


def test_failed_custom_imports_say_what_to_do(write, monkeypatch):
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    setting = {"imports": "no_such_module_xyz"}
    with pytest.raises(ImportError, match=r"'no_such_module_xyz'.*PYTHONPATH"):
        apply_custom_imports({"custom_imports": setting})
    with pytest.warns(UserWarning, match="no_such_module_xyz"):
        assert (
            apply_custom_imports({"custom_imports": {**setting, "allow_failed_imports": True}})
            == []
        )
    path = write("old_plugin_xyz.py", "import mmengine")
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setitem(sys.modules, "mmengine", None)
    with pytest.raises(MissingDependencyError, match="poise migrate"):
        apply_custom_imports({"custom_imports": {"imports": ["old_plugin_xyz"]}})
    with pytest.raises(ConfigError, match="custom_imports is a dict with the key 'imports'"):
        apply_custom_imports({"custom_imports": ["x"]})


def test_reading_imports_nothing_heavy(write):
    import subprocess
    import sys

    path = write("a.py", "from torch.optim import AdamW\nopt = dict(type=AdamW)")
    code = (
        "import sys; from poise.config import Config; "
        f"Config.fromfile({str(path)!r}).dump(); "
        "print([m for m in ('torch', 'numpy', 'cv2', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_are_deleted_listed_and_shown():
    cfg = Config(dict(a=1, b=dict(c=2), d=3))
    del cfg.a
    del cfg["d"]
    assert cfg.to_dict() == {"b": {"c": 2}}
    assert {"b", "dump"} <= set(dir(cfg))
    assert repr(cfg) == "Config (path: None): {'b': {'c': 2}}"
    with pytest.raises(AttributeError, match="absent"):
        del cfg.absent


def test_paths_and_sets_are_written_as_what_reads_back():
    text = Config(dict(a=frozenset([1]), b=Path("x/y"), c=(1,), d=float("inf"))).dump()
    assert text.splitlines() == ["a = frozenset([1])", "b = 'x/y'", "c = (1,)", "d = float('inf')"]


@pytest.mark.parametrize("text", ["", "{{{{x}}", "{{ fileDirname }}", "a\0b {{_base_.c}}"])
def test_any_text_is_written_as_what_reads_back(tmp_path, text):
    Config(dict(a=text)).dump(tmp_path / "a.py")
    assert Config.fromfile(tmp_path / "a.py").a == text


def test_bases_of_another_scope_say_so_at_the_outermost_types():
    tree = dict(model=dict(stages=[dict(type="A", inner=dict(type="B"))]), hooks=(dict(type="C"),))
    add_scope(tree, "mmdet")
    (outer,), (hook,) = tree["model"]["stages"], tree["hooks"]
    assert (outer["_scope_"], hook["_scope_"]) == ("mmdet", "mmdet")
    assert outer["inner"] == dict(type="B")


def test_the_text_is_that_of_all_files(tmp_path):
    base, main = tmp_path / "base.py", tmp_path / "main.py"
    base.write_text("a = 1\n")
    main.write_text("_base_ = 'base.py'\nb = 2\n")
    text = Config.fromfile(main).text
    wanted = (str(base), "a = 1", str(main), "b = 2")
    assert sorted(wanted, key=text.index) == list(wanted)
    assert Config({"a": 1}, filename=base).text == "a = 1\n"
    assert Config({"a": 1}).text == ""


def test_other_alphabets_stay_readable():
    assert Config({"a": "ä"}).dumps(".json") == '{\n  "a": "ä"\n}\n'
    assert Config({"a": "ä"}).dumps(".yaml") == "a: ä\n"
