"""Who in one picture is who in the others."""

import numpy as np
import pytest

from poise.inference.multiview.association import Detections, associate


def detections(cameras, poses, *, noise=2.0, missing=(), seed=0):
    """People in an order that differs by camera, and who each is."""
    rng = np.random.default_rng(seed)
    views, flat, who = [], [], []
    for view, camera in enumerate(cameras):
        pixels = camera.project(poses)
        pixels = pixels + rng.normal(0, noise, pixels.shape)
        for person in rng.permutation(len(poses)):
            if (view, person) not in missing:
                views.append(view)
                flat.append(camera.undistort(pixels[person]))
                who.append(person)
    there = np.ones((len(who), poses.shape[1]), bool)
    shape = (-1, poses.shape[1], 2)
    return Detections(np.array(views, int), np.reshape(flat, shape), there), np.array(who, int)


@pytest.mark.parametrize(("views", "people"), [(2, 1), (2, 3), (3, 4), (4, 5), (6, 3)])
def test_people_are_found_again_in_all_views(scenes, views, people):
    cameras = scenes.ring(views, radius=6.0)
    for seed in range(5):
        poses = scenes.walk(1, people, seed=seed)[0]
        found, who = detections(cameras, poses, seed=seed)
        groups = associate(found, cameras, limit=15)
        assert len(groups) == people
        for group in groups:
            assert (group.members >= 0).all()
            assert len(set(who[group.members])) == 1
            true = poses[who[group.members[0]]]
            assert np.linalg.norm(group.pose - true, axis=-1).mean() < 0.05


def test_somebody_seen_by_some_is_a_person_and_by_one_is_nobody(scenes):
    cameras = scenes.ring(3)
    poses = scenes.walk(1, 3)[0]
    found, who = detections(cameras, poses, missing={(0, 1), (0, 2), (1, 2)})
    groups = associate(found, cameras, limit=15)
    members = {int(who[g.members[g.members >= 0][0]]): g.members >= 0 for g in groups}
    assert set(members) == {0, 1}
    assert members[0].tolist() == [True, True, True]
    assert members[1].tolist() == [False, True, True]
    assert len(associate(found, cameras, limit=15, min_views=3)) == 1


def test_different_people_in_each_view_are_nobody(scenes):
    cameras = scenes.ring(2)
    poses = scenes.walk(1, 2)[0]
    found, _ = detections(cameras, poses, missing={(0, 0), (1, 1)})
    assert associate(found, cameras, limit=15) == []
    empty = Detections(np.zeros(0, int), np.zeros((0, 17, 2)), np.zeros((0, 17), bool))
    assert associate(empty, cameras, limit=15) == []


def test_one_wrong_limb_does_not_part_a_person(scenes):
    cameras = scenes.ring(4)
    poses = scenes.walk(1, 2)[0]
    found, who = detections(cameras, poses)
    row = int(np.flatnonzero(who == 1)[0])
    found.flat[row, [7, 9]] += 0.3
    groups = associate(found, cameras, limit=15)
    assert sorted((g.members >= 0).sum() for g in groups) == [4, 4]


def test_the_moment_before_decides_between_two_answers(scenes):
    # two cameras at one height see two people as points in one plane with them: each ray of
    # one camera meets each of the other's
    cameras = scenes.ring(2, distortion=())
    height = [camera.center[2] for camera in cameras]
    flat = np.array([[-0.6, 0.0], [0.6, 0.3]])
    line = cameras[1].center - cameras[0].center
    middle = cameras[0].center + line / 2
    assert height[0] != height[1]
    # on one epipolar plane: points that the line between the cameras and a direction span
    down = np.array([0, 0, -1.0])
    side = np.cross(line, down) / np.linalg.norm(np.cross(line, down))
    plane = [middle + 0.15 * line * a + side * b * 0.0 + down * (0.6 + 0.4 * b) for a, b in flat]
    poses = np.stack([np.repeat(p[None], 5, 0) for p in plane])
    found, who = detections(cameras, poses, noise=0.0)
    crossed = {
        tuple(sorted(who[g.members].tolist()))
        for g in associate(found, cameras, limit=5, before=poses)
    }
    assert crossed == {(0, 0), (1, 1)}
