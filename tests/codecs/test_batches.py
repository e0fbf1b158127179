"""Targets of a batch are those of its samples; shortcuts give what the long way gives."""

import numpy as np
import pytest

from poise.codecs import (
    SPR,
    IntegralRegressionLabel,
    MegviiHeatmap,
    MSRAHeatmap,
    RegressionLabel,
    SimCC3DLabel,
    SimCCLabel,
    UDPHeatmap,
)
from poise.codecs.utils import get_heatmap_maximum, get_simcc_maximum
from poise.codecs.utils.blur import blur_maps, gaussian_blur1d, modulated_rows
from poise.codecs.utils.gaussian_heatmap import generate_gaussian_heatmaps
from poise.codecs.utils.refinement import (
    log_of_clipped,
    refine_keypoints_dark,
    refine_keypoints_dark_udp,
    refine_simcc_dark,
    simcc_overshoot,
)
from poise.errors import DataError

INPUT = (192, 256)
SIZES = {"input_size": INPUT, "heatmap_size": (48, 64)}
CODECS = [
    MSRAHeatmap(sigma=2, **SIZES),
    MSRAHeatmap(sigma=1.5, **SIZES),
    MSRAHeatmap(sigma=2, unbiased=True, **SIZES),
    UDPHeatmap(**SIZES),
    UDPHeatmap(heatmap_type="combined", **SIZES),
    MegviiHeatmap(kernel_size=11, **SIZES),
    IntegralRegressionLabel(sigma=2, **SIZES),
    RegressionLabel(INPUT),
    SimCCLabel(INPUT, sigma=(4.9, 5.66), normalize=False),
    SimCCLabel(INPUT, smoothing_type="standard", label_smooth_weight=0.1),
]


def hard_batch(rng, keypoints):
    """People (5, 1, K, 2) with keypoints on borders, far away, unknown, alike; (5, 1, K)."""
    places = rng.uniform(-30, 280, (5, 1, keypoints, 2)).astype(np.float32)
    places[1] = np.round(places[1])
    places[2, 0, 0] = np.nan
    places[2, 0, -1] = [1e9, -4]
    places[3] = places[3, :, :1]
    visible = rng.choice([0, 0.4, 0.5, 1, 2], (5, 1, keypoints)).astype(np.float32)
    return places, visible


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("keypoints", [1, 17])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_batch_is_encoded_like_its_samples(codec, keypoints, labelled, rng):
    places, visible = hard_batch(rng, keypoints)
    batch = codec.batch_encode(places, visible if labelled else None)
    for i, sample in enumerate(places):
        one = codec.encode(sample, visible[i] if labelled else None)
        assert list(one) == list(batch)
        for key, value in one.items():
            assert batch[key].dtype == value.dtype
            np.testing.assert_array_equal(batch[key][i], value, err_msg=key)


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: type(c).__name__)
def test_an_empty_batch_gives_empty_targets(codec):
    batch = codec.batch_encode(np.zeros((0, 1, 17, 2)), np.zeros((0, 1, 17)))
    assert all(len(value) == 0 for value in batch.values())


def test_a_codec_without_a_batch_form_encodes_one_by_one(rng):
    codec = SPR(INPUT, (48, 64))
    assert not codec.support_batch_encoding
    places = rng.uniform(20, 180, (2, 3, 17, 2))
    batch = codec.batch_encode(places)
    for i in range(2):
        for key, value in codec.encode(places[i]).items():
            np.testing.assert_array_equal(batch[key][i], value)


def test_a_subclass_that_overrides_encode_alone_is_not_encoded_by_batches():
    class Shifted(MSRAHeatmap):
        def encode(self, keypoints, keypoints_visible=None):
            return super().encode(keypoints + 1, keypoints_visible)

    assert MSRAHeatmap(sigma=2, **SIZES).support_batch_encoding
    assert not Shifted(sigma=2, **SIZES).support_batch_encoding


@pytest.mark.parametrize("codec", CODECS[:7], ids=lambda c: type(c).__name__)
def test_batches_of_several_people_per_sample_are_refused(codec):
    with pytest.raises(DataError, match=r"one person per sample.*got \(2, 3, 17, 2\)"):
        codec.batch_encode(np.zeros((2, 3, 17, 2)))


def test_people_on_one_map_are_the_maximum_of_each_alone(rng):
    places = rng.uniform(-4, 40, (6, 5, 2)).astype(np.float32)
    places[1] = places[0]
    visible = rng.integers(0, 2, (6, 5)).astype(np.float32)
    sigmas = rng.uniform(0.5, 5, 6)
    together, weights = generate_gaussian_heatmaps((36, 30), places, visible, sigmas)
    alone = [
        generate_gaussian_heatmaps((36, 30), *(a[n : n + 1] for a in (places, visible, sigmas)))
        for n in range(6)
    ]
    np.testing.assert_array_equal(together, np.max([maps for maps, _ in alone], axis=0))
    np.testing.assert_array_equal(weights, np.concatenate([w for _, w in alone]))


def test_the_mirrored_pixels_of_megvii_targets_come_from_the_filter():
    codec = MegviiHeatmap(input_size=(48, 64), heatmap_size=(48, 64), kernel_size=11)
    places = np.array([[[20, 30], [0, 0], [3, 40], [47, 63], [45, 2], [6, 6]]], np.float32)
    maps = codec.encode(places)["heatmaps"]
    pixels = np.zeros_like(maps)
    x, y = places[0].astype(int).T
    pixels[np.arange(6), y, x] = 1
    blurred = blur_maps(pixels, 11, mirror=True)
    peaks = blurred[np.arange(6), y, x]
    np.testing.assert_array_equal(maps, blurred / peaks[:, None, None] * 255)


def test_simcc_refinement_looks_at_the_bins_that_a_padded_vector_has(rng):
    simcc = rng.random((4, 5, 30)).astype(np.float32)
    simcc[0, 0] = 0
    places = simcc.argmax(axis=-1).astype(np.float32)
    places[0, 0], places[1, :2], places[2, :2] = -1, [0, 1], [29, 28]
    with np.errstate(all="ignore"):
        density = modulated_rows(simcc, 11)
        found = simcc_overshoot(places, density)
        logs = np.pad(log_of_clipped(density), ((0, 0), (0, 0), (2, 2)), mode="edge")
        for n, k in np.ndindex(4, 5):
            c = int(places[n, k] + 2.5)
            line = logs[n, k]
            slope = 0.5 * (line[c + 1] - line[c - 1])
            curvature = 1e-9 + 0.25 * (line[c + 2] - 2 * line[c] + line[c - 2])
            np.testing.assert_allclose(found[n, k], slope / curvature, rtol=1e-5)


def test_an_axis_of_people_is_kept(rng):
    x, y, z = (rng.random((2, 3, 5, n), dtype=np.float32) for n in (96, 128, 64))
    for codec, outputs in (
        (RegressionLabel(INPUT), (x[..., :4],)),
        (SimCCLabel((48, 64)), (x, y)),
        (SimCC3DLabel((48, 64, 32)), (x, y, z)),
    ):
        people = codec.batch_decode(*outputs)
        alone = codec.batch_decode(*(part[:, 1] for part in outputs))
        for ours, expected in zip(people, alone, strict=True):
            assert ours.shape[:3] == (2, 3, 5)
            np.testing.assert_array_equal(ours[:, 1:2], expected)


def test_simcc_visibility_is_read_from_what_the_refinement_left(rng):
    codec = SimCCLabel(
        (48, 64), sigma=6, normalize=False, use_dark=True, decode_visibility=True, decode_beta=0.1
    )
    vectors = [rng.random((2, 5, n), dtype=np.float32) for n in (96, 128)]
    places, peaks = get_simcc_maximum(*vectors)
    kernel, logs = 37, []
    for axis, simcc in enumerate(vectors):
        refine_simcc_dark(places[..., axis], simcc, kernel)
        blurred = gaussian_blur1d(simcc.copy(), kernel)
        np.testing.assert_allclose(blurred.max(-1), simcc.max(-1), rtol=1e-5)
        logs.append(np.log(np.clip(blurred, 1e-3, 50)))
    keypoints, (scores, visible) = codec.decode(*vectors)
    np.testing.assert_array_equal(keypoints, places / 2)
    np.testing.assert_array_equal(scores, peaks)
    _, expected = get_simcc_maximum(*(log * 0.1 * 6 for log in logs), apply_softmax=True)
    np.testing.assert_allclose(visible, expected, rtol=1e-4)


@pytest.mark.parametrize("refine", [refine_keypoints_dark, refine_keypoints_dark_udp])
def test_keypoints_that_are_a_view_are_refined_where_they_are(refine, rng):
    maps = rng.random((17, 64, 48), dtype=np.float32)
    places = get_heatmap_maximum(maps)[0][None]
    wide = np.zeros((1, 17, 4), np.float32)
    wide[..., ::2] = places
    refine(wide[..., ::2], maps, 11)
    np.testing.assert_array_equal(wide[..., ::2], refine(places, maps, 11))
    assert not wide[..., 1::2].any()
