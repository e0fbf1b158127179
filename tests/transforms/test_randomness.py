from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from poise.errors import ArgumentError, PoiseError
from poise.transforms import (
    Albumentation,
    BaseTransform,
    Compose,
    RandomBBoxTransform,
    RandomChoice,
    RandomFlip,
    avoid_cache_randomness,
    cache_random_params,
    cache_randomness,
    truncated_normal,
)


class Draws(BaseTransform):
    @cache_randomness
    def draw(self):
        return np.random.rand()

    def transform(self, results):
        results["drawn"] = self.draw()
        return results


def test_draws_differ_outside_of_the_block():
    step = Draws()
    assert step({})["drawn"] != step({})["drawn"]


def test_draws_are_held_within_the_block_and_free_after():
    step = Draws()
    with cache_random_params(step):
        first = step({})["drawn"]
        assert step({})["drawn"] == first
    assert step({})["drawn"] != first


def test_draws_are_held_in_nested_pipelines():
    inner = Draws()
    pipeline = Compose([RandomChoice([[inner], [inner]])])
    with cache_random_params([pipeline]):
        assert pipeline({}) == pipeline({})


def test_two_transforms_hold_their_own_draws():
    one, two = Draws(), Draws()
    with cache_random_params([one, two]):
        assert one({})["drawn"] != two({})["drawn"]


def test_draws_are_free_again_after_an_error():
    step = Draws()
    drawn = []

    def draw_and_fail():
        with cache_random_params(step):
            drawn.append(step({})["drawn"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert step({})["drawn"] != drawn[0]


def test_a_transform_that_cannot_hold_its_draws_is_refused():
    with pytest.raises(PoiseError, match="Albumentation draws.*cannot share"):  # noqa: SIM117
        with cache_random_params([Draws(), Albumentation([])]):
            pass


def test_both_marks_exclude_each_other():
    with pytest.raises(PoiseError, match="Draws is marked.*draw is marked"):
        avoid_cache_randomness(Draws)


@pytest.mark.parametrize("thing", [3, staticmethod(len)])
def test_only_functions_are_marked(thing):
    with pytest.raises(ArgumentError, match="decorates a method"):
        cache_randomness(thing)


def test_only_methods_are_marked():
    with pytest.raises(ArgumentError, match="first parameter is self"):

        @cache_randomness
        def draw(n):
            return n


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-2, 0.5), (0, 3)])
@pytest.mark.parametrize("size", [(), (1, 4), (3, 2)])
def test_truncated_normal_gives_the_numbers_of_scipy(low, high, size):
    np.random.seed(5)
    expected = stats.truncnorm.rvs(low, high, size=size).astype(np.float32)
    np.random.seed(5)
    drawn = truncated_normal(low, high, size)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, expected, rtol=2e-7)
    assert np.random.rand() == pytest.approx(_next_after_scipy(low, high, size))


def _next_after_scipy(low, high, size):
    np.random.seed(5)
    stats.truncnorm.rvs(low, high, size=size)
    return np.random.rand()


@pytest.mark.parametrize("make", [RandomFlip, RandomBBoxTransform])
def test_equal_seeds_give_equal_samples(make, person):
    def run():
        np.random.seed(11)
        sample = person(bbox_center=np.ones((1, 2)), bbox_scale=np.ones((1, 2)))
        return make()(sample)

    np.testing.assert_equal(run(), run())
