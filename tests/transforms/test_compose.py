from __future__ import annotations

import pytest

from poise.errors import ArgumentError, DataError, UnknownNameError
from poise.transforms import Compose, GetBBoxCenterScale, TopdownAffine


def add(key):
    def step(results):
        return {**results, key: len(results)}

    return step


def test_steps_run_in_order():
    assert Compose([add("a"), add("b")])({}) == {"a": 0, "b": 1}


def test_an_empty_pipeline_returns_what_it_got():
    assert Compose([])({"a": 1}) == {"a": 1}
    assert Compose(None)({"a": 1}) == {"a": 1}


def test_none_ends_the_pipeline():
    def never(results):
        raise AssertionError("ran after the sample was dropped")

    assert Compose([lambda results: None, never])({}) is None


def test_configs_objects_and_functions_mix():
    pipeline = Compose([dict(type="GetBBoxCenterScale"), TopdownAffine((4, 4)), add("x")])
    assert isinstance(pipeline.transforms[0], GetBBoxCenterScale)
    assert len(pipeline) == 3
    assert list(pipeline) == pipeline.transforms


def test_a_single_step_needs_no_list():
    assert Compose(add("a"))({}) == {"a": 0}
    assert len(Compose(dict(type="LoadImage"))) == 1


@pytest.mark.parametrize("size", [[192, 256], (192, 256)])
def test_lists_may_stand_where_configs_have_tuples(size):
    (step,) = Compose([dict(type="TopdownAffine", input_size=size)])
    assert step.input_size == (192, 256)


@pytest.mark.parametrize("scope", ["", "mmpose.", "mmpose::"])
def test_a_scope_may_stand_before_a_name(scope):
    (step,) = Compose([dict(type=f"{scope}GetBBoxCenterScale")])
    assert isinstance(step, GetBBoxCenterScale)


def test_an_unknown_transform_is_named_with_its_neighbour():
    with pytest.raises(UnknownNameError, match="LoadImagee.*did you mean.*LoadImage"):
        Compose([dict(type="LoadImagee")])


@pytest.mark.parametrize("item", [3, "LoadImage", None])
def test_other_items_are_refused_with_their_place(item):
    with pytest.raises(ArgumentError, match=r"item 1 of the pipeline must be a config.*got"):
        Compose([add("a"), item])


def test_a_step_that_returns_something_else_is_named():
    def broken(results):
        return 5

    with pytest.raises(DataError, match=r"step 0 .*broken.*returned int.*needs a dict"):
        Compose([broken, add("a")])({})


def test_the_last_step_may_return_anything():
    assert Compose([lambda results: 5])({}) == 5


def test_repr_lists_the_steps():
    text = repr(Compose([dict(type="GetBBoxCenterScale", padding=2.0)]))
    assert text == "Compose(\n    GetBBoxCenterScale(padding=2.0)\n)"
