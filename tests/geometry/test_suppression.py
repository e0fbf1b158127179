"""Suppression of boxes and poses agrees with the plain greedy rule written out."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry import box_nms, nearby_joints_nms, nms, oks_iou, oks_nms, soft_oks_nms
from poise.geometry.oks import COCO_SIGMAS, greedy_keep


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    base = rng.uniform(0, 80, (30, 17, 3))
    poses = np.concatenate((base, base + rng.normal(size=base.shape)))
    poses[..., 2] = rng.random(poses.shape[:2])
    return [
        dict(keypoints=pose, score=float(score), area=2000.0 + index)
        for index, (pose, score) in enumerate(zip(poses, rng.random(60), strict=True))
    ]


def greedy(scores, overlap, thr):
    keep = []
    for i in np.argsort(-scores):
        if all(overlap(i, k) <= thr for k in keep):
            keep.append(int(i))
    return keep


def oks(a, b):
    distance = ((a["keypoints"][:, :2] - b["keypoints"][:, :2]) ** 2).sum(1)
    return np.exp(-distance / (2 * COCO_SIGMAS) ** 2 / (a["area"] + b["area"])).mean()


@pytest.mark.parametrize("thr", [0.1, 0.5, 0.9])
def test_pose_suppression_is_greedy(people, thr):
    scores = np.array([p["score"] for p in people])
    expected = greedy(scores, lambda i, k: oks(people[i], people[k]), thr)
    assert oks_nms(people, thr).tolist() == expected


@pytest.mark.parametrize("thr", [0.3, 0.7])
def test_box_suppression_is_greedy(thr):
    rng = np.random.default_rng(0)
    near = rng.uniform(0, 50, (300, 2))
    boxes = np.concatenate((near, near + rng.uniform(10, 40, (300, 2)), rng.random((300, 1))), 1)

    def overlap(i, k):
        low, high = np.maximum(boxes[i, :2], boxes[k, :2]), np.minimum(boxes[i, 2:4], boxes[k, 2:4])
        shared = np.clip(high - low + 1, 0, None).prod()
        areas = [(boxes[j, 2:4] - boxes[j, :2] + 1).prod() for j in (i, k)]
        return shared / (sum(areas) - shared)

    assert nms(boxes, thr) == greedy(boxes[:, 4], overlap, thr)


@pytest.mark.parametrize("thr", [0.1, 0.5, 0.9])
def test_plain_box_suppression_is_torchvisions(thr):
    torch = pytest.importorskip("torch", reason="compares with torchvision")
    from torchvision.ops import nms as torchvision_nms

    random = np.random.default_rng(0)
    low = random.uniform(0, 100, (300, 2))
    boxes = np.concatenate((low, low + random.uniform(0, 60, (300, 2))), 1).astype(np.float32)
    # empty boxes, and scores that are equal
    boxes[:5, 2:] = boxes[:5, :2]
    scores = random.integers(0, 50, 300).astype(np.float32) / 50
    kept = torchvision_nms(torch.from_numpy(boxes), torch.from_numpy(scores), thr)
    assert box_nms(boxes, scores, thr).tolist() == kept.tolist()
    assert box_nms(boxes[:0], scores[:0], thr).tolist() == []


def test_more_candidates_than_a_block():
    close = np.eye(700, dtype=bool) | np.eye(700, k=1, dtype=bool)
    assert greedy_keep(700, lambda rows: close[rows]).tolist() == list(range(0, 700, 2))


def test_oks_of_a_pose_with_itself_is_one(people):
    flat = np.stack([p["keypoints"].ravel() for p in people[:3]])
    got = oks_iou(flat[0], flat, 100.0, np.array([100.0, 50.0, 50.0]))
    assert got.dtype == np.float32
    assert got[0] == 1
    assert (got[1:] < 1).all()


def test_only_keypoints_seen_in_both_poses_count(people):
    one, other = people[0]["keypoints"].copy(), people[0]["keypoints"].copy()
    one[:, 2] = other[:, 2] = 1
    other[3, :2] += 1000
    assert oks_iou(one.ravel(), other.reshape(1, -1), 10.0, np.array([10.0]))[0] < 1
    other[3, 2] = 0
    assert oks_iou(one.ravel(), other.reshape(1, -1), 10.0, np.array([10.0]), vis_thr=0.5)[0] == 1
    other[:, 2] = 0
    assert oks_iou(one.ravel(), other.reshape(1, -1), 10.0, np.array([10.0]), vis_thr=0.5)[0] == 0


def test_soft_suppression_keeps_the_best_and_at_most_so_many(people):
    keep = soft_oks_nms(people, 0.5, max_dets=7)
    assert len(keep) == 7
    assert keep[0] == np.argmax([p["score"] for p in people])
    # a doubled pose falls behind one that stands alone
    twins = [dict(people[i], score=s) for i, s in ((0, 0.9), (0, 0.8), (5, 0.5))]
    assert soft_oks_nms(twins, 0.5, 3).tolist() == [0, 2, 1]


def test_scores_per_joint_rank_by_their_mean(people):
    per_joint = [dict(p, score=np.full(17, p["score"])) for p in people]
    assert (oks_nms(per_joint, 0.5, score_per_joint=True) == oks_nms(people, 0.5)).all()
    assert nearby_joints_nms(per_joint, score_per_joint=True) == nearby_joints_nms(people)


def test_poses_with_most_joints_near_are_one():
    pose = np.random.default_rng(0).uniform(0, 100, (17, 2))
    far = pose + 500
    people = [dict(keypoints=k, score=s) for k, s in ((pose, 0.5), (pose + 0.1, 0.9), (far, 0.1))]
    assert nearby_joints_nms(people) == [1, 2]
    assert nearby_joints_nms(people, max_dets=1) == [1]
    # those without extent, or without places, are like themselves only
    odd = [dict(keypoints=np.full((17, 2), v), score=0.3) for v in (7.0, np.nan)]
    assert sorted(nearby_joints_nms(people + odd)) == [1, 2, 3, 4]


@pytest.mark.parametrize("function", [oks_nms, soft_oks_nms])
def test_nobody_gives_nobody(function):
    assert len(function([], 0.5)) == 0
    assert nms(np.zeros((0, 5)), 0.5) == nearby_joints_nms([]) == []


def test_wrong_arguments_are_explained(people):
    with pytest.raises(DataError, match="3 sigmas for 17 keypoints"):
        oks_nms(people, 0.5, sigmas=np.ones(3))
    with pytest.raises(DataError, match="dist_thr must be greater than 0"):
        nearby_joints_nms(people, dist_thr=0)
    with pytest.raises(DataError, match="must be less than the 17 joints"):
        nearby_joints_nms(people, num_nearby_joints_thr=17)
