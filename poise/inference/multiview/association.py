"""Who in one picture is who in the others: people of one moment, from several cameras.

Every two people of two cameras are a hypothesis: their rays give a pose in space, and every other
camera says whom it sees where that pose would be. The hypothesis that most cameras agree with is
taken first, its people are taken out, and so on. Unlike costs between pairs of cameras alone (Dong
et al., CVPR 2019), it cannot contradict itself around a circle of cameras; with few people, trying
all pairs costs little. A pose near somebody of the moment before is preferred, which decides where
two cameras alone would allow several answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera

__all__ = ["Detections", "Group", "associate"]

#: Keypoints that must be seen by both cameras of a pair, or all of fewer.
_LEAST_COMMON = 3
#: Error of one keypoint that counts at most, in parts of the limit: an arm may be wrong.
_WORST_PART = 2.0
#: Metres to somebody of the moment before within which a hypothesis is preferred.
_NEAR = 0.5
#: What such a preference weighs, in cameras.
_NEAR_GAIN = 0.5


@dataclasses.dataclass(frozen=True)
class Detections:
    """The D people that all cameras see at one moment.

    Attributes:
        views: (D,) number of the camera of each.
        flat: (D, K, 2) undistorted keypoints, in the plane z = 1 of the camera.
        there: (D, K) bool: the keypoint is seen.
    """

    views: Array
    flat: Array
    there: Array


@dataclasses.dataclass(frozen=True)
class Group:
    """One person.

    Attributes:
        members: (V,) index of the person among the detections, by camera; -1 where unseen.
        pose: (K, 3) metres, from two cameras; NaN where they do not both see a keypoint.
    """

    members: Array
    pose: Array


def associate(
    people: Detections,
    cameras: Sequence[Camera],
    *,
    limit: float | Array,
    min_views: int = 2,
    before: Array | None = None,
) -> list[Group]:
    """The people whom at least `min_views` cameras see, the surest first.

    Args:
        people: of one moment.
        cameras: V of them.
        limit: pixels, or (V,) of each camera, the largest mean distance between a camera's
            keypoints and those of the pose.
        min_views: cameras that must agree.
        before: (M, K, 3) poses of the moment before, or None.
    """
    first, second = _pairs(people)
    if not len(first):
        return []
    poses = _meetings(people, cameras, first, second)
    cost = _costs(people, cameras, poses, np.broadcast_to(limit, len(cameras)))
    # a person is seen once by each camera: of its own camera a hypothesis knows whom
    own = people.views[None] == people.views[first][:, None]
    own |= people.views[None] == people.views[second][:, None]
    rows = np.arange(len(first))
    own[rows, first] = own[rows, second] = False
    cost = np.where(own, np.inf, cost)
    gain = _familiarity(poses, before)
    groups: list[Group] = []
    while True:
        value, members = _supported(cost, people.views, len(cameras))
        alive = (cost[rows, first] <= 1) & (cost[rows, second] <= 1)
        alive &= (members >= 0).sum(1) >= min_views
        if not alive.any():
            return groups
        best = int(np.where(alive, value + gain, -np.inf).argmax())
        taken = members[best][members[best] >= 0]
        cost[:, taken] = np.inf
        groups.append(Group(members[best], poses[best]))


def _pairs(people: Detections) -> tuple[Array, Array]:
    """Indices (H,), (H,) of two people of two cameras with enough keypoints in common."""
    first, second = np.triu_indices(len(people.views), 1)
    common = (people.there[first] & people.there[second]).sum(-1)
    least = min(_LEAST_COMMON, people.there.shape[1])
    keep = (people.views[first] != people.views[second]) & (common >= least)
    return first[keep], second[keep]


def _meetings(people: Detections, cameras: Sequence[Camera], first: Array, second: Array) -> Array:
    """(H, K, 3) where the rays of two people come nearest to each other; NaN behind a camera."""
    turns = np.stack([camera.rotation for camera in cameras])
    places = np.stack([camera.center for camera in cameras])
    rays = np.concatenate((people.flat, np.ones_like(people.flat[..., :1])), -1)
    # into the world: the transposed rotation
    rays = np.einsum("dki,dij->dkj", rays, turns[people.views])
    a, b = rays[first], rays[second]
    base = (places[people.views[second]] - places[people.views[first]])[:, None]
    aa, ab, bb = ((p * q).sum(-1) for p, q in ((a, a), (a, b), (b, b)))
    to_a, to_b = (a * base).sum(-1), (b * base).sum(-1)
    with np.errstate(all="ignore"):
        area = aa * bb - ab**2
        along_a = (to_a * bb - to_b * ab) / area
        along_b = (to_a * ab - to_b * aa) / area
        start = places[people.views[first]][:, None]
        middle = start + (along_a[..., None] * a + base + along_b[..., None] * b) / 2
    seen = people.there[first] & people.there[second] & (along_a > 0) & (along_b > 0)
    return np.where(seen[..., None], middle, np.nan)


def _costs(people: Detections, cameras: Sequence[Camera], poses: Array, limit: Array) -> Array:
    """(H, D) mean distance in parts of the limit; infinite with too little in common."""
    out = np.full((len(poses), len(people.views)), np.inf)
    known: Array = np.asarray(np.isfinite(poses).all(-1))
    least = min(_LEAST_COMMON, poses.shape[1])
    for view, camera in enumerate(cameras):
        index = np.flatnonzero(people.views == view)
        if not len(index):
            continue
        seen = camera.seen(poses)
        with np.errstate(all="ignore"):
            flat = seen[..., :2] / seen[..., 2:]
        focal = np.sqrt(camera.matrix[0, 0] * camera.matrix[1, 1])
        away = np.linalg.norm(flat[:, None] - people.flat[index][None], axis=-1) * focal
        away = np.where((seen[..., 2] > 0)[:, None], away, np.inf)
        both = known[:, None] & people.there[index][None]
        count = both.sum(-1)
        capped = np.where(both, np.minimum(away / limit[view], _WORST_PART), 0)
        mean = capped.sum(-1) / np.maximum(count, 1)
        out[:, index] = np.where(count >= least, mean, np.inf)
    return out


def _familiarity(poses: Array, before: Array | None) -> Array:
    """(H,) what the nearness to somebody of the moment before is worth."""
    if before is None or not len(before):
        return np.zeros(len(poses))
    away = np.linalg.norm(poses[:, None] - before[None], axis=-1)
    known: Array = np.isfinite(away)
    mean = np.where(known, away, 0).sum(-1) / np.maximum(known.sum(-1), 1)
    nearest = np.where(known.any(-1), mean, np.inf).min(-1)
    return _NEAR_GAIN * np.clip(1 - nearest / _NEAR, 0, None)


def _supported(cost: Array, views: Array, count: int) -> tuple[Array, Array]:
    """Value (H,) of each hypothesis, and whom each camera sees there, (H, V); -1 for nobody."""
    members = np.full((len(cost), count), -1)
    value = np.zeros(len(cost))
    for view in range(count):
        index = np.flatnonzero(views == view)
        if len(index):
            best = cost[:, index].argmin(1)
            least = cost[np.arange(len(cost)), index[best]]
            members[:, view] = np.where(least <= 1, index[best], -1)
            value += np.clip(1 - least, 0, None)
    return value, members
