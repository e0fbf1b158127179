"""Likeness and camera shift of people, where each case is worked out by hand."""

import time

import numpy as np
import pytest

from poise.inference.tracking.association import assign, camera_shift, likeness, surprise
from poise.inference.tracking.people import people_of

POSE = np.array([[10.0, 20], [30, 20], [20, 60]])
SIGMAS = np.array([0.1, 0.2, 0.4])


def people(*shifts, scores=1.0, boxes=None):
    poses = POSE + np.array(shifts, float)[:, None]
    return people_of(poses, np.full((len(shifts), 3), scores), boxes)


def test_likeness_is_the_mean_of_oks_and_overlap():
    found, known = people((0, 0), (4, 3)), people((0, 0))
    # the box around the keypoints is 20 wide and 40 high; the other one overlaps it by 16 x 37
    oks = np.exp(-25 / (8 * SIGMAS**2 * 800)).mean()
    overlap = 16 * 37 / (2 * 800 - 16 * 37)
    expected = [[1], [(oks + overlap) / 2]]
    np.testing.assert_allclose(likeness(found, known, SIGMAS), expected)


def test_keypoints_that_are_unsure_on_one_side_do_not_count():
    known = people((0, 0))
    scores = np.array([[1.0, 0, 1]])
    moved = POSE.copy()
    moved[1] += 500
    found = people_of(moved[None], scores, known.boxes)
    np.testing.assert_allclose(likeness(found, known, SIGMAS), [[1]])
    nobody = people((0, 0), scores=0.0, boxes=[[0, 20, 20, 60]])
    np.testing.assert_allclose(likeness(nobody, known, SIGMAS), [[1 / 3]])


def test_poses_in_space_are_alike_by_their_keypoints_alone():
    pose = np.concatenate([POSE, np.zeros((3, 1))], axis=-1)
    known = people_of(pose[None], np.ones((1, 3)))
    found = people_of(pose[None] + [0, 0, 2], np.ones((1, 3)))
    oks = np.exp(-4 / (8 * SIGMAS**2 * known.areas[0])).mean()
    np.testing.assert_allclose(likeness(found, known, SIGMAS), [[oks]])


def test_surprise_counts_deviations_and_growth():
    found = people((3, 4))
    expected, sizes = found.centers - [3, 4], found.sizes
    variance = np.array([[9.0, 4]])
    np.testing.assert_allclose(surprise(found, expected, variance, sizes), [[np.sqrt(5)]])
    grown = surprise(found, expected, variance, sizes * np.exp(0.25))
    np.testing.assert_allclose(grown, [[np.sqrt(5) + 2]])
    assert np.isinf(surprise(found, expected, variance, sizes * 2)).all()


def test_only_pairs_above_the_least_are_assigned():
    gain = np.array([[0.9, 0.8], [0.85, 0.2]])
    assert [pair.tolist() for pair in assign(gain, 0.3)] == [[0, 1], [1, 0]]
    # a pair that cannot be does not push the best one aside
    gain[1, 0] = 0.25
    assert [pair.tolist() for pair in assign(gain, 0.3)] == [[0], [0]]
    assert [len(part) for part in assign(np.zeros((0, 2)), 0.3)] == [0, 0]


@pytest.mark.parametrize(
    ("moved", "shift"), [([(30, 5)] * 3, (30, 5)), ([(30, 5), (0, 0), (0, 0)], (0, 0))]
)
def test_a_camera_moves_everybody_alike(moved, shift):
    places = np.array([(0, 0), (200, 10), (90, 300)])
    known = people(*places)
    found = people(*(places + moved))
    np.testing.assert_allclose(camera_shift(found, known.centers, known.sizes), shift)
    alone = camera_shift(people((30, 5)), known.centers[:1], known.sizes[:1])
    assert alone.tolist() == [0, 0]


def test_a_crowd_is_judged_in_bounded_work_and_still_tells_the_shift():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 2000, (150, 2))
    known = people(*places)
    found = people(*(places[rng.permutation(150)[:120]] + [30, 5] + rng.normal(0, 1, (120, 2))))
    start = time.process_time()
    shift = camera_shift(found, known.centers, known.sizes)
    # each pair against each pair would be 9 GB and 15 s
    assert time.process_time() - start < 3
    np.testing.assert_allclose(shift, [30, 5], atol=2)
