"""Peaks of blurred maps: by shortcuts where those are sure, by the filter elsewhere."""

import numpy as np
import pytest

from poise.codecs import MegviiHeatmap, UDPHeatmap
from poise.codecs.utils import gaussian_blur, peaks
from poise.codecs.utils.blur import blur_maps, blur_matrix

SIZES = [(64, 48), (48, 64), (20, 25), (9, 7)]
KINDS = [
    "targets",
    "noisy",
    "two",
    "plateaus",
    "flat",
    "low",
    "negative",
    "unknown",
    "huge",
    "random",
]


def maps_of(kind, size, rng):
    """Maps (34, H, W) like those of a network, or worse."""
    H, W = size
    codec = MegviiHeatmap(input_size=(W, H), heatmap_size=(W, H), kernel_size=11)
    places = rng.uniform(0, 1, (2, 2, 1, 17, 2)) * [W, H]
    one, other = (codec.batch_encode(p)["heatmaps"].reshape(-1, H, W) for p in places)
    noise = rng.normal(size=one.shape)
    maps = {
        "targets": one,
        "noisy": one + 4 * noise,
        "two": one + other,
        "plateaus": np.round(one / 85),
        "flat": np.full_like(one, 0.5),
        "low": 1e-3 * noise,
        "negative": one - 400,
        "unknown": np.where(noise > 3.5, np.nan, one),
        "huge": np.where(noise > 3.5, 1e25, one),
        "random": noise,
    }
    return maps[kind].astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", [5, 11, 15])
def test_peaks_are_those_of_whole_modulated_maps(kind, size, kernel, rng):
    maps = maps_of(kind, size, rng)
    given = maps.copy()
    pixel, values, slopes = peaks.peaks_of_modulated(maps, kernel)
    np.testing.assert_array_equal(maps, given)
    whole = gaussian_blur(maps.copy(), kernel)
    flat = whole.reshape(len(maps), -1)
    np.testing.assert_array_equal(pixel, flat.argmax(axis=1))
    np.testing.assert_allclose(values, flat[np.arange(len(maps)), pixel], rtol=1e-6)
    H, W = size
    y, x = np.divmod(pixel, W)
    inner = np.flatnonzero((x > 0) & (x < W - 1) & (y > 0) & (y < H - 1))
    m, x, y = inner, x[inner], y[inner]
    expected = [whole[m, y, x + 1] - whole[m, y, x - 1], whole[m, y + 1, x] - whole[m, y - 1, x]]
    np.testing.assert_array_equal(np.sign(slopes[inner]), np.sign(np.stack(expected, axis=-1)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_disks_are_found_like_on_whole_mirrored_maps(kind, size, rng):
    maps = maps_of(kind, size, rng)
    pixel, values = peaks.largest_of_blurred(maps, 23)
    flat = blur_maps(maps, 23, mirror=True).reshape(len(maps), -1)
    np.testing.assert_array_equal(pixel, flat.argmax(axis=1))
    np.testing.assert_allclose(values, flat[np.arange(len(maps)), pixel], rtol=1e-5, atol=1e-6)


def test_what_a_network_gives_is_settled_in_windows(rng):
    """The filter is for the few maps that are in doubt: it costs five times as much."""
    maps = maps_of("noisy", (64, 48), rng)
    *_, proved = peaks._in_window(maps, 11, peaks._rest_by_norm)
    assert proved.mean() > 0.9
    *_, proved = peaks._in_mirrored_product(maps, 23)
    assert proved.mean() > 0.9


def test_more_maps_than_fit_the_cache_are_settled_part_by_part(rng, monkeypatch):
    maps = maps_of("random", (20, 25), rng)
    at_once = peaks.peaks_of_modulated(maps, 11)
    monkeypatch.setattr(peaks, "CHUNK", 5)
    for ours, theirs in zip(peaks.peaks_of_modulated(maps, 11), at_once, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "codec",
    [
        MegviiHeatmap(input_size=(48, 64), heatmap_size=(48, 64), kernel_size=11),
        UDPHeatmap(input_size=(48, 64), heatmap_size=(48, 64), heatmap_type="combined"),
    ],
)
def test_an_empty_batch_decodes_to_nobody(codec):
    keypoints, scores = codec.batch_decode(np.zeros((0, 6, 64, 48), np.float32))
    assert keypoints.shape[:2] == scores.shape[:2] == (0, 1)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("length", [9, 48])
def test_a_blurred_line_is_the_product_with_its_matrix(mirror, length, rng):
    line = rng.random((1, 1, length)).astype(np.float32)
    column = np.repeat(line, 25, axis=1)
    blurred = blur_maps(column, 11, mirror=mirror)[0, 12]
    np.testing.assert_allclose(
        blur_matrix(length, 11, mirror=mirror) @ line[0, 0], blurred, rtol=1e-5
    )
