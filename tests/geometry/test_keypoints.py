"""Flips swap left and right and go back; keypoints outside of the picture turn invisible."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry import flip_keypoints, flip_keypoints_custom_center, keypoint_clip_border

SWAP = [0, 2, 1, 4, 3]
SIZE = (64, 48)


@pytest.fixture
def pose():
    rng = np.random.default_rng(1)
    return rng.uniform(0, 40, (3, 5, 2)).astype(np.float32), rng.random((3, 5)).astype(np.float32)


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
@pytest.mark.parametrize("axes", [0, 1])
def test_flipping_twice_gives_the_pose_back(pose, direction, axes):
    keypoints, visible = pose
    visible = visible[..., None].repeat(2, -1) if axes else visible
    once = flip_keypoints(keypoints, visible, SIZE, SWAP, direction)
    twice = flip_keypoints(*once, SIZE, SWAP, direction)
    assert np.allclose(twice[0], keypoints, atol=1e-5)
    assert (twice[1] == visible).all()
    assert once[0].dtype == keypoints.dtype


def test_a_mirror_swaps_sides_and_a_half_turn_does_not(pose):
    keypoints, visible = pose
    mirrored, seen = flip_keypoints(keypoints, visible, SIZE, SWAP)
    assert np.allclose(mirrored[:, 1, 0], 63 - keypoints[:, 2, 0])
    assert (seen[:, 1] == visible[:, 2]).all()
    turned, seen = flip_keypoints(keypoints, visible, SIZE, SWAP, "diagonal")
    assert np.allclose(turned, [63, 47] - keypoints)
    assert (seen == visible).all()


def test_visibility_may_be_unknown(pose):
    flipped, visible = flip_keypoints(pose[0], None, SIZE, SWAP)
    assert visible is None
    assert flipped.shape == (3, 5, 2)


def test_depth_stays(pose):
    deep = np.concatenate((pose[0], np.ones((3, 5, 1))), axis=-1)
    assert (flip_keypoints(deep, None, SIZE, SWAP, "diagonal")[0][..., 2] == 1).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(center_mode="root", center_index=[0, 1]),
        dict(center_mode="root", center_index=np.int64(2)),
    ],
)
def test_lifted_poses_flip_about_their_own_centre(options):
    poses = np.random.default_rng(0).normal(size=(4, 5, 3))
    visible = np.arange(20.0).reshape(4, 5)
    flipped, seen = flip_keypoints_custom_center(poses, visible, SWAP, **options)
    roots = np.atleast_1d(options.get("center_index", 0))
    line = poses[:, roots, 0].mean(1) if options else 0.5
    assert np.allclose(flipped[:, 0, 0], 2 * line - poses[:, 0, 0])
    assert (flipped[..., 1:] == poses[:, SWAP, 1:]).all()
    assert (seen == visible[:, SWAP]).all()


@pytest.mark.parametrize("channels", [None, 2])
def test_keypoints_outside_turn_invisible_in_place(channels):
    keypoints = np.array([[[-1.0, 5, 1], [64, 48, 99], [64.5, 5, 1], [5, 60, 1], [0, 0, -9]]])
    visible = np.ones((1, 5) if channels is None else (1, 5, channels))
    keypoint_clip_border(keypoints, visible, SIZE)
    first = visible if channels is None else visible[..., 0]
    assert first.tolist() == [[0, 1, 0, 0, 1]]
    assert channels is None or visible[..., 1].all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda k, v: flip_keypoints(k, v, SIZE, SWAP, "left"), "flip direction must be one of"),
        (lambda k, v: flip_keypoints(k, v[:, :2], SIZE, SWAP), "must begin with the shape"),
        (lambda k, v: flip_keypoints_custom_center(k[0, 0], v, SWAP), r"\(..., K, D\)"),
        (lambda k, v: flip_keypoints_custom_center(k, v, SWAP, "mid"), "'static', 'root'"),
        (lambda k, v: flip_keypoints_custom_center(k, v, SWAP[:3]), "3 entries.*reshape_keypoints"),
        (
            lambda k, v: flip_keypoints_custom_center(k, v, SWAP, "root", center_index=9),
            "center_index 9 is not among the 5",
        ),
    ],
)
def test_wrong_arguments_are_explained(pose, call, text):
    with pytest.raises(DataError, match=text):
        call(*pose)
