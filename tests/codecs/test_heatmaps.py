"""Targets and refinements, against plain loops that follow the papers."""

import numpy as np
import pytest

from poise.codecs import MSRAHeatmap, UDPHeatmap
from poise.codecs.utils import (
    batch_heatmap_nms,
    gaussian_blur,
    generate_displacement_heatmap,
    generate_gaussian_heatmaps,
    generate_instance_heatmaps,
    generate_offset_heatmap,
    generate_udp_gaussian_heatmaps,
    generate_unbiased_gaussian_heatmaps,
    get_heatmap_3d_maximum,
    get_heatmap_maximum,
    get_instance_bbox,
    get_instance_root,
    get_simcc_maximum,
    refine_keypoints_dark,
    refine_keypoints_dark_udp,
)
from poise.codecs.utils.gaussian_heatmap import Gaussians
from poise.codecs.utils.offset_heatmap import generate_instance_offset_heatmaps
from poise.errors import ConfigError, DataError


def slow_gaussians(size, keypoints, visible, sigma, subpixel):
    """Windows of three sigma, pixel by pixel, for whole-numbered radii."""
    W, H = size
    maps = np.zeros((keypoints.shape[1], H, W))
    for points, seen in zip(keypoints, visible, strict=True):
        for k, (point, label) in enumerate(zip(points, seen, strict=True)):
            center = (point + 0.5).astype(int)
            exact = point if subpixel else center
            for y in range(H):
                for x in range(W):
                    if label >= 0.5 and (abs(np.array([x, y]) - center) <= 3 * sigma).all():
                        d = (x - exact[0]) ** 2 + (y - exact[1]) ** 2
                        maps[k, y, x] = max(maps[k, y, x], np.exp(-d / (2 * sigma**2)))
    return maps


@pytest.mark.parametrize("people", [1, 3])
@pytest.mark.parametrize("sigma", [1, 2])
@pytest.mark.parametrize("subpixel", [False, True])
def test_gaussians_equal_a_plain_loop(rng, people, sigma, subpixel):
    keypoints = rng.uniform(-4, 28, (people, 3, 2)).astype(np.float32)
    visible = rng.integers(0, 2, (people, 3)).astype(np.float32)
    draw = generate_udp_gaussian_heatmaps if subpixel else generate_gaussian_heatmaps
    maps, weights = draw((24, 20), keypoints, visible, sigma)
    expected = slow_gaussians((24, 20), keypoints, visible, sigma, subpixel)
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    assert maps.dtype == np.float32
    assert not weights[visible == 0].any()


def test_each_person_may_have_a_sigma(rng):
    keypoints = np.array([[[5, 5]], [[20, 20]]], np.float32)
    maps, _ = generate_gaussian_heatmaps((32, 32), keypoints, np.ones((2, 1)), [1, 3])
    assert maps[0, 5, 7] < maps[0, 20, 22]
    with pytest.raises(DataError, match="sigma has 1 values for 2 instances"):
        generate_gaussian_heatmaps((32, 32), keypoints, np.ones((2, 1)), [1])


def test_gaussians_of_some_people_are_drawn_as_if_alone(rng):
    places = rng.uniform(-4, 36, (5, 3, 2)).astype(np.float32)
    seen = (rng.random((5, 3)) < 0.8).astype(np.float32)
    sigmas = rng.uniform(1, 3, 5)
    gaussians = Gaussians.around((32, 24), places, seen, sigmas)
    people = np.array([3, 0, 4])
    some = gaussians.of(people, kinds=2)
    maps, weights = generate_instance_heatmaps(
        (32, 24), places[people, :2], seen[people, :2], sigmas[people]
    )
    np.testing.assert_array_equal(some.own_maps(), maps)
    np.testing.assert_array_equal(some.weights, weights)
    np.testing.assert_array_equal(some.shared_maps(), maps.max(axis=0))
    assert maps.any()
    nobody = gaussians.of(people[:0], kinds=2)
    assert nobody.own_maps().shape == (0, 2, 24, 32)


def test_nobody_gives_empty_maps():
    for draw in (generate_gaussian_heatmaps, generate_unbiased_gaussian_heatmaps):
        maps, weights = draw((8, 6), np.zeros((0, 4, 2)), np.zeros((0, 4)), 2)
        assert maps.shape == (4, 6, 8)
        assert not maps.any()
        assert weights.shape == (0, 4)


@pytest.mark.parametrize("refine", [refine_keypoints_dark, refine_keypoints_dark_udp])
@pytest.mark.parametrize("place", [(10.3, 12.8), (20.0, 15.5), (25.6, 9.1)])
def test_dark_finds_the_centre_of_a_gaussian(refine, place):
    maps, _ = generate_unbiased_gaussian_heatmaps(
        (40, 30), np.array([[place]], np.float32), np.ones((1, 1)), 2
    )
    start, _ = get_heatmap_maximum(maps)
    np.testing.assert_allclose(refine(start[None], maps, 11)[0, 0], place, atol=0.01)


def test_patches_give_what_whole_maps_give(rng, monkeypatch):
    """Confident maps take the short way; forced the long way, they decode to the same."""
    from poise.codecs.utils import refinement

    codec = UDPHeatmap((192, 256), (48, 64))
    maps = codec.encode(rng.uniform(0, 190, (1, 17, 2)).astype(np.float32))["heatmaps"]
    maps += rng.normal(size=maps.shape).astype(np.float32) * 0.02
    short, _ = codec.decode(maps)
    monkeypatch.setattr(refinement, "TRUSTED", 0.0)
    long, _ = codec.decode(maps)
    np.testing.assert_allclose(short, long, atol=2e-3)


def test_a_map_without_response_decodes_to_nan_under_udp():
    keypoints, scores = UDPHeatmap((192, 256), (48, 64)).decode(np.zeros((3, 64, 48), np.float32))
    assert np.isnan(keypoints).all()
    assert not scores.any()


def test_a_map_without_response_decodes_off_the_picture():
    keypoints, _ = MSRAHeatmap((192, 256), (48, 64), 2).decode(np.zeros((3, 64, 48), np.float32))
    np.testing.assert_array_equal(keypoints, np.full((1, 3, 2), -4.0))


def test_maxima_are_found_per_map_and_sample(rng):
    maps = rng.random((2, 5, 7, 9)).astype(np.float32)
    maps[1, 2] = -1
    places, values = get_heatmap_maximum(maps)
    for b, k in np.ndindex(2, 5):
        if (b, k) == (1, 2):
            assert places[b, k].tolist() == [-1, -1]
            continue
        x, y = places[b, k].astype(int)
        assert maps[b, k, y, x] == maps[b, k].max() == values[b, k]
    with pytest.raises(DataError, match="Invalid shape"):
        get_heatmap_maximum(maps[0, 0])


def test_volume_maxima_are_x_y_z():
    volume = np.zeros((1, 3, 4, 5), np.float32)
    volume[0, 2, 1, 3] = 1
    assert get_heatmap_3d_maximum(volume)[0].tolist() == [[3, 1, 2]]


def test_simcc_scores_are_the_smaller_axis():
    x, y = np.zeros((1, 6)), np.zeros((1, 8))
    x[0, 2], y[0, 5] = 0.9, 0.4
    places, values = get_simcc_maximum(x, y)
    assert places.tolist() == [[2, 5]]
    assert values.tolist() == [0.4]
    with pytest.raises(DataError, match="equal rank"):
        get_simcc_maximum(x, y[None])


def test_tensors_take_the_same_steps(rng):
    torch = pytest.importorskip("torch")
    from poise.codecs.utils import tensor_ops
    from poise.codecs.utils.refinement import patches_of

    maps = rng.normal(size=(2, 5, 7, 9)).astype(np.float32)
    given = torch.from_numpy(maps)
    for ours, theirs in zip(get_heatmap_maximum(maps), get_heatmap_maximum(given), strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())
    for ours, theirs in zip(
        get_simcc_maximum(maps[0], maps[1], apply_softmax=True),
        get_simcc_maximum(given[0], given[1], apply_softmax=True),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(batch_heatmap_nms(maps), batch_heatmap_nms(given).numpy())
    # tensors of other types are pooled by torch
    pooled = batch_heatmap_nms(given.double()).numpy()
    np.testing.assert_array_equal(batch_heatmap_nms(maps), pooled)
    which = np.array([0, 4, 9, 3])
    x, y = np.array([0, 8, 4, -1]), np.array([6, 0, 3, -1])
    places = torch.from_numpy(np.stack([x, y], -1))
    flat = maps.reshape(10, 7, 9)
    cut = tensor_ops.patches(torch.from_numpy(flat), torch.from_numpy(which), places, 2)
    np.testing.assert_array_equal(patches_of(flat, which, x, y, 2), cut.numpy())


def test_blur_restores_each_maximum_in_place(rng):
    maps = rng.random((4, 12, 10)).astype(np.float32)
    peaks = maps.max(axis=(1, 2))
    assert gaussian_blur(maps, 5) is maps
    np.testing.assert_allclose(maps.max(axis=(1, 2)), peaks, rtol=1e-6)
    with pytest.raises(DataError, match="odd size, got 4"):
        gaussian_blur(maps, 4)


def test_maps_do_not_blur_into_one_another():
    maps = np.zeros((2, 10, 10), np.float32)
    maps[0, 9, 5] = maps[1, 0, 5] = 1
    alone = maps[:1].copy()
    np.testing.assert_array_equal(gaussian_blur(maps, 7)[0], gaussian_blur(alone, 7)[0])


def test_the_smaller_person_keeps_its_displacements():
    roots = np.array([[10, 10], [11, 10]], np.float32)
    keypoints = roots[:, None] + np.array([[[3, 4]], [[6, 8]]], np.float32)
    for order in ([0, 1], [1, 0]):
        field, weights = generate_displacement_heatmap(
            (24, 24),
            keypoints[order],
            np.ones((2, 1)),
            roots[order],
            np.ones(2),
            np.array([5.0, 10.0])[order],
            4,
        )
        assert field[:, 10, 10].tolist() == [3, 4]
        assert weights[0, 10, 10] == np.float32(1 / 5)


def test_roots_are_centres_of_what_is_visible():
    keypoints = np.array([[[0, 0], [4, 0], [100, 100]], [[1, 1], [2, 2], [3, 3]]], np.float32)
    visible = np.array([[1, 1, 0], [0, 0, 0]])
    roots, seen = get_instance_root(keypoints, visible, "kpt_center")
    assert roots.tolist() == [[2, 0], [0, 0]]
    assert seen.tolist() == [1, 0]
    assert get_instance_bbox(keypoints, visible).tolist() == [[0, 0, 4, 0], [0, 0, 0, 0]]
    roots, seen = get_instance_root(keypoints, None, "bbox_center")
    assert roots.tolist() == [[50, 50], [2, 2]]
    assert seen.tolist() == [1, 1]
    with pytest.raises(DataError, match="'kpt_center' or 'bbox_center', but got 'middle'"):
        get_instance_root(keypoints, visible, "middle")


def test_wrong_options_name_the_right_ones():
    with pytest.raises(ConfigError, match='"gaussian", "combined"'):
        UDPHeatmap((192, 256), (48, 64), heatmap_type="disk")


def test_of_several_people_the_last_labelled_has_the_offsets(rng):
    places = rng.uniform(0, 24, (3, 4, 2))
    visible = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], np.float32)
    maps, weights = generate_offset_heatmap((24, 20), places, visible, 0.1)
    own, _ = generate_instance_offset_heatmaps((24, 20), places, visible, 0.1)
    own = own.reshape(3, 4, 3, 20, 24)
    expected = [own[2, 0], own[1, 1], own[0, 2], own[0, 3]]
    np.testing.assert_array_equal(maps.reshape(4, 3, 20, 24), expected)
    np.testing.assert_array_equal(weights, visible)
    nobody, _ = generate_offset_heatmap((24, 20), places[:0], visible[:0], 0.1)
    assert nobody.shape == (12, 20, 24)
    assert not nobody.any()
