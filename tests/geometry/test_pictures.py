"""Warped pictures have the same pixels under every OpenCV."""

import zlib

import cv2
import numpy as np
import pytest

from poise.geometry import pictures
from poise.geometry.pictures import warp_picture

TURN = np.array([[0.61, 0.12, -33.3], [-0.12, 0.61, 12.7]])
TILT = np.vstack([TURN, [2e-4, -1e-4, 1]])


def noise(channels, dtype):
    values = np.random.RandomState(0).randint(0, 256, (120, 160, channels))
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("matrix", "checksum"), [(TURN, 388270275), (TILT, 11547668)], ids=["affine", "perspective"]
)
def test_pixels_are_those_of_opencv_4(matrix, checksum):
    warped = warp_picture(noise(3, np.uint8), matrix, (96, 128), fill=114)
    assert zlib.crc32(warped.tobytes()) == checksum


@pytest.mark.skipif(cv2.__version__ >= "5", reason="compares with OpenCV 4's own warp")
@pytest.mark.parametrize("matrix", [TURN, TILT, TURN * 3], ids=["affine", "perspective", "large"])
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (17, np.float32)])
def test_rounded_places_give_what_opencv_4_gives(monkeypatch, matrix, channels, dtype):
    image = noise(channels, dtype)
    expected = warp_picture(image, matrix, (96, 128))
    monkeypatch.setattr(pictures, "_ROUNDS_BY_ITSELF", False)
    np.testing.assert_array_equal(warp_picture(image, matrix, (96, 128)), expected)


def test_a_map_without_extent_shows_one_place_of_the_picture():
    image = noise(3, np.uint8)
    assert (warp_picture(image, np.zeros((2, 3)), (9, 7)) == image[0, 0]).all()


@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_a_map_that_is_not_finite_shows_nothing_of_the_picture(entry):
    matrix = TURN.copy()
    matrix[0, 1] = entry
    assert (warp_picture(noise(3, np.uint8), matrix, (9, 7), fill=114) == 114).all()


def test_result_may_go_into_a_given_array():
    out = np.empty((128, 96, 3), np.uint8)
    warped = warp_picture(noise(3, np.uint8), TURN, (96, 128), out=out)
    assert warped is out or np.shares_memory(warped, out)
    assert out.any()
