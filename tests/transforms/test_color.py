from __future__ import annotations

import cv2
import numpy as np
import pytest

from poise.errors import DataError
from poise.registry import TRANSFORMS
from poise.transforms import PhotometricDistortion, YOLOXHSVRandomAug
from poise.transforms.color import _Distortion

NOTHING = _Distortion(0, 0, 0, 0, 0, 0.0, 1.0, 1.0, 0, np.arange(3))


def applied(step, image, **draw):
    step._random_flags = lambda: NOTHING._replace(**draw)
    return step({"img": image.copy()})["img"]


def linear(image, factor=1.0, shift=0.0):
    return np.clip(image.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)


def test_nothing_drawn_changes_nothing(picture):
    np.testing.assert_array_equal(applied(PhotometricDistortion(), picture), picture)


@pytest.mark.parametrize("shift", [-30.5, 17.25])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_brightness(picture, shift, dtype):
    image = picture.astype(dtype)
    after = applied(PhotometricDistortion(), image, brightness=1, brightness_shift=shift)
    np.testing.assert_array_equal(after, linear(picture, shift=shift))


@pytest.mark.parametrize(
    ("faults", "last", "times"), [(True, 0, 0), (True, 1, 2), (False, 0, 1), (False, 1, 1)]
)
def test_contrast_is_changed_as_mmpose_does_unless_told_otherwise(picture, faults, last, times):
    step = PhotometricDistortion(mmpose_faults=faults)
    after = applied(step, picture, contrast=1, contrast_last=last, contrast_factor=0.8)
    expected = picture
    for _ in range(times):
        expected = linear(expected, 0.8)
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_saturation_and_hue(picture, mode):
    after = applied(PhotometricDistortion(), picture, hsv=mode, saturation_factor=0.5, hue_shift=9)
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    if mode != 2:
        hsv[..., 1] = linear(hsv[..., 1], 0.5)
    if mode != 1:
        hsv[..., 0] += 9
    np.testing.assert_array_equal(after, cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


def test_channels_are_swapped(picture):
    order = np.array([2, 0, 1])
    after = applied(PhotometricDistortion(), picture, swap=1, channel_order=order)
    np.testing.assert_array_equal(after, picture[..., order])
    assert after.flags.c_contiguous


def test_draws_stay_within_their_ranges():
    step = PhotometricDistortion(10, (0.9, 1.1), (0.8, 1.2), 5)
    for draw in (step._random_flags() for _ in range(200)):
        assert abs(draw.brightness_shift) <= 10
        assert 0.9 <= draw.contrast_factor <= 1.1
        assert 0.8 <= draw.saturation_factor <= 1.2
        assert -5 <= draw.hue_shift < 5
        assert sorted(draw.channel_order) == [0, 1, 2]


@pytest.mark.parametrize("gains", [(0, 0, 0), (5, -30, 30), (-5, 30, -30), (4, 0, 0)])
@pytest.mark.parametrize("dtype", [np.uint8])
def test_hsv_shift_equals_the_per_pixel_formula(picture, gains, dtype):
    step = YOLOXHSVRandomAug()
    step._get_hsv_gains = lambda: np.array(gains, np.int16)
    after = step({"img": picture})["img"]
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV).astype(np.int16) + np.array(gains, np.int16)
    hsv[..., 0] %= 180
    expected = cv2.cvtColor(np.clip(hsv, 0, 255).astype(dtype), cv2.COLOR_HSV2BGR)
    np.testing.assert_array_equal(after, expected)


def test_hsv_leaves_the_given_picture_alone(picture):
    before = picture.copy()
    YOLOXHSVRandomAug()({"img": picture})
    np.testing.assert_array_equal(picture, before)


def test_hsv_gains_stay_within_their_deltas():
    step = YOLOXHSVRandomAug(1, 2, 3)
    gains = np.array([step._get_hsv_gains() for _ in range(100)])
    assert (np.abs(gains) <= [1, 2, 3]).all()


@pytest.mark.parametrize("name", ["YOLOXHSVRandomAug", "mmdet.YOLOXHSVRandomAug"])
def test_both_libraries_names_build_it(name):
    assert isinstance(TRANSFORMS.build(dict(type=name)), YOLOXHSVRandomAug)


def test_float_pictures_keep_mmposes_numbers(picture):
    """OpenCV takes float pictures to be in 0..1; MMPose does not mind, and models learned so."""
    np.random.seed(3)
    found = YOLOXHSVRandomAug()({"img": picture.astype(np.float32)})["img"]
    assert found.dtype == np.float32
    assert found.min() < 0


@pytest.mark.parametrize("kind", [PhotometricDistortion, YOLOXHSVRandomAug])
def test_pictures_without_colours_are_refused(picture, kind):
    for wrong in (picture[..., 0], picture.astype(np.uint16)):
        with pytest.raises(DataError, match=f"{kind.__name__} changes pictures .H, W, 3. uint8"):
            kind()({"img": wrong})
