"""Warp matrices carry the box onto the output, and their inverses carry it back."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry import (
    get_3rd_point,
    get_pers_warp_matrix,
    get_udp_warp_matrix,
    get_warp_matrix,
    rotate_point,
    warp_points,
)

CENTER, SCALE = np.array([50.0, 60.0]), np.array([48.0, 64.0])
OUTPUT = (192, 256)
CORNERS = np.array([[26.0, 28.0], [74.0, 92.0]])


def test_the_box_becomes_the_whole_output():
    matrix = get_warp_matrix(CENTER, SCALE, 0, OUTPUT)
    assert np.allclose(warp_points(CORNERS, matrix), [[0, 0], OUTPUT], atol=1e-4)


def test_udp_maps_between_pixel_centres():
    matrix = get_udp_warp_matrix(CENTER, SCALE, 0, OUTPUT)
    assert matrix.dtype == np.float32
    assert np.allclose(warp_points(CORNERS, matrix), [[0, 0], [191, 255]], atol=1e-4)


def test_udp_of_a_box_without_extent_is_not_finite():
    matrix = get_udp_warp_matrix(CENTER, np.zeros(2), 30, OUTPUT)
    assert not np.isfinite(matrix).any()


@pytest.mark.parametrize("rot", [0, 30, -90, 175])
@pytest.mark.parametrize("fix_aspect_ratio", [True, False])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.1, -0.2)])
def test_the_inverse_undoes_the_warp(rot, fix_aspect_ratio, shift):
    options = dict(rot=rot, output_size=OUTPUT, shift=shift, fix_aspect_ratio=fix_aspect_ratio)
    there = get_warp_matrix(CENTER, [48.0, 80.0], **options)
    back = get_warp_matrix(CENTER, [48.0, 80.0], **options, inv=True)
    points = np.random.default_rng(0).uniform(0, 100, (20, 2))
    assert np.allclose(warp_points(warp_points(points, there), back), points, atol=1e-3)


def test_the_centre_is_a_fixed_point_of_rotation():
    for build in (get_warp_matrix, get_udp_warp_matrix):
        plain, turned = (build(CENTER, SCALE, rot, OUTPUT) for rot in (0, 70))
        assert np.allclose(warp_points(CENTER[None], plain), warp_points(CENTER[None], turned))


def test_an_axis_of_its_own_scale_only_without_the_fixed_aspect_ratio():
    square = get_warp_matrix(CENTER, [40.0, 20.0], 0, (80, 80))
    stretched = get_warp_matrix(CENTER, [40.0, 20.0], 0, (80, 80), fix_aspect_ratio=False)
    assert np.allclose([square[0, 0], square[1, 1]], [2, 2])
    assert np.allclose([stretched[0, 0], stretched[1, 1]], [2, 4])


def test_perspective_steps_happen_in_order():
    matrix = get_pers_warp_matrix([10.0, 10.0], [5.0, -5.0], 2.0, 0.0, [0.0, 0.0])
    assert warp_points(np.array([[10.0, 10.0], [11.0, 12.0]]), matrix).tolist() == [
        [15, 5],
        [17, 9],
    ]


def test_small_helpers():
    assert np.allclose(rotate_point([1.0, 0.0], np.pi / 2), [0, 1])
    assert get_3rd_point(np.array([0.0, 0.0]), np.array([1.0, 0.0])).tolist() == [1, -1]


def test_a_pair_that_is_none_is_named():
    with pytest.raises(DataError, match="scale has two numbers"):
        get_warp_matrix(CENTER, [1.0, 2.0, 3.0], 0, OUTPUT)
