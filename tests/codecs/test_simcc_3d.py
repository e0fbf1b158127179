"""SimCC with depth as the third axis."""

import numpy as np
import pytest

from poise.codecs import SimCC3DLabel, SimCCLabel
from poise.errors import DataError
from poise.registry import KEYPOINT_CODECS
from poise.transforms import Compose

SIZE = (192, 256, 192)


@pytest.fixture
def in_camera(rng):
    """(1, 17, 3) float32, metres, about five metres away."""
    points = rng.uniform(-1, 1, (1, 17, 3)).astype(np.float32)
    points[..., 2] += 5
    return points


@pytest.fixture
def codec():
    return SimCC3DLabel(SIZE, sigma=(4.9, 5.66, 4.9), normalize=False, root_index=(11, 12))


def axes(encoded):
    return [encoded[f"keypoint_{axis}_labels"] for axis in "xyz"]


@pytest.mark.parametrize("use_dark", [False, True])
def test_decode_inverts_encode(person, in_camera, use_dark):
    codec = SimCC3DLabel(SIZE, sigma=5, use_dark=use_dark, normalize=False, root_index=11)
    encoded = codec.encode(person, in_camera)
    keypoints, bins, scores = codec.decode(*axes(encoded))
    assert np.abs(keypoints[..., :2] - person).max() <= 0.26
    depth = keypoints[..., 2] + encoded["root_z"][:, None]
    assert np.abs(depth - in_camera[..., 2]).max() <= 0.26 / 96 * codec.z_range
    np.testing.assert_array_equal(bins[..., :2], keypoints[..., :2])
    assert scores.shape == (1, 17)
    assert (scores > 0).all()


def test_the_first_two_axes_are_those_of_simcc(codec, person, in_camera):
    flat = SimCCLabel(SIZE[:2], sigma=(4.9, 5.66), normalize=False).encode(person)
    for encoded in (codec.encode(person), codec.encode(person, in_camera)):
        for key in ("keypoint_x_labels", "keypoint_y_labels", "keypoint_weights"):
            np.testing.assert_array_equal(encoded[key], flat[key])


def test_depth_is_counted_from_the_mean_of_the_roots(codec, person, in_camera):
    before = in_camera.copy()
    encoded = codec.encode(person, in_camera)
    np.testing.assert_allclose(encoded["root_z"], in_camera[:, 11:13, 2].mean(1))
    np.testing.assert_array_equal(in_camera, before)
    np.testing.assert_array_equal(encoded["lifting_target"], before)
    as_list = SimCC3DLabel(SIZE, root_index=[11, 12]).encode(person, in_camera)
    np.testing.assert_array_equal(as_list["root_z"], encoded["root_z"])


def test_several_people_have_a_root_each(codec, person, in_camera):
    people = codec.encode(
        np.repeat(person, 3, 0), np.concatenate([in_camera + i for i in range(3)])
    )
    alone = codec.encode(person, in_camera)
    assert people["root_z"].shape == (3,)
    for shared, single in zip(axes(people), axes(alone), strict=True):
        np.testing.assert_array_equal(shared, np.repeat(single, 3, 0))


def test_without_depth_only_the_weight_of_z_is_zero(codec, person):
    encoded = codec.encode(person)
    assert encoded["with_z_label"] == [False]
    assert not encoded["weight_z"].any()
    assert (encoded["keypoint_weights"] == 1).all()
    assert encoded["root_z"] == [5.14388]


def test_far_and_unlabelled_keypoints_have_no_target(codec, person, in_camera):
    visible = np.ones((1, 17), np.float32)
    visible[0, 0] = 0
    person[0, 1] = [-300, 20]
    in_camera[0, 2, 2] = 60
    encoded = codec.encode(person, in_camera, visible)
    assert encoded["keypoint_weights"][0].tolist() == [0.0] * 3 + [1.0] * 14
    assert not any(axis[0, :3].any() for axis in axes(encoded))


@pytest.mark.parametrize("kind", ["array", "tensor", "half tensor"])
@pytest.mark.parametrize("use_dark", [False, True])
def test_batch_decode_equals_decode_sample_by_sample(rng, kind, use_dark):
    codec = SimCC3DLabel(SIZE, sigma=5, normalize=False, use_dark=use_dark)
    batch = [rng.random((4, 17, n * 2)).astype(np.float32) for n in SIZE]
    batch[0][1] -= 2
    given = batch
    if kind != "array":
        torch = pytest.importorskip("torch")
        given = [torch.from_numpy(axis) for axis in batch]
        if kind == "half tensor":
            given = [axis.to(torch.bfloat16) for axis in given]
            batch = [axis.float().numpy() for axis in given]
    assert codec.support_batch_decoding
    decoded = codec.batch_decode(*given)
    assert [part.shape for part in decoded] == [(4, 1, 17, 3), (4, 1, 17, 3), (4, 1, 17)]
    for i in range(4):
        for many, one in zip(decoded, codec.decode(*(axis[i] for axis in batch)), strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-5)


def test_2d_and_3d_keypoints_of_different_numbers_are_refused(codec, person, in_camera):
    with pytest.raises(DataError, match=r"keypoints_3d \(1, 16, 3\); expected \(1, 17, 3\)"):
        codec.encode(person, in_camera[:, :16])


@pytest.mark.parametrize("annotated", ["3d", "2d", "nothing"])
def test_it_works_in_a_pipeline(person, in_camera, annotated):
    encoder = {"type": "SimCC3DLabel", "input_size": list(SIZE), "root_index": [11, 12]}
    assert isinstance(KEYPOINT_CODECS.build(dict(encoder)), SimCC3DLabel)
    steps = [
        {"type": "TopdownAffine", "input_size": SIZE[:2]},
        {"type": "GenerateTarget", "encoder": encoder},
        {"type": "PackPoseInputs"},
    ]
    results = {
        "img": np.zeros((256, 192, 3), np.uint8),
        "bbox_center": np.array([[96.0, 128.0]]),
        "bbox_scale": np.array([[192.0, 256.0]]),
        "bbox": np.array([[0.0, 0, 192, 256]]),
        "bbox_score": np.ones(1),
        "dataset_keypoint_weights": np.ones(17),
    }
    if annotated != "nothing":
        results |= {"keypoints": person, "keypoints_visible": np.ones((1, 17), np.float32)}
    if annotated == "3d":
        results["keypoints_3d"] = in_camera
    sample = Compose(steps)(results)["data_samples"]
    assert bool(sample.gt_instance_labels.with_z_label[0]) == (annotated == "3d")
    assert len(sample.gt_instances.root_z) == 1
