"""A first guess of where cameras stand: two by their essential matrix, others by what those place.

Several people: every track of one camera may be every track of another. Each such pair is a
hypothesis that gives a relation of the cameras; of all others it says who goes with whom, and the
hypothesis that explains most keypoints of all people is kept.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from poise._arrays import Array
from poise.geometry.camera_model import Camera
from poise.geometry.triangulation import triangulate_points
from poise.inference.multiview.people.epipolar import Relation, relation, sampson
from poise.inference.multiview.people.tracks import Track, common

__all__ = ["Pair", "Placed", "join_camera", "relate", "start_pair", "swapped"]

#: Correspondences that a pair of cameras needs, and the part of them that must agree.
_LEAST_POINTS, _LEAST_INLIERS = 100, 0.4
#: Rows that a camera is placed by at most.
_MOST_ROWS = 200


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two cameras that see the same people.

    Attributes:
        relation: from the first to the second.
        matches: track of the first, track of the second.
        count: keypoints that agree.
        part: of those that could.
        swapped: whether the second's left and right are exchanged.
    """

    relation: Relation
    matches: list[tuple[int, int]]
    count: int
    part: float
    swapped: bool = False

    @property
    def worth(self) -> float:
        """Many points, and rays that cross at a large angle."""
        return self.count * float(np.sin(min(self.relation.angle, np.pi / 2)))


@dataclasses.dataclass(frozen=True)
class Placed:
    """People in space.

    Attributes:
        frames: (R,) of the clock.
        people: (R,) number of a person.
        points: (R, K, 3); NaN where unknown.
    """

    frames: Array
    people: Array
    points: Array


def relate(
    a: Sequence[Track], b: Sequence[Track], lag: int, focals: tuple[float, float], limit: float
) -> Pair | None:
    """How two cameras stand, and who is who; None where they have too little in common.

    Args:
        a, b: their tracks.
        lag: frame t of `a` is t + lag of `b`.
        focals: pixels.
        limit: pixels that count as noise.
    """
    near = limit / np.sqrt(focals[0] * focals[1])
    both = {}
    for i, j in itertools.product(range(len(a)), range(len(b))):
        frames, p, q = common(a[i], b[j], lag)
        p, q = p / focals[0], q / focals[1]
        there = np.isfinite(p).all(-1) & np.isfinite(q).all(-1)
        if there.sum() >= _LEAST_POINTS:
            both[i, j] = frames, p, q, there
    best: Pair | None = None
    for frames, p, q, there in both.values():
        del frames
        found = relation(p[there], q[there], near)
        if found is None:
            continue
        matches, count, part = _explained(both, found.essential, near)
        if best is None or count > best.count:
            best = Pair(found, matches, count, part)
    if best is None or len(best.matches) < 2:
        return best
    joined = [both[match] for match in best.matches]
    p, q = (np.concatenate([row[n][row[3]] for row in joined]) for n in (1, 2))
    found = relation(p, q, near)
    return best if found is None else dataclasses.replace(best, relation=found)


def _explained(
    both: dict[tuple[int, int], tuple[Array, Array, Array, Array]], essential: Array, near: float
) -> tuple[list[tuple[int, int]], int, float]:
    """Pairs of tracks that go together, keypoints that agree, and their part of all."""
    scored = []
    for match, (frames, p, q, there) in both.items():
        agree = (sampson(essential, p, q) < near) & there
        scored.append((int(agree.sum()), int(there.sum()), match, frames))
    taken_a: dict[int, Array] = {}
    taken_b: dict[int, Array] = {}
    matches, count, total = [], 0, 0
    for agree, there, (i, j), frames in sorted(scored, key=lambda row: -row[0]):
        busy = np.isin(frames, taken_a.get(i, [])) | np.isin(frames, taken_b.get(j, []))
        # a track that was cut goes with several, at different times
        if agree < _LEAST_INLIERS * there or busy.mean() > 0.2:
            continue
        matches.append((i, j))
        taken_a[i] = np.append(taken_a.get(i, np.zeros(0, int)), frames)
        taken_b[j] = np.append(taken_b.get(j, np.zeros(0, int)), frames)
        count, total = count + agree, total + there
    return matches, count, count / max(total, 1)


def swapped(tracks: Sequence[Track], swap: Array) -> list[Track]:
    """Tracks whose left and right are exchanged."""
    return [dataclasses.replace(track, points=track.points[:, swap]) for track in tracks]


def start_pair(
    a: Sequence[Track], b: Sequence[Track], pair: Pair, lag: int, cameras: tuple[Camera, Camera], limit: float
) -> tuple[Array, Placed]:
    """Pixels (2, R, K, 2) of the matched people, and where these are, before two cameras."""
    frames, people, pixels = [], [], []
    for number, (i, j) in enumerate(pair.matches):
        own, p, q = common(a[i], b[j], lag)
        frames.append(own)
        people.append(np.full(len(own), number))
        pixels.append(np.stack((p, q)))
    whole = np.concatenate(pixels, 1)
    found = triangulate_points(whole, cameras, max_error=limit)
    return whole, Placed(np.concatenate(frames), np.concatenate(people), found.points)


def join_camera(
    camera: Camera, tracks: Sequence[Track], offset: int, placed: Placed, limit: float
) -> tuple[Camera, int, float] | None:
    """The camera where it sees people that others have placed; how many keypoints, which part.

    None where there are too few.
    """
    import cv2

    focal = camera.matrix[0, 0]
    both = {}
    for person, (j, track) in itertools.product(np.unique(placed.people).tolist(), enumerate(tracks)):
        own = placed.people == person
        _, i, k = np.intersect1d(placed.frames[own], track.frames - offset, return_indices=True)
        points, pixels = placed.points[own][i], track.points[k]
        there = np.isfinite(points).all(-1) & np.isfinite(pixels).all(-1)
        if there.sum() >= _LEAST_POINTS:
            both[person, j] = points[there], pixels[there]
    best: tuple[Camera, int, float] | None = None
    for points, pixels in both.values():
        pick = np.linspace(0, len(points) - 1, min(len(points), _MOST_ROWS * 8)).round().astype(int)
        done, turn, shift, inliers = cv2.solvePnPRansac(
            points[pick], pixels[pick], camera.matrix, None, iterationsCount=500,
            reprojectionError=2 * limit, confidence=0.9999, flags=cv2.SOLVEPNP_SQPNP,
        )  # fmt: skip
        if not done or inliers is None or len(inliers) < _LEAST_POINTS / 4:
            continue
        near = pick[np.ravel(inliers)]
        turn, shift = cv2.solvePnPRefineLM(points[near], pixels[near], camera.matrix, None, turn, shift)
        own = dataclasses.replace(camera, rotation=np.ravel(turn), translation=np.ravel(shift))
        agree = total = 0
        for other, seen in both.values():
            away = np.linalg.norm(own.project(other) - seen, axis=-1)
            count = int((np.nan_to_num(away, nan=np.inf) < 3 * limit).sum())
            if count > _LEAST_INLIERS * len(other):
                agree, total = agree + count, total + len(other)
        if best is None or agree > best[1]:
            best = own, agree, agree / max(total, 1)
    return best
