"""What codecs say about how unsure a keypoint is."""

import numpy as np
import pytest

from poise.codecs import (
    DecoupledHeatmap,
    IntegralRegressionLabel,
    MegviiHeatmap,
    MoveNetLabel,
    MSRAHeatmap,
    RegressionLabel,
    SimCC3DLabel,
    SimCCLabel,
    UDPHeatmap,
)
from poise.errors import ConfigError
from poise.registry import KEYPOINT_CODECS
from poise.registry.tables.codecs import TABLE

INPUT, OUTPUT = (192, 256), (48, 64)
SIZES = {"input_size": INPUT, "heatmap_size": OUTPUT}
#: codec, sigma of its labels in pixels of the output, pixels of the input in one of them
HEATMAPS = [
    (MSRAHeatmap(sigma=2, **SIZES), 2.0, np.array([4.0, 4.0])),
    (MSRAHeatmap(sigma=3, unbiased=True, blur_kernel_size=17, **SIZES), 3.0, np.array([4.0, 4.0])),
    (UDPHeatmap(sigma=2, **SIZES), 2.0, np.array([192 / 47, 256 / 63])),
    (MegviiHeatmap(kernel_size=11, **SIZES), 2.0, np.array([4.0, 4.0])),
]


def turned(across, along, degrees):
    """Covariance (2, 2) with these deviations along axes that are turned."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([across**2, along**2]) @ turn.T


def bell(center, covariance, size=OUTPUT):
    """(H, W) a gaussian with a peak of 1, output space."""
    y, x = np.mgrid[: size[1], : size[0]]
    off = np.stack((x, y), -1) - center
    return np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", off, np.linalg.inv(covariance), off))


def name(value):
    return type(value).__name__ if hasattr(value, "encode") else ""


@pytest.mark.parametrize(("codec", "sigma", "factors"), HEATMAPS, ids=name)
@pytest.mark.parametrize("center", [(20.3, 30.6), (0.2, 63.4), (47.0, 12.5)])
@pytest.mark.parametrize("own", [turned(1, 1, 0), turned(3, 1, 0), turned(4, 1.5, 35)])
def test_a_gaussian_smeared_by_a_known_covariance_tells_it(codec, sigma, factors, center, own):
    heatmap = 0.4 * bell(center, own + sigma**2 * np.eye(2))
    found = codec.decode_covariance(heatmap[None].astype(np.float32))
    assert found.shape == (1, 1, 2, 2)
    assert found.dtype == np.float32
    wanted = own * np.outer(factors, factors)
    # what rounding to pixels adds where the peak is hardly wider than the label's
    np.testing.assert_allclose(found[0, 0], wanted, rtol=0.01, atol=0.02 * factors.prod())


@pytest.mark.parametrize(("codec", "sigma", "factors"), HEATMAPS, ids=name)
def test_labels_themselves_are_sure(codec, sigma, factors, person):
    found = codec.decode_covariance(codec.encode(person)["heatmaps"])
    deviations = np.sqrt(found[0, :, [0, 1], [0, 1]]) / factors.mean()
    assert (deviations > 0).all()
    assert deviations.max() < 0.6


@pytest.mark.parametrize(("codec", "sigma", "factors"), HEATMAPS, ids=name)
def test_wider_peaks_are_less_sure_also_where_they_are_narrower_than_labels(codec, sigma, factors):
    widths = sigma * np.array([0.6, 0.8, 1.0, 1.2, 2.0])
    maps = np.stack([bell((24, 32), w**2 * np.eye(2)) for w in widths])
    found = codec.decode_covariance(maps.astype(np.float32))[0]
    assert (np.diff(found[:, 0, 0]) > 0).all()
    assert (found[:, 0, 0] > 0).all()


@pytest.mark.parametrize(("codec", "sigma", "factors"), HEATMAPS, ids=name)
def test_maps_that_say_little(codec, sigma, factors):
    nothing, broken = np.zeros(OUTPUT[::-1]), np.full(OUTPUT[::-1], np.nan)
    flat, spot = np.full(OUTPUT[::-1], 0.3), np.zeros(OUTPUT[::-1])
    spot[32, 24] = 1
    maps = np.stack([nothing, -flat, broken, flat, spot]).astype(np.float32)
    found = codec.decode_covariance(maps)[0]
    assert np.isnan(found[:3]).all()
    # a flat map: somewhere on it
    anywhere = (48**2 + 64**2) / 24
    np.testing.assert_allclose(found[3, [0, 1], [0, 1]] / factors**2, anywhere, rtol=0.05)
    # a single pixel: within it
    assert (np.sqrt(found[4, [0, 1], [0, 1]]) < factors).all()
    assert (np.linalg.eigvalsh(found[3:]) > 0).all()


@pytest.mark.parametrize(("codec", "sigma", "factors"), HEATMAPS, ids=name)
@pytest.mark.parametrize("kind", ["array", "tensor", "half tensor"])
def test_a_batch_says_what_its_samples_say(codec, sigma, factors, kind, rng):
    batch = np.stack(
        [
            np.stack(
                [bell(rng.uniform(8, 40, 2), turned(*rng.uniform(1, 4, 2), 30)) for _ in "abc"]
            )
            for _ in range(4)
        ]
    )
    batch = (batch + rng.normal(size=batch.shape) * 0.02).astype(np.float32)
    given = batch
    if kind != "array":
        torch = pytest.importorskip("torch")
        given = torch.from_numpy(batch)
        if kind == "half tensor":
            given = given.bfloat16()
            batch = given.float().numpy()
    found = codec.batch_decode_covariance(given)
    assert found.shape == (4, 1, 3, 2, 2)
    for one, sample in zip(found, batch, strict=True):
        np.testing.assert_allclose(one, codec.decode_covariance(sample), rtol=1e-4)


@pytest.mark.parametrize(("codec", "sigma", "factors"), HEATMAPS, ids=name)
@pytest.mark.parametrize("spread", [turned(6, 6, 0), turned(16, 7, 30)])
def test_the_mean_label_of_places_tells_how_they_were_drawn(codec, sigma, factors, spread, rng):
    """What a network that is trained by squared error gives where it cannot know the place."""
    places = rng.multivariate_normal([90, 120], spread, 3000).reshape(-1, 1, 1, 2)
    labels = codec.batch_encode(places.astype(np.float32))["heatmaps"]
    found = codec.decode_covariance(labels.mean(0))[0, 0]
    # places that labels round to whole pixels of the output, and 3000 that are not all
    scale = np.sqrt(np.diag(spread))
    assert (np.abs(found - spread) / np.outer(scale, scale)).max() < 0.25


def smeared(label, deviation):
    """Mean of labels (W,) moved by a normal deviation in bins."""
    reach = int(5 * deviation) + 1
    moves = np.arange(-reach, reach + 1)
    shares = np.exp(-(moves**2) / (2 * deviation**2)) if deviation else (moves == 0) * 1.0
    return sum(s * np.roll(label, m) for s, m in zip(shares / shares.sum(), moves, strict=True))


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


@pytest.mark.parametrize("deviation", [0.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("beta", [10.0, 1.0])
def test_simcc_as_rtmpose_learns_it(deviation, beta):
    codec = SimCCLabel(INPUT, sigma=(4.9, 5.66), normalize=False)
    encoded = codec.encode(np.array([[[90.0, 130.0]]], np.float32))
    # the loss wants softmax(beta y) to be the mean of softmax(10 label)
    x, y = (
        np.log(smeared(softmax(10 * encoded[f"keypoint_{axis}_labels"][0, 0]), deviation)) / beta
        for axis in "xy"
    )
    # peaks above 0, as those of networks; a constant changes no softmax
    x, y = ((v - v.min()).astype(np.float32)[None] for v in (x, y))
    found = codec.decode_covariance(x, y, beta=beta)
    assert found.shape == (1, 1, 2, 2)
    assert found[0, 0, 0, 1] == 0
    np.testing.assert_allclose(np.sqrt(np.diag(found[0, 0])) * 2, deviation, rtol=0.1, atol=0.4)


@pytest.mark.parametrize("deviation", [0.0, 3.0, 9.0])
def test_simcc_of_normalised_labels(deviation):
    codec = SimCCLabel(INPUT, sigma=6.0, simcc_split_ratio=2.0)
    bins = np.arange(384)
    x = (20 - (bins - 180.0) ** 2 / (2 * (36 + deviation**2))).astype(np.float32)
    y = (20 - (np.arange(512) - 3.0) ** 2 / (2 * (36 + 4 * deviation**2))).astype(np.float32)
    found = codec.decode_covariance(x[None], y[None])[0, 0]
    np.testing.assert_allclose(np.sqrt(found[0, 0]) * 2, deviation, rtol=0.01, atol=0.3)
    np.testing.assert_allclose(np.sqrt(found[1, 1]) * 2, 2 * deviation, rtol=0.01, atol=0.3)


def test_simcc_vectors_that_say_little():
    codec = SimCCLabel(INPUT, sigma=6.0, normalize=False)
    x, y = np.zeros((4, 384), np.float32), np.ones((4, 512), np.float32)
    x[1], x[2], x[3, 100] = np.nan, 0.5, 1
    found = codec.decode_covariance(x, y)[0]
    assert np.isnan(found[:2]).all()
    # flat: somewhere along the axis, so the variance of an even distribution
    np.testing.assert_allclose(found[2, [0, 1], [0, 1]], [192**2 / 12, 256**2 / 12], rtol=0.01)
    assert 0 < found[3, 0, 0] < 1


def test_simcc_batches_and_people():
    rng = np.random.default_rng(1)
    codec = SimCCLabel(INPUT, sigma=(4.9, 5.66), normalize=False)
    x, y = rng.random((3, 2, 5, 384), np.float32), rng.random((3, 2, 5, 512), np.float32)
    found = codec.batch_decode_covariance(x, y)
    assert found.shape == (3, 2, 5, 2, 2)
    flat = codec.batch_decode_covariance(x[:, 0], y[:, 0])
    np.testing.assert_array_equal(flat[:, 0], found[:, 0])
    torch = pytest.importorskip("torch")
    tensors = codec.batch_decode_covariance(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_array_equal(tensors, found)
    in_space = SimCC3DLabel((192, 256, 288), sigma=(4.9, 5.66, 6.0), normalize=False)
    z = rng.random((3, 2, 5, 576), np.float32)
    np.testing.assert_array_equal(in_space.batch_decode_covariance(x, y, z), found)


def test_rle_predicts_the_scales_of_laplacians():
    encoded = np.array([[[[0.5, 0.5, 0.01, 0.02], [0.5, 0.5, np.nan, 0.02]]]], np.float32)
    found = RegressionLabel(INPUT).batch_decode_covariance(encoded)
    wanted = 2 * np.array([1.92, 5.12]) ** 2
    np.testing.assert_allclose(found[0, 0, 0], np.diag(wanted), rtol=1e-5)
    assert np.isnan(found[0, 0, 1]).all()
    np.testing.assert_array_equal(
        RegressionLabel(INPUT).batch_decode_covariance(encoded[:, 0]), found
    )


def test_integral_regression_has_the_moments_of_its_maps():
    own = turned(4, 2, 25)
    maps = bell((24, 32), own)[None, None]
    empty = np.zeros_like(maps)
    codec = IntegralRegressionLabel(sigma=2, **SIZES)
    found = codec.batch_decode_covariance(
        np.full((1, 2, 2), 0.5), np.concatenate((maps / maps.sum(), empty), 1)
    )
    assert found.shape == (1, 1, 2, 2, 2)
    np.testing.assert_allclose(found[0, 0, 0], own * 16, rtol=1e-3)
    assert np.isnan(found[0, 0, 1]).all()


def test_movenet_takes_the_peak_that_it_decodes():
    own = turned(2.5, 1.2, 60)
    codec = MoveNetLabel((256, 256))
    right, wrong = bell((30, 30), own, (64, 64)), bell((5, 60), 9 * own, (64, 64))
    centers, regressions = np.zeros((1, 64, 64)), np.zeros((2, 64, 64))
    centers[0, 31, 31] = 1
    found = codec.decode_covariance(
        (0.8 * right + wrong)[None], centers, regressions, np.zeros((2, 64, 64))
    )
    np.testing.assert_allclose(found[0, 0], own * 16, rtol=0.01)


@pytest.mark.parametrize(
    "codec",
    [
        RegressionLabel(INPUT),
        IntegralRegressionLabel(sigma=2, **SIZES),
    ],
    ids=name,
)
def test_coordinates_alone_do_not_tell(codec):
    with pytest.raises(ConfigError, match=r"no covariances of coordinates alone.*\(1, 17, 2\)"):
        codec.batch_decode_covariance(np.zeros((1, 17, 2)))


def test_disks_do_not_tell():
    codec = UDPHeatmap(heatmap_type="combined", **SIZES)
    assert not codec.support_covariances
    with pytest.raises(ConfigError, match="disks of a fixed radius"):
        codec.decode_covariance(np.zeros((51, 64, 48)))


def test_other_codecs_say_which_ones_do():
    have = set()
    for registered in [n for names in TABLE["mmpose"].values() for n in names.split()]:
        cls = KEYPOINT_CODECS.get(registered)
        if cls.batch_decode_covariance is not KEYPOINT_CODECS.get("SPR").batch_decode_covariance:
            have.add(registered)
    assert have == {
        "MSRAHeatmap",
        "UDPHeatmap",
        "MegviiHeatmap",
        "SimCCLabel",
        "SimCC3DLabel",
        "RegressionLabel",
        "IntegralRegressionLabel",
    }
    spr = KEYPOINT_CODECS.build({"type": "SPR", "input_size": (64, 64), "heatmap_size": (16, 16)})
    assert not spr.support_covariances
    with pytest.raises(ConfigError, match="SPR has no covariances.*MSRAHeatmap"):
        spr.decode_covariance(np.zeros((1, 16, 16)))


def test_a_subclass_that_overrides_decoding_alone_has_none_of_its_own():
    class Shifted(MSRAHeatmap):
        def decode(self, encoded):
            keypoints, scores = super().decode(encoded)
            return keypoints + 1, scores

    assert MSRAHeatmap(sigma=2, **SIZES).support_covariances
    assert not Shifted(sigma=2, **SIZES).support_covariances


def test_peoples_own_maps_tell_person_by_person():
    codec = DecoupledHeatmap(INPUT, OUTPUT)
    own = [turned(3, 1, 20), turned(2, 2, 0), turned(1, 4, 0)]
    blank = np.zeros(OUTPUT[::-1])
    maps = np.stack([[bell((20 + 3 * i, 30), c), blank] for i, c in enumerate(own)])
    found = codec.decode_covariance(maps)
    assert found.shape == (3, 2, 2, 2)
    np.testing.assert_allclose(found[:, 0], np.array(own) * 16, rtol=1e-3, atol=1e-2)
    assert np.isnan(found[:, 1]).all()
    assert codec.decode_covariance(maps[:0]).shape == (0, 2, 2, 2)


@pytest.mark.parametrize(
    ("codec", "shapes"),
    [
        (MSRAHeatmap((192, 256), (48, 64), 2.0), [(64, 48)]),
        (SimCCLabel((192, 256)), [(384,), (512,)]),
    ],
)
def test_nobody_has_no_covariances(codec, shapes):
    nobody = [np.zeros((0, 5, *shape), np.float32) for shape in shapes]
    assert codec.batch_decode_covariance(*nobody).shape == (0, 1, 5, 2, 2)
