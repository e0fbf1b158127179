from __future__ import annotations

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.geometry.pictures import warp_picture
from poise.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from poise.transforms import GetBBoxCenterScale, TopdownAffine
from poise.transforms.topdown import fix_aspect_ratio


@pytest.mark.parametrize("use_udp", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 33.0])
def test_one_warp_takes_the_box_to_the_input(person, use_udp, rotation):
    results = GetBBoxCenterScale()(person(bbox_rotation=np.array([rotation], np.float32)))
    image, keypoints = results["img"], results["keypoints"]
    after = TopdownAffine((24, 32), use_udp=use_udp)(results)
    make = get_udp_warp_matrix if use_udp else get_warp_matrix
    matrix = make(after["input_center"], after["input_scale"], np.float32(rotation), (24, 32))
    np.testing.assert_array_equal(after["img"], warp_picture(image, matrix, (24, 32)))
    expected = keypoints @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(after["transformed_keypoints"], expected, atol=1e-4)
    assert after["input_size"] == (24, 32)
    assert after["keypoints"] is keypoints


@pytest.mark.parametrize("use_udp", [False, True])
def test_a_box_without_extent_does_not_end_a_run(person, use_udp):
    results = GetBBoxCenterScale()(person(bbox=np.array([[9, 9, 9, 9]], np.float32)))
    after = TopdownAffine((24, 32), use_udp=use_udp)(results)
    assert after["img"].shape == (32, 24, 3)
    assert not after["input_scale"].any()


def test_depth_stays(person):
    results = GetBBoxCenterScale()(person())
    depth = np.arange(5, dtype=np.float32)[None, :, None]
    results["keypoints"] = np.concatenate([results["keypoints"], depth], 2)
    after = TopdownAffine((24, 32))(results)
    np.testing.assert_array_equal(after["transformed_keypoints"][..., 2:], depth)


def test_a_test_sample_gets_placeholders(person):
    results = GetBBoxCenterScale()(person())
    del results["keypoints"], results["keypoints_visible"]
    after = TopdownAffine((24, 32))(results)
    assert after["transformed_keypoints"].shape == ()
    assert after["keypoints_visible"].shape == (1, 1, 1)


def test_sequences_are_warped_frame_by_frame(person):
    results = GetBBoxCenterScale()(person())
    results["img"] = [results["img"]] * 2
    assert [f.shape for f in TopdownAffine((24, 32))(results)["img"]] == [(32, 24, 3)] * 2


@pytest.mark.parametrize(
    ("scale", "expected"), [((100, 400), (300, 400)), ((90, 40), (90, 120)), ((3, 4), (3, 4))]
)
def test_the_box_grows_to_the_aspect_ratio(scale, expected):
    assert fix_aspect_ratio(np.array([scale], float), 0.75).tolist() == [list(map(float, expected))]


@pytest.mark.parametrize("size", [(192,), "ab", None, (1.5, 2), (0, 4), 192])
def test_a_wrong_input_size_is_refused(size):
    with pytest.raises(ArgumentError, match=r"input_size must be \(width, height\)"):
        TopdownAffine(size)


def test_several_people_are_refused(person):
    with pytest.raises(DataError, match=r"one person at a time, got bbox_center of shape \(3, 2\)"):
        TopdownAffine((24, 32))(GetBBoxCenterScale()(person(3)))
