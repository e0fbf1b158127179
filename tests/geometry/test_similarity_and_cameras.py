"""Alignment finds the transform that was applied; cameras go there and back."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from poise.errors import DataError
from poise.geometry import (
    SimpleCamera,
    align_by_scale,
    camera_to_pixel,
    compute_similarity_transform,
    pixel_to_camera,
)

RNG = np.random.default_rng(0)
ROTATION = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
ROTATION *= np.sign(np.linalg.det(ROTATION))
AHEAD = np.array([0.0, 0.0, 10.0])
POSES = RNG.normal(size=(4, 17, 3))


def test_alignment_undoes_rotation_scale_and_translation():
    moved = 2.5 * POSES @ ROTATION + [1.0, -2.0, 3.0]
    assert np.allclose(compute_similarity_transform(moved, POSES), POSES)
    assert np.allclose(compute_similarity_transform(moved[0], POSES[0]), POSES[0])


def test_alignment_never_mirrors():
    mirrored = POSES * [1, 1, -1]
    aligned = compute_similarity_transform(mirrored, POSES)
    assert not np.allclose(aligned, POSES, atol=0.1)
    for source, target, found in zip(mirrored, POSES, aligned, strict=True):
        source, middle = source - source.mean(axis=0), target.mean(axis=0)
        turned = Rotation.align_vectors(target - middle, source)[0].apply(source)
        scale = (turned * (target - middle)).sum() / (turned**2).sum()
        np.testing.assert_allclose(found, scale * turned + middle, atol=1e-6)


def test_alignment_of_a_point_lands_on_the_mean():
    point = np.ones((1, 17, 3), np.float32)
    aligned = compute_similarity_transform(point, POSES[:1].astype(np.float32))
    assert np.allclose(aligned, POSES[:1].mean(1, keepdims=True), atol=1e-5)
    assert aligned.dtype == np.float32


def test_poses_that_are_not_finite_do_not_take_the_others_with_them():
    broken = POSES.copy()
    broken[1, 3, 0] = np.nan
    aligned = compute_similarity_transform(broken, POSES)
    assert np.isnan(aligned[1]).all()
    assert np.allclose(aligned[[0, 2, 3]], POSES[[0, 2, 3]])


def test_alignment_by_scale_undoes_scale():
    assert np.allclose(align_by_scale(POSES * [[[3.0]], [[0.1]], [[1.0]], [[7.0]]], POSES), POSES)


def test_alignment_needs_equal_shapes():
    with pytest.raises(DataError, match="same shape"):
        compute_similarity_transform(POSES, POSES[:, :5])


def camera(**more):
    place = dict(R=ROTATION, T=[[0.1], [0.2], [0.3]])
    return SimpleCamera({**place, "f": [[1000.0], [1010.0]], "c": [[500.0], [400.0]], **more})


def test_world_to_camera_and_back():
    cam = camera()
    assert np.allclose(cam.camera_to_world(cam.world_to_camera(POSES)), POSES, atol=1e-5)


def test_projection_with_depth_can_be_undone():
    cam, poses = camera(), POSES + AHEAD
    pixels = np.concatenate((cam.camera_to_pixel(poses), poses[..., 2:]), axis=-1)
    assert np.allclose(cam.pixel_to_camera(pixels), poses, atol=1e-4)
    assert np.allclose(cam.world_to_pixel(poses), cam.camera_to_pixel(cam.world_to_camera(poses)))


def test_intrinsics_as_matrix_or_as_numbers_are_the_same():
    matrix = SimpleCamera(dict(R=ROTATION, T=np.zeros((3, 1)), K=[[1000, 0, 500], [0, 1010, 400]]))
    poses = POSES + AHEAD
    assert np.allclose(matrix.camera_to_pixel(poses), camera().camera_to_pixel(poses))


@pytest.mark.parametrize("radial", [3, 6])
def test_distortion_of_zero_changes_nothing(radial):
    poses = POSES + AHEAD
    bent = camera(k=np.zeros(radial), p=np.zeros(2)).camera_to_pixel(poses)
    assert np.allclose(bent, camera().camera_to_pixel(poses))
    strong = camera(k=np.full(radial, 0.5), p=[0.1, 0.2]).camera_to_pixel(poses)
    assert not np.allclose(strong, bent)


def test_pinhole_functions_undo_each_other():
    poses = POSES + AHEAD
    flat = camera_to_pixel(poses, 1000, 900, 5, 6)
    again = pixel_to_camera(np.concatenate((flat, poses[..., 2:]), -1), 1000, 900, 5, 6)
    assert np.allclose(again, poses)
    assert np.isfinite(camera_to_pixel(poses * [1, 1, 0], 1, 1, 0, 0, shift=True)).all()
    # whole numbers are not cut to whole numbers
    assert pixel_to_camera(np.array([[10, 11, 3]]), 2, 2, 1, 1).tolist() == [[13.5, 15, 3]]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (dict(R=np.eye(3), T=np.zeros((3, 1))), "intrinsic parameters are missing"),
        (dict(R=np.eye(3)), "'T' of shape"),
        (dict(R=np.eye(2), T=np.zeros((3, 1))), "'R' has the shape"),
        (
            dict(R=np.eye(3), T=np.zeros((3, 1)), K=np.ones((2, 3)), k=[1, 2], p=[1, 2]),
            "3 or 6 radial",
        ),
    ],
)
def test_wrong_cameras_are_explained(params, text):
    with pytest.raises(DataError, match=text):
        SimpleCamera(params)


def test_poses_must_be_three_dimensional():
    with pytest.raises(DataError, match=r"\(..., K, 3\)"):
        camera().world_to_camera(POSES[..., :2])


@pytest.mark.parametrize("distortion", [{}, {"k": 3}, {"k": 6}])
def test_the_camera_for_tensors_equals_the_one_for_arrays_and_passes_gradients(distortion):
    import torch

    from poise.registry import CAMERAS

    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    param = dict(R=turn, T=rng.normal(size=(3, 1)), f=[[1100.0], [1120.0]], c=[[500.0], [490.0]])
    if distortion:
        param |= dict(k=rng.normal(0, 0.1, distortion["k"]), p=rng.normal(0, 0.01, 2))
    ours = CAMERAS.build(dict(type="SimpleCamera", param=param))
    tensors = CAMERAS.build(dict(type="SimpleCameraTorch", param=param, device="cpu"))
    seen = rng.uniform(-1, 1, (4, 17, 3)) + np.array([0, 0, 5])
    world = ours.camera_to_world(seen)
    points = torch.tensor(world, requires_grad=True)
    pixels = tensors.world_to_pixel(points)
    np.testing.assert_allclose(pixels.detach(), ours.world_to_pixel(world), rtol=1e-5)
    np.testing.assert_allclose(
        tensors.camera_to_world(tensors.world_to_camera(points)).detach(), world, atol=1e-5
    )
    pixels.sum().backward()
    assert torch.isfinite(points.grad).all()
    with pytest.raises(DataError, match="tensors of the shape"):
        tensors.world_to_camera(world)
