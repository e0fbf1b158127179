from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.transforms import MissingKeyError, Mosaic, YOLOXMixUp
from poise.transforms.mixing import _average, _MixUpDraw


class Dataset:
    """Four pictures of one colour each, with two people each."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return 4

    def get_data_info(self, index):
        info = self.make(2)
        info["img"] = np.full_like(info["img"], 10 * index)
        return info


@pytest.fixture
def sample(person):
    return person(2, dataset=Dataset(person))


def test_mosaic_puts_four_pictures_around_the_point(sample):
    dataset, own = sample["dataset"], sample["img"]
    step = Mosaic(img_scale=(64, 48), center_range=(1.0, 1.0))
    after = step(sample)
    assert after["img"].shape == after["img_shape"] == (96, 128, 3)
    np.testing.assert_array_equal(after["img"][:48, :64], own)
    assert len(np.unique(after["img"][:48, 64:])) == 1
    assert len(after["keypoints"]) == len(after["bbox"]) == len(after["area"]) == 8
    assert after["dataset"] is dataset
    assert "mixed_data_list" not in after


@pytest.mark.parametrize("center", [(20, 20), (100, 70), (64, 48), (32, 90)])
def test_mosaic_keeps_people_on_their_pictures(person, center):
    results = person(2, dataset=Dataset(person))
    own = {k: np.copy(results[k]) for k in ("img", "keypoints", "bbox")}
    step = Mosaic(img_scale=(64, 48))
    step._get_center = lambda: center
    after = step(results)
    offset = np.array([center[0] - 64, center[1] - 48])
    np.testing.assert_allclose(after["keypoints"][:2], own["keypoints"] + offset, rtol=1e-5)
    x, y = center[0] - 1, center[1] - 1
    np.testing.assert_array_equal(after["img"][y, x], own["img"][47, 63])
    limits = np.array([128, 96, 128, 96])
    assert (after["bbox"] >= 0).all()
    assert (after["bbox"] <= limits).all()
    outside = ((after["keypoints"] < 0) | (after["keypoints"] > limits[:2])).any(-1)
    assert not after["keypoints_visible"][outside].any()


def test_mosaic_fits_pictures_into_its_scale(sample):
    area = sample["area"].sum()
    after = Mosaic(img_scale=(32, 32), center_range=(1.0, 1.0), pad_val=7.0)(sample)
    assert after["img"].shape == (64, 64, 3)
    assert (after["img"][0] == 7).all()
    np.testing.assert_allclose(after["area"].sum(), 4 * area * 0.25)


def test_mixing_leaves_the_datasets_arrays_alone(person):
    stored = person(2)
    before = stored["keypoints"].copy()

    class Stored(Dataset):
        def get_data_info(self, index):
            return stored

    Mosaic(img_scale=(32, 32))(person(2, dataset=Stored(person)))
    np.testing.assert_array_equal(stored["keypoints"], before)


def test_mixup_averages_with_the_other_picture(sample):
    own = sample["img"]
    step = YOLOXMixUp(img_scale=(64, 48))
    step._get_params = lambda size: _MixUpDraw(1.0, False, (0, 0))
    step._get_mixed_data_list = lambda dataset: [dataset.get_data_info(3)]
    after = step(sample)
    np.testing.assert_array_equal(after["img"], (own.astype(int) + 30) // 2)
    assert after["img_shape"] == (48, 64, 3)
    assert len(after["keypoints"]) == 4


@pytest.mark.parametrize(("pad_val", "level"), [(114.0, 10), (114, 11)])
def test_mixup_rounds_only_between_whole_levels(person, pad_val, level):
    results = person(1, img=np.ones((24, 32, 3), np.uint8))
    other = person(2, img=np.tile(np.array([[10, 10], [10, 13]], np.uint8), (24, 32))[..., None])
    other["img"] = np.repeat(other["img"], 3, axis=2)
    step = YOLOXMixUp(img_scale=(64, 48), pad_val=pad_val)
    step._get_params = lambda size: _MixUpDraw(0.5, False, (0, 0))
    step._get_mixed_data_list = lambda dataset: [other]
    # each pixel of the other picture is the mean of four, 10.75
    after = step({**results, "dataset": None})
    assert (after["img"] == (1 + level) // 2).all()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("factor", "corner"), [(1.0, (0, 0)), (2.0, (30, 20)), (0.5, (0, 0))])
def test_mixup_moves_the_other_people(person, flip, factor, corner):
    results = person(1, dataset=Dataset(person))
    other = person(2)
    step = YOLOXMixUp(img_scale=(64, 48), pad_val=100)
    step._get_params = lambda size: _MixUpDraw(factor, flip, corner)
    after = step(results)
    expected = other["keypoints"] * factor
    if flip:
        expected = expected[:, other["flip_indices"]]
        expected[..., 0] = 64 * factor - 1 - expected[..., 0]
    np.testing.assert_allclose(after["keypoints"][1:], expected - corner, atol=1e-4)
    np.testing.assert_allclose(after["area"][1:], 100 * factor**2)
    assert after["img"].shape == (48, 64, 3)


def test_mixup_draws_stay_within_the_picture():
    step = YOLOXMixUp(img_scale=(64, 48), ratio_range=(0.5, 2.0))
    for draw in (step._get_params((40, 40)) for _ in range(200)):
        assert 0.5 <= draw.factor <= 2.0
        assert 0 <= draw.crop[0] <= max(0, int(64 * draw.factor) - 40)
        assert 0 <= draw.crop[1] <= max(0, int(48 * draw.factor) - 40)


def test_mixup_with_an_empty_picture_changes_nothing(person):
    class Empty(Dataset):
        def get_data_info(self, index):
            return {"keypoints": np.zeros((0, 5, 2)), "img": np.zeros((4, 4, 3), np.uint8)}

    results = person(1, dataset=Empty(person))
    image = results["img"]
    assert YOLOXMixUp(img_scale=(64, 48))(results)["img"] is image


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_averages_are_rounded_down(dtype):
    one, two = np.meshgrid(np.arange(256), np.arange(256))
    expected = (one + two) // 2
    np.testing.assert_array_equal(_average(one.astype(dtype), two.astype(np.uint8)), expected)


@pytest.mark.parametrize("step", [Mosaic(prob=0.0), YOLOXMixUp(prob=0.0)])
def test_probability_zero_mixes_nothing(step):
    assert step({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("kind", [Mosaic, YOLOXMixUp])
def test_lists_will_do_as_sizes(kind):
    assert kind(img_scale=[64, 48]).img_scale == (64, 48)
    with pytest.raises(ArgumentError, match="img_scale must be"):
        kind(img_scale=64)


def test_pre_transform_loads_the_other_pictures(sample):
    seen = []

    def step(results):
        seen.append(results["dataset"])
        return results

    after = Mosaic(img_scale=(32, 32), pre_transform=[step])(sample)
    assert seen == [after["dataset"]] * 3


def test_a_pre_transform_that_drops_samples_is_refused(sample):
    with pytest.raises(DataError, match="pre_transform of Mosaic dropped sample"):
        Mosaic(pre_transform=[lambda results: None])(sample)


def test_a_missing_dataset_is_explained(person):
    with pytest.raises(MissingKeyError, match="Mosaic needs.*dataset.*hands itself over"):
        Mosaic()(person())


def test_a_wrong_number_of_samples_is_refused(person):
    with pytest.raises(DataError, match="Mosaic mixes 3 further samples, got 1"):
        Mosaic().apply_mix(person(mixed_data_list=[person()]))
