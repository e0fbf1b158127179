"""Names -> objects."""

import pytest

from poise.config import Config
from poise.errors import ArgumentError, ConfigError, UnknownNameError
from poise.registry import (
    ALL,
    DATASETS,
    MODELS,
    TRANSFORMS,
    Registry,
    allow_imports,
    current_scope,
    use_scope,
)
from poise.registry.old_names import OLD_NAMES


@pytest.fixture
def things() -> Registry:
    registry = Registry("things")

    @registry.register_module()
    class Net:
        def __init__(self, depth, *, width=1):
            self.depth, self.width = depth, width

    return registry


def test_build_makes_the_object_of_a_dict(things):
    assert things.build(dict(type="Net", depth=3, width=2)).width == 2


def test_build_takes_a_config_as_mmengine_does(things):
    assert things.build(Config(dict(type="Net", depth=3)), width=5).width == 5


def test_build_gives_back_an_object_as_it_is(things):
    net = things.build(dict(type="Net", depth=1))
    assert things.build(net) is net


def test_build_accepts_a_class_as_type(things):
    assert things.build(dict(type=dict)) == {}


def test_defaults_fill_what_the_dict_lacks(things):
    assert things.build(dict(type="Net", depth=1), default_args=dict(depth=5, width=7)).width == 7
    assert things.build(dict(type="Net", depth=1), dict(depth=5)).depth == 1


def test_build_leaves_the_dict_alone(things):
    cfg = dict(type="Net", depth=1, _scope_="mmpose")
    things.build(cfg)
    assert cfg == dict(type="Net", depth=1, _scope_="mmpose")


@pytest.mark.parametrize("name", ["Net", "mmpose.Net", "mmpose::Net"])
def test_scope_in_front_of_a_name(things, name):
    assert things.get(name).__name__ == "Net"


def test_unknown_name_is_answered_with_the_nearest_and_the_kind(things):
    with pytest.raises(
        UnknownNameError, match=r"'Nett' is not registered in things; did you mean 'Net'\?"
    ):
        things.build(dict(type="Nett"))


def test_names_of_the_years_before_lead_to_todays():
    registries = (MODELS, DATASETS, TRANSFORMS)
    for old, new in OLD_NAMES.items():
        assert [r.get(old) for r in registries] == [None] * 3
        assert any(r.get(new) is not None for r in registries), new
    with pytest.raises(UnknownNameError, match=r"MMPose 0\.x: 'TopdownPoseEstimator' in 1\.x"):
        MODELS.build(dict(type="TopDown"))


def test_unknown_name_is_a_key_error_with_a_readable_text(things):
    with pytest.raises(KeyError) as caught:
        things.build(dict(type="Nothing"))
    assert str(caught.value).startswith(
        "'Nothing' is not registered in things. A class of your own"
    )


def test_name_of_another_scope_is_pointed_out(things):
    with pytest.raises(UnknownNameError, match="it exists as 'mmpose.Net'"):
        things.build(dict(type="mmdet.Net", depth=1))


def test_wrong_argument_names_the_nearest(things):
    with pytest.raises(
        ArgumentError,
        match=r"Net does not take the argument 'dept'; did you mean 'depth'\? It takes: depth",
    ):
        things.build(dict(type="Net", dept=1))


def test_missing_argument_is_named(things):
    with pytest.raises(ArgumentError, match="Net needs the argument 'depth'"):
        things.build(dict(type="Net"))


def test_type_error_inside_a_constructor_is_left_alone(things):
    @things.register_module()
    def broken(x):
        return x + "1"

    with pytest.raises(TypeError, match="unsupported operand"):
        things.build(dict(type="broken", x=1))


def test_dict_without_type_is_refused(things):
    with pytest.raises(ConfigError, match="needs 'type', got only \\['depth'\\]"):
        things.build(dict(depth=1))


@pytest.mark.parametrize("cfg", [None, "Net", 3])
def test_what_is_neither_dict_nor_object_is_refused(things, cfg):
    with pytest.raises(ArgumentError, match="built from a dict with 'type' or given as an object"):
        things.build(cfg)


def test_registering_a_name_twice_is_refused(things):
    with pytest.raises(KeyError, match="'Net' is already registered in things"):
        things.register_module(name="Net", module=dict)


def test_force_replaces(things):
    things.register_module(name="Net", module=dict, force=True)
    assert things.get("Net") is dict


def test_same_class_may_be_registered_again_as_in_a_notebook():
    registry = Registry("things")
    for _ in range(2):

        @registry.register_module()
        class Cell:
            pass

    assert registry.get("Cell") is Cell


def test_forgotten_call_of_the_decorator_is_explained(things):
    with pytest.raises(ArgumentError, match="it is called: @MODELS.register_module"):

        @things.register_module
        class Other:
            pass


def test_scope_of_a_config_holds_for_what_is_built_inside(things):
    @things.register_module()
    class Outer:
        def __init__(self):
            self.scope = current_scope()

    assert things.build(dict(type="Outer", _scope_="mmdet")).scope == "mmdet"
    assert current_scope() == "mmpose"


def test_scopes_do_not_merge(things):
    things.register_module(name="Net", module=dict, scope="mmdet")
    assert things.get("mmdet.Net") is dict
    assert things.get("Net") is not dict
    with use_scope("mmdet"):
        assert things.get("Net") is dict


def test_dotted_path_of_a_foreign_package_needs_leave(things):
    with pytest.raises(ConfigError, match="would import the package 'fractions'"):
        things.build(dict(type="fractions.Fraction"))
    allow_imports("fractions")
    assert things.build(dict(type="fractions.Fraction", numerator=1)) == 1


@pytest.mark.parametrize(
    "path",
    [
        "torch.hub.load",
        "os.system",
        "torch.nn.functional.relu",
        "mmengine.fileio.dump",
        "poise.compat.fileio.dump",
    ],
)
def test_config_cannot_name_functions_that_run_code(things, path):
    with pytest.raises((ConfigError, UnknownNameError)):
        things.build(dict(type=path))


def test_classes_are_found_at_the_places_that_migrate_writes():
    heads, schedules = ALL["models"], ALL["param_schedulers"]
    assert heads.get("poise.models.heads.HeatmapHead") is heads.get("HeatmapHead")
    # a function, but a registered one
    linear = schedules.get("poise.training.optim.schedules.LinearLR")
    assert linear is schedules.get("mmengine.optim.LinearLR") is schedules.get("LinearLR")


def test_names_are_a_mapping_as_in_mmengine(things):
    assert "Net" in things.module_dict
    assert "Other" not in things.module_dict
    assert things.module_dict["Net"] is things.get("Net")
    assert "HeatmapHead" in ALL["models"].module_dict
    assert list(things.module_dict) == ["Net"]
    assert len(things.module_dict) == 1


def test_parent_is_asked_for_names_a_registry_lacks(things):
    child = Registry("children", parent=things, scope="mine")
    assert child.get("Net") is things.get("Net")
    child.register_module(name="Own", module=dict)
    assert child.get("Own") is dict
    assert child.get("mine.Own") is dict
