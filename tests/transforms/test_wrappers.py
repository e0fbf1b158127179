from __future__ import annotations

import pytest

from poise.errors import ArgumentError
from poise.transforms import Compose, RandomApply, RandomChoice


def mark(name):
    def step(results):
        return results | {name: True}

    return step


def test_one_pipeline_is_chosen_with_its_probability():
    step = RandomChoice([[mark("a")], mark("b"), [mark("c"), mark("d")]], prob=[0.6, 0.4, 0.0])
    seen = [tuple(step({})) for _ in range(500)]
    assert set(seen) == {("a",), ("b",)}
    assert seen.count(("a",)) / 500 == pytest.approx(0.6, abs=0.08)


def test_pipelines_are_equally_likely_by_default():
    step = RandomChoice([[mark("a")], [mark("b"), mark("c")]])
    assert {tuple(step({})) for _ in range(50)} == {("a",), ("b", "c")}
    assert len(list(step)) == 2


@pytest.mark.parametrize("prob", [[1.0], [0.5, 0.6]])
def test_probabilities_must_suit_the_pipelines(prob):
    with pytest.raises(ArgumentError, match="one number for each of the 2 pipelines"):
        RandomChoice([[], []], prob=prob)
    with pytest.raises(ArgumentError, match="at least one pipeline to choose from, got none"):
        RandomChoice([])


@pytest.mark.parametrize(("prob", "expected"), [(0.0, set()), (1.0, {"a"})])
def test_apply_runs_with_its_probability(prob, expected):
    step = RandomApply([mark("a")], prob=prob)
    assert set(step({})) == expected
    assert len(list(step)) == 1


def test_names_of_mmcv_build_them():
    choice = dict(type="mmcv.RandomChoice", transforms=[[dict(type="LoadImage")], []])
    (step,) = Compose([choice])
    assert isinstance(step, RandomChoice)
    assert "LoadImage" in repr(step)
