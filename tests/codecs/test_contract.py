"""What holds for every codec."""

import subprocess
import sys

import numpy as np
import pytest

from poise.codecs import (
    SPR,
    AssociativeEmbedding,
    BaseKeypointCodec,
    DecoupledHeatmap,
    IntegralRegressionLabel,
    MegviiHeatmap,
    MoveNetLabel,
    MSRAHeatmap,
    RegressionLabel,
    SimCCLabel,
    UDPHeatmap,
    YOLOXPoseAnnotationProcessor,
)
from poise.codecs.arrays import is_device_tensor
from poise.errors import DataError
from poise.registry import KEYPOINT_CODECS
from poise.registry.tables.codecs import TABLE

SIZES = {"input_size": (192, 256), "heatmap_size": (48, 64)}
#: codec, key of what it decodes, largest error of a round trip in pixels of the input
ROUND_TRIPS = [
    (MSRAHeatmap(sigma=2, **SIZES), "heatmaps", 2.9),
    (MSRAHeatmap(sigma=2, unbiased=True, **SIZES), "heatmaps", 0.05),
    (MSRAHeatmap(sigma=3, unbiased=True, blur_kernel_size=17, **SIZES), "heatmaps", 0.4),
    (UDPHeatmap(sigma=2, **SIZES), "heatmaps", 2.0),
    (UDPHeatmap(heatmap_type="combined", **SIZES), "heatmaps", 1.5),
    (MegviiHeatmap(kernel_size=11, **SIZES), "heatmaps", 4.1),
    (RegressionLabel((192, 256)), "keypoint_labels", 1e-4),
    (IntegralRegressionLabel(sigma=2, **SIZES), "keypoint_labels", 1e-4),
]
HEATMAP_CODECS = [c for c, key, _ in ROUND_TRIPS if key == "heatmaps"]


def name(value):
    if not isinstance(value, BaseKeypointCodec):
        return ""
    return type(value).__name__ + ("-unbiased" if getattr(value, "unbiased", False) else "")


@pytest.mark.parametrize(("codec", "key", "error"), ROUND_TRIPS, ids=name)
def test_decode_inverts_encode(codec, key, error, person):
    decoded, scores = codec.decode(codec.encode(person)[key])
    assert decoded.shape == person.shape
    assert scores.shape == person.shape[:2]
    assert np.abs(decoded - person).max() < error


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=name)
@pytest.mark.parametrize("kind", ["array", "tensor", "half tensor"])
def test_batch_decode_equals_decode_sample_by_sample(codec, kind, rng, person):
    clean = codec.encode(person)["heatmaps"]
    batch = clean + rng.normal(size=(5, *clean.shape)) * 0.03 * clean.max()
    batch = batch.astype(np.float32)
    batch[1] -= 2 * batch.max()
    given = batch
    if kind != "array":
        torch = pytest.importorskip("torch")
        given = torch.from_numpy(batch)
        if kind == "half tensor":
            given = given.to(torch.bfloat16)
            batch = given.float().numpy()
    keypoints, scores = codec.batch_decode(given)
    assert keypoints.shape == (5, 1, 17, 2)
    for i in range(5):
        one, score = codec.decode(batch[i])
        np.testing.assert_allclose(keypoints[i], one, rtol=1e-5, atol=1e-3)
        # products of matrices round by their size
        np.testing.assert_allclose(scores[i], score, rtol=1e-6)


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=name)
def test_decode_does_not_change_its_input(codec, rng):
    channels = 51 if getattr(codec, "heatmap_type", "") == "combined" else 17
    heatmaps = rng.random((channels, 64, 48)).astype(np.float32)
    before = heatmaps.copy()
    codec.decode(heatmaps)
    np.testing.assert_array_equal(heatmaps, before)


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=name)
def test_invisible_and_far_keypoints_have_no_target(codec, person):
    visible = np.ones((1, 17), np.float32)
    visible[0, 3] = 0
    person[0, 5] = [-500, 90]
    person[0, 6] = np.nan
    encoded = codec.encode(person, visible)
    per_keypoint = encoded["heatmaps"].reshape(17, -1, 64, 48)
    assert not per_keypoint[3].any()
    assert encoded["keypoint_weights"][0, 3] == 0
    if getattr(codec, "heatmap_type", "") != "combined":
        assert not per_keypoint[[5, 6]].any()
        assert (encoded["keypoint_weights"][0, [3, 5]] == 0).all()
    assert (encoded["keypoint_weights"][0, 7:] == 1).all()


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=name)
def test_several_people_are_refused_with_a_hint(codec, person):
    with pytest.raises(DataError, match=r"only support single-instance.*got \(2, 17, 2\)"):
        codec.encode(np.repeat(person, 2, 0))


@pytest.mark.parametrize("codec", [c for c, *_ in ROUND_TRIPS], ids=name)
def test_batches_are_decodable(codec):
    assert codec.support_batch_decoding


def test_a_subclass_that_overrides_decode_alone_does_not_decode_batches():
    class Shifted(MSRAHeatmap):
        def decode(self, encoded):
            keypoints, scores = super().decode(encoded)
            return keypoints + 1, scores

    class Same(MSRAHeatmap):
        pass

    assert not Shifted(sigma=2, **SIZES).support_batch_decoding
    assert not DecoupledHeatmap(**SIZES).support_batch_decoding
    assert not YOLOXPoseAnnotationProcessor().support_batch_decoding
    assert Same(sigma=2, **SIZES).support_batch_decoding
    assert Same(sigma=2, **SIZES).support_batch_encoding


def test_numpy_reaches_what_is_on_the_cpu():
    torch = pytest.importorskip("torch")
    assert not is_device_tensor(torch.zeros(1))
    assert not is_device_tensor(np.zeros(1))
    assert is_device_tensor(torch.zeros(1, device="meta"))


def test_batch_decode_of_a_codec_without_it_says_what_to_do():
    with pytest.raises(NotImplementedError, match="call decode"):
        DecoupledHeatmap(**SIZES).batch_decode(np.zeros((1, 1, 8, 8)))


@pytest.mark.parametrize(
    "registered", [n for names in TABLE["mmpose"].values() for n in names.split()]
)
def test_every_registered_name_is_a_codec(registered):
    assert issubclass(KEYPOINT_CODECS.get(registered), BaseKeypointCodec)


def test_configs_with_lists_build_the_same_codec(person):
    cfg = {"type": "UDPHeatmap", "input_size": [192, 256], "heatmap_size": [48, 64], "sigma": 2}
    built = KEYPOINT_CODECS.build(cfg)
    direct = UDPHeatmap((192, 256), (48, 64), sigma=2)
    np.testing.assert_array_equal(
        built.encode(person)["heatmaps"], direct.encode(person)["heatmaps"]
    )


def test_simcc_batches_decode_like_samples(rng):
    codec = SimCCLabel((192, 256), sigma=(4.9, 5.66), normalize=False, decode_visibility=True)
    x, y = rng.random((4, 17, 384)), rng.random((4, 17, 512))
    keypoints, (scores, visibility) = codec.batch_decode(x, y)
    assert keypoints.shape == (4, 1, 17, 2)
    for i in range(4):
        one, (score, visible) = codec.decode(x[i], y[i])
        np.testing.assert_array_equal(keypoints[i], one)
        np.testing.assert_array_equal(scores[i], score)
        np.testing.assert_array_equal(visibility[i], visible)


def test_codecs_work_where_torch_is_missing():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, poise.codecs, poise.codecs.utils as u\n"
        "[getattr(poise.codecs, n) for n in poise.codecs.__all__ if n not in ('MoveNetLabel',)]\n"
        "[getattr(u, n) for n in u.__all__]\n"
        "c = poise.codecs.UDPHeatmap((192, 256), (48, 64))\n"
        "k = np.random.rand(1, 17, 2) * 180\n"
        "c.batch_decode(c.encode(k)['heatmaps'][None])\n"
        "s = poise.codecs.SPR((64, 64), (64, 64))\n"
        "e = s.encode(k / 3); s.decode(e['heatmaps'], e['displacements'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=name)
def test_the_path_for_gpus_gives_the_same(codec, rng, person, monkeypatch):
    """CPU tensors are made to look as if numpy could not reach them."""
    torch = pytest.importorskip("torch")
    from poise.codecs import msra_heatmap, udp_heatmap
    from poise.codecs.utils import refinement

    clean = codec.encode(person)["heatmaps"]
    batch = np.stack([clean, rng.normal(size=clean.shape).astype(np.float32), 0 * clean - 1])
    expected = codec.batch_decode(batch)
    for module in (msra_heatmap, udp_heatmap, refinement):
        monkeypatch.setattr(
            module, "is_device_tensor", lambda value: isinstance(value, torch.Tensor)
        )
    decoded = codec.batch_decode(torch.from_numpy(batch))
    for ours, theirs in zip(decoded, expected, strict=True):
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-3)


def test_the_path_for_gpus_gives_the_same_simcc(rng, monkeypatch):
    torch = pytest.importorskip("torch")
    from poise.codecs import simcc_label

    codec = SimCCLabel((192, 256), sigma=6, normalize=False, decode_visibility=True)
    x, y = (rng.random((3, 17, n)).astype(np.float32) for n in (384, 512))
    keypoints, (scores, visibility) = codec.batch_decode(x, y)
    monkeypatch.setattr(simcc_label, "is_device_tensor", lambda v: isinstance(v, torch.Tensor))
    ours = codec.batch_decode(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_array_equal(ours[0], keypoints)
    np.testing.assert_array_equal(ours[1][0], scores)
    np.testing.assert_allclose(ours[1][1], visibility, rtol=1e-4)


SMALL = {"input_size": (48, 64), "heatmap_size": (12, 16)}
PLANE_CODECS = [
    *(codec for codec, _, _ in ROUND_TRIPS),
    SimCCLabel((48, 64)),
    SPR(**SMALL),
    AssociativeEmbedding(**SMALL),
    DecoupledHeatmap(**SMALL),
    MoveNetLabel((48, 64)),
]


@pytest.mark.parametrize("codec", PLANE_CODECS, ids=name)
def test_shapes_that_do_not_fit_are_explained(codec):
    with pytest.raises(DataError, match=r"keypoints_visible \(1, 5\) do not fit keypoints"):
        codec.encode(np.ones((1, 3, 2)), np.ones((1, 5)))
    with pytest.raises(DataError, match=r"expected keypoints \(N, K, 2\), got \(1, 3, 3\)"):
        codec.encode(np.ones((1, 3, 3)))


@pytest.mark.parametrize("codec", HEATMAP_CODECS, ids=name)
def test_a_batch_of_maps_has_four_axes(codec):
    with pytest.raises(DataError, match=r"takes heatmaps \(B, C, H, W\), got \(3, 16, 12\)"):
        codec.batch_decode(np.zeros((3, 16, 12), np.float32))


def test_batches_of_none_and_vectors_that_do_not_fit_are_explained():
    with pytest.raises(DataError, match=r"SPR.batch_encode got no sample"):
        SPR(**SMALL).batch_encode(np.zeros((0, 1, 3, 2)))
    codec = SimCCLabel((48, 64))
    x, y = np.zeros((2, 3, 96)), np.zeros((2, 4, 128))
    for call in (codec.batch_decode, codec.batch_decode_covariance):
        with pytest.raises(DataError, match=r"alike but for W, got \(2, 3, 96\) and \(2, 4, 128"):
            call(x, y)
        with pytest.raises(DataError, match=r"\(96,\) and \(128,\)"):
            call(x[0, 0], y[0, 0])
    grouped = AssociativeEmbedding(decode_keypoint_order=[0, 1, 2], **SMALL)
    maps = np.zeros((0, 3, 16, 12), np.float32)
    assert grouped.batch_decode(maps, maps) == ([], [], [])
    with pytest.raises(DataError, match="there are tags of each keypoint"):
        grouped.batch_decode(np.zeros((1, 3, 16, 12)), np.zeros((1, 4, 16, 12)))


def test_keypoints_that_are_not_there_leave_no_nan_in_targets(rng):
    keypoints = rng.uniform(5, 40, (1, 3, 2))
    keypoints[0, 1] = np.nan
    targets = MoveNetLabel((48, 64)).encode(keypoints, np.array([[1, 0, 1.0]]))
    assert all(np.isfinite(maps).all() for maps in targets.values())
    with pytest.raises(DataError, match="MoveNetLabel encodes one person"):
        MoveNetLabel((48, 64)).encode(np.zeros((2, 3, 2)))


def test_a_person_of_one_keypoint_has_no_size_and_still_a_target():
    found = DecoupledHeatmap(**SMALL).encode(np.array([[[20.0, 20.0]]]))
    assert np.isfinite(found["instance_heatmaps"]).all()
    assert found["instance_heatmaps"].max() == 1
    whole = DecoupledHeatmap(**SMALL).encode(np.array([[[20, 20], [30, 44]]]))
    assert np.isfinite(whole["instance_heatmaps"]).all()
